/*
** port.c - the completion port: a queue of packets and a stack of threads that wait for one.
**
** Locking: `lock` guards everything in a port but what is fixed at birth. It is held for a few dozen instructions; chunks
** are allocated and freed, and sleepers woken, outside.
**
** Slots. At most `limit` threads work on packets of a port; slot.c says which threads count. Invariant, whenever the lock
** is free: a thread is parked and a packet is queued only if no slot is free (active >= limit). Whatever queues a packet or
** frees a slot under the lock ends with iocp_port_settle, which restores it: packets go to the newest parked thread, as many
** as its get takes, with a slot, then to the next. That is the last-in first-out release; nobody else can take the packets,
** and a close that comes later finds them delivered. A get first gives its own slot back, so a running thread takes the next
** packet without a switch, and parks only if the queue is empty or more threads than the limit were active. So a packet is in
** exactly one place, and a thread is parked only while there is nothing for it, or no slot. How a thread parks, and why no
** wake-up is lost to a timeout, a cancel or a close: wait.c. The same as a model that is checked exhaustively: spec/model.
**
** One wake-up at a time. Waking costs the waker microseconds, and it takes some 29 us until the woken thread runs; if a
** poster woke a thread for each packet, it would do nothing else. So only one thread a port is `in_flight`: served and
** being woken. Others that are served meanwhile, asleep, go on the list `deferred`; a thread that has woken up wakes the
** next, the one that was served first, before it returns. Why nobody is forgotten: a thread on the list has one in flight
** before it, and every thread that slept reports, under the lock, when it is awake for whatever reason: if it is in flight
** it passes that on to the next, if it is still on the list it leaves it. If a thread is in flight for longer than IN_FLIGHT_LIMIT,
** because its processor is busy, the next one served takes its place and is woken; without further posts those on the
** list wait for the first to be scheduled.
**
** The spin. A thread that parks costs its poster a system call and itself some 29 us of waking, so a waiter first looks at
** its word for a while, if that has paid lately: at most one thread a port does, never if the last poster ran on this
** processor (it cannot run while we spin), after a spin that paid for twice as long as before, after one in vain for half as
** long, down to not at all; then a packet that comes soon after a park starts it again. It spins for at most IOCP_SPIN_LIMIT, so no
** wait costs more than twice what it had to; much less, and little delays of the other side end the spins.
*/

#include "native/native.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "native/port.h"

enum {
	SPIN_LEAST = 600,        /* ns: a shorter one does not pay */
	SPIN_START = 5000,       /* ns */
	SOON = 60000,            /* ns from park to running again, of which the waking takes about half */
	IN_FLIGHT_LIMIT = 100000 /* ns */
};

static iocp_port *port_of(iocp_object *object)
{
	return (iocp_port *)object;
}

/* The packets of these chunks are dropped, and the chunks freed. No lock is held. */
static void discard_chunks(iocp_port *port, iocp_chunk *chunks)
{
	const iocp_chunk *chunk;
	for (chunk = chunks; chunk; chunk = chunk->next)
		iocp_port_own_discard(&port->own, port, chunk->packets + chunk->first, chunk->last - chunk->first);
	iocp_chunks_free(chunks);
}

static void free_port(iocp_object *object)
{
	iocp_port *port = port_of(object);
	/* Nobody waits here: a thread in a get borrows a reference. */
	discard_chunks(port, iocp_queue_clear(&port->queue));
	iocp_port_own_free(&port->own);
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
	*p = (iocp_port){.limit = concurrency ? concurrency : iocp_processors(), .poster_cpu = -1, .spin = IOCP_SPIN_LIMIT};
	r = iocp_object_register(&p->object, IOCP_KIND_PORT, p, free_port);
	if (r == IOCP_OK)
		*port = p;
	else
		free(p);
	return r;
}

