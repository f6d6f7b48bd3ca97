/*
** slot.c - who counts as working for a port, and who is let in when a slot is free.
**
** A thread belongs to the port that it last tried to get from, and to no other. From the get that served it, or that
** timed out, until its next get, it has a slot there (IOCP_SLOT_HELD), which the port counts in `active`. While it
** blocks it is without: it gave the slot up itself before a wait of this library or of iocp_block_enter
** (IOCP_SLOT_BLOCKED), or the watcher took it (IOCP_SLOT_RELEASED). It takes the slot back when it goes on, whether the
** limit allows or not: then more than `limit` threads are active, and no packet is handed out until fewer are.
**
** Locking: a thread's slot is guarded by the lock of the port it belongs to. `belongs_to` is a handle and no reference,
** so that a thread does not keep a port alive: a handle that opens nothing means a port that is closed or freed, whose
** slots nobody looks at any more. That this is so at once for the thread which finds it out: a port is marked closed
** before its handle is revoked, and a reference count of zero is read with acquire (core/object.c).
**
** A port is watched while packets are queued there, threads are parked and no slot is free: then one blocked thread
** keeps another from working. The watcher (watch.c) looks every few milliseconds at the threads that belong to such
** ports; the system says of each whether it runs (and spins, and yields) or not (sleeps, reads, is stopped). Who was
** found blocked twice in a row loses the slot until it is found running, or gets again. Where nothing is stuck, nobody
** looks. `watched` is set, under the port's lock, by whoever finds it stuck, and reset in the watcher's turn, or where
** there is no watcher to be had: then the next post or get that finds the port stuck tries again. The watcher holds the
** lock of all contexts while it looks, so that none of the threads ends, and the port's lock within that.
*/

#include "native/port.h"

enum { LOOKS = 2 }; /* of the watcher, in a row, until a thread counts as blocked */

void iocp_slot_set(iocp_port *port, iocp_context *context, enum iocp_slot slot)
{
	port->active -= context->slot == IOCP_SLOT_HELD;
	port->released -= context->slot == IOCP_SLOT_BLOCKED || context->slot == IOCP_SLOT_RELEASED;
	port->active += slot == IOCP_SLOT_HELD;
	port->released += slot == IOCP_SLOT_BLOCKED || slot == IOCP_SLOT_RELEASED;
	context->slot = slot;
	context->blocked_looks = 0;
}

/* ---- letting threads in: the lock is held ------------------------------------------------------------------------ */

_Atomic uint32_t *iocp_port_hand_over(iocp_port *port, size_t count)
{
	iocp_waiter *waiter = port->waiters.newest;
	waiter->count = count;
	iocp_slot_set(port, (iocp_context *)waiter, IOCP_SLOT_HELD); /* of which the waiter is the first member */
	if (iocp_waiters_serve(&port->waiters, IOCP_OK))
		return iocp_wake_or_defer(port, waiter);
	iocp_leader_end(port, waiter); /* it has not gone into the set, and will not */
	return NULL;
}

void iocp_port_settle(iocp_port *port, iocp_after_unlock *after)
{
	while (port->queue.count && port->waiters.newest && iocp_port_has_slot(port)) {
		const iocp_waiter *waiter = port->waiters.newest;
		_Atomic uint32_t *asleep =
			iocp_port_hand_over(port, iocp_port_take(port, waiter->packets, waiter->max, &after->garbage));
		if (!asleep)
			continue;
		if (after->sleepers == IOCP_WAKE_AT_ONCE)
			iocp_port_wake(port, asleep); /* so many threads parked on one port are rare */
		else
			after->asleep[after->sleepers++] = asleep;
	}
	after->watch = iocp_port_begins_to_stick(port);
	after->tell |= iocp_port_tells(port);
}

void iocp_port_unlock(iocp_port *port, iocp_after_unlock *after)
{
	int i;
	iocp_lock_release(&port->lock);
	for (i = 0; i < after->sleepers; i++)
		iocp_port_wake(port, after->asleep[i]);
	if (after->garbage)
		iocp_chunks_free(after->garbage);
	if (after->watch)
		iocp_port_watch(port);
	if (after->tell)
		iocp_event_tell(&port->ready);
}

/* ---- the calling thread's own slot ------------------------------------------------------------------------------- */

/* The port that the calling thread belongs to, locked, with a reference; NULL: none that is open. */
static iocp_port *lock_own_port(iocp_context *context)
{
	/* Relaxed: written by this thread alone. */
	iocp_handle handle = atomic_load_explicit(&context->belongs_to, memory_order_relaxed);
	iocp_port *port;
	if (!handle)
		return NULL;
	if (iocp_port_open(handle, &port) != IOCP_OK) {
		context->slot = IOCP_SLOT_NONE;
		atomic_store_explicit(&context->belongs_to, 0, memory_order_relaxed);
		return NULL;
	}
	iocp_lock_acquire(&port->lock);
	return port;
}

/* A slot may have become free: another thread is let in. */
static void unlock_own_port(iocp_port *port)
{
	iocp_after_unlock after;
	iocp_after_unlock_begin(&after);
	iocp_port_settle(port, &after);
	iocp_port_unlock(port, &after);
	iocp_port_release(port);
}

static void leave(iocp_context *context)
{
	iocp_port *port = lock_own_port(context);
	if (!port)
		return;
	iocp_slot_set(port, context, IOCP_SLOT_NONE);
	/* Under the lock: the watcher finds a port's threads by it. */
	atomic_store_explicit(&context->belongs_to, 0, memory_order_relaxed);
	unlock_own_port(port);
}

