/*
** io_error.h - what an operation of I/O fails with: a number that is the same on every system.
**
** The number is Linux's errno for what POSIX has a name for, else IOCP_IO_OTHER + the system's own code. A backend
** makes numbers of its system's codes where it makes packets; everybody else sees numbers only.
*/

#ifndef IOCP_IO_ERROR_H
#define IOCP_IO_ERROR_H

#include "core/api.h"

#pragma GCC visibility push(hidden)

/* clang-format off */
#define IOCP_IO_ERRORS(X) \
	X(E2BIG, 7, "the argument list is too long") \
	X(EACCES, 13, "permission denied") \
	X(EADDRINUSE, 98, "the address is in use: something else has it") \
	X(EADDRNOTAVAIL, 99, "the address is not this machine's") \
	X(EAFNOSUPPORT, 97, "the address family is not supported") \
	X(EAGAIN, 11, "not possible at the moment: try again") \
	X(EALREADY, 114, "an operation of this kind is under way already") \
	X(EBADF, 9, "not open, or not open for this") \
	X(EBADMSG, 74, "bad message") \
	X(EBUSY, 16, "in use by somebody else") \
	X(ECANCELED, 125, "the operation was cancelled") \
	X(ECHILD, 10, "no child process") \
	X(ECONNABORTED, 103, "the connection was given up") \
	X(ECONNREFUSED, 111, "the connection was refused: nobody listens there") \
	X(ECONNRESET, 104, "the connection was reset by the peer") \
	X(EDEADLK, 35, "the system would wait for itself") \
	X(EDESTADDRREQ, 89, "a destination address is missing") \
	X(EDQUOT, 122, "the disk quota is used up") \
	X(EEXIST, 17, "it exists already") \
	X(EFAULT, 14, "bad address") \
	X(EFBIG, 27, "the file is too large") \
	X(EHOSTUNREACH, 113, "there is no way to the host") \
	X(EILSEQ, 84, "not a valid character") \
	X(EINPROGRESS, 115, "the operation is under way") \
	X(EINTR, 4, "interrupted by a signal") \
	X(EINVAL, 22, "not a valid argument") \
	X(EIO, 5, "the device failed") \
	X(EISCONN, 106, "connected already") \
	X(EISDIR, 21, "it is a directory") \
	X(ELOOP, 40, "too many symbolic links") \
	X(EMFILE, 24, "too many open files in this process") \
	X(EMLINK, 31, "too many links") \
	X(EMSGSIZE, 90, "the message is longer than the room for it") \
	X(ENAMETOOLONG, 36, "the name is too long") \
	X(ENETDOWN, 100, "the network is down") \
	X(ENETRESET, 102, "the network gave the connection up") \
	X(ENETUNREACH, 101, "there is no way to the network") \
	X(ENFILE, 23, "too many open files in the system") \
	X(ENOBUFS, 105, "the system has no buffers left") \
	X(ENODEV, 19, "no such device") \
	X(ENOENT, 2, "no such file or directory") \
	X(ENOEXEC, 8, "not a program") \
	X(ENOLCK, 37, "no locks left") \
	X(ENOMEM, 12, "the system is out of memory") \
	X(ENOPROTOOPT, 92, "no such option") \
	X(ENOSPC, 28, "the disk is full") \
	X(ENOSYS, 38, "the system cannot do this") \
	X(ENOTCONN, 107, "not connected") \
	X(ENOTDIR, 20, "not a directory") \
	X(ENOTEMPTY, 39, "the directory is not empty") \
	X(ENOTSOCK, 88, "not a socket") \
	X(ENOTTY, 25, "not what the device can do") \
	X(ENXIO, 6, "no such device or address") \
	X(EOPNOTSUPP, 95, "not supported here") \
	X(EOVERFLOW, 75, "the number is too large") \
	X(EPERM, 1, "not permitted") \
	X(EPIPE, 32, "nobody reads at the other end") \
	X(EPROTO, 71, "the peer broke the protocol") \
	X(EPROTONOSUPPORT, 93, "the protocol is not supported") \
	X(EPROTOTYPE, 91, "the protocol does not fit the socket") \
	X(EROFS, 30, "the file system is read-only") \
	X(ESPIPE, 29, "no offset in a pipe") \
	X(ESRCH, 3, "no such process") \
	X(ESTALE, 116, "the file is gone from its server") \
	X(ETIMEDOUT, 110, "the peer did not answer in time") \
	X(ETXTBSY, 26, "the program is running") \
	X(EXDEV, 18, "not on the same file system")
/* clang-format on */

#define IOCP_IO_ERROR_NUMBER(name, number, text) IOCP_##name = number,
enum iocp_io_error { IOCP_IO_ERRORS(IOCP_IO_ERROR_NUMBER) };

/* The number of a system's code that has no name: IOCP_EIO for what does not fit. */
int iocp_io_error_unnamed(int code);

#pragma GCC visibility pop

#endif
