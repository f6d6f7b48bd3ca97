/*
** port.h - what the files of the port share: the port itself, and the slots of the threads that work for it.
**
** `limit` threads may work on packets of a port at a time; each of them has a slot, and `active` counts the slots. See
** slot.c for who has one when, and port.c for what is done with a free one.
*/

#ifndef IOCP_NATIVE_PORT_H
#define IOCP_NATIVE_PORT_H

#include "core/port_own.h"
#include "native/queue.h"

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
	uint32_t watched;  /* 1 while watch.c has a reference to it */
	iocp_queue queue;
	iocp_waiters waiters;
	iocp_waiters deferred;
	iocp_waiter *in_flight;
	int64_t in_flight_since; /* ns */
	uint64_t peak, posted, dequeued;
	int poster_cpu;           /* where the last post to an empty queue was made */
	_Atomic uint32_t spinner; /* 1 while a thread spins here; this and the next are hints, so relaxed */
	_Atomic int32_t spin;     /* how long the next one may, ns */
	iocp_port *next_watched;  /* watch.c's */
};

enum { IOCP_WAKE_AT_ONCE = 64 };

/* What is left to do once the port's lock is released. */
typedef struct iocp_aftermath {
	_Atomic uint32_t *asleep[IOCP_WAKE_AT_ONCE]; /* to be woken */
	int sleepers;
	int watch; /* the port is to be watched */
	iocp_chunk *garbage;
} iocp_aftermath;

static inline void iocp_aftermath_begin(iocp_aftermath *aftermath)
{
	aftermath->sleepers = aftermath->watch = 0;
	aftermath->garbage = NULL;
}

/* ---- port.c ------------------------------------------------------------------------------------------------------- */

/* Hands queued packets to parked threads for as long as there are both, and free slots. The lock is held; whatever makes
** a slot free or a packet queued ends with it. */
void iocp_port_settle(iocp_port *port, iocp_aftermath *aftermath);
/* Releases the lock and does the rest. */
void iocp_port_unlock(iocp_port *port, iocp_aftermath *aftermath);

/* ---- slot.c ------------------------------------------------------------------------------------------------------- */

/* Gives the thread another kind of slot. The lock of the port that it belongs to is held. */
void iocp_slot_set(iocp_port *port, iocp_context *context, enum iocp_slot slot);
/* The calling thread is about to get from the port: it leaves any other that it belongs to. No lock is held. */
void iocp_slot_move(iocp_context *context, const iocp_port *port);

/* ---- watch.c ------------------------------------------------------------------------------------------------------ */

/* Looks after the port, whose `watched` the caller has set, until nothing is stuck there. No lock is held. */
void iocp_watch(iocp_port *port);

#pragma GCC visibility pop

#endif
