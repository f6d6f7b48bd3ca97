/*
** port_end.c - who may use the kernel's port, what is associated with it, and how it ends.
**
** The end. A port that is closed, or whose last reference goes, first ends what is associated with it: from then on no
** operation is started whose packet would come to it, and those that there are were asked to stop. Then, once nobody
** is in a call any more, its queue is emptied. The kernel still has the operations that have not stopped, and with
** them blocks, records and references, and will queue their packets; so if there are any, a thread of the system's
** pool takes these, however long that lasts, and closes the kernel's port behind the last. Whoever closes waits for
** nothing, unless the system has no thread for that: then it is the one who takes them.
**
** An adopted port's queue is left to its owner. A record whose packet lies in it stays until some port over the same
** handle takes it.
**
** Locking: `associations_lock` guards the circles of all ports. It is taken inside a socket's lock, and nothing inside
** it.
*/

#include "windows/port.h"

#include <stdlib.h>

#include "windows/operation.h"

static iocp_lock associations_lock;

/* ---- using the kernel's port ------------------------------------------------------------------------------------- */

int iocp_port_enter(iocp_port *port)
{
	uint32_t users = atomic_load_explicit(&port->users, memory_order_relaxed);
	do {
		if (users & IOCP_PORT_CLOSED)
			return 0;
		/* Acquire: pairs with the release of whoever changed the count before. */
	} while (!atomic_compare_exchange_weak_explicit(
		&port->users, &users, users + 1, memory_order_acquire, memory_order_relaxed));
	return 1;
}

void iocp_port_leave(iocp_port *port)
{
	/* Release: this thread's use of the handle happens-before its end. Acquire: so do all the others'. */
	if (atomic_fetch_sub_explicit(&port->users, 1, memory_order_acq_rel) == (IOCP_PORT_CLOSED | 1))
		iocp_port_end(port, 1, 0);
}

void iocp_port_expect(iocp_port *port, int operations)
{
	/* Relaxed: whoever ends the port is ordered behind those that were started by each socket's lock, and takes the
	** packets of the others himself. */
	atomic_fetch_add_explicit(&port->expected, operations, memory_order_relaxed);
}

int iocp_port_take(iocp_port *port, const OVERLAPPED_ENTRY *entry, iocp_packet *packet)
{
	iocp_operation *operation = iocp_operation_of((uintptr_t)entry->lpOverlapped);
	int mine = 1;
	*packet = (iocp_packet){.key = entry->lpCompletionKey,
		.overlapped = (uintptr_t)entry->lpOverlapped,
		.bytes = entry->dwNumberOfBytesTransferred,
		.code = iocp_status_code(entry->Internal)};
	if (operation) {
		mine = operation->type->end(operation, port, packet);
		iocp_port_expect(port, -1);
		/* It counts as posted when it is taken: nobody knows when it was queued. Relaxed: a counter. */
		atomic_fetch_add_explicit(&port->posted, mine, memory_order_relaxed);
	}
	return mine;
}

/* ---- what is associated ------------------------------------------------------------------------------------------ */

int iocp_port_associate(iocp_port *port, HANDLE object, uintptr_t key)
{
	DWORD error = CreateIoCompletionPort(object, port->system, key, 0) ? 0 : GetLastError();
	return error == 0 ? IOCP_OK : error == ERROR_INVALID_PARAMETER ? IOCP_INVALID : iocp_io_error_of(error);
}

/* The lock is held, here and in the next. */
static void link_in(iocp_association *first, iocp_association *association)
{
	association->next = first;
	association->previous = first->previous;
	first->previous->next = association;
	first->previous = association;
}

static void take_out(iocp_association *association)
{
	association->next->previous = association->previous;
	association->previous->next = association->next;
	association->next = association->previous = NULL;
}

int iocp_port_keep(iocp_port *port, iocp_association *association)
{
	int r = IOCP_CLOSED;
	iocp_lock_acquire(&associations_lock);
	/* Whoever closes sets the flag and then takes the lock: either it is seen here, or this is seen there. */
	if (!iocp_port_is_closed(port)) {
		link_in(&port->associations, association);
		r = IOCP_OK;
	}
	iocp_lock_release(&associations_lock);
	return r;
}

int iocp_association_take(iocp_association *association)
{
	int kept;
	iocp_lock_acquire(&associations_lock);
	kept = association->next != NULL;
	if (kept)
		take_out(association);
	iocp_lock_release(&associations_lock);
	return kept;
}

void iocp_port_end_associations(iocp_port *port)
{
	iocp_association *first = &port->associations, *one;
	do {
		iocp_lock_acquire(&associations_lock);
		one = first->next;
		if (one != first)
			take_out(one);
		iocp_lock_release(&associations_lock);
		if (one != first)
			one->end(one, port);
	} while (one != first);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* Empties the queue, and waits `ms` at a time for what is expected. */
static void empty(iocp_port *port, DWORD ms)
{
	OVERLAPPED_ENTRY entry;
	iocp_packet packet;
	ULONG count;
	/* Relaxed: see iocp_port_expect. */
	while (GetQueuedCompletionStatusEx(port->system, &entry, 1, &count,
		atomic_load_explicit(&port->expected, memory_order_relaxed) > 0 ? ms : 0, FALSE)) {
		int operation = iocp_operation_of((uintptr_t)entry.lpOverlapped) != NULL;
		if (iocp_port_take(port, &entry, &packet) && !operation)
			iocp_port_own_discard(&port->own, port, &packet, 1);
	}
}

static void free_memory(iocp_port *port)
{
	iocp_port_own_free(&port->own);
	free(port);
}

static DWORD WINAPI end_later(void *data)
{
	iocp_port *port = data;
	empty(port, INFINITE);
	CloseHandle(port->system);
	if (port->unreferenced)
		free_memory(port);
	else
		iocp_object_release(&port->object);
	return 0;
}

void iocp_port_end(iocp_port *port, int system, int memory)
{
	if (system && !port->adopted) {
		empty(port, 0);
		if (atomic_load_explicit(&port->expected, memory_order_relaxed) > 0) {
			port->unreferenced = memory;
			if (!memory)
				iocp_object_retain(&port->object); /* the caller has one */
			if (!QueueUserWorkItem(end_later, port, WT_EXECUTELONGFUNCTION))
				end_later(port);
			return;
		}
		CloseHandle(port->system);
	}
	if (memory)
		free_memory(port);
}
