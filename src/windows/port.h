/*
** port.h - what the files of the port share: the port itself.
**
**   port.c      creating, posting, getting, closing
**   port_end.c  who may use the kernel's port, what is associated with it, and how it ends
**   port_ready.c  who is told that there is something in it
*/

#ifndef IOCP_WINDOWS_PORT_H
#define IOCP_WINDOWS_PORT_H

#include "windows/windows.h"

#include "core/event.h"
#include "core/port_own.h"

#define IOCP_PORT_CLOSED UINT32_C(0x80000000)

/* A part of what a port keeps alive, with a reference: what is associated with it. */
typedef struct iocp_association {
	struct iocp_association *next, *previous; /* in the port's circle, under port_end.c's lock; NULL: in none */
	/* The port ends. The reference is the callee's now; no lock is held. */
	void (*end)(struct iocp_association *association, iocp_port *port);
} iocp_association;

struct iocp_port {
	iocp_object object;
	HANDLE system;
	int adopted;
	uint32_t concurrency;
	_Atomic uint32_t users; /* see the top of port.c */
	_Atomic int64_t posted, dequeued, peak;
	iocp_lock lock;
	iocp_waiters waiters;
	iocp_event ready;  /* a get would find something: for who asked, and */
	HANDLE ready_wait; /* how the system tells, under the lock; NULL: nobody asked */
	iocp_port_own own;
	iocp_association associations; /* the circle's beginning; its `end` is not used */
	_Atomic int64_t expected;      /* operations whose packet is still to be taken */
	int unreferenced;              /* its last reference has gone: whoever ends it frees it */
};

static inline int iocp_port_is_closed(const iocp_port *port)
{
	/* Sequentially consistent: see the top of port.c, and wait.c. */
	return (atomic_load_explicit(&port->users, memory_order_seq_cst) & IOCP_PORT_CLOSED) != 0;
}

/* ---- port_end.c -------------------------------------------------------------------------------------------------- */

/* Counts the caller among those who may use the kernel's port; 0: the port is closed. */
int iocp_port_enter(iocp_port *port);
/* No lock is held: the last to leave one that is closed drops what is queued. */
void iocp_port_leave(iocp_port *port);
/* Makes *packet of what was taken from the kernel's port, which ends an operation if it is one's. 1: it is somebody's;
** 0: it is nobody's. No lock is held. */
int iocp_port_take(iocp_port *port, const OVERLAPPED_ENTRY *entry, iocp_packet *packet);
/* The kernel has, or has no more, an operation whose packet comes to the port. Whoever calls it sees to it that the
** port does not end meanwhile. */
void iocp_port_expect(iocp_port *port, int operations);
/* Has a kernel's object complete to the port, for good. IOCP_INVALID: it completes to another one, or cannot. Or a
** number. The caller has entered, or sees to it that the port does not end meanwhile. */
int iocp_port_associate(iocp_port *port, HANDLE object, uintptr_t key);
/* Puts it, with a reference of the caller's, among what the port keeps. It is in no circle. IOCP_CLOSED: it is not. */
int iocp_port_keep(iocp_port *port, iocp_association *association);
/* Takes it out of its circle. 1: with the reference, which is the caller's now; 0: it was in none. */
int iocp_association_take(iocp_association *association);
/* Ends all that the port keeps: nothing more is started whose packets would come to it. It is closed, or its last
** reference has gone. */
void iocp_port_end_associations(iocp_port *port);
/* Nobody uses the port any more: once what is expected has come, the kernel's port (`system`) is closed, the port
** (`memory`) freed. */
void iocp_port_end(iocp_port *port, int system, int memory);

/* ---- port_ready.c ------------------------------------------------------------------------------------------------ */

/* The port is closed, or its last reference has gone: those who asked are told, for good. No lock is held. */
void iocp_port_end_ready(iocp_port *port);

/* ---- port.c ------------------------------------------------------------------------------------------------------ */

/* Posts the packet of an operation that was done at once. As iocp_port_expect. */
void iocp_port_complete(iocp_port *port, const iocp_packet *packet);

#endif
