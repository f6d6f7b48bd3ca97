/*
** task_watch.c - who is told when a task has ended: tasks that run after it, threads that wait, and ports.
**
** A thread waits on notices of its own, which are no port: it goes on belonging to the port that it got from. The watch
** itself is what is left there, so telling takes no memory.
**
** References: notices belong to who waits and to each watch that is not told yet; so who tells has them until he is
** done. Locks and orders: see task.c. `lock` here guards the list of those that were told, and is taken under no other.
*/

#include <stdlib.h>

#include "work/task.h"

struct iocp_notices {
	_Atomic uint32_t references;
	iocp_semaphore there; /* how many are in the list */
	iocp_lock lock;
	iocp_watch *first, **last;
};

/* ---- notices ----------------------------------------------------------------------------------------------------- */

iocp_notices *iocp_notices_new(void)
{
	iocp_notices *notices = calloc(1, sizeof(*notices));
	if (!notices)
		return NULL;
	/* Relaxed: nobody else knows them yet. */
	atomic_store_explicit(&notices->references, 1, memory_order_relaxed);
	notices->last = &notices->first;
	return notices;
}

static void free_list(iocp_watch *list)
{
	iocp_watch *watch;
	while ((watch = list) != NULL) {
		list = watch->next;
		iocp_notices_release(watch->notices);
		free(watch);
	}
}

void iocp_notices_release(iocp_notices *notices)
{
	/* As in core/object.c. */
	if (notices && atomic_fetch_sub_explicit(&notices->references, 1, memory_order_acq_rel) == 1) {
		free_list(notices->first);
		iocp_semaphore_close(&notices->there); /* somebody may be still to be told */
		free(notices);
	}
}

void iocp_notices_leave(iocp_watch *watch)
{
	iocp_notices *notices = watch->notices;
	watch->notices = NULL; /* what lies there holds no reference */
	watch->next = NULL;
	iocp_lock_acquire(&notices->lock);
	*notices->last = watch;
	notices->last = &watch->next;
	iocp_lock_release(&notices->lock);
	iocp_semaphore_post(&notices->there);
	iocp_notices_release(notices);
}

int iocp_notices_wait(iocp_notices *notices, uintptr_t *key, double ms)
{
	iocp_watch *watch;
	int r = iocp_semaphore_wait(&notices->there, ms);
	if (r != IOCP_OK)
		return r;
	iocp_lock_acquire(&notices->lock);
	watch = notices->first;
	notices->first = watch->next;
	if (!notices->first)
		notices->last = &notices->first;
	iocp_lock_release(&notices->lock);
	*key = watch->key;
	free(watch);
	return IOCP_OK;
}

int iocp_notices_notify(iocp_notices *notices, iocp_port *port, const iocp_packet *packet, iocp_timer *timer)
{
	return iocp_semaphore_notify(&notices->there, port, packet, timer);
}

/* ---- watches ----------------------------------------------------------------------------------------------------- */

int iocp_watch_add(iocp_task *task, iocp_watch *watch)
{
	uint32_t old = iocp_task_word(task);
	do {
		if ((old & IOCP_WORD_STATE) >= IOCP_TASK_COMPLETED)
			return 0;
	} while (!iocp_task_change(task, &old, old | IOCP_WORD_WATCHED));
	watch->next = task->watches;
	task->watches = watch;
	return 1;
}

int iocp_task_watch(iocp_task *task, iocp_notices *notices, uintptr_t key)
{
	iocp_watch *watch = calloc(1, sizeof(*watch));
	int added;
	if (!watch)
		return IOCP_NOMEM;
	/* Relaxed: whoever retains holds a reference already. */
	atomic_fetch_add_explicit(&notices->references, 1, memory_order_relaxed);
	watch->notices = notices;
	watch->key = key;
	iocp_lock_acquire(&iocp_tasks);
	added = iocp_watch_add(task, watch);
	iocp_lock_release(&iocp_tasks);
	if (!added)
		iocp_notices_leave(watch);
	return IOCP_OK;
}

void iocp_task_unwatch(iocp_task *task, const iocp_notices *notices)
{
	iocp_watch *removed = NULL, **link = &task->watches, *watch;
	iocp_lock_acquire(&iocp_tasks);
	while ((watch = *link) != NULL) {
		if (watch->notices == notices) {
			*link = watch->next;
			watch->next = removed;
			removed = watch;
		} else {
			link = &watch->next;
		}
	}
	iocp_lock_release(&iocp_tasks);
	free_list(removed);
}

iocp_watch *iocp_watches_take(iocp_task *task)
{
	iocp_watch *taken;
	iocp_lock_acquire(&iocp_tasks);
	taken = task->watches;
	task->watches = NULL;
	iocp_lock_release(&iocp_tasks);
	return taken;
}

/* ---- ports ------------------------------------------------------------------------------------------------------- */

/* The task's end as an event, made when it is first asked for; NULL: out of memory. */
static iocp_event *end_of(iocp_task *task)
{
	iocp_watch *watch = calloc(1, sizeof(*watch));
	iocp_event *fresh = calloc(1, sizeof(*fresh)), *end;
	int added = 0, made;
	iocp_lock_acquire(&iocp_tasks);
	made = !task->end && watch && fresh;
	if (made) {
		task->end = watch->event = fresh;
		added = iocp_watch_add(task, watch);
	}
	end = task->end;
	iocp_lock_release(&iocp_tasks);
	if (!added)
		free(watch);
	if (!made)
		free(fresh);
	if (end && iocp_task_state(task) >= IOCP_TASK_COMPLETED) /* who ended it may be just about to say so */
		iocp_event_happen(end);
	return end;
}

int iocp_task_notify(iocp_task *task, iocp_port *port, const iocp_packet *packet, iocp_timer *timer)
{
	iocp_event *end = end_of(task);
	return end ? iocp_event_notify(end, port, packet, timer) : IOCP_NOMEM;
}
