/*
** port_own.c - what every port has besides its queue, on all backends: a heap of its own, what is to be done with the
** packets that it drops, and perhaps a capacity (room.c).
**
** Ownership: the port holds the one reference to its heap.
**
** Locking: `lock` guards what is called, a function and its data, and is held for no longer than it takes to copy them.
** Who drops a packet is ordered behind who posted it by the port's lock, and so behind whatever that thread set before.
*/

#include "core/port_own.h"

int iocp_port_own_heap(iocp_port_own *own, int (*create)(iocp_heap **), iocp_heap **heap)
{
	/* Acquire: pairs with the release below. */
	iocp_heap *found = atomic_load_explicit(&own->heap, memory_order_acquire), *fresh;
	if (!found) {
		int r = create(&fresh);
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

void iocp_port_own_set_discard(iocp_port_own *own, iocp_discard discard, void *data)
{
	iocp_lock_acquire(&own->lock);
	own->all = (iocp_port_discard){discard, data};
	iocp_lock_release(&own->lock);
}

int iocp_port_own_set_discard_of(iocp_port_own *own, uintptr_t overlapped, iocp_discard discard, void *data)
{
	/* Relaxed, here and below: it says nothing about anything else, as `marked` is read under the lock. Mostly it is
	** the one already; then the line is left to those who read it. */
	uintptr_t mark = atomic_load_explicit(&own->mark, memory_order_relaxed);
	if (!mark) {
		iocp_lock_acquire(&own->lock);
		mark = atomic_load_explicit(&own->mark, memory_order_relaxed);
		if (!mark) {
			own->marked = (iocp_port_discard){discard, data};
			atomic_store_explicit(&own->mark, overlapped, memory_order_relaxed);
			mark = overlapped;
		}
		iocp_lock_release(&own->lock);
	}
	return mark == overlapped ? IOCP_OK : IOCP_INVALID;
}

void iocp_port_own_discard(iocp_port_own *own, iocp_port *port, const iocp_packet *packets, size_t count)
{
	iocp_port_discard all, marked;
	uintptr_t mark;
	size_t i;
	if (count == 0)
		return;
	iocp_lock_acquire(&own->lock);
	all = own->all;
	marked = own->marked;
	mark = atomic_load_explicit(&own->mark, memory_order_relaxed);
	iocp_lock_release(&own->lock);
	for (i = 0; i < count; i++) {
		const iocp_port_discard *to = mark && packets[i].overlapped == mark ? &marked : &all;
		if (to->call)
			to->call(port, &packets[i], to->data);
	}
}

int iocp_port_own_set_room(iocp_port_own *own, const iocp_room *like)
{
	if (own->room || !like->capacity)
		return IOCP_INVALID;
	own->room = iocp_room_new(like);
	return own->room ? IOCP_OK : IOCP_NOMEM;
}

uint64_t iocp_port_own_capacity(const iocp_port_own *own, double *ms)
{
	if (!own->room)
		return 0;
	if (ms)
		*ms = own->room->patience;
	return own->room->capacity;
}

void iocp_port_own_free(iocp_port_own *own)
{
	iocp_room_free(own->room);
	iocp_heap_release(atomic_load_explicit(&own->heap, memory_order_relaxed)); /* nobody else is left */
}
