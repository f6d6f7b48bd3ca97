/*
** region.c - which heap a megabyte of the address space belongs to.
**
** A two-level table over 48-bit addresses: 2^14 leaves of 2^14 megabytes. An entry is the heap's address with the kind
** of region in its low bits (malloc aligns to 16), so a lookup compares and never reads memory that it was only told about. Leaves are mapped
** when first needed and stay.
**
** Ordering: entries are written and read relaxed. A thread that was rightly given an address got it through something
** that orders the write of the entry before (a port, a lock); for an address that is stale or made up either answer is
** fine, because a heap is unmapped only after all its threads have left it (iocp_heap_quiesce) and an entry of another
** heap is only compared.
*/

#include "linux/linux.h"

#include <sys/mman.h>

#include "linux/heap.h"

enum { LEAF_BITS = 14, LEAF = 1 << LEAF_BITS, SEGMENT_BITS = 20, ADDRESS_BITS = 48, KIND_MASK = 3 };

typedef _Atomic uintptr_t entry;

static _Atomic(entry *) leaves[1 << (ADDRESS_BITS - SEGMENT_BITS - LEAF_BITS)];

static entry *entry_of(const void *address)
{
	uintptr_t region = (uintptr_t)address >> SEGMENT_BITS;
	entry *leaf;
	if (region >> (ADDRESS_BITS - SEGMENT_BITS))
		return NULL;
	/* Acquire: pairs with the release in add_leaf; the leaf's zeroes come from the kernel. */
	leaf = atomic_load_explicit(&leaves[region >> LEAF_BITS], memory_order_acquire);
	return leaf ? &leaf[region & (LEAF - 1)] : NULL;
}

enum iocp_region_kind iocp_region_of(const iocp_heap *heap, const void *address)
{
	entry *e = entry_of(address);
	uintptr_t value = e ? atomic_load_explicit(e, memory_order_relaxed) : 0;
	return (value & ~(uintptr_t)KIND_MASK) == (uintptr_t)heap ? (enum iocp_region_kind)(value & KIND_MASK)
															  : IOCP_REGION_NONE;
}

static int add_leaf(const void *address)
{
	_Atomic(entry *) *place = &leaves[(uintptr_t)address >> SEGMENT_BITS >> LEAF_BITS];
	entry *expected = NULL;
	entry *leaf = mmap(NULL, LEAF * sizeof(entry), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (leaf == MAP_FAILED)
		return 0;
	/* Release: see entry_of. */
	if (!atomic_compare_exchange_strong_explicit(place, &expected, leaf, memory_order_release, memory_order_relaxed))
		munmap(leaf, LEAF * sizeof(entry)); /* another thread was first */
	return 1;
}

int iocp_region_set(const void *address, const iocp_heap *heap, enum iocp_region_kind kind)
{
	entry *e = entry_of(address);
	if (!e) {
		if ((uintptr_t)address >> ADDRESS_BITS || !add_leaf(address))
			return 0;
		e = entry_of(address);
	}
	atomic_store_explicit(e, (uintptr_t)heap | (uintptr_t)kind, memory_order_relaxed);
	return 1;
}

void iocp_region_clear(const void *address)
{
	atomic_store_explicit(entry_of(address), 0, memory_order_relaxed);
}

void *iocp_region_map(size_t bytes)
{
	const size_t alignment = IOCP_SEGMENT;
	size_t before;
	char *memory, *aligned;
	if (bytes > SIZE_MAX / 2)
		return NULL;
	memory = mmap(NULL, bytes + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	before = (alignment - ((uintptr_t)memory & (alignment - 1))) & (alignment - 1);
	aligned = memory + before;
	if (before)
		munmap(memory, before);
	munmap(aligned + bytes, alignment - before);
	madvise(aligned, bytes, MADV_NOHUGEPAGE); /* see queue.c */
	return aligned;
}

void iocp_region_unmap(void *address, size_t bytes)
{
	munmap(address, bytes);
}
