/*
** task_flow.c - when a task runs, and what follows from its end: a task's way from its birth to its last reference.
**
** A submitted task is queued at once, or parked: until all that it runs after have completed, then until it is time. It
** leaves the list of parked tasks in the same change of its word. Who ends a task tells those who watch it, and so
** parked tasks come to be queued, or are cancelled in turn. Locks and orders: see task.c.
*/

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "work/task.h"

/* ---- the payload: what it is called with, or what came of it ----------------------------------------------------- */

static void free_payload(iocp_task *task, iocp_payload *payload)
{
	if (payload->block)
		task->pool->calls->free_payload(payload);
	payload->block = NULL;
	payload->size = 0;
}

static int holds(const iocp_task *task)
{
	return task->payload.block && task->pool->calls->payload_holds(&task->payload);
}

/* ---- birth, and the last reference ------------------------------------------------------------------------------- */

#ifdef __SANITIZE_ADDRESS__

/* By malloc, of which AddressSanitizer knows what is freed, and LeakSanitizer what a task keeps alive. */
static iocp_task *allocate(iocp_pool *pool)
{
	(void)pool;
	return calloc(1, sizeof(iocp_task));
}

static void deallocate(iocp_pool *pool, iocp_task *task)
{
	(void)pool;
	free(task);
}

#else

/* Tasks lie in the heap of the pool's port, which the pool outlives as long as it has tasks: made here and freed there
** all the time, they would have both sides at malloc's lock. */
static iocp_task *allocate(iocp_pool *pool)
{
	iocp_heap *heap;
	void *block;
	int r = iocp_port_heap(pool->port, &heap);
	if (r == IOCP_OK)
		r = iocp_heap_alloc(heap, sizeof(iocp_task), IOCP_ZERO, &block);
	return r == IOCP_OK ? block : NULL;
}

static void deallocate(iocp_pool *pool, iocp_task *task)
{
	iocp_heap *heap;
	if (iocp_port_heap(pool->port, &heap) == IOCP_OK) /* it is there, once a task lies in it */
		iocp_heap_free(heap, task);
}

#endif

static void free_extra(iocp_task_extra *extra)
{
	if (!extra)
		return;
	iocp_task_release(extra->input);
	free(extra->made);
	free(extra);
}

static void free_task(iocp_deferred *deferred)
{
	iocp_task *task = (iocp_task *)deferred; /* its first member's first */
	iocp_pool *pool = task->pool;
	free_payload(task, &task->payload);
	iocp_body_release(task->body);
	free_extra(task->extra);
	if (task->end)
		free(task->end);
	/* Acquire: as in task_graph.c. */
	iocp_node_release(atomic_load_explicit(&task->node, memory_order_acquire));
	deallocate(pool, task);
	iocp_pool_drop(pool);
}

static void last_reference(iocp_counted *counted)
{
	iocp_task *task = (iocp_task *)counted;            /* its first member */
	if (iocp_task_state(task) < IOCP_TASK_COMPLETED) { /* never submitted: what was to run after it will not */
		/* Relaxed: nobody else knows it any more. */
		atomic_store_explicit(&counted->references, 1, memory_order_relaxed);
		(void)iocp_task_cancel(task, IOCP_BY_CALL);
		iocp_task_release(task);
	} else if (holds(task)) { /* a chain of tasks, perhaps */
		iocp_free_in_turn(&counted->deferred);
	} else {
		free_task(&counted->deferred);
	}
}

iocp_task *iocp_task_new(iocp_pool *pool, iocp_body *body, iocp_payload *arguments)
{
	iocp_task *task = allocate(pool);
	if (task && (body->terms.timeout > 0 || body->terms.retries > 0)
		&& !(task->extra = calloc(1, sizeof(*task->extra)))) {
		deallocate(pool, task);
		return NULL;
	}
	if (!task)
		return NULL;
	task->counted.deferred.free = free_task;
	iocp_counted_begin(&task->counted, IOCP_KIND_TASK, last_reference);
	task->pool = iocp_pool_keep(pool);
	task->body = iocp_body_retain(body);
	task->payload = *arguments;
	arguments->block = NULL;
	arguments->size = 0;
	return task;
}

/* ---- cancelling what does not run -------------------------------------------------------------------------------- */

