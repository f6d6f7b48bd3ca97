/*
** heap/region.c - which heap a megabyte of the address space belongs to.
**
** A two-level table over 48-bit addresses: 2^14 leaves of 2^14 megabytes. An entry is the heap's address with the kind
** of region in its low bits (malloc aligns to 16), so a lookup compares and never reads memory that it was only told
** about. Leaves are mapped when first needed and stay.
**
** Ordering: entries are read relaxed. A thread that was rightly given an address got it through something
** that orders the write of the entry before (a port, a lock); for an address that is stale or made up either answer is
** fine, because a heap is unmapped only after all its threads have left it (iocp_heap_quiesce) and an entry of another
** heap is only compared.
**
** iocp_region_retain alone follows the pointer, for a caller who has no reference to the heap, while another thread may
** drop the last one. It does so under a lock that is chosen by the entry's place, under which the entry is cleared too.
** A heap clears all its entries (unmap_all) before its description is freed. So whoever finds the entry under the
** lock comes before it is cleared, and so before the heap is freed: what is read there is the heap's count of
** references. If that is 0 already the heap is going, and so is the block.
**
** Lock order: a heap's mutex, then one of these, under which nothing else is taken.
*/

#include "native/native.h"

#include "native/heap/heap.h"

enum { LEAF = 1 << IOCP_LEAF_BITS, LOCKS = 64 };

static iocp_lock locks[LOCKS];

static iocp_lock *lock_of(const void *address)
{
	return &locks[((uintptr_t)address >> IOCP_SEGMENT_BITS) % LOCKS];
}

_Atomic(iocp_region *) iocp_region_leaves[1 << (IOCP_ADDRESS_BITS - IOCP_SEGMENT_BITS - IOCP_LEAF_BITS)];

static int add_leaf(const void *address)
{
	_Atomic(iocp_region *) *place = &iocp_region_leaves[(uintptr_t)address >> IOCP_SEGMENT_BITS >> IOCP_LEAF_BITS];
	iocp_region *expected = NULL;
	iocp_region *leaf = iocp_prim_map(LEAF * sizeof(*leaf), IOCP_SMALL_PAGE);
	if (!leaf)
		return 0;
	/* Release: see iocp_region_entry. */
	if (!atomic_compare_exchange_strong_explicit(place, &expected, leaf, memory_order_release, memory_order_relaxed))
		iocp_prim_unmap(leaf, LEAF * sizeof(*leaf)); /* another thread was first */
	return 1;
}

int iocp_region_set(const void *address, const iocp_heap *heap, enum iocp_region_kind kind)
{
	iocp_region *e = iocp_region_entry(address);
	if (!e) {
		if ((uintptr_t)address >> IOCP_ADDRESS_BITS || !add_leaf(address))
			return 0;
		e = iocp_region_entry(address);
	}
	/* Release: pairs with iocp_region_retain, for an address that nobody gave it: the heap is made. */
	atomic_store_explicit(e, (uintptr_t)heap | (uintptr_t)kind, memory_order_release);
	return 1;
}

void iocp_region_clear(const void *address)
{
	iocp_lock_acquire(lock_of(address));
	atomic_store_explicit(iocp_region_entry(address), 0, memory_order_relaxed);
	iocp_lock_release(lock_of(address));
}

iocp_heap *iocp_region_retain(const void *address)
{
	iocp_region *entry = iocp_region_entry(address);
	iocp_object *heap = NULL;
	if (!entry)
		return NULL;
	iocp_lock_acquire(lock_of(address));
	/* Acquire: pairs with iocp_region_set. */
	heap = (iocp_object *)(atomic_load_explicit(entry, memory_order_acquire) & ~(uintptr_t)IOCP_REGION_KINDS);
	if (heap)
		heap = iocp_object_try_retain(heap);
	iocp_lock_release(lock_of(address));
	return (iocp_heap *)heap;
}