/* `waiter` was served in its sleep. The lock is held. Returns its word if the caller is to wake it, once the lock is
** released. */
static _Atomic uint32_t *wake_or_defer(iocp_port *port, iocp_waiter *waiter)
{
	int64_t now = iocp_nanoseconds();
	if (port->in_flight && now - port->in_flight_since < IN_FLIGHT_LIMIT) {
		waiter->deferred = 1;
		iocp_waiters_push(&port->deferred, waiter);
		return NULL;
	}
	port->in_flight = waiter;
	port->in_flight_since = now;
	return &waiter->word;
}

/* The caller slept, was served, and is awake. */
static void pass_on_wake(iocp_port *port, iocp_waiter *waiter)
{
	iocp_waiter *next = NULL;
	iocp_lock_acquire(&port->lock);
	if (waiter->deferred) {
		iocp_waiters_remove(&port->deferred, waiter);
	} else if (port->in_flight == waiter) {
		next = port->deferred.oldest;
		port->in_flight = next;
		if (next) {
			iocp_waiters_remove(&port->deferred, next);
			next->deferred = 0;
			port->in_flight_since = iocp_nanoseconds();
		}
	}
	iocp_lock_release(&port->lock);
	if (next)
		iocp_futex_wake(&next->word);
}

/* Gives the newest parked thread the `count` packets that lie in its buffer now, and a slot. The lock is held. Returns the
** word of a thread to wake, or NULL. */
static _Atomic uint32_t *hand_over(iocp_port *port, size_t count)
{
	iocp_waiter *waiter = port->waiters.newest;
	waiter->count = count;
	port->dequeued += count;
	iocp_slot_set(port, (iocp_context *)waiter, IOCP_SLOT_HELD); /* of which the waiter is the first member */
	return iocp_waiters_serve(&port->waiters, IOCP_OK) ? wake_or_defer(port, waiter) : NULL;
}

static int slot_is_free(const iocp_port *port)
{
	return port->active < port->limit;
}

/* Whether the port is to be watched from now on: threads that block may be what keeps the parked ones from the queue. The
** lock is held. */
static int begins_to_stick(iocp_port *port)
{
	if (port->watched || !port->queue.count || !port->waiters.newest)
		return 0;
	port->watched = 1;
	return 1;
}

void iocp_port_settle(iocp_port *port, iocp_aftermath *aftermath)
{
	while (port->queue.count && port->waiters.newest && slot_is_free(port)) {
		const iocp_waiter *waiter = port->waiters.newest;
		_Atomic uint32_t *asleep =
			hand_over(port, iocp_queue_take(&port->queue, waiter->packets, waiter->max, &aftermath->garbage));
		if (!asleep)
			continue;
		if (aftermath->sleepers == IOCP_WAKE_AT_ONCE)
			iocp_futex_wake(asleep); /* so many threads parked on one port are rare */
		else
			aftermath->asleep[aftermath->sleepers++] = asleep;
	}
	aftermath->watch = begins_to_stick(port);
}

void iocp_port_unlock(iocp_port *port, iocp_aftermath *aftermath)
{
	int i;
	iocp_lock_release(&port->lock);
	for (i = 0; i < aftermath->sleepers; i++)
		iocp_futex_wake(aftermath->asleep[i]);
	if (aftermath->garbage)
		iocp_chunks_free(aftermath->garbage);
	if (aftermath->watch)
		iocp_watch(port);
}

/* Takes the lock of an open port with room for `count` packets in the queue; `may_hand_over`: or with a thread that takes the
** only one. */
static int lock_with_room(iocp_port *port, size_t count, int may_hand_over)
{
	iocp_chunk *fresh = NULL;
	for (;;) {
		size_t bytes;
		iocp_lock_acquire(&port->lock);
		if (port->closed) {
			iocp_lock_release(&port->lock);
			iocp_chunks_free(fresh);
			return IOCP_CLOSED;
		}
		if (fresh) {
			iocp_queue_add_spare(&port->queue, fresh);
			fresh = NULL;
		}
		if ((may_hand_over && port->waiters.newest && slot_is_free(port)) || iocp_queue_has_room(&port->queue, count))
			return IOCP_OK;
		bytes = iocp_queue_next_size(&port->queue);
		iocp_lock_release(&port->lock);
		fresh = iocp_chunk_new(count, bytes);
		if (!fresh)
			return IOCP_NOMEM;
	}
}

