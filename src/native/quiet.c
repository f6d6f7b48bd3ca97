/*
** quiet.c - SIGPIPE, blocked while a call may raise it. Owns nothing.
**
** It comes with EPIPE, but also with a count: of what was written until nobody was found to read any more.
*/

#include "core/features.h"

#include "native/quiet.h"

#include <errno.h>
#include <pthread.h>

#include "core/os.h"

static void pipe_only(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGPIPE);
}

static int is_pending(void)
{
	sigset_t pending;
	sigpending(&pending);
	return sigismember(&pending, SIGPIPE);
}

/* It is pending, for this thread or for the process, where another that blocks it may be about to take it: so that
** there is one to take, this thread sends itself one more, which becomes one with its own if it has it. (sigtimedwait
** would do; not every system has it.) */
static void take(const sigset_t *pipe)
{
	int taken;
	pthread_kill(pthread_self(), SIGPIPE);
	sigwait(pipe, &taken);
}

void iocp_quiet_begin(iocp_quiet *quiet)
{
	sigset_t pipe;
	pipe_only(&pipe);
	quiet->had = is_pending();
	pthread_sigmask(SIG_BLOCK, &pipe, &quiet->before);
}

void iocp_quiet_end(const iocp_quiet *quiet, ssize_t n, size_t size)
{
	int error = errno, may_have_come = n < 0 ? error == EPIPE : (size_t)n < size, i;
	sigset_t pipe;
	pipe_only(&pipe);
	/* At most twice: once it is this thread's, once one of the process', whichever the system takes first. Linux takes
	** the thread's, and leaves that of the process, which others have sent. */
	for (i = 0; i < 2 && may_have_come && !quiet->had && is_pending(); i++)
		take(&pipe);
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
