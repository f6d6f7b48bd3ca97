/*
** port.h - what the files of the port share: the port itself.
**
**   port.c   creating, posting, getting, closing
**   slot.c   who counts as working for the port, and who is let in when a slot is free
**   wake.c   how those who are let in are woken, and who spins instead of sleeping
**   leader.c which of those who wait does so in the port's set of descriptors
**   harvest.c what comes of that
**   packets.c the packets that wait, in a queue (queue.c)
*/

#ifndef IOCP_NATIVE_PORT_H
#define IOCP_NATIVE_PORT_H

#include "core/event.h"
#include "core/port_own.h"
#include "native/poll.h"
#include "native/queue.h"
#include "native/watch.h"

#pragma GCC visibility push(hidden)

struct iocp_port {
	iocp_object object;
	uint32_t limit;
	iocp_port_own own;
	iocp_event ready;          /* a get would find something: for who asked */
	_Atomic(iocp_poll *) poll; /* its I/O, from the first association on; set once, under the lock */
	/* What every post and get writes begins a cache line, apart from what they only read. */
	_Alignas(64) iocp_lock lock;
	uint32_t closed;
	uint32_t active;   /* threads with a slot; may pass the limit, see slot.c */
	uint32_t released; /* threads that belong here and are without a slot because they block */
	uint32_t watched;  /* 1 while the watcher has a reference to it, or is about to */
	iocp_queue queue;
	iocp_waiters waiters;
	iocp_waiters deferred;
	iocp_waiter *in_flight;
	int64_t in_flight_since; /* ns */
	uint64_t peak, posted, dequeued;
	int asked;                /* 1: `ready` is to be told when there is something */
	int poster_cpu;           /* where the last post to an empty queue was made */
	_Atomic uint32_t no_spin; /* see iocp_port_set_spin; this and the next are hints, so relaxed */
	_Atomic uint32_t spinner; /* 1 while a thread spins here */
	iocp_spinning spinning;
	iocp_watched watching; /* while watched is 1 */
};

enum { IOCP_WAKE_AT_ONCE = 64 };

/* What is left to do once the port's lock is released. */
typedef struct iocp_after_unlock {
	_Atomic uint32_t *asleep[IOCP_WAKE_AT_ONCE]; /* to be woken */
	int sleepers;
	int watch; /* the port is to be watched */
	int tell;  /* its `ready` is to be told */
	iocp_chunk *garbage;
} iocp_after_unlock;

static inline void iocp_after_unlock_begin(iocp_after_unlock *after)
{
	after->sleepers = after->watch = after->tell = 0;
	after->garbage = NULL;
}

/* Packets wait, and threads, which others keep from them. The lock is held. */
static inline int iocp_port_is_stuck(const iocp_port *port)
{
	return port->queue.count && port->waiters.newest;
}

/* Acquire: pairs with the release in iocp_port_poll, so that what is found is made. */
static inline iocp_poll *iocp_poll_of(iocp_port *port)
{
	return atomic_load_explicit(&port->poll, memory_order_acquire);
}

/* ---- port.c ------------------------------------------------------------------------------------------------------ */

/* A member of the port's I/O may wait in the set: somebody is to lead from now on. No lock is held. */
void iocp_port_has_member(iocp_port *port);
/* The port's I/O, made with the first call. IOCP_NOMEM, IOCP_CLOSED, or the system's code. */
int iocp_port_poll(iocp_port *port, iocp_poll **poll);
/* They let go, and the packets are posted to the port of that handle, or dropped if it has ended. No lock is held. */
void iocp_finished_post(iocp_handle port, iocp_finished *finished);

/* ---- packets.c --------------------------------------------------------------------------------------------------- */

/* Takes the lock of an open port with room for `count` packets in the queue; `may_hand_over`: or with a thread that
** takes the only one. IOCP_CLOSED, IOCP_NOMEM: without the lock. */
int iocp_port_lock_with_room(iocp_port *port, size_t count, int may_hand_over);
/* The same for what must be queued: IOCP_NOMEM comes with the lock, and without the room. */
int iocp_port_lock_for(iocp_port *port, size_t count);
/* Packets may be queued that nobody takes: those who asked, and other event loops, are to know. Whether `ready` is to
** be told, once the lock, which is held, is released. */
int iocp_port_tells(iocp_port *port);
/* Takes up to `max` packets of the queue, as delivered. The lock is held. */
size_t iocp_port_take(iocp_port *port, iocp_packet *packets, size_t max, iocp_chunk **garbage);

/* ---- leader.c ---------------------------------------------------------------------------------------------------- */