static void free_arguments(iocp_deferred *deferred)
{
	iocp_task *task = (iocp_task *)deferred; /* its first member's first */
	free_payload(task, &task->payload);
	task->counted.deferred.free = free_task;
	iocp_task_release(task);
}

/* A task that was cancelled needs its arguments no more, though its packet may stay queued for long. */
static void drop_arguments(iocp_task *task)
{
	if (holds(task)) {                                /* tasks, perhaps, which this cancels in turn */
		task->counted.deferred.free = free_arguments; /* until it is called, its reference keeps the task */
		iocp_free_in_turn(&iocp_task_retain(task)->counted.deferred);
	} else {
		free_payload(task, &task->payload);
	}
}

/* It needs no timer any more that ends it. Sequentially consistent: the word has changed before; who sets the timer
** stores it, then looks at the word. So one of both sees the other's, and who takes the timer out has its reference,
** which is not the last. */
static void drop_limit(iocp_task *task)
{
	iocp_timer limit;
	if (task->body->terms.timeout <= 0)
		return;
	limit = atomic_load_explicit(&task->extra->limit, memory_order_seq_cst);
	if (limit && iocp_timer_cancel(limit) == IOCP_OK)
		iocp_task_release(task);
}

/* Takes a task that has just left the state `old` out of what the pool knows about it. */
static void leave_early(iocp_task *task, uint32_t old)
{
	int armed = 0;
	iocp_timer timer = 0;
	if (old & (IOCP_WORD_DELAYED | IOCP_WORD_SUBMITTED)) {
		iocp_lock_acquire(&iocp_tasks);
		iocp_parked_remove(task, old);
		armed = task->extra->armed;
		timer = task->extra->timer;
		iocp_lock_release(&iocp_tasks);
	}
	if (armed && iocp_timer_cancel(timer) == IOCP_OK)
		iocp_task_release(task); /* the packet's reference; not the last */
	drop_limit(task);
	drop_arguments(task);
}

static int was_submitted(uint32_t old)
{
	return (old & IOCP_WORD_STATE) == IOCP_TASK_SCHEDULED || (old & IOCP_WORD_SUBMITTED);
}

/* It was submitted, never ran, and those who watch it were told: what runs whatever came of it is submitted by now, so
** that a pool which shuts down sees that there is something left. */
static void count_early(iocp_task *task)
{
	iocp_count(&task->pool->cancelled_early, 1);
	iocp_pool_ended(task->pool);
}

/* Cancels a task that does not run. 1: it did, and *old is the word before: if that says WATCHED, telling is the
** caller's, and then counting it, if it was submitted. */
static int cancel_early(iocp_task *task, enum iocp_task_reason reason, uint32_t *old)
{
	*old = iocp_task_word(task);
	while ((*old & IOCP_WORD_STATE) < IOCP_TASK_RUNNING) {
		if (iocp_task_change(task, old, IOCP_TASK_CANCELLED + (uint32_t)reason * IOCP_WORD_REASON)) {
			leave_early(task, *old);
			return 1;
		}
	}
	return 0;
}

/* ---- when it runs ------------------------------------------------------------------------------------------------ */

static void set_since(iocp_task *task, double ms)
{
	atomic_store_explicit(&task->since, iocp_now() + (uint64_t)(ms < 1e12 ? ms * 1e6 : 1e18), memory_order_relaxed);
}

/* Queues a task that has just become scheduled. */
static int post(iocp_task *task)
{
	int r;
	iocp_task_retain(task); /* the packet's */
	if (task->body->terms.priority == IOCP_NORMAL)
		r = iocp_port_enqueue(task->pool->port, (uintptr_t)task, IOCP_RUN, 0);
	else
		r = iocp_turn_queue(task);
	if (r != IOCP_OK)
		iocp_task_release(task);
	else
		iocp_pool_grow(task->pool);
	return r;
}

/* It will not run, for that reason. */
static void give_up(iocp_task *task, int r)
{
	(void)iocp_task_cancel(task, r == IOCP_CLOSED ? IOCP_BY_CLOSE : IOCP_BY_MEMORY);
}