void iocp_slot_move(iocp_context *context, const iocp_port *port)
{
	iocp_handle handle = atomic_load_explicit(&context->belongs_to, memory_order_relaxed);
	if (handle && handle != port->object.handle)
		leave(context);
}

static void block(iocp_context *context)
{
	iocp_port *port = lock_own_port(context);
	if (!port)
		return;
	if (context->slot == IOCP_SLOT_HELD || context->slot == IOCP_SLOT_RELEASED)
		iocp_slot_set(port, context, IOCP_SLOT_BLOCKED);
	unlock_own_port(port);
}

static void unblock(iocp_context *context)
{
	iocp_port *port = lock_own_port(context);
	if (!port)
		return;
	/* One that got a packet meanwhile has its slot. */
	if (context->slot == IOCP_SLOT_BLOCKED)
		iocp_slot_set(port, context, IOCP_SLOT_HELD);
	unlock_own_port(port);
}

void iocp_slot_join(iocp_port *port, iocp_context *context)
{
	static const iocp_membership membership = {leave, block, unblock, iocp_leader_nudge};
	if (!context->membership) /* once: a cancel reads it, after it has found the thread waiting */
		context->membership = &membership;
	/* Relaxed: who finds a port's threads by it looks again under the lock. */
	atomic_store_explicit(&context->belongs_to, port->object.handle, memory_order_relaxed);
}

/* ---- being watched ----------------------------------------------------------------------------------------------- */

static iocp_port *port_of_watched(iocp_watched *watched)
{
	return (iocp_port *)(void *)((char *)watched - offsetof(iocp_port, watching));
}

typedef struct look {
	iocp_port *port;
	iocp_after_unlock after; /* until the lock of all contexts is released */
} look;

static void look_at(void *state, iocp_context *context)
{
	look *l = state;
	iocp_port *port = l->port;
	enum iocp_prim_state seen = iocp_prim_thread_state(context->id);
	iocp_lock_acquire(&port->lock);
	/* Relaxed: written under the port's lock. */
	if (port->closed || atomic_load_explicit(&context->belongs_to, memory_order_relaxed) != port->object.handle) {
		; /* nothing here any more: see the top */
	} else if (seen == IOCP_PRIM_UNKNOWN || seen == IOCP_PRIM_UNTOLD) {
		; /* nobody knows: what is known of it stays */
	} else if (seen == IOCP_PRIM_RUNS) {
		if (context->slot == IOCP_SLOT_RELEASED)
			iocp_slot_set(port, context, IOCP_SLOT_HELD);
		context->blocked_looks = 0;
	} else if (context->slot == IOCP_SLOT_HELD && ++context->blocked_looks >= LOOKS) {
		iocp_slot_set(port, context, IOCP_SLOT_RELEASED);
		/* Under the same holding of the lock: a post must not find a free slot beside older packets. */
		iocp_port_settle(port, &l->after);
	}
	iocp_lock_release(&port->lock);
}

/* Takes slots from threads that block. */
static void look_at_threads(iocp_port *port)
{
	look l;
	l.port = port;
	iocp_after_unlock_begin(&l.after);
	iocp_context_each(port->object.handle, look_at, &l);
	iocp_lock_acquire(&port->lock);
	iocp_port_unlock(port, &l.after);
}

/* The watcher's turn. 0: the port is neither stuck nor without a leader, and so no longer watched. */
static int look_after(iocp_watched *watched)
{
	iocp_port *port = port_of_watched(watched);
	iocp_poll *poll;
	int stuck, periods;
	iocp_lock_acquire(&port->lock);
	stuck = iocp_port_is_stuck(port);
	iocp_lock_release(&port->lock);
	if (stuck && iocp_watch_works())
		look_at_threads(port);
	poll = iocp_poll_of(port);
	if (poll) {
		periods = poll->watch(port);
	} else {
		iocp_lock_acquire(&port->lock);
		periods = iocp_port_is_stuck(port) || iocp_poll_of(port) != NULL; /* which may be new */
		port->watched = (uint32_t)periods;
		iocp_lock_release(&port->lock);
	}
	if (!periods)
		iocp_port_release(port);
	return periods;
}

/* There is no watcher to be had: whoever finds the port stuck the next time tries again. */
static void give_up(iocp_watched *watched)
{
	iocp_port *port = port_of_watched(watched);
	iocp_lock_acquire(&port->lock);
	port->watched = 0;
	iocp_lock_release(&port->lock);
	iocp_port_release(port);
}

static iocp_watched *watching(iocp_port *port)
{
	static const iocp_watched_calls calls = {look_after, give_up};
	port->watching.calls = &calls;
	return &port->watching;
}

void iocp_port_watch(iocp_port *port)
{
	iocp_watched *watched = watching(port);
	iocp_port_retain(port);
	if (iocp_poll_of(port) || iocp_watch_works())
		iocp_watch(watched);
	else
		give_up(watched);
}

iocp_watched *iocp_port_told(uint64_t handle)
{
	iocp_port *port;
	int needed;
	if (iocp_port_open(handle, &port) != IOCP_OK)
		return NULL;
	iocp_lock_acquire(&port->lock);
	iocp_poll_of(port)->armed = 0;
	needed = !port->watched && iocp_leader_is_due(port);
	if (needed) {
		port->watched = 1;
		iocp_leader_was_missed(iocp_poll_of(port));
	}
	iocp_lock_release(&port->lock);
	if (needed)
		return watching(port); /* with the reference */
	iocp_port_release(port);
	return NULL;
}