/* Whether nobody waits in the set of descriptors, and somebody should. The lock is held, as for the next ten. */
int iocp_leader_is_due(iocp_port *port);
/* Whether it may be, as for what is queued. */
int iocp_leader_may_go_on(const iocp_poll *poll);
/* Somebody looked for events: those that come next are measured from here. */
void iocp_leader_looked(iocp_poll *poll);
/* Something came while nobody led: if somebody had just looked, the port is a busy one. */
void iocp_leader_was_missed(iocp_poll *poll);
/* Such looks are so far apart that a port is better armed than watched. */
int iocp_leader_is_seldom(const iocp_poll *poll);
/* Nobody leads: the watcher is to be told of the next event. 0: it is not, and is to have its turns. */
int iocp_leader_arms(iocp_port *port);
/* The waiter leads from now on. */
void iocp_leader_take(iocp_port *port, iocp_waiter *waiter);
/* The waiter, about to park, becomes the leader, if that is due. */
int iocp_leader_begin(iocp_port *port, iocp_waiter *waiter);
/* It is none any more, if it was. */
void iocp_leader_end(iocp_port *port, const iocp_waiter *waiter);
/* Whether the port is to be watched from now on: threads that block may be what keeps the parked ones from the queue,
** or nobody waits in its set of descriptors. The lock is held; whatever takes packets, parks, or leaves the role of the
** leader ends with it. */
int iocp_port_begins_to_stick(iocp_port *port);
/* How the waiter, which sleeps, is to be woken: what iocp_port_wake takes. */
_Atomic uint32_t *iocp_leader_wake_word(iocp_port *port, iocp_waiter *waiter);
/* Wakes a waiter. No lock is held. */
void iocp_port_wake(iocp_port *port, _Atomic uint32_t *word);
/* Ends the wait of the thread, if it is in the port's set. Any thread. */
void iocp_leader_nudge(iocp_context *context);

/* ---- harvest.c --------------------------------------------------------------------------------------------------- */

/* One turn of the leader, for iocp_wait_or_lead; `port` is the state. */
int iocp_leader_turn(void *port, iocp_context *context, int64_t deadline);
/* A get of the caller, with this timeout, is to look for events first. The lock is held. */
int iocp_leader_should_look(iocp_port *port, double ms);
/* It does. The lock is held, and is released meanwhile. */
void iocp_leader_look(iocp_port *port, iocp_context *context);
/* The watcher's turn at a port that has I/O. After how many periods the next is due; 0: none, and it is not `watched`
** any more. No lock is held. */
int iocp_leader_watch(iocp_port *port);

/* ---- wake.c ------------------------------------------------------------------------------------------------------ */

/* `waiter` was served in its sleep. The lock is held. Returns what the caller is to give to iocp_port_wake, once the
** lock is released, or NULL. */
_Atomic uint32_t *iocp_wake_or_defer(iocp_port *port, iocp_waiter *waiter);
/* Whether the caller, about to park, is to spin. The lock is held; if it is, it must call iocp_wake_wait. */
int iocp_spin_begins(iocp_port *port);
/* As iocp_wait_or_lead, for the caller, which is on the port's list. No lock is held. *watch: as
** iocp_port_begins_to_stick says. */
int iocp_wake_wait(iocp_port *port, iocp_context *context, double ms, int spins, iocp_turn turn, int *watch);

/* ---- slot.c ------------------------------------------------------------------------------------------------------ */

static inline int iocp_port_has_slot(const iocp_port *port)
{
	return port->active < port->limit;
}

/* Gives the thread another kind of slot. The lock of the port that it belongs to is held. */
void iocp_slot_set(iocp_port *port, iocp_context *context, enum iocp_slot slot);
/* The calling thread is about to get from the port: it leaves any other that it belongs to. No lock is held. */
void iocp_slot_move(iocp_context *context, const iocp_port *port);
/* From now on it belongs to this one. The lock is held. */
void iocp_slot_join(iocp_port *port, iocp_context *context);
/* Gives the newest parked thread the `count` packets that lie in its buffer now, and a slot. The lock is held. Returns
** what is to be given to iocp_port_wake, or NULL. */
_Atomic uint32_t *iocp_port_hand_over(iocp_port *port, size_t count);
/* Hands queued packets to parked threads for as long as there are both, and free slots. The lock is held; whatever
** makes a slot free or a packet queued ends with it. */
void iocp_port_settle(iocp_port *port, iocp_after_unlock *after);
/* Releases the lock and does the rest. */
void iocp_port_unlock(iocp_port *port, iocp_after_unlock *after);
/* Has it watched, until nothing is stuck there. No lock is held. */
void iocp_port_watch(iocp_port *port);
/* The set of the armed port with that handle has something: for iocp_watch_keep. No lock is held. */
iocp_watched *iocp_port_told(uint64_t handle);

#pragma GCC visibility pop

#endif
