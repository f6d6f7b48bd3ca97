/*
** port.c - the completion port: a queue of packets and a stack of threads that wait for one.
**
** Locking: `lock` guards everything in a port but what is fixed at birth. It is held for a few dozen instructions;
** chunks are allocated and freed, and sleepers woken, outside.
**
** Slots. At most `limit` threads work on packets of a port; slot.c says which threads count. Invariant, whenever the
** lock is free: a thread is parked and a packet is queued only if no slot is free (active >= limit). Whatever queues a
** packet or frees a slot under the lock ends with iocp_port_settle, which restores it: packets go to the newest parked
** thread, as many as its get takes, with a slot, then to the next. That is the last-in first-out release; nobody else
** can take the packets, and a close that comes later finds them delivered. A get first gives its own slot back, so a
** running thread takes the next packet without a switch, and parks only if the queue is empty or more threads than the
** limit were active. So a packet is in exactly one place, and a thread is parked only while there is nothing for it, or
** no slot. How a thread parks, and why no wake-up is lost to a timeout, a cancel or a close: wait.c. The same as a
** model that is checked exhaustively: spec/model.
*/

#include "native/native.h"
#include "core/sized.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "native/port.h"

static iocp_port *port_of(iocp_object *object)
{
	return (iocp_port *)object;
}

/* The packets of these chunks are dropped, and the chunks freed. No lock is held. */
static void discard_chunks(iocp_port *port, iocp_chunk *chunks)
{
	iocp_chunk *chunk;
	for (chunk = chunks; chunk; chunk = chunk->next) {
		size_t i;
		for (i = chunk->first; i < chunk->last; i++)
			chunk->packets[i].code &= ~IOCP_IO_MARK;
		iocp_port_own_discard(&port->own, port, chunk->packets + chunk->first, chunk->last - chunk->first);
	}
	iocp_chunks_free(chunks);
}

static void free_port(iocp_object *object)
{
	iocp_port *port = port_of(object);
	iocp_poll *poll = iocp_poll_of(port);
	iocp_event_happen(&port->ready);
	/* Nobody waits here: a thread in a get borrows a reference. */
	if (poll)
		iocp_poll_end(poll);
	discard_chunks(port, iocp_queue_clear(&port->queue));
	iocp_port_own_free(&port->own);
	iocp_poll_free(poll);
	free(port);
}

int iocp_port_adopt(const void *native, iocp_port **port)
{
	iocp_object *object = iocp_object_find(native, IOCP_KIND_PORT);
	if (!object)
		return IOCP_INVALID;
	*port = port_of(object);
	return IOCP_OK;
}

int iocp_port_create(uint32_t concurrency, iocp_port **port)
{
	iocp_port *p = aligned_alloc(_Alignof(iocp_port), sizeof(*p));
	int r;
	if (!p)
		return IOCP_NOMEM;
	*p = (iocp_port){.limit = concurrency ? concurrency : iocp_processors(), .poster_cpu = -1};
	r = iocp_object_register(&p->object, IOCP_KIND_PORT, p, free_port);
	if (r == IOCP_OK)
		*port = p;
	else
		free(p);
	return r;
}

int iocp_port_enqueue(iocp_port *port, uintptr_t key, uint32_t bytes, uintptr_t overlapped)
{
	const iocp_packet packet = {.key = key, .overlapped = overlapped, .bytes = bytes};
	_Atomic uint32_t *asleep = NULL;
	int watch, tell = 0, r = iocp_port_lock_with_room(port, 1, 1);
	if (r != IOCP_OK)
		return r;
	port->posted++;
	if (!port->queue.count) /* who waits soon, if anyone, waits for this thread */
		port->poster_cpu = iocp_prim_processor();
	if (port->waiters.newest && iocp_port_has_slot(port)) {
		port->waiters.newest->packets[0] = packet; /* the queue is empty: see the invariant */
		port->dequeued++;
		asleep = iocp_port_hand_over(port, 1);
	} else {
		iocp_queue_append(&port->queue, &packet);
		if (port->queue.count > port->peak)
			port->peak = port->queue.count;
		tell = iocp_port_tells(port);
	}
	watch = iocp_port_begins_to_stick(port);
	iocp_lock_release(&port->lock);
	if (asleep)
		iocp_port_wake(port, asleep);
	if (watch)
		iocp_port_watch(port);
	if (tell)
		iocp_event_tell(&port->ready);
	return IOCP_OK;
}

