/*
** task.c - a task: its states, and the list of those that are parked.
**
** One atomic word holds the state and what goes with it. Whoever changes the state has the task to himself for what
** that change brings: a task is claimed by one worker or cancelled by one caller, ends once, and only who ended it
** touches its payload and takes those who watch it.
**
** `iocp_tasks` guards the lists of watches and of parked tasks, what tasks run after, timers, and telling a running
** task's thread. WATCHED is set under the lock and only beside a state that has not ended, so whoever ends the task
** sees it in the same exchange, and takes the lock behind those who set it. Nothing is told under the lock.
**
** A packet in the pool's port holds a reference. It outlives a cancel: the worker that takes it finds a task that
** cannot be claimed any more, and drops it.
*/

#include <stdlib.h>
#include <string.h>

#include "work/task.h"

iocp_task *iocp_task_retain(iocp_task *task)
{
	/* Relaxed: whoever retains holds a reference already. */
	atomic_fetch_add_explicit(&task->counted.references, 1, memory_order_relaxed);
	return task;
}

void iocp_task_release(iocp_task *task)
{
	if (task)
		iocp_counted_release(&task->counted);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

enum iocp_task_state iocp_task_state(const iocp_task *task)
{
	return iocp_task_word(task) & IOCP_WORD_STATE;
}

enum iocp_task_reason iocp_task_reason(const iocp_task *task)
{
	return (iocp_task_word(task) & IOCP_WORD_REASONS) / IOCP_WORD_REASON;
}

iocp_pool *iocp_task_pool(const iocp_task *task)
{
	return task->pool;
}

iocp_body *iocp_task_body(const iocp_task *task)
{
	return task->body;
}

int iocp_task_has_run(const iocp_task *task)
{
	return (iocp_task_word(task) & IOCP_WORD_RAN) != 0;
}

int iocp_task_is_told(const iocp_task *task)
{
	uint32_t word = iocp_task_word(task);
	return (word & IOCP_WORD_STATE) == IOCP_TASK_RUNNING && (word & IOCP_WORD_CANCEL);
}

int iocp_task_is_submitted(const iocp_task *task)
{
	uint32_t word = iocp_task_word(task);
	return (word & IOCP_WORD_STATE) != IOCP_TASK_UNSCHEDULED || (word & IOCP_WORD_SUBMITTED);
}

uint64_t iocp_task_since(const iocp_task *task)
{
	return atomic_load_explicit(&task->since, memory_order_relaxed);
}

const iocp_payload *iocp_task_payload(const iocp_task *task)
{
	return &task->payload;
}

const iocp_task *iocp_task_input(const iocp_task *task)
{
	return task->extra ? task->extra->input : NULL; /* written before the word that lets anybody ask */
}

void iocp_task_set_made(iocp_task *task, const char *made)
{
	size_t size = strlen(made) + 1;
	if (!task->extra)
		task->extra = calloc(1, sizeof(*task->extra));
	if (task->extra && (task->extra->made = malloc(size)) != NULL)
		memcpy(task->extra->made, made, size);
}

const char *iocp_task_made(const iocp_task *task)
{
	return task->extra && task->extra->made ? task->extra->made : "";
}

int iocp_task_is_periodic(const iocp_task *task)
{
	return task->extra && task->extra->period > 0;
}

int iocp_task_is_awaited(const iocp_task *task)
{
	/* Relaxed: who comes later is as good as too late. */
	return (atomic_load_explicit(&task->word, memory_order_relaxed) & IOCP_WORD_WATCHED) != 0;
}

void iocp_task_set_runner(iocp_task *task, int runner)
{
	task->chunk_runner = (unsigned char)runner;
}

int iocp_task_runner(const iocp_task *task)
{
	return task->chunk_runner;
}

void iocp_task_set_settling(iocp_task *task, int how)
{
	task->settling = (unsigned char)how;
}

int iocp_task_settling(const iocp_task *task)
{
	return task->settling;
}

int iocp_task_is_retried(const iocp_task *task)
{
	uint32_t retries = task->body->terms.retries;
	return retries > 0 && task->extra->attempts < retries && !(iocp_task_word(task) & IOCP_WORD_CANCEL);
}

void iocp_task_set_posted(iocp_task *task)
{
	task->posted = 1;
}

int iocp_task_is_posted(const iocp_task *task)
{
	return task->posted;
}

/* ---- the list of parked tasks, so that a pool which ends can cancel them ----------------------------------------- */

void iocp_count(_Atomic uint64_t *counter, int change)
{
	/* Sequentially consistent: see iocp_pool_ended. */
	atomic_fetch_add_explicit(counter, (uint64_t)(int64_t)change, memory_order_seq_cst);
}

void iocp_parked_add(iocp_task *task, _Atomic uint64_t *counter)
{
	iocp_task_extra *extra = task->extra;
	extra->armed = 0;
	extra->parkings++;
	extra->previous = NULL;
	extra->following = task->pool->parked;
	if (extra->following)
		extra->following->extra->previous = task;
	task->pool->parked = task;
	iocp_count(counter, 1);
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
	iocp_count(old & IOCP_WORD_DELAYED ? &task->pool->delayed : &task->pool->waiting, -1);
}
