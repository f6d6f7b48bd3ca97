/*
** wait.c - what every thread is to this library, and how a thread waits.
**
** Ownership: a context is written by its own thread; `waiter` is shared as described below, `cancelled` is set by any
** thread, `belongs_to` is read by any, `slot` and what is about it are the port's (slot.c), which it knows as a
** `membership` that gives the slot away and takes it back. Contexts of the module's threads lie in the thread object,
** others are freed when their thread ends.
**
** The waiting protocol. A waiter's word goes ARMED -> ASLEEP -> ARMED (nudged by a cancel) and, only once and only
** under the lock of the list it is on, -> SERVED; of a thread that waits in a port's set of descriptors it is POLLING
** in the place of ASLEEP, and leader.c has the rules of that; whoever makes it SERVED has taken it off the list under
** the same lock. The waiter itself decides under that lock whether it was served or leaves, so there is one outcome,
** and what was handed over is never lost to a timeout or a cancel.
**
** No lost wake-up by a server: it exchanges SERVED into the word; if it finds ASLEEP it wakes the futex, if it finds
** ARMED the waiter is yet to do its ARMED -> ASLEEP exchange, which fails. The kernel sleeps only if it finds ASLEEP.
** No lost wake-up by a cancel: the canceller writes `cancelled`, then looks at the word; the waiter writes ASLEEP, then
** looks at `cancelled`. All four are sequentially consistent, so at least one sees the other's write.
**
** A server wakes a sleeper after it has released the lock, when the waiter may have returned, or its thread be gone:
** FUTEX_WAKE on a private futex does not touch the memory, and a sleeper that is woken for nothing sleeps again.
*/

#include "native/native.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

IOCP_THREAD_LOCAL iocp_local iocp_this_thread;

static iocp_lock contexts_lock;
static iocp_context *contexts;
static pthread_key_t end_key;
static int end_key_works; /* the two under the lock of all contexts */

const void *iocp_thread_key(void)
{
	return &iocp_this_thread;
}

static void enlist(iocp_context *context)
{
	iocp_lock_acquire(&contexts_lock);
	context->previous = NULL;
	context->next = contexts;
	if (contexts)
		contexts->previous = context;
	contexts = context;
	iocp_lock_release(&contexts_lock);
}

void iocp_context_begin(iocp_context *context, iocp_thread *thread)
{
	context->thread = thread;
	context->id = iocp_prim_thread_id();
	enlist(context);
	iocp_this_thread.context = context;
}

void iocp_context_end(iocp_context *context)
{
	if (context->membership)
		context->membership->leave(context); /* first: it may free a port, and blocks with it */
	if (context->forget_heaps)
		context->forget_heaps(context);
	iocp_lock_acquire(&contexts_lock);
	if (context->next)
		context->next->previous = context->previous;
	if (context->previous)
		context->previous->next = context->next;
	else
		contexts = context->next;
	iocp_lock_release(&contexts_lock);
	iocp_this_thread = (iocp_local){NULL, 0, NULL};
}

/* A thread that others made ends. */
static void end_foreign(void *context)
{
	iocp_context_end(context);
	free(context);
}

/* Made with the first context; where the system has none to give, asked for again with the next. */
static int has_end_key(void)
{
	int works;
	iocp_lock_acquire(&contexts_lock);
	if (!end_key_works)
		end_key_works = pthread_key_create(&end_key, end_foreign) == 0;
	works = end_key_works;
	iocp_lock_release(&contexts_lock);
	return works;
}

iocp_context *iocp_context_make(void)
{
	iocp_context *context = calloc(1, sizeof(*context));
	if (!context || !has_end_key() || pthread_setspecific(end_key, context) != 0) {
		free(context);
		return NULL;
	}
	iocp_context_begin(context, NULL);
	return context;
}

void iocp_context_each(iocp_handle port, void (*visit)(void *, iocp_context *), void *state)
{
	iocp_context *context;
	iocp_lock_acquire(&contexts_lock);
	for (context = contexts; context; context = context->next)
		/* Relaxed: whoever acts on it looks again under the port's lock. */
		if (atomic_load_explicit(&context->belongs_to, memory_order_relaxed) == port)
			visit(state, context);
	iocp_lock_release(&contexts_lock);
}

int64_t iocp_deadline(double ms)
{
	/* Three hundred years of nanoseconds fit; a longer wait, a negative or NaN one never ends. */
	if (!(ms >= 0 && ms < 9e12))
		return IOCP_FOREVER;
	return iocp_prim_nanoseconds() + (int64_t)(ms * 1e6)
		   + 1; /* +1: a fraction of a nanosecond is not cut from the wait */
}

