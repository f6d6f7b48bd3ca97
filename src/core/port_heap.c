/*
** port_heap.c - what every port has besides its queue, on all backends: a heap of its own, and what is to be done with
** the packets that it drops.
**
** Ownership: the port holds the one reference to its heap. No locks: both fields are atomics.
*/

#include "core/port_heap.h"

int iocp_port_own_heap(iocp_port_own *own, iocp_heap **heap)
{
	/* Acquire: pairs with the release below. */
	iocp_heap *found = atomic_load_explicit(&own->heap, memory_order_acquire), *fresh;
	if (!found) {
		int r = iocp_heap_create_private(&fresh);
		if (r != IOCP_OK)
			return r;
		/* Release: the heap is made before it is found. Acquire: so is one that another thread made first. */
		if (atomic_compare_exchange_strong_explicit(
				&own->heap, &found, fresh, memory_order_acq_rel, memory_order_acquire))
			found = fresh;
		else
			iocp_heap_release(fresh);
	}
	*heap = found;
	return IOCP_OK;
}

void iocp_port_own_set_discard(iocp_port_own *own, iocp_discard *discard)
{
	/* Relaxed: who drops a packet is ordered behind who posted it, and so behind this, by the port's lock. Mostly it is
	** the one already; then the line is left to those who read it. */
	if (atomic_load_explicit(&own->discard, memory_order_relaxed) != discard)
		atomic_store_explicit(&own->discard, discard, memory_order_relaxed);
}

void iocp_port_own_discard(iocp_port_own *own, iocp_port *port, const iocp_packet *packets, size_t count)
{
	iocp_discard *discard = atomic_load_explicit(&own->discard, memory_order_relaxed); /* see above */
	size_t i;
	for (i = 0; discard && i < count; i++)
		discard(port, &packets[i]);
}

void iocp_port_own_free(iocp_port_own *own)
{
	iocp_heap_release(atomic_load_explicit(&own->heap, memory_order_relaxed)); /* nobody else is left */
}