/* Sets the timer of a task that has just become delayed, for the time that this is its `parking`. Whoever cancels it
** meanwhile knows nothing of the timer, which is then dropped here. */
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
	there = (iocp_task_word(task) & IOCP_WORD_DELAYED) && task->extra->parkings == parking;
	if (there) {
		task->extra->timer = timer;
		task->extra->armed = 1;
	}
	iocp_lock_release(&iocp_tasks);
	if (!there && iocp_timer_cancel(timer) == IOCP_OK)
		iocp_task_release(task);
	iocp_pool_grow(task->pool);
	return IOCP_OK;
}

/* A pool that ends has cancelled its parked tasks, perhaps before this one came. The lock, which both took, orders
** the phase before either the list or this. */
static void check_phase(iocp_task *task)
{
	int phase = atomic_load_explicit(&task->pool->phase, memory_order_seq_cst);
	if (phase == IOCP_POOL_CLOSED || (phase == IOCP_POOL_DRAINING && task->extra->period > 0))
		(void)iocp_task_cancel(task, IOCP_BY_CLOSE);
}

/* Has a parked task run once `ms` have passed, be it at once; `again`: one that has just run. IOCP_INVALID: it was
** cancelled meanwhile, or told to stop. IOCP_CLOSED, IOCP_NOMEM: it will not run, and is the caller's to cancel. */
static int set_time(iocp_task *task, double ms, int again)
{
	uint32_t old = iocp_task_word(task), delayed = ms > 0 || again ? IOCP_WORD_DELAYED : 0, parking = 0;
	int done = 0, r;
	set_since(task, ms);
	iocp_lock_acquire(&iocp_tasks);
	while ((again ? !(old & IOCP_WORD_CANCEL) : (old & IOCP_WORD_SUBMITTED) != 0) && !done)
		done = iocp_task_change(task, &old, IOCP_TASK_SCHEDULED | delayed | (old & IOCP_WORD_WATCHED));
	if (done && !again)
		iocp_parked_remove(task, old);
	if (done && delayed) {
		iocp_parked_add(task, &task->pool->delayed);
		parking = task->extra->parkings;
	}
	iocp_lock_release(&iocp_tasks);
	if (!done)
		return IOCP_INVALID;
	if (!delayed)
		return post(task);
	r = set_timer(task, ms, parking);
	if (r == IOCP_OK)
		check_phase(task);
	return r;
}

/* A submitted task has nothing left to wait for but its time. IOCP_CLOSED, IOCP_NOMEM: it is the caller's to cancel.
** If it was cancelled meanwhile, IOCP_OK. */
static int schedule(iocp_task *task)
{
	double ms = task->extra->delay;
	int r;
	task->extra->due = iocp_clock() + ms;
	r = set_time(task, ms, 0);
	return r == IOCP_INVALID ? IOCP_OK : r;
}

