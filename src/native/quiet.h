/*
** quiet.h - calls of the system that write to what nobody may read from, without the signal that this raises.
*/

#ifndef IOCP_NATIVE_QUIET_H
#define IOCP_NATIVE_QUIET_H

#include <signal.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

typedef struct iocp_quiet {
	sigset_t before;
	int had; /* a SIGPIPE of others was pending: it stays */
} iocp_quiet;

/* Around the call, in one thread: the signal is the calling thread's. */
void iocp_quiet_begin(iocp_quiet *quiet);
/* The call, which was to write `size` bytes, has returned `n`: the signal that may have come with that is taken away.
** errno stays. */
void iocp_quiet_end(const iocp_quiet *quiet, ssize_t n, size_t size);

#pragma GCC visibility pop

#endif
