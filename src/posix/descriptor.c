/*
** descriptor.c - descriptors by POSIX' means: in several steps, between which a child that others start meanwhile may
** inherit one, where child.c cannot have it closed; in one step where the system has flags for that. Owns nothing.
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PART = 16 * 1024 /* bytes of a file on the stack */ };

#ifndef MSG_NOSIGNAL /* macOS before 11; see iocp_prim_hush */
#define MSG_NOSIGNAL 0
#endif

/* The descriptor, which is closed by exec from now on; -1: it was none. */
static int own(int descriptor)
{
	if (descriptor >= 0)
		(void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
	return descriptor;
}

/* The same of a socket of this library's. */
static int own_socket(int descriptor)
{
	if (own(descriptor) >= 0) {
		(void)fcntl(descriptor, F_SETFL, O_NONBLOCK);
		iocp_prim_hush(descriptor);
	}
	return descriptor;
}

int iocp_prim_pipe(int ends[2])
{
	int i, r = pipe(ends);
	for (i = 0; i < 2 && r == 0; i++)
		(void)own(ends[i]);
	return r;
}

int iocp_prim_temporary(const char *folder)
{
	char path[4096];
	int descriptor;
	if (snprintf(path, sizeof(path), "%s/iocp-XXXXXX", folder) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	descriptor = own(mkstemp(path));
	if (descriptor >= 0)
		unlink(path);
	return descriptor;
}

/* A pipe has no name to open it by. */
int iocp_prim_reopen(int descriptor, int flags)
{
	(void)descriptor, (void)flags;
	errno = ENOTSUP;
	return -1;
}

int iocp_prim_socket(int family, int type)
{
#ifdef SOCK_CLOEXEC
	return own_socket(socket(family, type | SOCK_CLOEXEC, 0));
#else
	return own_socket(socket(family, type, 0));
#endif
}

int iocp_prim_socket_pair(int ends[2])
{
	int i, r = socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	for (i = 0; i < 2 && r == 0; i++)
		(void)own_socket(ends[i]);
	return r;
}

int iocp_prim_accept(int listener)
{
	return own_socket(accept(listener, NULL, NULL));
}

void iocp_prim_hush(int descriptor)
{
#ifdef F_SETNOSIGPIPE /* macOS; of pipes and sockets */
	(void)fcntl(descriptor, F_SETNOSIGPIPE, 1);
#else
	(void)descriptor;
#endif
}

void iocp_prim_adopt_socket(int descriptor)
{
	iocp_prim_hush(descriptor);
#ifdef __APPLE__ /* where a send with MSG_DONTWAIT waits all the same */
	(void)fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
#endif
}

/* What the socket does not take is read again with the next part. */
ssize_t iocp_prim_send_file(int to, int file, int64_t offset, size_t size)
{
	char part[PART];
	ssize_t n = pread(file, part, size < sizeof(part) ? size : sizeof(part), (off_t)offset);
	return n > 0 ? send(to, part, (size_t)n, MSG_NOSIGNAL) : n;
}

int iocp_prim_sync(int descriptor)
{
#ifdef F_FULLFSYNC /* macOS, whose fsync leaves it in the device's cache */
	if (fcntl(descriptor, F_FULLFSYNC) == 0)
		return 0;
		/* Not every file system has that. */
#endif
	return fsync(descriptor);
}

static int64_t nanoseconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

void iocp_prim_file_times(const struct stat *told, int64_t *modified, int64_t *accessed)
{
#ifdef __APPLE__
	*modified = nanoseconds(&told->st_mtimespec);
	*accessed = nanoseconds(&told->st_atimespec);
#else
	*modified = nanoseconds(&told->st_mtim);
	*accessed = nanoseconds(&told->st_atim);
#endif
}
