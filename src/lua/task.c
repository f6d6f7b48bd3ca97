/*
** task.c - a task's life, without Lua: its states, its end, who is told.
**
** One atomic word holds the state and what goes with it. Whoever changes the state has the task to himself for what that
** change brings: a task is claimed by one worker or cancelled by one caller, ends once, and only who ended it touches its
** values and takes those who watch it.
**
** `iocp_tasks` guards the lists of watches and of delayed tasks, what tasks run after, timers, and telling a running task's
** thread. WATCHED is set under the lock and only beside a state that has not ended, so whoever ends the task sees it in the
** same exchange, and takes the lock behind those who set it. Nothing is told under the lock.
**
** A packet in the pool's port holds a reference. It outlives a cancel: the worker that takes it finds a task that cannot be
** claimed any more, and drops it.
*/

#include "lua/task.h"

#include <stdlib.h>

/* ---- references --------------------------------------------------------------------------------------------------------- */

static void free_task(iocp_mortal *mortal)
{
	iocp_task *task = (iocp_task *)mortal; /* its first member */
	iocp_values_free(&task->values);
	iocp_work_release(task->work);
	if (task->extra)
		iocp_task_release(task->extra->input);
	free(task->extra);
	/* Acquire: as in task_graph.c. */
	iocp_node_release(atomic_load_explicit(&task->node, memory_order_acquire));
	iocp_pool_drop(task->pool);
	free(task);
}

iocp_task *iocp_task_new(iocp_pool *pool, iocp_work *work, iocp_values *arguments)
{
	iocp_task *task = calloc(1, sizeof(*task));
	if (!task)
		return NULL;
	task->mortal.free = free_task;
	/* Relaxed: nobody else knows the task yet. */
	atomic_store_explicit(&task->references, 1, memory_order_relaxed);
	task->pool = iocp_pool_keep(pool);
	task->work = iocp_work_retain(work);
	task->values = *arguments;
	arguments->block = NULL;
	return task;
}

iocp_task *iocp_task_retain(iocp_task *task)
{
	/* Relaxed: whoever retains holds a reference already. */
	atomic_fetch_add_explicit(&task->references, 1, memory_order_relaxed);
	return task;
}

void iocp_task_release(iocp_task *task)
{
	/* As in core/object.c. */
	if (!task || atomic_fetch_sub_explicit(&task->references, 1, memory_order_acq_rel) != 1)
		return;
	if (iocp_task_state(task) < IOCP_TASK_COMPLETED) { /* never submitted: what was to run after it will not */
		atomic_store_explicit(&task->references, 1, memory_order_relaxed);
		(void)iocp_task_cancel(task, IOCP_BY_CALL);
		iocp_task_release(task);
	} else if (iocp_values_hold(&task->values)) { /* a chain of tasks, perhaps */
		iocp_free_in_turn(&task->mortal);
	} else {
		free_task(&task->mortal);
	}
}

void iocp_task_take_permit(iocp_task *task)
{
	task->permit = 1;
}

void iocp_task_give_permit(iocp_task *task)
{
	if (task->permit)
		iocp_semaphore_post(&task->pool->room);
	task->permit = 0;
}

void iocp_task_set_runner(iocp_task *task, int runner)
{
	task->chunk_runner = runner;
}

