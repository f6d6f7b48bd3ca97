/*
** port.h - what the files of the port share: the port itself.
**
**   port.c   creating, posting, getting, closing
**   slot.c   who counts as working for the port, and who is let in when a slot is free
**   wake.c   how those who are let in are woken, and who spins instead of sleeping
**   queue.c  the packets that wait
*/

#ifndef IOCP_NATIVE_PORT_H
#define IOCP_NATIVE_PORT_H

#include "core/port_own.h"
#include "native/queue.h"
#include "native/watch.h"

#pragma GCC visibility push(hidden)

struct iocp_port {
	iocp_object object;
	uint32_t limit;
	iocp_port_own own;
	/* What every post and get writes begins a cache line, apart from what they only read. */
	_Alignas(64) iocp_lock lock;
	uint32_t closed;
	uint32_t active;   /* threads with a slot; may pass the limit, see slot.c */
	uint32_t released; /* threads that belong here and are without a slot because they block */
	uint32_t watched;  /* 1 while the watcher has a reference to it, or none is to be had on this system */
	iocp_queue queue;
	iocp_waiters waiters;
	iocp_waiters deferred;
	iocp_waiter *in_flight;
	int64_t in_flight_since; /* ns */
	uint64_t peak, posted, dequeued;
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
	iocp_chunk *garbage;
} iocp_after_unlock;

static inline void iocp_after_unlock_begin(iocp_after_unlock *after)
{
	after->sleepers = after->watch = 0;
	after->garbage = NULL;
}

/* ---- wake.c ------------------------------------------------------------------------------------------------------ */

/* `waiter` was served in its sleep. The lock is held. Returns its word if the caller is to wake it, once the lock is
** released. */
_Atomic uint32_t *iocp_wake_or_defer(iocp_port *port, iocp_waiter *waiter);
/* Whether the caller, about to park, is to spin. The lock is held; if it is, it must call iocp_wake_wait. */
int iocp_spin_begins(iocp_port *port);
/* As iocp_wait, for the caller, which is on the port's list. No lock is held. */
int iocp_wake_wait(iocp_port *port, iocp_context *context, double ms, int spins);

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
** the word of a thread to wake, or NULL. */
_Atomic uint32_t *iocp_port_hand_over(iocp_port *port, size_t count);
/* Hands queued packets to parked threads for as long as there are both, and free slots. The lock is held; whatever
** makes a slot free or a packet queued ends with it. */
void iocp_port_settle(iocp_port *port, iocp_after_unlock *after);
/* Releases the lock and does the rest. */
void iocp_port_unlock(iocp_port *port, iocp_after_unlock *after);
/* Whether the port is to be watched from now on: threads that block may be what keeps the parked ones from the queue.
** The lock is held. */
int iocp_port_begins_to_stick(iocp_port *port);
/* Has it watched, until nothing is stuck there. No lock is held. */
void iocp_port_watch(iocp_port *port);

#pragma GCC visibility pop

#endif
