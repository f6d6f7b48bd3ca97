/*
** inbox.c - where posts go while packets wait, so that who posts and who gets do not meet at every packet.
**
** Whoever takes the port's lock from a thread on another processor fetches half a dozen cache lines with it. So while a
** backlog waits the inbox is open: a post then takes only its lock, and writes its line and a chunk that nobody reads
** yet. Who gets and finds the queue empty exchanges it for the inbox, all packets at once, and both sides go on with
** chunks of their own. Who finds the inbox empty, too, shuts it, and posts are made under the port's lock again, which
** hands a packet to a thread that waits for it.
**
** What holds whenever the port's lock is free:
** - A thread is parked beside a free slot only if the inbox is shut. Whoever parks, or makes a slot free, has looked
**   there (iocp_port_has_packets): it has taken what there was, or shut it. Only a post that found nobody to hand its
**   packet to opens it. So what port.c, slot.c and wake.c say of who is let in, and woken, holds beside an inbox, too.
** - A thread is parked beside an empty queue only if the inbox is shut, or the port is watched: for what comes there.
**   (iocp_port_is_stuck, which sections end with, looks there.)
** - What is in the inbox is younger than what is queued. Whatever else queues packets, or is to know how many there
**   are, shuts the inbox first, in the same section (iocp_inbox_shut): what lies in it goes behind the others.
** - It is open only at a port without I/O and without a capacity, which is not closed, and of which nobody has asked to
**   be told of packets: whatever changes that shuts it as well.
** A packet is in one of the two at every moment, since it goes from one to the other under both locks. `open` changes
** under both, and so is known under either; a post looks without one first, and finds out under the lock that it takes.
**
** The peak. Who posts does not see what is taken, and to look at each post would bring back the line that moves: so it
** counts its own, and looks only when that would be more than the peak and by a 128th more than what it found last. So
** the peak is never too low; it is exact below 128 packets and where nothing is taken meanwhile, else too high by one
** in 128 at most. A look finds all that was taken before the post, if that happens-before it; if not, who could tell?
**
** Locks: the port's, then the inbox's, under which nothing is allocated, freed or waited for. While the inbox is open
** the port's `poster_cpu`, a hint, stays as it is. spec/model/port.pml has the inbox, too.
*/

#include "native/port.h"

/* The peak as it is with so many more, and how far it is sure from here on. The lock is held, as for the next. */
static void look_and_count(iocp_port *port, size_t count)
{
	iocp_inbox *inbox = &port->inbox;
	/* Relaxed: see the top; it is written under the port's lock. */
	uint64_t dequeued = atomic_load_explicit(&port->dequeued, memory_order_relaxed);
	if (inbox->length > port->peak)
		port->peak = inbox->length;
	inbox->length += count - (dequeued - inbox->seen);
	inbox->seen = dequeued;
	if (inbox->length > port->peak)
		port->peak = inbox->length;
	inbox->sure = inbox->length + inbox->length / 128;
	if (inbox->sure < port->peak)
		inbox->sure = port->peak;
	port->hurries = 0;
}

static void append(iocp_port *port, const iocp_packet *packets, size_t count)
{
	iocp_inbox *inbox = &port->inbox;
	if (count == 1)
		iocp_queue_append(&inbox->queue, packets);
	else
		iocp_queue_append_many(&inbox->queue, packets, count);
	if (inbox->length + count > inbox->sure)
		look_and_count(port, count);
	else
		inbox->length += count;
}

int iocp_inbox_post(iocp_port *port, const iocp_packet *packets, size_t count)
{
	iocp_inbox *inbox = &port->inbox;
	iocp_chunk *fresh = NULL;
	size_t bytes;
	do {
		iocp_lock_acquire_often(&inbox->lock);
		if (!iocp_inbox_is_open(port)) {
			iocp_lock_release(&inbox->lock);
			iocp_chunks_free(fresh);
			return 0;
		}
		if (fresh)
			iocp_queue_add_spare(&inbox->queue, fresh);
		if (iocp_queue_has_room(&inbox->queue, count)) {
			append(port, packets, count);
			iocp_lock_release(&inbox->lock);
			return 1;
		}
		bytes = iocp_queue_next_size(&inbox->queue);
		iocp_lock_release(&inbox->lock);
		fresh = iocp_chunk_new(count, bytes);
	} while (fresh);
	return 0;
}

void iocp_inbox_open(iocp_port *port)
{
	iocp_inbox *inbox = &port->inbox;
	iocp_lock_acquire_often(&inbox->lock);
	inbox->length = port->queue.count;
	inbox->seen = atomic_load_explicit(&port->dequeued, memory_order_relaxed); /* written under the port's lock */
	inbox->sure = port->peak;
	port->hurries = 0;
	/* Relaxed, here and below: relied on under one of the locks only. */
	atomic_store_explicit(&inbox->open, 1, memory_order_relaxed);
	iocp_lock_release(&inbox->lock);
}

/* Who gets is at the heels of who posts: it lets it go ahead, without a look at its lines. What may happen to the inbox
** meanwhile is that packets come. */
static void let_it_fill(iocp_port *port)
{
	enum { FEW = 128, PAUSES = 256 };
	iocp_inbox *inbox = &port->inbox;
	int few = inbox->queue.count && inbox->queue.count < FEW, i;
	if (few && port->hurries) {
		iocp_lock_release(&inbox->lock);
		for (i = 0; i < PAUSES; i++)
			iocp_relax();
		iocp_lock_acquire_often(&inbox->lock);
	}
	port->hurries = few;
}

void iocp_inbox_empty(iocp_port *port, int shuts)
{
	iocp_inbox *inbox = &port->inbox;
	iocp_lock_acquire_often(&inbox->lock);
	if (!shuts)
		let_it_fill(port);
	if (shuts || !inbox->queue.count)
		atomic_store_explicit(&inbox->open, 0, memory_order_relaxed);
	port->posted += inbox->queue.count;
	if (inbox->length > port->peak)
		port->peak = inbox->length;
	iocp_queue_join(&port->queue, &inbox->queue);
	iocp_lock_release(&inbox->lock);
}
