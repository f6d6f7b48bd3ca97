/*
** task_submit.c - when a task runs: at once, later, again and again, or after others.
**
** A pool's list of parked tasks has those that are delayed and those that wait for others, so that a pool which ends can cancel
** them. Locks and orders: see task.c.
*/

#include <math.h>
#include <stdlib.h>

#include "lua/task.h"

/* ---- the list of parked tasks; the lock is held ------------------------------------------------------------------------- */

static void parked_add(iocp_task *task)
{
	iocp_task_extra *extra = task->extra;
	extra->armed = 0;
	extra->parkings++;
	extra->previous = NULL;
	extra->following = task->pool->parked;
	if (extra->following)
		extra->following->extra->previous = task;
	task->pool->parked = task;
}

static void count(_Atomic uint64_t *counter, int change)
{
	/* Sequentially consistent: see iocp_pool_ended. */
	atomic_fetch_add_explicit(counter, (uint64_t)(int64_t)change, memory_order_seq_cst);
}

void iocp_parked_remove(iocp_task *task, uint32_t old)
{
	iocp_task_extra *extra = task->extra;
	if (extra->following)
		extra->following->extra->previous = extra->previous;
	if (extra->previous)
		extra->previous->extra->following = extra->following;
	else
		task->pool->parked = extra->following;
	count(old & IOCP_DELAYED ? &task->pool->delayed : &task->pool->waiting, -1);
}

void iocp_tasks_cancel_parked(iocp_pool *pool, int periodic_only)
{
	iocp_task *task;
	do {
		iocp_lock_acquire(&iocp_tasks);
		for (task = pool->parked; task && periodic_only && task->extra->period <= 0; task = task->extra->following)
			;
		if (task)
			iocp_task_retain(task); /* it is alive: a packet or an earlier task holds it until it has left the list */
		iocp_lock_release(&iocp_tasks);
		if (task) {
			(void)iocp_task_cancel(task, IOCP_BY_CLOSE);
			iocp_task_release(task);
		}
	} while (task);
}

/* ---- scheduling --------------------------------------------------------------------------------------------------------- */

static void set_since(iocp_task *task, double ms)
{
	atomic_store_explicit(&task->since, iocp_now() + (uint64_t)(ms < 1e12 ? ms * 1e6 : 1e18), memory_order_relaxed);
}

/* Queues a task that has just become scheduled. */
static int post(iocp_task *task)
{
	int r;
	iocp_task_retain(task); /* the packet's */
	r = iocp_port_enqueue(task->pool->port, (uintptr_t)task, IOCP_RUN, 0);
	if (r != IOCP_OK)
		iocp_task_release(task);
	return r;
}

/* Sets the timer of a task that has just become delayed, for the time that this is its `parking`. Whoever cancels it meanwhile
** knows nothing of the timer, which is then dropped here. */
static int set_timer(iocp_task *task, double ms, uint32_t parking)
{
	const iocp_packet packet = {.key = (uintptr_t)task, .bytes = IOCP_RUN};
	iocp_timer timer;
	int there, r;
	iocp_task_retain(task); /* the packet's */
	r = iocp_port_enqueue_after(task->pool->port, &packet, ms, &timer);
	if (r != IOCP_OK) {
		iocp_task_release(task);
		return r;
	}
	iocp_lock_acquire(&iocp_tasks);
	there = (iocp_task_word(task) & IOCP_DELAYED) && task->extra->parkings == parking;
	if (there) {
		task->extra->timer = timer;
		task->extra->armed = 1;
	}
	iocp_lock_release(&iocp_tasks);
	if (!there && iocp_timer_cancel(timer) == IOCP_OK)
		iocp_task_release(task);
	return IOCP_OK;
}

/* A pool that ends has cancelled its parked tasks, perhaps before this one came. The lock, which both took, orders the phase
** before either the list or this. */
static void check_phase(iocp_task *task)
{
	int phase = atomic_load_explicit(&task->pool->phase, memory_order_seq_cst);
	if (phase == IOCP_POOL_CLOSED || (phase == IOCP_POOL_DRAINING && task->extra->period > 0))
		(void)iocp_task_cancel(task, IOCP_BY_CLOSE);
}

