/*
** stream.c - posting to a long queue without the port's lock.
**
** Where threads post and get at once, each of them would wait for the other's turn at the port's lock. In a queue with
** many packets they have nothing to do with each other: so once there are IOCP_STREAM_FROM, `streams` is set, and
** posters write behind the queue's last packet under a lock of their own. The queue itself is guarded by the port's
** lock as ever, and does not know those packets: whoever holds that lock adds them (iocp_stream_join) when it needs
** them, or counts.
**
** Claim: while it streams nobody can tell. (1) At least one packet is queued: a get leaves one, or ends the stream
** first, so a get never finds too little, and nothing that follows from an empty queue which is one no more (the
** watch, `ready`, who is woken) is left undone. (2) Nobody is parked, nobody has asked to be told, there is no I/O and
** the port is open: it begins only if that is so, and who parks, asks, makes I/O or closes ends it first. So a post
** would have done nothing but append. (3) Order: what was posted so lies behind all that the queue has, in the order
** in which the posters had their lock; who appends to the queue ends the stream first, which joins all that. A post
** that has returned has been published before, so that whoever takes the port's lock after that joins it.
**
** Ending: with the port's lock held, `streams` is reset under the posters' lock. Whoever had that before has
** published; who gets it later finds `streams` reset, and takes the port's lock. A thread that holds the posters' lock
** waits for nothing, so there is no deadlock: the port's lock comes first.
**
** Memory: a poster's packet happens-before the release of `published`, which a join acquires. `next` and `end` are
** written and read under the posters' lock. `peak` is what joins find: a get joins at least every LOOK packets, so it
** may be some so many too small.
**
** All of this is a model in spec/model/stream.pml.
*/

#include "native/port.h"

#include <string.h>

enum { LOOK = 64 };

void iocp_stream_begin_slowly(iocp_port *port)
{
	iocp_chunk *tail = port->queue.tail;
	if (port->waiters.newest || port->asked || iocp_poll_of(port) || tail->last == tail->capacity)
		return;
	port->streaming = 1;
	port->joined = 0;
	port->unlooked = LOOK; /* the first get looks */
	iocp_lock_acquire(&port->posters);
	port->next = tail->packets + tail->last;
	port->end = tail->packets + tail->capacity;
	/* Relaxed, all: under the posters' lock, or before a hint that says to take it. */
	atomic_store_explicit(&port->published, 0, memory_order_relaxed);
	atomic_store_explicit(&port->streams, 1, memory_order_relaxed);
	iocp_lock_release(&port->posters);
}

int iocp_stream_post_slowly(iocp_port *port, const iocp_packet *packets, size_t count)
{
	int posted = 0;
	iocp_lock_acquire(&port->posters);
	if (atomic_load_explicit(&port->streams, memory_order_relaxed) && (size_t)(port->end - port->next) >= count) {
		uint64_t published = atomic_load_explicit(&port->published, memory_order_relaxed);
		if (count == 1) /* mostly; without a call */
			*port->next = *packets;
		else
			memcpy(port->next, packets, count * sizeof(*packets));
		port->next += count;
		/* Release: pairs with the acquire in iocp_stream_join. */
		atomic_store_explicit(&port->published, published + count, memory_order_release);
		posted = 1;
	}
	iocp_lock_release(&port->posters);
	return posted;
}

void iocp_stream_join(iocp_port *port)
{
	uint64_t published, fresh;
	if (!port->streaming)
		return;
	/* Acquire: pairs with the release in iocp_stream_post. */
	published = atomic_load_explicit(&port->published, memory_order_acquire);
	fresh = published - port->joined;
	port->joined = published;
	port->queue.tail->last += fresh;
	port->queue.count += fresh;
	port->posted += fresh;
	if (port->queue.count > port->peak)
		port->peak = port->queue.count;
}

void iocp_stream_end_slowly(iocp_port *port)
{
	iocp_lock_acquire(&port->posters);
	atomic_store_explicit(&port->streams, 0, memory_order_relaxed);
	iocp_lock_release(&port->posters);
	iocp_stream_join(port);
	port->streaming = 0;
}

void iocp_stream_prepare_take_slowly(iocp_port *port, size_t max)
{
	if (port->queue.count <= max || port->unlooked >= LOOK) {
		port->unlooked = 0;
		iocp_stream_join(port);
	}
	port->unlooked += (uint32_t)max;
	if (port->queue.count <= max)
		iocp_stream_end(port);
}
