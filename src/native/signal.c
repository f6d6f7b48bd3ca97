/*
** signal.c - signals of the process. A handler counts those that come, and wakes a thread of the library that tells who
** asked: a handler itself may do next to nothing.
**
** What a signal did before is kept while it is ours, and put back unless somebody else has set a handler since. One
** that nobody wants any more when the thread comes to it is sent again, to what was put back. Where the handler runs
** though the signal is not ours, it puts that back itself, and sends the signal again: somebody who had set a handler
** of his own may have put ours back, or calls it from his; and a child that was made by fork and does not exec has the
** handler, but not the thread. (What posix_spawn, system and popen start has none of it.)
**
** Locking: none. The caller sees to it that one thread at a time begins and ends.
*/

#include "core/features.h"

#include "native/native.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { SIGNALS = IOCP_SIGNAL_BREAK, NONE = 0 };

static const int numbers[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, NONE};

/* Relaxed, all that does not say otherwise: a handler runs behind the call of the system's that set it. */
static struct sigaction before[SIGNALS];
static _Atomic int ours[SIGNALS];        /* between begin and end */
static _Atomic int owner;                /* the process that has the thread */
static _Atomic uint32_t counts[SIGNALS]; /* how many came that the thread has not seen */
static _Atomic uint32_t changes;         /* futex: grows with each */
static _Atomic(int (*)(int)) tell;
static _Atomic int started; /* a thread was, and none need be */
static _Atomic int running; /* one is: of several that were started at once, the first */

static void on_signal(int number)
{
	int saved = errno, i;
	for (i = 0; numbers[i] != number; i++)
		;
	if (getpid() != atomic_load_explicit(&owner, memory_order_relaxed)
		|| !atomic_load_explicit(&ours[i], memory_order_relaxed)) {
		sigaction(number, &before[i], NULL);
		raise(number);
	} else {
		atomic_fetch_add_explicit(&counts[i], 1, memory_order_relaxed);
		/* Release: pairs with the load in `run`: who sees the change sees the count. */
		atomic_fetch_add_explicit(&changes, 1, memory_order_release);
		iocp_prim_wake(&changes);
	}
	errno = saved;
}

static int run(iocp_thread *thread, void *data)
{
	int mine = !atomic_exchange_explicit(&running, 1, memory_order_relaxed), i;
	(void)thread, (void)data;
	while (mine) {
		uint32_t seen = atomic_load_explicit(&changes, memory_order_acquire), count;
		for (i = 0; i < SIGNALS; i++) {
			for (count = atomic_exchange_explicit(&counts[i], 0, memory_order_relaxed); count; count--)
				if (!atomic_load_explicit(&tell, memory_order_relaxed)(i + 1))
					kill(getpid(), numbers[i]);
		}
		iocp_prim_wait(&changes, seen, IOCP_FOREVER);
	}
	return IOCP_OK;
}

int iocp_signals_ready(int (*came)(int signal))
{
	const iocp_thread_options options = {.size = sizeof(options), .main = run, .name = "iocp signals"};
	iocp_thread *thread;
	sigset_t all, mask;
	int r;
	if (atomic_load_explicit(&started, memory_order_relaxed))
		return IOCP_OK;
	atomic_store_explicit(&tell, came, memory_order_relaxed); /* before the thread, and ever the same */
	atomic_store_explicit(&owner, (int)getpid(), memory_order_relaxed);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	r = iocp_thread_create(&options, &thread);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (r != IOCP_OK)
		return r;
	atomic_store_explicit(&started, 1, memory_order_relaxed);
	iocp_thread_release(thread);
	return IOCP_OK;
}

int iocp_signal_begin(int signal)
{
	struct sigaction action, old;
	int i = signal - 1;
	if (numbers[i] == NONE)
		return IOCP_OK;
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	action.sa_flags = SA_RESTART | SA_ONSTACK; /* what blocks goes on, and who runs on a small stack has another */
	if (sigaction(numbers[i], NULL, &old) != 0)
		return errno;
	if (old.sa_handler != on_signal)
		before[i] = old;
	atomic_store_explicit(&ours[i], 1, memory_order_relaxed);
	if (sigaction(numbers[i], &action, NULL) == 0)
		return IOCP_OK;
	atomic_store_explicit(&ours[i], 0, memory_order_relaxed);
	return errno;
}

void iocp_signal_end(int signal)
{
	struct sigaction now;
	int i = signal - 1;
	if (numbers[i] == NONE)
		return;
	atomic_store_explicit(&ours[i], 0, memory_order_relaxed);
	if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == on_signal)
		sigaction(numbers[i], &before[i], NULL);
}
