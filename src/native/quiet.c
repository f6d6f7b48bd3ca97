/*
** quiet.c - SIGPIPE, blocked while a call may raise it. Owns nothing.
*/

#include "native/quiet.h"

#include <errno.h>
#include <time.h>

static void pipe_only(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGPIPE);
}

void iocp_quiet_begin(iocp_quiet *quiet)
{
	sigset_t pipe, pending;
	pipe_only(&pipe);
	sigpending(&pending);
	quiet->had = sigismember(&pending, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &quiet->before);
}

void iocp_quiet_end(const iocp_quiet *quiet, int broken)
{
	static const struct timespec at_once = {0, 0};
	int error = errno;
	sigset_t pipe;
	pipe_only(&pipe);
	if (broken && !quiet->had)
		while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
	errno = error;
}
