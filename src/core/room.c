/*
** room.c - the capacity of a port that has one, on all backends: who posts reserves room first, and waits for it.
**
** A packet is posted in three steps: room is reserved, the packet is queued, the reservation is taken back, since from
** then on the queue's length says it. So the queue and what is reserved together never pass the capacity by those who
** reserve; what others queue (completions, timers) passes it.
**
** The queue's length is the port's to say, under a lock of its own and outside of ours. `changes` tells whether
** anything has happened between that look and our lock; then it is looked again. So what is decided under our lock is
** decided on what is true then, but for lengths that others add to.
**
** No wake-up is lost: packets leave the queue, and then iocp_room_freed is called, which counts a change. Who waits has
** looked at the length before or after they left. If after, it has seen the room. If before, that call is yet to come:
** before it joined the list, and then it looks again for the change, or behind, and then it is found on the list. First
** come, first served: who is served is given a reservation, and nobody reserves while others wait.
*/

#include "core/room.h"

#include <stdlib.h>

iocp_room *iocp_room_new(const iocp_room *like)
{
	iocp_room *room = malloc(sizeof(*room));
	if (room)
		*room = *like;
	return room;
}

/* Takes the lock; whether there is room, as of now. */
static int lock_and_look(iocp_room *room)
{
	iocp_lock_acquire(&room->lock);
	for (;;) {
		uint64_t changes = room->changes, queued;
		iocp_lock_release(&room->lock);
		queued = room->queued(room->port);
		iocp_lock_acquire(&room->lock);
		if (room->changes == changes)
			return queued + room->reserved < room->capacity;
	}
}

/* The lock is held. */
static void reserve(iocp_room *room)
{
	room->reserved++;
	room->changes++;
}

int iocp_room_reserve(iocp_room *room, double ms)
{
	int r = iocp_waiters_ready(), has_room = lock_and_look(room);
	if (room->closed)
		r = IOCP_CLOSED; /* to a thread that is cancelled, too: it need not wait to know */
	else if (r == IOCP_OK && has_room && !room->waiters.count)
		reserve(room);
	else if (r == IOCP_OK && ms != 0)
		return iocp_waiters_join(&room->waiters, &room->lock, ms); /* releases the lock; served, it has a reservation */
	else if (r == IOCP_OK)
		r = IOCP_TIMEOUT;
	iocp_lock_release(&room->lock);
	return r;
}

/* Gives the room that there is to those who have waited longest. */
static void serve(iocp_room *room)
{
	int has_room;
	while ((has_room = lock_and_look(room)) && room->waiters.count && !room->closed) {
		reserve(room);
		iocp_waiters_serve_oldest(&room->waiters, &room->lock, IOCP_OK); /* releases the lock */
	}
	iocp_lock_release(&room->lock);
	if (has_room)
		iocp_event_tell(&room->freed);
}

void iocp_room_unreserve(iocp_room *room)
{
	iocp_lock_acquire(&room->lock);
	room->reserved--;
	room->changes++;
	iocp_lock_release(&room->lock);
	serve(room); /* the packet may have gone to somebody who waited, or nowhere */
}

void iocp_room_freed(iocp_room *room)
{
	iocp_lock_acquire(&room->lock);
	room->changes++;
	iocp_lock_release(&room->lock);
	serve(room);
}

void iocp_room_close(iocp_room *room)
{
	iocp_lock_acquire(&room->lock);
	room->closed = 1;
	iocp_lock_release(&room->lock);
	iocp_waiters_serve_all(&room->waiters, &room->lock, IOCP_ABANDONED); /* nobody joins them any more */
	iocp_event_happen(&room->freed);
}

void iocp_room_free(iocp_room *room)
{
	if (room)
		iocp_event_happen(&room->freed);
	free(room);
}
