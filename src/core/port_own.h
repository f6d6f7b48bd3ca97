/*
** port_own.h - what every port has besides its queue, on all backends: a heap of its own, and what is to be done with
** the packets that it drops.
*/

#ifndef IOCP_PORT_OWN_H
#define IOCP_PORT_OWN_H

#include "core/atomic.h"
#include "core/os.h"
#include "core/api.h"
#include "core/room.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_port_discard {
	iocp_discard call;
	void *data;
} iocp_port_discard;

/* Zeroed at the port's birth. */
typedef struct iocp_port_own {
	_Atomic(iocp_heap *) heap;
	iocp_room *room;        /* NULL: it has no capacity; set before others know the port */
	_Atomic uintptr_t mark; /* the `overlapped` of the packets that `marked` is for, or 0; set once */
	iocp_lock lock;         /* guards what follows */
	iocp_port_discard all;  /* what is called for the others */
	iocp_port_discard marked;
} iocp_port_own;

/* iocp_port_heap, where create() makes a heap with one reference that no handle and no address names;
** iocp_port_set_discard, iocp_port_set_discard_of. */
int iocp_port_own_heap(iocp_port_own *own, int (*create)(iocp_heap **heap), iocp_heap **heap);
void iocp_port_own_set_discard(iocp_port_own *own, iocp_discard discard, void *data);
int iocp_port_own_set_discard_of(iocp_port_own *own, uintptr_t overlapped, iocp_discard discard, void *data);
/* These packets are dropped. No lock is held. */
void iocp_port_own_discard(iocp_port_own *own, iocp_port *port, const iocp_packet *packets, size_t count);
/* iocp_port_set_capacity, with what is fixed of a room. */
int iocp_port_own_set_room(iocp_port_own *own, const iocp_room *like);
/* iocp_port_capacity. */
uint64_t iocp_port_own_capacity(const iocp_port_own *own, double *ms);
/* Packets have left the port's queue, by a get that ended with r. No lock is held, here and in the next. */
static inline void iocp_port_own_freed(const iocp_port_own *own, int r)
{
	if (own->room && r == IOCP_OK)
		iocp_room_freed(own->room);
}
/* The port is closed. */
static inline void iocp_port_own_close(const iocp_port_own *own)
{
	if (own->room)
		iocp_room_close(own->room);
}
/* With the port's last reference, once nothing is left to discard. */
void iocp_port_own_free(iocp_port_own *own);

#pragma GCC visibility pop

#endif