int iocp_port_enqueue(iocp_port *port, uintptr_t key, uint32_t bytes, uintptr_t overlapped)
{
	const iocp_packet packet = {.key = key, .overlapped = overlapped, .bytes = bytes};
	_Atomic uint32_t *asleep = NULL;
	int watch = 0;
	int r = lock_with_room(port, 1, 1);
	if (r != IOCP_OK)
		return r;
	port->posted++;
	if (!port->queue.count) /* who waits soon, if anyone, waits for this thread */
		port->poster_cpu = sched_getcpu();
	if (port->waiters.newest && slot_is_free(port)) {
		port->waiters.newest->packets[0] = packet; /* the queue is empty: see the invariant */
		asleep = hand_over(port, 1);
	} else {
		iocp_queue_append(&port->queue, &packet);
		if (port->queue.count > port->peak)
			port->peak = port->queue.count;
		watch = begins_to_stick(port);
	}
	iocp_lock_release(&port->lock);
	if (asleep)
		iocp_futex_wake(asleep);
	if (watch)
		iocp_watch(port);
	return IOCP_OK;
}

int iocp_port_enqueue_many(iocp_port *port, const iocp_packet *packets, size_t count)
{
	iocp_aftermath aftermath;
	int r = lock_with_room(port, count, 0);
	if (r != IOCP_OK)
		return r;
	if (!port->queue.count)
		port->poster_cpu = sched_getcpu();
	iocp_queue_append_many(&port->queue, packets, count);
	port->posted += count;
	iocp_aftermath_begin(&aftermath);
	iocp_port_settle(port, &aftermath);
	if (port->queue.count > port->peak)
		port->peak = port->queue.count;
	iocp_port_unlock(port, &aftermath);
	return IOCP_OK;
}

/* How long the caller, about to park, may spin, ns. The lock is held; if the answer is not 0, the caller is the spinner
** until spin_ended. */
static int32_t spin_begins(iocp_port *port)
{
	int32_t spin = atomic_load_explicit(&port->spin, memory_order_relaxed);
	if (spin < SPIN_LEAST || atomic_load_explicit(&port->spinner, memory_order_relaxed)
		|| port->poster_cpu == sched_getcpu())
		return 0;
	atomic_store_explicit(&port->spinner, 1, memory_order_relaxed);
	return spin;
}

/* The caller was the spinner, for `spun` ns at most; `paid`: it was handed packets before it slept. */
static void spin_ended(iocp_port *port, int32_t spun, int paid)
{
	int32_t next = !paid ? spun / 2 : spun * 2 < IOCP_SPIN_LIMIT ? spun * 2 : IOCP_SPIN_LIMIT;
	atomic_store_explicit(&port->spinner, 0, memory_order_relaxed);
	atomic_store_explicit(&port->spin, next, memory_order_relaxed);
}

/* Whether spins came to an end, so that somebody has to look how long threads sleep. */
static int spin_is_off(iocp_port *port)
{
	return atomic_load_explicit(&port->spin, memory_order_relaxed) < SPIN_LEAST;
}

/* The caller waited in vain, and goes on: it has a slot, be there one or not. */
static void leave_empty_handed(iocp_port *port, iocp_context *context)
{
	iocp_lock_acquire(&port->lock);
	iocp_slot_set(port, context, IOCP_SLOT_HELD);
	iocp_lock_release(&port->lock);
}