/* A periodic task has run. 1: it waits for its time again; 0: it is to end. */
static int repeat(iocp_task *task)
{
	iocp_task_extra *extra = task->extra;
	iocp_pool *pool = task->pool;
	double now = iocp_clock();
	int r;
	if (atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_OPEN)
		return 0;
	extra->due += extra->period;
	if (extra->due < now) /* it ran for too long: times that have passed are left out */
		extra->due += ceil((now - extra->due) / extra->period) * extra->period;
	iocp_count(&pool->submitted, 1); /* each run is one */
	r = set_time(task, extra->due > now ? extra->due - now : 0, 1);
	if (r == IOCP_INVALID)
		iocp_count(&pool->submitted, -1);
	else if (r != IOCP_OK)
		give_up(task, r);
	return r != IOCP_INVALID;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

void iocp_task_blame(iocp_task *task, iocp_task *earlier)
{
	iocp_task *cause = earlier;
	if (iocp_task_state(earlier) == IOCP_TASK_CANCELLED && iocp_task_reason(earlier) == IOCP_BY_DEPENDENCY)
		cause = earlier->extra->input; /* not a chain of them, which would be freed one within the other */
	/* One that has ended needs no cause, and may be that cause itself: what is kept ended before who keeps it, so
	** there is no circle of references. */
	if (!task->extra->input && iocp_task_state(task) < IOCP_TASK_COMPLETED)
		task->extra->input = iocp_task_retain(cause);
}

/* A task that runs after one that has completed: it may be time for it. IOCP_OK, or why it cannot run. */
static int advance(iocp_watch *watch, iocp_task *earlier)
{
	iocp_task *task = watch->task;
	int ready;
	iocp_lock_acquire(&iocp_tasks);
	iocp_arc_remove(&watch->arc);
	if (watch->how != IOCP_AFTER && !task->extra->input) /* another one may be to blame */
		task->extra->input = iocp_task_retain(earlier);
	ready = --task->extra->unmet == 0 && (iocp_task_word(task) & IOCP_WORD_SUBMITTED);
	iocp_lock_release(&iocp_tasks);
	return ready ? schedule(task) : IOCP_OK;
}

/* The same, or it is cancelled; then those who watch it come first in the list. */
static iocp_watch *tell_dependent(iocp_watch *watch, iocp_task *earlier, iocp_watch *list)
{
	enum iocp_task_reason reason = IOCP_BY_DEPENDENCY;
	iocp_task *task = watch->task;
	iocp_watch *theirs, **link;
	uint32_t old;
	if (iocp_task_state(earlier) == IOCP_TASK_COMPLETED || watch->how == IOCP_OUTCOME) {
		int r = advance(watch, earlier);
		if (r == IOCP_OK)
			return list;
		reason = r == IOCP_CLOSED ? IOCP_BY_CLOSE : IOCP_BY_MEMORY;
	} else {
		iocp_lock_acquire(&iocp_tasks);
		iocp_arc_remove(&watch->arc);
		iocp_task_blame(task, earlier);
		iocp_lock_release(&iocp_tasks);
	}
	if (!cancel_early(task, reason, &old))
		return list;
	theirs = old & IOCP_WORD_WATCHED ? iocp_watches_take(task) : NULL;
	for (link = &theirs; *link; link = &(*link)->next) {
		(*link)->of = iocp_task_retain(task);
		(*link)->counts = !(*link)->next && was_submitted(old);
	}
	if (!theirs && was_submitted(old))
		count_early(task);
	*link = list;
	return theirs;
}

/* Tells those who watch a task that has ended, and those who watch what is cancelled by that; a list, not a
** recursion, since tasks may run after each other in a long row. */
static void tell(iocp_task *task)
{
	iocp_watch *list = iocp_watches_take(task);
	iocp_task *of = NULL;
	while (list) {
		iocp_watch *watch = list;
		int counts = watch->counts;
		list = watch->next;
		iocp_task_release(of);
		of = watch->of;
		if (watch->notices) {
			iocp_notices_leave(watch);
		} else if (watch->event) {
			iocp_event_happen(watch->event);
			free(watch);
		} else {
			list = tell_dependent(watch, of ? of : task, list);
			iocp_task_release(watch->task);
			free(watch);
		}
		if (counts) /* it is the last of those who watch `of` */
			count_early(of);
	}
	iocp_task_release(of);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

int iocp_task_cancel(iocp_task *task, enum iocp_task_reason reason)
{
	uint32_t old;
	for (;;) {
		if (cancel_early(task, reason, &old)) {
			if (old & IOCP_WORD_WATCHED)
				tell(task);
			if (was_submitted(old))
				count_early(task);
			return IOCP_OK;
		}
		if ((old & IOCP_WORD_STATE) > IOCP_TASK_RUNNING)
			return IOCP_INVALID;
		if (iocp_task_stop(task, 0, reason) == IOCP_OK)
			return IOCP_TIMEOUT;
	}
}

int iocp_task_cancel_hard(iocp_task *task, enum iocp_task_reason reason)
{
	int told = 0;
	for (;; told = 1) {
		int r = iocp_task_cancel(task, reason);
		if (r != IOCP_TIMEOUT)
			return told && r == IOCP_INVALID ? IOCP_TIMEOUT : r; /* it ended for that */
		while ((r = iocp_task_stop(task, 1, reason)) == IOCP_TIMEOUT)
			iocp_yield();
		if (r != IOCP_INVALID)
			return r == IOCP_OK ? IOCP_TIMEOUT : r;
	}
}

void iocp_task_discard(iocp_port *port, const iocp_packet *packet, void *data)
{
	iocp_task *task = (iocp_task *)packet->key;
	(void)port, (void)data;
	if (packet->bytes == IOCP_RUN) {
		(void)iocp_task_cancel(task, IOCP_BY_CLOSE);
		iocp_task_release(task);
	}
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

void iocp_tasks_cancel_listed(iocp_pool *pool)
{
	iocp_task *task;
	while ((task = iocp_turn_drop(pool)) != NULL) {
		(void)iocp_task_cancel(task, IOCP_BY_CLOSE);
		iocp_task_release(task);
	}
}

/* ---- its time ---------------------------------------------------------------------------------------------------- */

/* In the timers' thread: it is over. The reference is the timer's. */
static void time_out(uintptr_t key)
{
	iocp_task *task = (iocp_task *)key;
	if (task->body->terms.hard)
		(void)iocp_task_cancel_hard(task, IOCP_BY_TIME);
	else
		(void)iocp_task_cancel(task, IOCP_BY_TIME);
	iocp_task_release(task);
}

/* Sets the timer that ends a task which was submitted. IOCP_NOMEM, or the system's code. */
static int set_limit(iocp_task *task, double ms)
{
	iocp_timer limit;
	int r;
	iocp_task_retain(task); /* the timer's */
	r = iocp_call_after(time_out, (uintptr_t)task, ms, &limit);
	if (r != IOCP_OK) {
		iocp_task_release(task);
		return r;
	}
	atomic_store_explicit(&task->extra->limit, limit, memory_order_seq_cst); /* see drop_limit */
	if ((atomic_load_explicit(&task->word, memory_order_seq_cst) & IOCP_WORD_STATE) >= IOCP_TASK_COMPLETED)
		drop_limit(task);
	return IOCP_OK;
}

/* ---- it has run -------------------------------------------------------------------------------------------------- */

/* One that failed is to run again. 1: it waits for its time, or is cancelled, as its pool was closed; 0: it has
** failed. */
static int retry(iocp_task *task)
{
	const iocp_terms *terms = &task->body->terms;
	uint32_t attempt = task->extra->attempts;
	int r;
	if (atomic_load_explicit(&task->pool->phase, memory_order_seq_cst) == IOCP_POOL_CLOSED)
		return 0;
	task->extra->attempts++; /* before it can run */
	r = set_time(task, ldexp(terms->backoff, (int)(attempt < 64 ? attempt : 64)), 1);
	if (r != IOCP_OK && r != IOCP_INVALID)
		give_up(task, r);
	return r != IOCP_INVALID;
}

/* Its time had passed before it came to its end. Relaxed would do: it is of now or of a moment later. */
static int is_too_late(const iocp_task *task)
{
	return iocp_task_reason(task) == IOCP_BY_TIME;
}

/* A task that has run, and waits for its time again. */
static void leave_undone(iocp_task *task, iocp_worker *worker, iocp_run *outer, iocp_payload *outcome)
{
	free_payload(task, outcome);
	iocp_task_leave(worker, outer, 0);
}

/* The word of one that has run and ended so; what does not count of its outcome is freed. */
static uint32_t last_word(iocp_task *task, enum iocp_task_state *state, iocp_payload *outcome)
{
	uint32_t word = IOCP_WORD_RAN;
	int periodic = iocp_task_is_periodic(task), late = is_too_late(task);
	if (*state == IOCP_TASK_COMPLETED && (periodic || late)) {
		free_payload(task, outcome);
		*state = IOCP_TASK_CANCELLED; /* told to stop, or the pool ends, or too late */
		if (!late && atomic_load_explicit(&task->pool->phase, memory_order_relaxed) != IOCP_POOL_OPEN)
			word += IOCP_BY_CLOSE * IOCP_WORD_REASON; /* for the message */
	}
	if (late) {
		*state = IOCP_TASK_CANCELLED;
		word += IOCP_BY_TIME * IOCP_WORD_REASON;
	}
	return word | (uint32_t)*state;
}

int iocp_task_finish(
	iocp_task *task, iocp_worker *worker, iocp_run *outer, enum iocp_task_state state, iocp_payload *outcome)
{
	uint32_t old, word;
	/* Relaxed: a canceller who sees it finds the task's end anyway, and one who does not is waited for below. */
	atomic_store_explicit(&task->runner, NULL, memory_order_relaxed);
	if (state == IOCP_TASK_COMPLETED && iocp_task_is_periodic(task) && repeat(task)) {
		iocp_counts_add(&worker->counts, state); /* the next run is submitted by now: the pool is not idle between */
		leave_undone(task, worker, outer, outcome);
		return 1;
	}
	if (state == IOCP_TASK_FAILED && iocp_task_is_retried(task) && retry(task)) {
		leave_undone(task, worker, outer, outcome);
		return 0;
	}
	word = last_word(task, &state, outcome);
	free_payload(task, &task->payload);
	task->payload = *outcome;
	if (task->extra) {
		iocp_task_release(task->extra->input);
		task->extra->input = NULL;
	}
	iocp_counts_add(&worker->counts, state); /* before anybody can know that it has ended */
	old = atomic_exchange_explicit(&task->word, word, memory_order_seq_cst);
	iocp_task_leave(worker, outer, (old & IOCP_WORD_CANCEL) != 0);
	if (task->extra)
		drop_limit(task);
	if (old & IOCP_WORD_WATCHED)
		tell(task);
	return 1;
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

int iocp_task_take_place(iocp_task *task, double ms)
{
	iocp_pool *pool = task->pool;
	int r;
	if (!pool->limited || iocp_pool_is_mine(pool))
		return IOCP_OK;
	r = iocp_semaphore_wait(&pool->places, ms);
	task->has_place = r == IOCP_OK;
	return r == IOCP_ABANDONED ? IOCP_CLOSED : r;
}

void iocp_task_give_place(iocp_task *task)
{
	if (task->has_place)
		iocp_semaphore_post(&task->pool->places);
	task->has_place = 0;
}

int iocp_task_link(iocp_task *task, iocp_task_extra **fresh, uint32_t flags)
{
	uint32_t old = iocp_task_word(task);
	do {
		if ((old & IOCP_WORD_STATE) != IOCP_TASK_UNSCHEDULED || (old & IOCP_WORD_SUBMITTED))
			return (old & IOCP_WORD_STATE) == IOCP_TASK_CANCELLED ? IOCP_CANCELLED : IOCP_INVALID;
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
		if (old & IOCP_WORD_LINKED)
			return IOCP_TIMEOUT; /* it has become one that waits */
		if ((old & IOCP_WORD_STATE) != IOCP_TASK_UNSCHEDULED)
			return (old & IOCP_WORD_STATE) == IOCP_TASK_CANCELLED ? IOCP_CANCELLED : IOCP_INVALID;
	} while (!iocp_task_change(task, &old, IOCP_TASK_SCHEDULED | (old & IOCP_WORD_WATCHED)));
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
	r = iocp_task_link(task, &fresh, IOCP_WORD_LINKED | IOCP_WORD_SUBMITTED);
	if (r == IOCP_OK) {
		task->extra->delay = delay;
		task->extra->period = period;
		ready = task->extra->unmet == 0;
		iocp_parked_add(task, &task->pool->waiting); /* who cancels it meanwhile waits for the lock */
		*accepted = 1;
	}
	iocp_lock_release(&iocp_tasks);
	free(fresh);
	if (r == IOCP_OK && ready)
		r = schedule(task);
	else if (r == IOCP_OK)
		check_phase(task);
	return r;
}

int iocp_task_submit(iocp_task *task, double delay, double period)
{
	iocp_pool *pool = task->pool;
	int phase = atomic_load_explicit(&pool->phase, memory_order_seq_cst), r = IOCP_TIMEOUT, accepted = 0;
	if (phase != IOCP_POOL_OPEN && (phase == IOCP_POOL_CLOSED || period > 0 || !iocp_pool_is_mine(pool))) {
		(void)iocp_task_cancel(task, IOCP_BY_CLOSE);
		return IOCP_CLOSED;
	}
	iocp_count(&pool->submitted, 1); /* before it can end */
	if (delay <= 0)
		r = submit_plain(task, &accepted);
	if (r == IOCP_TIMEOUT)
		r = submit_linked(task, delay, period, &accepted);
	if (!accepted) { /* its end will not be counted */
		iocp_count(&pool->submitted, -1);
		iocp_pool_ended(pool);
	}
	if (r != IOCP_OK && r != IOCP_INVALID && r != IOCP_CANCELLED)
		give_up(task, r);
	else if (r == IOCP_OK && task->body->terms.timeout > 0
			 && set_limit(task, delay + task->body->terms.timeout) != IOCP_OK)
		give_up(task, IOCP_NOMEM); /* it was submitted, and says itself why it has ended */
	return r;
}