int iocp_task_runner(const iocp_task *task)
{
	return task->chunk_runner;
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */

enum iocp_task_state iocp_task_state(const iocp_task *task)
{
	return iocp_task_word(task) & IOCP_STATE;
}

enum iocp_task_reason iocp_task_reason(const iocp_task *task)
{
	return iocp_task_word(task) / IOCP_REASON % 4;
}

iocp_pool *iocp_task_pool(const iocp_task *task)
{
	return task->pool;
}

iocp_work *iocp_task_work(const iocp_task *task)
{
	return task->work;
}

int iocp_task_has_run(const iocp_task *task)
{
	return (iocp_task_word(task) & IOCP_RAN) != 0;
}

int iocp_task_is_submitted(const iocp_task *task)
{
	uint32_t word = iocp_task_word(task);
	return (word & IOCP_STATE) != IOCP_TASK_UNSCHEDULED || (word & IOCP_SUBMITTED);
}

uint64_t iocp_task_since(const iocp_task *task)
{
	return atomic_load_explicit(&task->since, memory_order_relaxed);
}

const iocp_values *iocp_task_values(const iocp_task *task)
{
	return &task->values;
}

const iocp_task *iocp_task_input(const iocp_task *task)
{
	return task->extra ? task->extra->input : NULL; /* written before the word that lets anybody ask */
}

/* ---- telling ------------------------------------------------------------------------------------------------------------ */

/* A task that runs after one that has completed: it may be time for it. IOCP_OK, or why it cannot run. */
static int advance(iocp_watch *watch, iocp_task *earlier)
{
	iocp_task *task = watch->task;
	int ready;
	iocp_lock_acquire(&iocp_tasks);
	iocp_arc_remove(&watch->arc);
	if (watch->input)
		task->extra->input = iocp_task_retain(earlier);
	ready = --task->extra->unmet == 0 && (iocp_task_word(task) & IOCP_SUBMITTED);
	iocp_lock_release(&iocp_tasks);
	return ready ? iocp_task_schedule(task) : IOCP_OK;
}

void iocp_task_blame(iocp_task *task, iocp_task *earlier)
{
	iocp_task *cause = earlier;
	if (iocp_task_state(earlier) == IOCP_TASK_CANCELLED && iocp_task_reason(earlier) == IOCP_BY_DEPENDENCY)
		cause = earlier->extra->input; /* not a chain of them, which would be freed one within the other */
	/* One that has ended needs no cause, and may be that cause itself: what is kept ended before who keeps it, so there is
	** no circle of references. */
	if (!task->extra->input && iocp_task_state(task) < IOCP_TASK_COMPLETED)
		task->extra->input = iocp_task_retain(cause);
}

/* The same, or it is cancelled; then those who watch it come first in the list. */
static iocp_watch *tell_dependent(iocp_watch *watch, iocp_task *earlier, iocp_watch *list)
{
	enum iocp_task_reason reason = IOCP_BY_DEPENDENCY;
	iocp_task *task = watch->task;
	iocp_watch *theirs, **link;
	uint32_t old;
	if (iocp_task_state(earlier) == IOCP_TASK_COMPLETED) {
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
	if (!iocp_task_cancel_early(task, reason, &old) || !(old & IOCP_WATCHED))
		return list;
	theirs = iocp_watches_take(task);
	for (link = &theirs; *link; link = &(*link)->next)
		(*link)->of = iocp_task_retain(task);
	*link = list;
	return theirs;
}

/* Tells those who watch a task that has ended, and those who watch what is cancelled by that; a list, not a recursion, since
** tasks may run after each other in a long row. */
static void tell(iocp_task *task)
{
	iocp_watch *list = iocp_watches_take(task);
	iocp_task *of = NULL;
	while (list) {
		iocp_watch *watch = list;
		list = watch->next;
		iocp_task_release(of);
		of = watch->of;
		if (watch->notices) {
			iocp_notices_leave(watch);
		} else {
			list = tell_dependent(watch, of ? of : task, list);
			iocp_task_release(watch->task);
			free(watch);
		}
	}
	iocp_task_release(of);
}

/* ---- cancelling --------------------------------------------------------------------------------------------------------- */

static void free_arguments(iocp_mortal *mortal)
{
	iocp_task *task = (iocp_task *)mortal; /* its first member */
	iocp_values_free(&task->values);
	task->mortal.free = free_task;
	iocp_task_release(task);
}

/* A task that was cancelled needs its arguments no more, though its packet may stay queued for long. */
static void drop_arguments(iocp_task *task)
{
	if (iocp_values_hold(&task->values)) {  /* tasks, perhaps, which this cancels in turn */
		task->mortal.free = free_arguments; /* until it is called, its reference keeps the task */
		iocp_free_in_turn(&iocp_task_retain(task)->mortal);
	} else {
		iocp_values_free(&task->values);
	}
}

/* Takes a task that has just left the state `old` out of what the pool knows about it. */
static void leave_early(iocp_task *task, uint32_t old)
{
	iocp_pool *pool = task->pool;
	int armed = 0;
	iocp_timer timer = 0;
	if (old & (IOCP_DELAYED | IOCP_SUBMITTED)) {
		iocp_lock_acquire(&iocp_tasks);
		iocp_parked_remove(task, old);
		armed = task->extra->armed;
		timer = task->extra->timer;
		iocp_lock_release(&iocp_tasks);
	}
	if (armed && iocp_timer_cancel(timer) == IOCP_OK)
		iocp_task_release(task); /* the packet's reference; not the last */
	drop_arguments(task);
	if ((old & IOCP_STATE) == IOCP_TASK_SCHEDULED || (old & IOCP_SUBMITTED)) {
		/* Sequentially consistent: see iocp_pool_ended. */
		atomic_fetch_add_explicit(&pool->cancelled_early, 1, memory_order_seq_cst);
		iocp_pool_ended(pool);
	}
}

int iocp_task_cancel_early(iocp_task *task, enum iocp_task_reason reason, uint32_t *old)
{
	*old = iocp_task_word(task);
	while ((*old & IOCP_STATE) < IOCP_TASK_RUNNING) {
		if (iocp_task_change(task, old, IOCP_TASK_CANCELLED + (uint32_t)reason * IOCP_REASON)) {
			leave_early(task, *old);
			return 1;
		}
	}
	return 0;
}

/* Whether a cancel of `task` means what is on its thread now: the task itself, or the chunk of a loop that it called. The lock is
** held, as for the next. */
static int runs_for(const iocp_task *current, const iocp_task *task)
{
	while (current && current != task)
		current = current->caller;
	return current != NULL;
}

static int is_told_to_stop(const iocp_task *current)
{
	while (current && !(iocp_task_word(current) & IOCP_CANCEL))
		current = current->caller;
	return current != NULL;
}

/* Tells the thread of a task that runs. IOCP_INVALID: it does not run any more. IOCP_TIMEOUT: `hard`, and it is just being
** claimed or just ending. */
static int cancel_running(iocp_task *task, int hard)
{
	iocp_worker *worker = NULL;
	uint32_t word = iocp_task_word(task);
	int told = 0;
	iocp_lock_acquire(&iocp_tasks);
	while ((word & IOCP_STATE) == IOCP_TASK_RUNNING && !told)
		told = iocp_task_change(task, &word, word | IOCP_CANCEL);
	/* Sequentially consistent: see iocp_task_enter. The worker goes on to nothing else before this task has ended, whose
	** end now waits for the lock. */
	if (told)
		worker = atomic_load_explicit(&task->runner, memory_order_seq_cst);
	/* Relaxed: written before `runner`, or under the lock. */
	if (worker && runs_for(atomic_load_explicit(&worker->current, memory_order_relaxed), task))
		iocp_thread_cancel_work(worker->thread, 1);
	if (worker && hard)
		iocp_running_cancel(&worker->running, worker->thread);
	iocp_lock_release(&iocp_tasks);
	return !told ? IOCP_INVALID : hard && !worker ? IOCP_TIMEOUT : IOCP_OK;
}

int iocp_task_cancel(iocp_task *task, enum iocp_task_reason reason)
{
	uint32_t old;
	for (;;) {
		if (iocp_task_cancel_early(task, reason, &old)) {
			if (old & IOCP_WATCHED)
				tell(task);
			return IOCP_OK;
		}
		if ((old & IOCP_STATE) > IOCP_TASK_RUNNING)
			return IOCP_INVALID;
		if (cancel_running(task, 0) == IOCP_OK)
			return IOCP_TIMEOUT;
	}
}

int iocp_task_cancel_hard(iocp_task *task)
{
	for (;;) {
		int r = iocp_task_cancel(task, IOCP_BY_CALL);
		if (r != IOCP_TIMEOUT)
			return r;
		while ((r = cancel_running(task, 1)) == IOCP_TIMEOUT)
			iocp_yield();
		if (r == IOCP_OK)
			return IOCP_TIMEOUT;
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

/* ---- running ------------------------------------------------------------------------------------------------------------ */

/* A delayed task leaves the pool's list under the same holding of the lock: who cancels what he finds there is not to
** find one that runs. */
static int claim_delayed(iocp_task *task, uint32_t *old)
{
	int claimed;
	iocp_lock_acquire(&iocp_tasks);
	claimed = iocp_task_change(task, old, (*old & IOCP_WATCHED) | IOCP_TASK_RUNNING);
	if (claimed)
		iocp_parked_remove(task, *old);
	iocp_lock_release(&iocp_tasks);
	return claimed;
}

int iocp_task_claim(iocp_task *task, int in_place)
{
	uint32_t old = iocp_task_word(task);
	int claimed = 0;
	while ((old & IOCP_STATE) == IOCP_TASK_SCHEDULED && !(in_place && (old & IOCP_DELAYED)) && !claimed)
		claimed = old & IOCP_DELAYED ? claim_delayed(task, &old)
									 : iocp_task_change(task, &old, (old & IOCP_WATCHED) | IOCP_TASK_RUNNING);
	return claimed;
}

/* Whether a cancel reaches the thread: the worker writes `runner`, then looks at the word; a canceller writes CANCEL, then
** looks at `runner`. All four are sequentially consistent, so at least one sees the other's write; and both tell the thread
** under the lock. */
void iocp_task_enter(iocp_task *task, iocp_worker *worker)
{
	/* Relaxed: this thread's own. */
	iocp_task *outer = atomic_load_explicit(&worker->current, memory_order_relaxed);
	if (outer) {
		iocp_lock_acquire(&iocp_tasks);
		task->caller = task->chunk_runner ? outer : NULL; /* a worker runs only chunks of its own loop on top of it */
		if (!task->caller && is_told_to_stop(outer))      /* which does not mean the one on top of it */
			iocp_thread_cancel_work(worker->thread, 0);
	}
	atomic_store_explicit(&worker->current, task, memory_order_relaxed); /* before `runner`, or under the lock */
	if (outer)
		iocp_lock_release(&iocp_tasks);
	atomic_store_explicit(&task->runner, worker, memory_order_seq_cst);
	if (atomic_load_explicit(&task->word, memory_order_seq_cst) & IOCP_CANCEL) {
		iocp_lock_acquire(&iocp_tasks);
		iocp_thread_cancel_work(worker->thread, 1);
		iocp_lock_release(&iocp_tasks);
	}
}

/* The task beneath is the thread's again. `told`: the thread was told to stop. */
static void leave(iocp_worker *worker, iocp_task *outer, int told)
{
	if (!outer && !told) {
		atomic_store_explicit(&worker->current, NULL, memory_order_relaxed); /* no canceller is left who would look */
		return;
	}
	iocp_lock_acquire(&iocp_tasks);
	if (told)
		iocp_thread_cancel_work(worker->thread, 0);
	atomic_store_explicit(&worker->current, outer, memory_order_relaxed); /* under the lock */
	if (outer && is_told_to_stop(outer))
		iocp_thread_cancel_work(worker->thread, 1);
	iocp_lock_release(&iocp_tasks);
}

void iocp_task_finish(
	iocp_task *task, iocp_worker *worker, iocp_task *outer, enum iocp_task_state state, iocp_values *outcome)
{
	uint32_t old, word = (uint32_t)state | IOCP_RAN;
	int again = state == IOCP_TASK_COMPLETED && task->extra && task->extra->period > 0;
	/* Relaxed: a canceller who sees it finds the task's end anyway, and one who does not is waited for below. */
	atomic_store_explicit(&task->runner, NULL, memory_order_relaxed);
	if (again && iocp_task_repeat(task)) {
		iocp_counts_add(&worker->counts, state); /* the next run is submitted by now: the pool is not idle between */
		iocp_values_free(outcome);
		leave(worker, outer, 0);
		return;
	}
	if (again) { /* told to stop, or the pool ends */
		iocp_values_free(outcome);
		word = IOCP_TASK_CANCELLED | IOCP_RAN;
		if (atomic_load_explicit(&task->pool->phase, memory_order_relaxed) != IOCP_POOL_OPEN) /* for the message */
			word += IOCP_BY_CLOSE * IOCP_REASON;
	}
	iocp_values_free(&task->values);
	task->values = *outcome;
	outcome->block = NULL;
	if (task->extra) {
		iocp_task_release(task->extra->input);
		task->extra->input = NULL;
	}
	iocp_counts_add(&worker->counts, state); /* before anybody can know that it has ended */
	old = atomic_exchange_explicit(&task->word, word, memory_order_seq_cst);
	leave(worker, outer, (old & IOCP_CANCEL) != 0);
	if (old & IOCP_WATCHED)
		tell(task);
}