int iocp_task_schedule(iocp_task *task)
{
	double ms = task->extra->delay;
	uint32_t old = iocp_task_word(task), to;
	uint32_t parking = 0;
	int r, done = 0;
	set_since(task, ms);
	task->extra->due = iocp_clock() + ms;
	iocp_lock_acquire(&iocp_tasks);
	while ((old & IOCP_SUBMITTED) && !done) {
		to = IOCP_TASK_SCHEDULED | (old & IOCP_WATCHED) | (ms > 0 ? IOCP_DELAYED : 0);
		done = iocp_task_change(task, &old, to);
	}
	if (done) {
		iocp_parked_remove(task, old);
		if (ms > 0) {
			parked_add(task);
			count(&task->pool->delayed, 1);
			parking = task->extra->parkings;
		}
	}
	iocp_lock_release(&iocp_tasks);
	if (!done)
		return IOCP_OK;
	if (ms <= 0)
		return post(task);
	r = set_timer(task, ms, parking);
	if (r == IOCP_OK)
		check_phase(task);
	return r;
}

int iocp_task_repeat(iocp_task *task)
{
	iocp_task_extra *extra = task->extra;
	iocp_pool *pool = task->pool;
	double now = iocp_clock(), ms;
	uint32_t old = iocp_task_word(task), parking = 0;
	int done = 0;
	if (atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_OPEN)
		return 0;
	extra->due += extra->period;
	if (extra->due < now) /* it ran for too long: times that have passed are left out */
		extra->due += ceil((now - extra->due) / extra->period) * extra->period;
	ms = extra->due > now ? extra->due - now : 0;
	set_since(task, ms);
	count(&pool->submitted, 1); /* each run is one */
	iocp_lock_acquire(&iocp_tasks);
	while (!(old & IOCP_CANCEL) && !done)
		done = iocp_task_change(task, &old, IOCP_TASK_SCHEDULED | IOCP_DELAYED | (old & IOCP_WATCHED));
	if (done) {
		parked_add(task);
		parking = extra->parkings;
		count(&pool->delayed, 1);
	}
	iocp_lock_release(&iocp_tasks);
	if (!done) {
		count(&pool->submitted, -1);
		return 0;
	}
	if (set_timer(task, ms, parking) != IOCP_OK)
		(void)iocp_task_cancel(task, IOCP_BY_MEMORY);
	else
		check_phase(task);
	return 1;
}

/* ---- submitting --------------------------------------------------------------------------------------------------------- */

/* Makes a task that was not submitted yet one that waits for others (IOCP_LINKED), or is submitted as one
** (IOCP_SUBMITTED too). It has an `extra` then, which may be `fresh`. IOCP_INVALID: it was submitted; IOCP_CANCELLED:
** it is cancelled. The lock is held. */
static int link_task(iocp_task *task, iocp_task_extra **fresh, uint32_t flags)
{
	uint32_t old = iocp_task_word(task);
	do {
		if ((old & IOCP_STATE) != IOCP_TASK_UNSCHEDULED || (old & IOCP_SUBMITTED))
			return (old & IOCP_STATE) == IOCP_TASK_CANCELLED ? IOCP_CANCELLED : IOCP_INVALID;
	} while (!iocp_task_change(task, &old, old | flags));
	if (!task->extra) {
		task->extra = *fresh;
		*fresh = NULL;
	}
	return IOCP_OK;
}

/* One that waits for nothing. Nobody needs the lock. */
static int submit_plain(iocp_task *task, int *accepted)
{
	uint32_t old = iocp_task_word(task);
	set_since(task, 0);
	do {
		if (old & IOCP_LINKED)
			return IOCP_TIMEOUT; /* it has become one that waits */
		if ((old & IOCP_STATE) != IOCP_TASK_UNSCHEDULED)
			return (old & IOCP_STATE) == IOCP_TASK_CANCELLED ? IOCP_CANCELLED : IOCP_INVALID;
	} while (!iocp_task_change(task, &old, IOCP_TASK_SCHEDULED | (old & IOCP_WATCHED)));
	*accepted = 1;
	return post(task);
}