void iocp_waiters_push(iocp_waiters *waiters, iocp_waiter *waiter)
{
	waiter->newer = NULL;
	waiter->older = waiters->newest;
	if (waiter->older)
		waiter->older->newer = waiter;
	else
		waiters->oldest = waiter;
	waiters->newest = waiter;
	waiters->count++;
}

void iocp_waiters_wait(iocp_waiters *waiters, iocp_waiter *waiter)
{
	/* Relaxed: published by the lock the caller holds. */
	atomic_store_explicit(&waiter->word, IOCP_ARMED, memory_order_relaxed);
	waiter->slept = waiter->leads = waiter->deferred = 0;
	iocp_waiters_push(waiters, waiter);
}

void iocp_waiters_remove(iocp_waiters *waiters, iocp_waiter *waiter)
{
	if (waiter->older)
		waiter->older->newer = waiter->newer;
	else
		waiters->oldest = waiter->newer;
	if (waiter->newer)
		waiter->newer->older = waiter->older;
	else
		waiters->newest = waiter->older;
	waiters->count--;
}

static _Atomic uint32_t *serve(iocp_waiters *waiters, iocp_waiter *waiter, int result)
{
	iocp_waiters_remove(waiters, waiter);
	waiter->result = result;
	/* Release: result and packet happen-before the waiter's acquire load in park. */
	return atomic_exchange_explicit(&waiter->word, IOCP_SERVED, memory_order_acq_rel) == IOCP_ARMED ? NULL
																									: &waiter->word;
}

_Atomic uint32_t *iocp_waiters_serve(iocp_waiters *waiters, int result)
{
	return serve(waiters, waiters->newest, result);
}

void iocp_waiters_serve_oldest(iocp_waiters *waiters, iocp_lock *lock, int result)
{
	_Atomic uint32_t *asleep = serve(waiters, waiters->oldest, result);
	iocp_lock_release(lock);
	if (asleep)
		iocp_prim_wake(asleep);
}

void iocp_waiters_serve_all(iocp_waiters *waiters, iocp_lock *lock, int result)
{
	enum { AT_ONCE = 64 };
	_Atomic uint32_t *asleep[AT_ONCE];
	int count, i;
	do {
		count = 0;
		iocp_lock_acquire(lock);
		while (waiters->newest && count < AT_ONCE) {
			_Atomic uint32_t *word = iocp_waiters_serve(waiters, result);
			if (word)
				asleep[count++] = word;
		}
		iocp_lock_release(lock);
		for (i = 0; i < count; i++)
			iocp_prim_wake(asleep[i]);
	} while (count == AT_ONCE);
}

/* About to sleep: says so in the word. 0: it was served. */
static int fall_asleep(iocp_waiter *waiter)
{
	uint32_t state = IOCP_ARMED;
	/* Sequentially consistent: the word is written, or found to be written by who made it POLLING, before `cancelled`
	** is read; see the top. */
	if (!atomic_compare_exchange_strong_explicit(&waiter->word, &state, waiter->leads ? IOCP_POLLING : IOCP_ASLEEP,
			memory_order_seq_cst, memory_order_seq_cst)) {
		if (state == IOCP_SERVED)
			return 0;
		waiter->leads = state == IOCP_POLLING; /* as in the turn before, or it was made the leader in its sleep */
	}
	waiter->slept = 1;
	return 1;
}

/* Until served (IOCP_OK), the deadline, a cancel or a signal. */
static int park(iocp_context *context, int64_t deadline, iocp_turn turn, void *state)
{
	iocp_waiter *waiter = &context->waiter;
	/* Without a time the kernel goes on with the wait after a signal handler that asked for that (SA_RESTART). */
	int64_t until = deadline == IOCP_FOREVER && !context->thread ? IOCP_FOREVER - 1 : deadline;
	while (fall_asleep(waiter)) {
		int r;
		if (iocp_context_cancelled(context))
			return IOCP_CANCELLED;
		r = waiter->leads ? turn(state, context, until) : iocp_prim_wait(&waiter->word, IOCP_ASLEEP, until);
		/* Acquire: pairs with serve. */
		if (atomic_load_explicit(&waiter->word, memory_order_acquire) == IOCP_SERVED)
			return IOCP_OK;
		/* The clock is asked again: not every kernel keeps a timer to the nanosecond, and events that bring nothing may
		** come again and again. */
		if ((r == ETIMEDOUT || (waiter->leads && deadline != IOCP_FOREVER)) && iocp_prim_nanoseconds() >= deadline)
			return IOCP_TIMEOUT;
		/* In the module's threads it is our own interrupt, or a handler that the host did not mean for them. */
		if (r == EINTR && !context->thread && !context->shielded)
			return IOCP_INTERRUPTED;
	}
	return IOCP_OK;
}

