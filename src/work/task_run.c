/*
** task_run.c - a task and the thread that runs it: who has claimed it, and how that thread is told to stop.
**
** Whether a cancel reaches the thread: the worker writes `runner`, then looks at the word; a canceller writes CANCEL,
** then looks at `runner`. All four are sequentially consistent, so at least one sees the other's write; and both tell
** the thread under the lock.
*/

#include "work/task.h"

/* ---- claiming ---------------------------------------------------------------------------------------------------- */

/* A delayed task leaves the pool's list under the same holding of the lock: who cancels what he finds there is not to
** find one that runs. */
static int claim_delayed(iocp_task *task, uint32_t *old)
{
	int claimed;
	iocp_lock_acquire(&iocp_tasks);
	claimed = iocp_task_change(task, old, (*old & IOCP_WORD_WATCHED) | IOCP_TASK_RUNNING);
	if (claimed)
		iocp_parked_remove(task, *old);
	iocp_lock_release(&iocp_tasks);
	return claimed;
}

int iocp_task_claim(iocp_task *task, int in_place)
{
	uint32_t old = iocp_task_word(task);
	int claimed = 0;
	while ((old & IOCP_WORD_STATE) == IOCP_TASK_SCHEDULED && !(in_place && (old & IOCP_WORD_DELAYED)) && !claimed)
		claimed = old & IOCP_WORD_DELAYED ? claim_delayed(task, &old)
										  : iocp_task_change(task, &old, (old & IOCP_WORD_WATCHED) | IOCP_TASK_RUNNING);
	return claimed;
}

/* ---- telling its thread to stop ---------------------------------------------------------------------------------- */

/* A worker runs only chunks of its own loop on top of the task that called that. */
static const iocp_run *caller_of(const iocp_run *run)
{
	return run->task->chunk_runner ? run->outer : NULL;
}

/* Whether a cancel of `task` means what is on its thread now: the task itself, or the chunk of a loop that it
** called. The lock is held, as for the next. */
static int runs_for(const iocp_run *run, const iocp_task *task)
{
	while (run && run->task != task)
		run = caller_of(run);
	return run != NULL;
}

static int is_told_to_stop(const iocp_run *run)
{
	while (run && !(iocp_task_word(run->task) & IOCP_WORD_CANCEL))
		run = caller_of(run);
	return run != NULL;
}

int iocp_task_stop(iocp_task *task, int hard, enum iocp_task_reason reason)
{
	iocp_worker *worker = NULL;
	uint32_t word = iocp_task_word(task);
	int told = 0, r = IOCP_OK;
	iocp_lock_acquire(&iocp_tasks);
	while ((word & IOCP_WORD_STATE) == IOCP_TASK_RUNNING && !told)
		told = iocp_task_change(task, &word, /* the first reason counts */
			word & IOCP_WORD_CANCEL ? word : word | IOCP_WORD_CANCEL | (uint32_t)reason * IOCP_WORD_REASON);
	/* Sequentially consistent: see iocp_task_enter. The worker goes on to nothing else before this task has ended,
	** whose end now waits for the lock. */
	if (told)
		worker = atomic_load_explicit(&task->runner, memory_order_seq_cst);
	/* Relaxed: written before `runner`, or under the lock. */
	if (worker && runs_for(atomic_load_explicit(&worker->current, memory_order_relaxed), task))
		iocp_thread_cancel_work(worker->thread, 1);
	if (worker && hard)
		r = task->pool->calls->cancel(worker);
	iocp_lock_release(&iocp_tasks);
	return !told ? IOCP_INVALID : hard && !worker ? IOCP_TIMEOUT : r;
}

void iocp_task_enter(iocp_run *run, iocp_worker *worker)
{
	iocp_task *task = run->task;
	if (run->outer) {
		iocp_lock_acquire(&iocp_tasks);
		if (!caller_of(run) && is_told_to_stop(run->outer)) /* which does not mean the one on top of it */
			iocp_thread_cancel_work(worker->thread, 0);
	}
	/* Relaxed: before `runner`, or under the lock. Who looks at it under the lock has told a task of this thread to
	** stop, whose end waits for the lock: see iocp_task_leave. So what is on the stack stays there. */
	atomic_store_explicit(&worker->current, run, memory_order_relaxed);
	if (run->outer)
		iocp_lock_release(&iocp_tasks);
	atomic_store_explicit(&task->runner, worker, memory_order_seq_cst);
	if (atomic_load_explicit(&task->word, memory_order_seq_cst) & IOCP_WORD_CANCEL) {
		iocp_lock_acquire(&iocp_tasks);
		iocp_thread_cancel_work(worker->thread, 1);
		iocp_lock_release(&iocp_tasks);
	}
}

void iocp_task_leave(iocp_worker *worker, iocp_run *outer, int told)
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
