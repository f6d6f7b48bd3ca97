/*
** packets.c - a port's packets under its lock: room for those to come, and taking those that wait.
**
** Packets of I/O have a mark in their code while they are queued, by which they are counted: see leader.c.
*/

#include "native/port.h"

int iocp_port_lock_with_room(iocp_port *port, size_t count, int may_hand_over)
{
	iocp_chunk *fresh = NULL;
	size_t bytes;
	for (;;) {
		iocp_lock_acquire(&port->lock);
		if (port->closed) {
			iocp_lock_release(&port->lock);
			iocp_chunks_free(fresh);
			return IOCP_CLOSED;
		}
		if (fresh) {
			iocp_queue_add_spare(&port->queue, fresh);
			fresh = NULL;
		}
		if ((may_hand_over && port->waiters.newest && iocp_port_has_slot(port))
			|| iocp_queue_has_room(&port->queue, count))
			return IOCP_OK;
		bytes = iocp_queue_next_size(&port->queue);
		iocp_lock_release(&port->lock);
		fresh = iocp_chunk_new(count, bytes);
		if (!fresh)
			return IOCP_NOMEM;
	}
}

int iocp_port_lock_for(iocp_port *port, size_t count)
{
	int r = iocp_port_lock_with_room(port, count, 0);
	if (r == IOCP_NOMEM) {
		iocp_lock_acquire(&port->lock);
		if (port->closed) {
			iocp_lock_release(&port->lock);
			r = IOCP_CLOSED;
		}
	}
	return r;
}

/* Marked ones lose the mark. */
static void count_taken(iocp_poll *poll, iocp_packet *packets, size_t count)
{
	size_t i;
	poll->taken += (uint32_t)count;
	for (i = 0; poll->queued && i < count; i++)
		if (packets[i].code & IOCP_IO_MARK) {
			packets[i].code &= ~IOCP_IO_MARK;
			poll->queued--;
		}
}

int iocp_port_tells(iocp_port *port)
{
	iocp_poll *poll = iocp_poll_of(port);
	int tells = port->asked && (port->queue.count || port->closed);
	if (poll && poll->pollable && !poll->raised && (port->queue.count || port->closed)) {
		iocp_prim_pollable_raise(poll->pollable); /* does not wait, and is rare enough to be done under the lock */
		poll->raised = 1;
	}
	if (tells)
		port->asked = 0;
	return tells;
}

size_t iocp_port_take(iocp_port *port, iocp_packet *packets, size_t max, iocp_chunk **garbage)
{
	iocp_poll *poll = iocp_poll_of(port);
	size_t taken = iocp_queue_take(&port->queue, packets, max, garbage);
	port->dequeued += taken;
	if (poll)
		count_taken(poll, packets, taken);
	if (poll && poll->raised && !port->queue.count && !port->closed) {
		iocp_prim_pollable_lower(poll->pollable);
		poll->raised = 0;
	}
	return taken;
}