int iocp_port_enqueue_many(iocp_port *port, const iocp_packet *packets, size_t count)
{
	iocp_after_unlock after;
	int r = iocp_port_lock_with_room(port, count, 0);
	if (r != IOCP_OK)
		return r;
	if (!port->queue.count)
		port->poster_cpu = iocp_prim_processor();
	iocp_queue_append_many(&port->queue, packets, count);
	port->posted += count;
	iocp_after_unlock_begin(&after);
	iocp_port_settle(port, &after);
	if (port->queue.count > port->peak)
		port->peak = port->queue.count;
	iocp_port_unlock(port, &after);
	return IOCP_OK;
}

/* They have let go: their packets are posted, and they are dropped. */
static void post_finished(iocp_port *port, iocp_finished *finished)
{
	iocp_after_unlock after;
	int r = iocp_port_lock_for(port, finished->count);
	if (r != IOCP_CLOSED) {
		port->posted += finished->count;
		iocp_finished_append(finished, &port->queue, 0, r == IOCP_OK);
		iocp_after_unlock_begin(&after);
		iocp_port_settle(port, &after);
		if (port->queue.count > port->peak)
			port->peak = port->queue.count;
		iocp_port_unlock(port, &after);
	}
	iocp_finished_drop(finished);
}

void iocp_finished_post(iocp_handle port, iocp_finished *finished)
{
	iocp_port *opened;
	if (!finished->count)
		return;
	iocp_finished_let_go(finished);
	if (iocp_port_open(port, &opened) == IOCP_OK) {
		post_finished(opened, finished);
		iocp_port_release(opened);
	} else {
		iocp_finished_drop(finished);
	}
}

/* The caller waited in vain, and goes on: it has a slot, be there one or not. */
static void leave_empty_handed(iocp_port *port, iocp_context *context)
{
	int watch;
	iocp_lock_acquire(&port->lock);
	iocp_slot_set(port, context, IOCP_SLOT_HELD);
	iocp_leader_end(port, &context->waiter);
	watch = iocp_port_begins_to_stick(port);
	iocp_lock_release(&port->lock);
	if (watch)
		iocp_port_watch(port);
}

/* Parks the caller, for which there is nothing, until it is handed packets. The lock is held, and released here. */
static int wait_for_packets(
	iocp_port *port, iocp_context *context, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	int spins = iocp_spin_begins(port);
	int watch, r;
	context->waiter.packets = packets;
	context->waiter.max = max;
	iocp_waiters_wait(&port->waiters, &context->waiter);
	context->waiter.leads = iocp_leader_begin(port, &context->waiter);
	watch = iocp_port_begins_to_stick(port);
	iocp_lock_release(&port->lock);
	if (watch)
		iocp_port_watch(port);
	r = iocp_wake_wait(port, context, ms, spins, iocp_leader_turn, &watch);
	if (watch)
		iocp_port_watch(port);
	if (r == IOCP_OK)
		*count = context->waiter.count;
	else if (r != IOCP_ABANDONED)
		leave_empty_handed(port, context);
	return r;
}

/* What was posted behind the packets handed over, under the same slot. */
static size_t take_more(iocp_port *port, iocp_packet *packets, size_t max)
{
	iocp_chunk *garbage = NULL;
	size_t taken;
	int watch;
	iocp_lock_acquire(&port->lock);
	taken = iocp_port_take(port, packets, max, &garbage);
	watch = iocp_port_begins_to_stick(port); /* there may be room for more I/O now, and nobody who waits for it */
	iocp_lock_release(&port->lock);
	iocp_chunks_free(garbage);
	if (watch)
		iocp_port_watch(port);
	return taken;
}

/* How many of the slots others have than the calling thread. The lock is held. */
static uint32_t slots_of_others(const iocp_port *port, const iocp_context *context)
{
	/* Relaxed: the calling thread's own. In this order: of another port's thread the slot is guarded by that one. */
	int is_member = atomic_load_explicit(&context->belongs_to, memory_order_relaxed) == port->object.handle;
	return port->active - (is_member && context->slot == IOCP_SLOT_HELD);
}

/* What is queued, if a slot is free for the caller or would be once it gave its own back. The lock is held. */
static int take(
	iocp_port *port, const iocp_context *context, iocp_packet *packets, size_t max, size_t *count, iocp_chunk **garbage)
{
	if (!port->queue.count || slots_of_others(port, context) >= port->limit)
		return port->closed ? IOCP_CLOSED : IOCP_TIMEOUT;
	*count = iocp_port_take(port, packets, max, garbage);
	return IOCP_OK;
}

