/*
** wait.c - how a thread waits.
**
** Waiting. A wait here is a loop that looks, before each stretch of the system's waiting, at all that may have happened
** meanwhile. Whoever makes something happen (closes the port, cancels the thread, unlocks the heap) first makes it
** visible and then nudges the thread. No wake-up is lost: the waiter's look comes before or after the change. If after,
** it sees it. If before, the nudge comes after that look, and ends the stretch that the thread is in, or is about to
** enter, since a nudge stays until one. A nudge that comes late ends some later stretch, and its wait looks and goes
** on.
**
** A wait for a packet, a time or a thread's end is an alertable one (GetQueuedCompletionStatusEx, SleepEx,
** WaitForSingleObjectEx), and its nudge an asynchronous procedure call that does nothing. So the host's calls run in
** it, too, as they do in such waits of its own. A wait for a locked heap, or for a semaphore, sleeps on a condition
** variable instead, as nobody expects calls of his to run within HeapAlloc, which does not alert either.
**
** Calls and compiled code. A host's call may be a callback of LuaJIT's FFI, which must not run where code that LuaJIT
** compiled is under way: the process would end ("bad callback"). Compiled code enters the library by the FFI only, and
** there all of the heap and every get that does not wait (ms = 0) is safe, since nothing of it is alertable. One that
** waits could be so only if it were woken otherwise: by packets, which other threads of the port would take, or by
** looking around now and then. So lua/iocp/jit.lua asks with ms = 0, and leaves the waiting to the classic method,
** which the interpreter calls, where callbacks may run.
*/

#include "windows/windows.h"

#include <math.h>

enum { INTERRUPTED_STRETCH = 10 }; /* ms */

/* The thread's own: until it is rung, or for `ms`. */
static void await_ring(iocp_context *context, DWORD ms)
{
	AcquireSRWLockExclusive(&context->bell.lock);
	if (!context->bell.rung)
		SleepConditionVariableSRW(&context->bell.changed, &context->bell.lock, ms, 0);
	context->bell.rung = 0;
	ReleaseSRWLockExclusive(&context->bell.lock);
}

void iocp_waiters_push(iocp_waiters *waiters, iocp_context *context)
{
	context->served = 0;
	context->newer = NULL;
	context->older = waiters->newest;
	if (context->older)
		context->older->newer = context;
	else
		waiters->oldest = context;
	waiters->newest = context;
	waiters->count++;
}

void iocp_waiters_remove(iocp_waiters *waiters, iocp_context *context)
{
	if (context->older)
		context->older->newer = context->newer;
	else
		waiters->oldest = context->newer;
	if (context->newer)
		context->newer->older = context->older;
	else
		waiters->newest = context->older;
	waiters->count--;
}

static void serve(iocp_waiters *waiters, iocp_context *context, int result)
{
	iocp_waiters_remove(waiters, context);
	context->served = 1;
	context->result = result;
	iocp_ring(context); /* under the lock, which the thread takes before it goes on, and perhaps ends */
}

void iocp_waiters_serve_oldest(iocp_waiters *waiters, iocp_lock *lock, int result)
{
	serve(waiters, waiters->oldest, result);
	iocp_lock_release(lock);
}

void iocp_waiters_serve_all(iocp_waiters *waiters, iocp_lock *lock, int result)
{
	iocp_lock_acquire(lock);
	while (waiters->newest)
		serve(waiters, waiters->newest, result);
	iocp_lock_release(lock);
}

DWORD iocp_stretch(const iocp_context *context, double deadline)
{
	DWORD ms = iocp_remaining(deadline);
	return !context->thread && ms > INTERRUPTED_STRETCH && iocp_interrupted_lately() ? INTERRUPTED_STRETCH : ms;
}

int iocp_wait_again(const iocp_context *context, DWORD outcome, double deadline)
{
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	/* The clock is asked again: the system's timeouts may end a tick early. */
	if (deadline != HUGE_VAL && iocp_clock() >= deadline)
		return IOCP_TIMEOUT;
	/* A call of the host's, or of our console handler. */
	if (!context->thread && (outcome == WAIT_IO_COMPLETION || iocp_interrupted_lately()))
		return IOCP_INTERRUPTED;
	return IOCP_OK;
}

int iocp_wait(iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, double deadline)
{
	int r, served;
	iocp_block_enter();
	for (;;) {
		iocp_lock_acquire(lock);
		served = context->served;
		r = served ? context->result : iocp_wait_again(context, 0, deadline);
		if (!served && r != IOCP_OK)
			iocp_waiters_remove(waiters, context);
		iocp_lock_release(lock);
		if (served || r != IOCP_OK)
			break;
		await_ring(context, iocp_stretch(context, deadline));
	}
	iocp_block_leave();
	return r;
}

int iocp_waiters_ready(void)
{
	const iocp_context *context = iocp_context_get();
	return !context ? IOCP_NOMEM : iocp_context_cancelled(context) ? IOCP_CANCELLED : IOCP_OK;
}

int iocp_waiters_join(iocp_waiters *waiters, iocp_lock *lock, double ms)
{
	iocp_context *context = iocp_context_have(); /* iocp_waiters_ready made it */
	iocp_waiters_push(waiters, context);
	iocp_lock_release(lock);
	return iocp_wait(context, waiters, lock, iocp_deadline(ms));
}

int iocp_sleep(double ms)
{
	iocp_context *context = iocp_context_get();
	double deadline = iocp_deadline(ms);
	int r;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	if (ms == 0) {
		iocp_yield();
		return IOCP_OK;
	}
	iocp_block_enter();
	do
		r = iocp_wait_again(context, SleepEx(iocp_stretch(context, deadline), TRUE), deadline);
	while (r == IOCP_OK);
	iocp_block_leave();
	return r == IOCP_TIMEOUT ? IOCP_OK : r;
}
