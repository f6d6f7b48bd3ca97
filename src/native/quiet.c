/*
** quiet.c - SIGPIPE, blocked while a call may raise it. Owns nothing.
**
** It comes with EPIPE, but also with a count: of what was written until nobody was found to read any more.
*/

#include "core/features.h"

#include "native/quiet.h"

#include <errno.h>
#include <time.h>

#include "core/os.h"

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

void iocp_quiet_end(const iocp_quiet *quiet, ssize_t n, size_t size)
{
	static const struct timespec at_once = {0, 0};
	int error = errno, may_have_come = n < 0 ? error == EPIPE : (size_t)n < size;
	sigset_t pipe;
	pipe_only(&pipe);
	if (may_have_come && !quiet->had)
		while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
	errno = error;
}

void iocp_run_quietly(void (*call)(void *data), void *data)
{
	iocp_quiet quiet;
	iocp_quiet_begin(&quiet);
	call(data);
	errno = EPIPE; /* nobody knows better */
	iocp_quiet_end(&quiet, -1, 0);
}