int iocp_port_dequeue_many(iocp_port *port, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	iocp_context *context = iocp_context_get();
	iocp_chunk *garbage = NULL;
	int watch, r;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	iocp_slot_move(context, port);
	iocp_lock_acquire(&port->lock);
	iocp_slot_join(port, context);
	if (iocp_leader_should_look(port, ms))
		iocp_leader_look(port, context);
	context->blocked_looks = 0;
	r = take(port, context, packets, max, count, &garbage);
	if (r == IOCP_OK && context->slot != IOCP_SLOT_HELD)
		iocp_slot_set(port, context, IOCP_SLOT_HELD);
	else if (r == IOCP_TIMEOUT)
		iocp_slot_set(port, context, ms == 0 ? IOCP_SLOT_HELD : IOCP_SLOT_NONE);
	if (r == IOCP_TIMEOUT && ms != 0) {
		r = wait_for_packets(port, context, packets, max, count, ms); /* releases the lock */
		if (r == IOCP_OK && *count < max)
			*count += take_more(port, packets + *count, max - *count);
		iocp_port_own_freed(&port->own, r);
		return r;
	}
	watch = iocp_port_begins_to_stick(port);
	iocp_lock_release(&port->lock);
	if (garbage)
		iocp_chunks_free(garbage);
	if (watch)
		iocp_port_watch(port);
	iocp_port_own_freed(&port->own, r);
	return r;
}

int iocp_port_dequeue(iocp_port *port, iocp_packet *packet, double ms)
{
	size_t count;
	return iocp_port_dequeue_many(port, packet, 1, &count, ms);
}

int iocp_port_pick(iocp_port *port, iocp_packet *packet)
{
	iocp_context *context = iocp_context_get();
	iocp_chunk *garbage = NULL;
	size_t count;
	int watch, r;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	iocp_lock_acquire(&port->lock);
	if (iocp_leader_should_look(port, 0))
		iocp_leader_look(port, context);
	r = take(port, context, packet, 1, &count, &garbage);
	watch = iocp_port_begins_to_stick(port);
	iocp_lock_release(&port->lock);
	iocp_chunks_free(garbage);
	iocp_port_own_freed(&port->own, r);
	if (watch)
		iocp_port_watch(port);
	return r;
}

/* Puts packets before all others: in place of some that were taken or, with a chunk for them, in that, which is then
** the queue's. 0: there is neither. The lock is held. */
static int prepend(iocp_port *port, const iocp_packet *packets, size_t count, iocp_chunk **chunk)
{
	if (*chunk) {
		memcpy((*chunk)->packets, packets, count * sizeof(*packets));
		(*chunk)->last = count;
		iocp_queue_prepend(&port->queue, *chunk);
		*chunk = NULL;
	} else if (!iocp_queue_put_back(&port->queue, packets, count)) {
		return 0;
	}
	port->dequeued -= count;
	return 1;
}

int iocp_port_putback(iocp_port *port, const iocp_packet *packets, size_t count)
{
	iocp_after_unlock after;
	iocp_chunk *chunk = NULL;
	int done = 0, closed;
	iocp_after_unlock_begin(&after);
	while (!done) {
		iocp_lock_acquire(&port->lock);
		closed = (int)port->closed;
		done = closed || prepend(port, packets, count, &chunk);
		if (done && !closed)
			iocp_port_settle(port, &after);
		iocp_port_unlock(port, &after);
		if (!done && !(chunk = iocp_chunk_new(count, 0)))
			return IOCP_NOMEM;
	}
	iocp_chunks_free(chunk);
	if (closed)
		iocp_port_own_discard(&port->own, port, packets, count);
	return IOCP_OK;
}

void iocp_port_close(iocp_port *port)
{
	iocp_chunk *discarded = NULL;
	iocp_poll *poll;
	iocp_lock_acquire(&port->lock);
	if (!port->closed) {
		port->closed = 1;
		discarded = iocp_queue_clear(&port->queue);
		(void)iocp_port_tells(port);
	}
	iocp_lock_release(&port->lock);
	iocp_object_revoke(&port->object); /* after `closed` is set: see slot.c */
	/* Nobody parks from here on, so the stack only shrinks. */
	iocp_waiters_serve_all(&port->waiters, &port->lock, IOCP_ABANDONED);
	poll = iocp_poll_of(port);
	if (poll) {
		iocp_prim_set_alarm(&poll->set); /* who leads sleeps in the set, and not on its word */
		iocp_poll_end(poll);
	}
	iocp_event_happen(&port->ready);
	iocp_port_own_close(&port->own);
	discard_chunks(port, discarded);
}

int iocp_port_poll(iocp_port *port, iocp_poll **poll)
{
	int error = 0;
	iocp_poll *fresh, *found = iocp_poll_of(port);
	if (!found) {
		fresh = iocp_poll_new(iocp_port_told, &error);
		if (!fresh)
			return error == ENOMEM ? IOCP_NOMEM : error;
		iocp_lock_acquire(&port->lock);
		found = iocp_poll_of(port);
		if (!found && !port->closed) { /* else its close would have to end this one, too */
			fresh->watch = iocp_leader_watch;
			/* Release: what is found is made. */
			atomic_store_explicit(&port->poll, fresh, memory_order_release);
			found = fresh;
			fresh = NULL;
		}
		iocp_lock_release(&port->lock);
		iocp_poll_free(fresh);
	}
	if (!found)
		return IOCP_CLOSED;
	*poll = found;
	return IOCP_OK;
}