static int submit_linked(iocp_task *task, double delay, double period, int *accepted)
{
	iocp_task_extra *fresh = calloc(1, sizeof(*fresh));
	int ready = 0, r;
	if (!fresh)
		return IOCP_NOMEM;
	iocp_lock_acquire(&iocp_tasks);
	r = link_task(task, &fresh, IOCP_LINKED | IOCP_SUBMITTED);
	if (r == IOCP_OK) {
		task->extra->delay = delay;
		task->extra->period = period;
		ready = task->extra->unmet == 0;
		parked_add(task); /* who cancels it meanwhile waits for the lock */
		count(&task->pool->waiting, 1);
		*accepted = 1;
	}
	iocp_lock_release(&iocp_tasks);
	free(fresh);
	if (r == IOCP_OK && ready)
		r = iocp_task_schedule(task);
	else if (r == IOCP_OK)
		check_phase(task);
	return r;
}

int iocp_task_submit(iocp_task *task, double delay, double period)
{
	iocp_pool *pool = task->pool;
	int phase = atomic_load_explicit(&pool->phase, memory_order_seq_cst), r = IOCP_TIMEOUT, accepted = 0;
	const iocp_worker *worker = iocp_worker_current();
	if (phase != IOCP_POOL_OPEN && (phase == IOCP_POOL_CLOSED || !worker || worker->pool != pool || period > 0)) {
		(void)iocp_task_cancel(task, IOCP_BY_CLOSE);
		return IOCP_CLOSED;
	}
	count(&pool->submitted, 1); /* before it can end */
	if (delay <= 0)
		r = submit_plain(task, &accepted);
	if (r == IOCP_TIMEOUT)
		r = submit_linked(task, delay, period, &accepted);
	if (!accepted) { /* its end will not be counted */
		count(&pool->submitted, -1);
		iocp_pool_ended(pool);
	}
	if (r != IOCP_OK && r != IOCP_INVALID && r != IOCP_CANCELLED)
		(void)iocp_task_cancel(task, r == IOCP_CLOSED ? IOCP_BY_CLOSE : IOCP_BY_MEMORY);
	return r;
}

/* ---- after others ------------------------------------------------------------------------------------------------------- */

/* Has the task of the watch wait for `earlier`, if that has not ended. The lock is held. 0: it has, and the watch is
** the caller's still. */
static int wait_for_earlier(iocp_watch *watch, iocp_task *earlier)
{
	iocp_task *task = watch->task;
	if (iocp_watch_add(earlier, watch)) {
		iocp_task_retain(task);
		task->extra->unmet++;
		return 1;
	}
	iocp_arc_remove(&watch->arc);
	if (iocp_task_state(earlier) != IOCP_TASK_COMPLETED)
		iocp_task_blame(task, earlier);
	else if (watch->input)
		task->extra->input = iocp_task_retain(earlier);
	return 0;
}

int iocp_task_after(iocp_task *task, iocp_task *earlier, int input)
{
	iocp_watch *watch = calloc(1, sizeof(*watch));
	iocp_task_extra *fresh = calloc(1, sizeof(*fresh));
	int r = watch && fresh ? iocp_arc_prepare(&watch->arc, earlier, task) : IOCP_NOMEM, waits = 0;
	if (r == IOCP_OK) {
		watch->task = task;
		watch->input = input;
		iocp_graph_lock();
		r = link_task(task, &fresh, IOCP_LINKED);
		if (r == IOCP_OK && !iocp_arc_add(&watch->arc))
			r = IOCP_ERROR;
		if (r == IOCP_OK)
			r = link_task(task, &fresh, IOCP_LINKED); /* it may have been submitted meanwhile */
		if (r == IOCP_OK)
			waits = wait_for_earlier(watch, earlier);
		else
			iocp_arc_remove(&watch->arc);
		iocp_graph_unlock();
	}
	free(fresh);
	if (!waits)
		free(watch);
	if (r == IOCP_OK && !waits && iocp_task_state(earlier) != IOCP_TASK_COMPLETED)
		(void)iocp_task_cancel(task, IOCP_BY_DEPENDENCY);
	return r;
}
