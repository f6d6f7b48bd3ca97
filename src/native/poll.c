/*
** poll.c - a port's set of descriptors, what is associated with the port, and what comes of the set's events.
**
** Ownership: a member is kept by one reference, which whoever takes it off the list has to drop: a close of the member,
** or the port's end. A member holds no reference to the port, which would keep both for ever: it knows the port's
** handle, and where that opens nothing the port has ended.
**
** An event names its source by the handle, and is dropped where that opens nothing: a descriptor's number that the
** system gives anew is never taken for the old one. Before a descriptor is closed it leaves the set.
**
** Locking: `lock` guards the list of members, and is the innermost.
*/

#include "native/poll.h"

#include <errno.h>
#include <stdlib.h>

#include "core/busy.h"

enum {
	EVENTS_AT_ONCE = 64,
	RETRY = 100 /* ms until those that failed for want of descriptors try again */
};

iocp_poll *iocp_poll_new(iocp_watched *(*told)(uint64_t), int *error)
{
	iocp_poll *poll = calloc(1, sizeof(*poll));
	if (!poll) {
		*error = ENOMEM;
		return NULL;
	}
	*error = iocp_prim_set_open(&poll->set);
	if (*error == 0) {
		*error = iocp_watch_keep(told);
		if (*error == 0)
			return poll;
		iocp_prim_set_close(&poll->set);
	}
	free(poll);
	return NULL;
}

void iocp_poll_free(iocp_poll *poll)
{
	if (poll) {
		if (poll->pollable)
			iocp_prim_pollable_close(poll->pollable);
		free(poll->pollable);
		iocp_prim_set_close(&poll->set);
		iocp_watch_let_end();
		free(poll);
	}
}

/* ---- heaps ------------------------------------------------------------------------------------------------------- */

/* The heap is being destroyed: operations that use its blocks end. */
static void cancel_heap(iocp_heap *heap)
{
	uint32_t slot = 0;
	iocp_object *object;
	while ((object = iocp_object_next(&slot, IOCP_KINDS_OF_SOURCES))) {
		iocp_source *source = (iocp_source *)object;
		source->calls->end_heap(source, heap);
		iocp_object_release(object);
	}
}

void iocp_source_begin(iocp_source *source, const iocp_source_calls *calls)
{
	iocp_busy_set_cancel(cancel_heap);
	source->calls = calls;
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

int iocp_poll_join(iocp_poll *poll, iocp_source *source, int waits)
{
	int r = IOCP_CLOSED;
	iocp_lock_acquire(&poll->lock);
	if (!poll->ended) {
		r = IOCP_OK;
		if (waits)
			atomic_store_explicit(&poll->used, 1, memory_order_relaxed);
		source->previous = NULL;
		source->next = poll->members;
		if (source->next)
			source->next->previous = source;
		poll->members = source;
		iocp_object_retain(&source->object);
	}
	iocp_lock_release(&poll->lock);
	return r;
}

/* The lock is held. */
static int unlink_member(iocp_poll *poll, iocp_source *source)
{
	if (!source->previous && poll->members != source)
		return 0;
	if (source->next)
		source->next->previous = source->previous;
	if (source->previous)
		source->previous->next = source->next;
	else
		poll->members = source->next;
	source->next = source->previous = NULL;
	return 1;
}

int iocp_poll_leave(iocp_poll *poll, iocp_source *source)
{
	int was;
	iocp_lock_acquire(&poll->lock);
	was = unlink_member(poll, source);
	iocp_lock_release(&poll->lock);
	return was;
}

static iocp_source *next_starved(iocp_poll *poll, int64_t now);

void iocp_poll_end(iocp_poll *poll)
{
	iocp_source *source;
	do {
		iocp_lock_acquire(&poll->lock);
		poll->ended = 1;
		source = poll->members;
		if (source)
			(void)unlink_member(poll, source);
		iocp_lock_release(&poll->lock);
		if (source) {
			source->calls->port_ended(source, poll);
			iocp_object_release(&source->object);
		}
	} while (source);
	while ((source = next_starved(poll, INT64_MAX)))
		iocp_object_release(&source->object);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

int iocp_poll_harvest(iocp_poll *poll, int64_t deadline, iocp_finished *finished)
{
	iocp_prim_event events[EVENTS_AT_ONCE];
	int why;
	size_t i, count = iocp_prim_set_wait(&poll->set, events, EVENTS_AT_ONCE, deadline, &why);
	poll->events += count;
	for (i = 0; i < count; i++) {
		iocp_object *object = iocp_object_open(events[i].name, IOCP_KINDS_OF_SOURCES);
		if (object) {
			iocp_source *source = (iocp_source *)object;
			source->calls->advance(source, events[i].what, finished);
			iocp_object_release(object);
		}
	}
	iocp_finished_let_go(finished);
	return why;
}

/* ---- trying again ------------------------------------------------------------------------------------------------ */

void iocp_poll_starves(iocp_poll *poll, iocp_source *source)
{
	iocp_lock_acquire(&poll->lock);
	if (!source->next_starved && !poll->ended) {
		source->next_starved = poll->starved ? poll->starved : source;
		poll->starved = source;
		atomic_store_explicit(&poll->has_starved, 1, memory_order_relaxed);
		iocp_object_retain(&source->object);
	}
	poll->retry_at = iocp_deadline(RETRY);
	iocp_lock_release(&poll->lock);
}

void iocp_poll_feed(iocp_poll *poll)
{
	iocp_lock_acquire(&poll->lock);
	poll->retry_at = 0;
	iocp_lock_release(&poll->lock);
}

/* Takes one off the list. NULL: it is empty, or it is not time yet. */
static iocp_source *next_starved(iocp_poll *poll, int64_t now)
{
	iocp_source *source;
	iocp_lock_acquire(&poll->lock);
	source = now >= poll->retry_at ? poll->starved : NULL;
	if (source) {
		poll->starved = source->next_starved == source ? NULL : source->next_starved;
		source->next_starved = NULL;
		atomic_store_explicit(&poll->has_starved, poll->starved != NULL, memory_order_relaxed);
	}
	iocp_lock_release(&poll->lock);
	return source;
}

void iocp_poll_retry(iocp_poll *poll, iocp_finished *finished)
{
	int64_t now = iocp_prim_nanoseconds();
	iocp_source *source;
	while ((source = next_starved(poll, now))) {
		source->calls->advance(source, IOCP_PRIM_READ | IOCP_RETRY, finished);
		iocp_object_release(&source->object);
	}
	iocp_finished_let_go(finished);
}