void iocp_port_has_member(iocp_port *port)
{
	int watch;
	iocp_lock_acquire(&port->lock);
	watch = iocp_port_begins_to_stick(port);
	iocp_lock_release(&port->lock);
	if (watch)
		iocp_port_watch(port);
}

int iocp_port_pollfd(iocp_port *port, int *descriptor)
{
	iocp_poll *poll;
	iocp_prim_pollable *fresh = malloc(sizeof(*fresh));
	int r = fresh ? iocp_port_poll(port, &poll) : IOCP_NOMEM;
	if (r == IOCP_OK)
		r = iocp_prim_pollable_open(fresh, &poll->set);
	if (r != IOCP_OK) {
		free(fresh);
		return r == ENOMEM ? IOCP_NOMEM : r;
	}
	iocp_lock_acquire(&port->lock);
	if (!poll->pollable) {
		poll->pollable = fresh;
		fresh = NULL;
		(void)iocp_port_tells(port);
	}
	*descriptor = poll->pollable->descriptor;
	iocp_lock_release(&port->lock);
	if (fresh)
		iocp_prim_pollable_close(fresh);
	free(fresh);
	return IOCP_OK;
}

iocp_event *iocp_port_ready_event(iocp_port *port)
{
	return &port->ready;
}

int iocp_port_ask(iocp_port *port, int *ready)
{
	iocp_context *context = iocp_context_get();
	if (!context)
		return IOCP_NOMEM;
	iocp_lock_acquire(&port->lock);
	*ready = port->closed || (port->queue.count && slots_of_others(port, context) < port->limit);
	if (!*ready)
		port->asked = 1;
	iocp_lock_release(&port->lock);
	return IOCP_OK;
}

static uint64_t queued(iocp_port *port)
{
	uint64_t count;
	iocp_lock_acquire(&port->lock);
	count = port->queue.count;
	iocp_lock_release(&port->lock);
	return count;
}

int iocp_port_set_capacity(iocp_port *port, uint64_t capacity, double ms)
{
	const iocp_room like = {.capacity = capacity, .patience = ms, .port = port, .queued = queued};
	return iocp_port_own_set_room(&port->own, &like);
}

uint64_t iocp_port_capacity(const iocp_port *port, double *ms)
{
	return iocp_port_own_capacity(&port->own, ms);
}

int iocp_port_reserve(iocp_port *port, double ms)
{
	return port->own.room ? iocp_room_reserve(port->own.room, ms) : IOCP_OK;
}

void iocp_port_unreserve(iocp_port *port)
{
	if (port->own.room)
		iocp_room_unreserve(port->own.room);
}

iocp_event *iocp_port_room_event(iocp_port *port)
{
	return port->own.room ? &port->own.room->freed : NULL;
}

int iocp_port_heap(iocp_port *port, iocp_heap **heap)
{
	return iocp_port_own_heap(&port->own, iocp_heap_create_private, heap);
}

void iocp_port_set_discard(iocp_port *port, iocp_discard discard, void *data)
{
	iocp_port_own_set_discard(&port->own, discard, data);
}

int iocp_port_set_discard_of(iocp_port *port, uintptr_t overlapped, iocp_discard discard, void *data)
{
	return iocp_port_own_set_discard_of(&port->own, overlapped, discard, data);
}

void iocp_port_reset_peak(iocp_port *port)
{
	iocp_lock_acquire(&port->lock);
	port->peak = port->queue.count;
	iocp_lock_release(&port->lock);
}

void iocp_port_stats(iocp_port *port, iocp_port_info *info)
{
	uint32_t sees_blocking = (uint32_t)iocp_watch_works();
	iocp_port_info now;
	iocp_lock_acquire(&port->lock);
	now = (iocp_port_info){
		.size = info->size,
		.queued = port->queue.count,
		.peak = port->peak,
		.posted = port->posted,
		.dequeued = port->dequeued,
		.waiting = port->waiters.count,
		.active = port->closed ? 0 : port->active, /* a closed port's threads do not report any more */
		.released = port->closed ? 0 : port->released,
		.concurrency = port->limit,
		.closed = port->closed,
		.sees_blocking = sees_blocking,
	};
	iocp_lock_release(&port->lock);
	iocp_copy_known(info, info->size, &now, sizeof(now));
}