/* Parks the caller, for which there is nothing, until it is handed packets. The lock is held, and released here. */
static int wait_for_packets(
	iocp_port *port, iocp_context *context, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	int32_t spin = spin_begins(port);
	int64_t deadline, started, spin_end;
	int watch, r;
	context->waiter.packets = packets;
	context->waiter.max = max;
	iocp_waiters_wait(&port->waiters, &context->waiter);
	watch = begins_to_stick(port);
	iocp_lock_release(&port->lock);
	if (watch)
		iocp_watch(port);
	started = spin || spin_is_off(port) ? iocp_nanoseconds() : 0; /* not always: the clock is slow on some machines */
	deadline = iocp_deadline(ms);
	spin_end = !spin ? 0 : started + spin < deadline ? started + spin : deadline;
	r = iocp_wait(context, &port->waiters, &port->lock, deadline, spin_end);
	if (context->waiter.slept && r == IOCP_OK)
		pass_on_wake(port, &context->waiter);
	if (spin)
		spin_ended(port, spin, r == IOCP_OK && !context->waiter.slept);
	else if (started && r == IOCP_OK && iocp_nanoseconds() - started < SOON)
		atomic_store_explicit(&port->spin, SPIN_START, memory_order_relaxed);
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
	iocp_lock_acquire(&port->lock);
	taken = iocp_queue_take(&port->queue, packets, max, &garbage);
	port->dequeued += taken;
	iocp_lock_release(&port->lock);
	iocp_chunks_free(garbage);
	return taken;
}

/* Gives the caller's slot back and, if one is free then, takes it again with what is queued. The lock is held. */
static int take(
	iocp_port *port, iocp_context *context, iocp_packet *packets, size_t max, size_t *count, iocp_chunk **garbage)
{
	uint32_t others = port->active - (context->slot == IOCP_SLOT_HELD);
	size_t taken;
	context->blocked_looks = 0;
	if (!port->queue.count || others >= port->limit)
		return port->closed ? IOCP_CLOSED : IOCP_TIMEOUT;
	taken = iocp_queue_take(&port->queue, packets, max, garbage);
	port->dequeued += taken;
	if (context->slot != IOCP_SLOT_HELD)
		iocp_slot_set(port, context, IOCP_SLOT_HELD);
	*count = taken;
	return IOCP_OK;
}

int iocp_port_dequeue_many(iocp_port *port, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	iocp_context *context = iocp_context_get();
	iocp_chunk *garbage = NULL;
	int r;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	iocp_slot_move(context, port);
	iocp_lock_acquire(&port->lock);
	/* Relaxed: watch.c looks again under the lock. */
	atomic_store_explicit(&context->belongs_to, port->object.handle, memory_order_relaxed);
	r = take(port, context, packets, max, count, &garbage);
	if (r == IOCP_TIMEOUT)
		iocp_slot_set(port, context, ms == 0 ? IOCP_SLOT_HELD : IOCP_SLOT_NONE);
	if (r == IOCP_TIMEOUT && ms != 0) {
		r = wait_for_packets(port, context, packets, max, count, ms); /* releases the lock */
		if (r == IOCP_OK && *count < max)
			*count += take_more(port, packets + *count, max - *count);
		return r;
	}
	iocp_lock_release(&port->lock);
	if (garbage)
		iocp_chunks_free(garbage);
	return r;
}

int iocp_port_dequeue(iocp_port *port, iocp_packet *packet, double ms)
{
	size_t count;
	return iocp_port_dequeue_many(port, packet, 1, &count, ms);
}

/* Puts packets before all others: in place of some that were taken or, with a chunk for them, in that, which is then the
** queue's. 0: there is neither. The lock is held. */
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
	iocp_aftermath aftermath;
	iocp_chunk *chunk = NULL;
	int done = 0, closed;
	iocp_aftermath_begin(&aftermath);
	while (!done) {
		iocp_lock_acquire(&port->lock);
		closed = (int)port->closed;
		done = closed || prepend(port, packets, count, &chunk);
		if (done && !closed)
			iocp_port_settle(port, &aftermath);
		iocp_port_unlock(port, &aftermath);
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
	iocp_lock_acquire(&port->lock);
	if (!port->closed) {
		port->closed = 1;
		discarded = iocp_queue_clear(&port->queue);
	}
	iocp_lock_release(&port->lock);
	iocp_object_revoke(&port->object); /* after `closed` is set: see slot.c */
	/* Nobody parks from here on, so the stack only shrinks. */
	iocp_waiters_serve_all(&port->waiters, &port->lock, IOCP_ABANDONED);
	discard_chunks(port, discarded);
}

int iocp_port_heap(iocp_port *port, iocp_heap **heap)
{
	return iocp_port_own_heap(&port->own, heap);
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
