/*
** room.h - the capacity of a port that has one: who posts reserves room first, and waits for it.
*/

#ifndef IOCP_ROOM_H
#define IOCP_ROOM_H

#include "core/api.h"
#include "core/event.h"
#include "core/os.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_room {
	uint64_t capacity;                   /* fixed, as are the next three */
	double patience;                     /* milliseconds: for how long who posts waits, if he does not say so himself */
	iocp_port *port;                     /* whose it is */
	uint64_t (*queued)(iocp_port *port); /* how long its queue is; under a lock of its own */
	iocp_event freed;                    /* for ports: there may be room */
	iocp_lock lock;                      /* guards what follows */
	iocp_waiters waiters;
	uint64_t reserved; /* packets that are to be posted */
	uint64_t changes;  /* of `reserved`, or of how many are queued */
	int closed;
} iocp_room;

/* With what is fixed of this one, which is zeroed but for that. NULL: out of memory. */
iocp_room *iocp_room_new(const iocp_room *like);
/* As iocp_port_reserve and iocp_port_unreserve. */
int iocp_room_reserve(iocp_room *room, double ms);
void iocp_room_unreserve(iocp_room *room);
/* Packets have left the queue. No lock is held, here and in the next. */
void iocp_room_freed(iocp_room *room);
/* The port is closed. */
void iocp_room_close(iocp_room *room);
/* With the port's last reference. NULL is allowed. */
void iocp_room_free(iocp_room *room);

#pragma GCC visibility pop

#endif