int iocp_wait_or_lead(
	iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline, iocp_turn turn, void *state)
{
	int r = park(context, deadline, turn, state);
	if (r != IOCP_OK) {
		iocp_lock_acquire(lock);
		/* Relaxed: SERVED is only ever written under this lock. */
		if (atomic_load_explicit(&context->waiter.word, memory_order_relaxed) == IOCP_SERVED)
			r = IOCP_OK;
		else
			iocp_waiters_remove(waiters, &context->waiter);
		iocp_lock_release(lock);
	}
	return r == IOCP_OK ? context->waiter.result : r;
}

int iocp_wait(iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline)
{
	return iocp_wait_or_lead(context, waiters, lock, deadline, NULL, NULL); /* nobody makes it the leader */
}

int iocp_waiters_ready(void)
{
	const iocp_context *context = iocp_context_get();
	return !context ? IOCP_NOMEM : iocp_context_cancelled(context) ? IOCP_CANCELLED : IOCP_OK;
}

int iocp_waiters_join(iocp_waiters *waiters, iocp_lock *lock, double ms)
{
	iocp_context *context = iocp_this_thread.context; /* iocp_waiters_ready made it */
	int alone = !waiters->count; /* of several, those behind the first wait for longer: they do not spin */
	iocp_waiters_wait(waiters, &context->waiter);
	iocp_lock_release(lock);
	return iocp_wait_without_slot(context, waiters, lock, iocp_deadline(ms), alone ? &context->spinning : NULL);
}

void iocp_shield(int on)
{
	iocp_this_thread.context->shielded = on;
}

void iocp_context_resume(iocp_context *context)
{
	/* Relaxed: whoever cancels anew is ordered behind this by who decides what is cancelled. */
	atomic_fetch_and_explicit(&context->cancelled, ~(uint32_t)IOCP_CANCEL_WORK, memory_order_relaxed);
}

void iocp_context_cancel(iocp_context *context, enum iocp_cancel why)
{
	uint32_t state = IOCP_ASLEEP;
	atomic_fetch_or_explicit(&context->cancelled, (uint32_t)why, memory_order_seq_cst);
	if (atomic_compare_exchange_strong_explicit(
			&context->waiter.word, &state, IOCP_ARMED, memory_order_seq_cst, memory_order_seq_cst))
		iocp_prim_wake(&context->waiter.word);
	else if (state == IOCP_POLLING) /* its word stays: a server tells by it that the thread is in the set */
		context->membership->nudge(context);
}

/* ---- blocking ---------------------------------------------------------------------------------------------------- */

static void block_enter(iocp_context *context)
{
	if (context->blocking++ == 0 && context->membership)
		context->membership->block(context);
}

static void block_leave(iocp_context *context)
{
	if (--context->blocking == 0 && context->membership)
		context->membership->unblock(context);
}

int iocp_block_enter(void)
{
	iocp_context *context = iocp_context_get();
	if (!context)
		return IOCP_NOMEM;
	block_enter(context);
	return IOCP_OK;
}

void iocp_block_leave(void)
{
	iocp_context *context = iocp_this_thread.context;
	if (context && context->blocking)
		block_leave(context);
}

static int spin_or_sleep(
	iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline, iocp_spinning *spinning)
{
	int64_t started = iocp_prim_nanoseconds();
	int off = iocp_spin_is_off(spinning), r;
	if (!off)
		iocp_spin(context, spinning, started, deadline);
	r = iocp_wait(context, waiters, lock, deadline);
	if (off && r == IOCP_OK) {
		/* When it was served nobody knows, but when it runs again. If that is too soon for another processor to have
		** woken it, it was this one, and then a spin helps nobody. */
		int64_t after = iocp_prim_nanoseconds() - started - iocp_wake_time();
		if (after >= 0)
			iocp_spin_slept(spinning, after);
	}
	return r;
}

int iocp_wait_without_slot(
	iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline, iocp_spinning *spinning)
{
	int r;
	block_enter(context);
	r = spinning ? spin_or_sleep(context, waiters, lock, deadline, spinning)
				 : iocp_wait(context, waiters, lock, deadline);
	block_leave(context);
	return r;
}

int iocp_sleep(double ms)
{
	iocp_context *context = iocp_context_get();
	iocp_waiters nobody = {NULL, NULL, 0}; /* nothing serves it: it ends by time, cancel or signal */
	iocp_lock lock = {0};
	int r;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	if (ms == 0) {
		iocp_yield();
		return IOCP_OK;
	}
	iocp_waiters_wait(&nobody, &context->waiter);
	r = iocp_wait_without_slot(context, &nobody, &lock, iocp_deadline(ms), NULL);
	return r == IOCP_TIMEOUT ? IOCP_OK : r;
}
