/*
** quiet.h - calls of the system that write to what nobody may read from, without the signal that this raises.
*/

#ifndef IOCP_NATIVE_QUIET_H
#define IOCP_NATIVE_QUIET_H

#include <signal.h>

#pragma GCC visibility push(hidden)

typedef struct iocp_quiet {
	sigset_t before;
	int had; /* a SIGPIPE of others was pending: it stays */
} iocp_quiet;

/* Around the call, in one thread: the signal is the calling thread's. */
void iocp_quiet_begin(iocp_quiet *quiet);
/* `broken`: it failed with EPIPE, and the signal that came with that is taken away. errno stays. */
void iocp_quiet_end(const iocp_quiet *quiet, int broken);

#pragma GCC visibility pop

#endif
