/*
** descriptor.c - descriptors made in one step each, as Linux has them, so that no child process comes to inherit one.
** Owns nothing.
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

int iocp_prim_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC);
}

int iocp_prim_temporary(const char *folder)
{
	int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[4096];
	if (descriptor >= 0)
		return descriptor;
	/* Not every file system has that. */
	if (snprintf(path, sizeof(path), "%s/iocp-XXXXXX", folder) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	descriptor = mkostemp(path, O_CLOEXEC);
	if (descriptor >= 0)
		unlink(path);
	return descriptor;
}

int iocp_prim_reopen(int descriptor, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	return open(path, flags | O_CLOEXEC);
}

int iocp_prim_socket(int family, int type)
{
	return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int iocp_prim_socket_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
}

int iocp_prim_accept(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* The calls say it, or block the signal. */
void iocp_prim_hush(int descriptor)
{
	(void)descriptor;
}

void iocp_prim_adopt_socket(int descriptor)
{
	(void)descriptor;
}

ssize_t iocp_prim_send_file(int to, int file, int64_t offset, size_t size)
{
	off_t from = (off_t)offset;
	return sendfile(to, file, &from, size);
}

int iocp_prim_sync(int descriptor)
{
	return fdatasync(descriptor);
}

static int64_t nanoseconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

void iocp_prim_file_times(const struct stat *told, int64_t *modified, int64_t *accessed)
{
	*modified = nanoseconds(&told->st_mtim);
	*accessed = nanoseconds(&told->st_atim);
}
