/*
** port_heap.h - what every port has besides its queue, on all backends: a heap of its own, and what is to be done with
** the packets that it drops.
*/

#ifndef IOCP_PORT_HEAP_H
#define IOCP_PORT_HEAP_H

#include "core/atomic.h"
#include "iocp.h"

typedef void iocp_discard(iocp_port *port, const iocp_packet *packet);

/* Zeroed at the port's birth. */
typedef struct iocp_port_own {
	_Atomic(iocp_heap *) heap;
	_Atomic(iocp_discard *) discard;
} iocp_port_own;

/* iocp_port_heap and iocp_port_set_discard. */
int iocp_port_own_heap(iocp_port_own *own, iocp_heap **heap);
void iocp_port_own_set_discard(iocp_port_own *own, iocp_discard *discard);
/* These packets are dropped. No lock is held. */
void iocp_port_own_discard(iocp_port_own *own, iocp_port *port, const iocp_packet *packets, size_t count);
/* With the port's last reference, once nothing is left to discard. */
void iocp_port_own_free(iocp_port_own *own);

/* The backend's: a heap with one reference that no handle and no address names. IOCP_NOMEM. */
int iocp_heap_create_private(iocp_heap **heap);

#endif
