/*
** heap/block.c - allocating, resizing and freeing, by the system's functions, with a registry of what lives.
**
** A block of an adopted heap is what the system says it is; the check of an address and its use are two steps there, so
** two threads must not free the same block at once, or free one that an operation begins to use. See heap.h.
*/

#include "windows/heap/heap.h"

#include <string.h>

/* ---- the maximum and the counters -------------------------------------------------------------------------------- */

static int64_t charge_of(size_t size)
{
	return size ? (int64_t)((size + 15) / 16 * 16) : 16;
}

/* Takes `bytes` (or, negative, gives them back) from what the heap may hold. 0: it may not, and nothing was taken, not
** even for a moment, in which others would find no room. */
static int charge(iocp_heap *heap, int64_t bytes)
{
	/* Relaxed, as all in this part: sums that order nothing else. */
	int64_t now = atomic_load_explicit(&heap->charged, memory_order_relaxed);
	do
		if (bytes > 0 && heap->maximum && (uint64_t)(now + bytes) > heap->maximum)
			return 0;
	while (!atomic_compare_exchange_weak_explicit(
		&heap->charged, &now, now + bytes, memory_order_relaxed, memory_order_relaxed));
	return 1;
}

static void count(iocp_heap *heap, int64_t blocks, int64_t bytes)
{
	int64_t now = atomic_fetch_add_explicit(&heap->bytes, bytes, memory_order_relaxed) + bytes;
	int64_t peak = atomic_load_explicit(&heap->peak_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&heap->blocks, blocks, memory_order_relaxed);
	while (now > peak
		   && !atomic_compare_exchange_weak_explicit(
			   &heap->peak_bytes, &peak, now, memory_order_relaxed, memory_order_relaxed))
		;
}

/* ---- live blocks ------------------------------------------------------------------------------------------------- */

/* Asks the system about a block of an adopted heap. HeapValidate looks at the header before the block, so that must be
** memory. */
static int ask_system(const iocp_heap *heap, const void *address, size_t *size)
{
	MEMORY_BASIC_INFORMATION region;
	const char *header = (const char *)address - 16;
	if (!address || (uintptr_t)address % 16 != 0 || !VirtualQuery(header, &region, sizeof(region))
		|| region.State != MEM_COMMIT || (region.Protect & (PAGE_NOACCESS | PAGE_GUARD))
		|| !HeapValidate(heap->system, 0, address))
		return 0;
	*size = HeapSize(heap->system, 0, address);
	return *size != (SIZE_T)-1;
}

/* The same for who would free or resize it: not while an operation uses it. */
static int ask_for_idle(iocp_heap *heap, const void *address, size_t *size)
{
	return !iocp_registry_has(heap, address) && ask_system(heap, address, size);
}

int iocp_block_pin(iocp_heap *heap, const void *address, size_t *size)
{
	return heap->adopted ? ask_system(heap, address, size) : iocp_registry_hold(heap, address, size);
}

void iocp_block_unpin(iocp_heap *heap, const void *address)
{
	if (!heap->adopted)
		iocp_registry_let(heap, address);
}

/* ---- allocating -------------------------------------------------------------------------------------------------- */

int iocp_block_alloc(iocp_heap *heap, size_t size, int flags, void **address)
{
	void *block;
	if (size > IOCP_LARGEST || !charge(heap, charge_of(size)))
		return IOCP_NOMEM;
	block = HeapAlloc(heap->system, flags & IOCP_ZERO ? HEAP_ZERO_MEMORY : 0, size);
	if (block && !heap->adopted && iocp_registry_add(heap, block, size) != IOCP_OK) {
		HeapFree(heap->system, 0, block);
		block = NULL;
	}
	if (!block) {
		(void)charge(heap, -charge_of(size));
		return IOCP_NOMEM;
	}
	count(heap, 1, (int64_t)size);
	*address = block;
	return IOCP_OK;
}

int iocp_heap_alloc(iocp_heap *heap, size_t size, int flags, void **address)
{
	int r = iocp_heap_enter(heap);
	if (r != IOCP_OK)
		return r;
	r = iocp_block_alloc(heap, size, flags, address);
	iocp_heap_leave(heap);
	return r;
}

int iocp_heap_free(iocp_heap *heap, void *address)
{
	size_t size;
	int r;
	if (!address)
		return IOCP_OK;
	r = iocp_heap_enter(heap);
	if (r != IOCP_OK)
		return r;
	if (heap->adopted ? ask_for_idle(heap, address, &size) : iocp_registry_remove(heap, address, &size)) {
		HeapFree(heap->system, 0, address);
		(void)charge(heap, -charge_of(size));
		count(heap, -1, -(int64_t)size);
	} else {
		r = IOCP_INVALID;
	}
	iocp_heap_leave(heap);
	return r;
}

/* ---- resizing ---------------------------------------------------------------------------------------------------- */

/* Gives a claimed block another size where it is, or a copy in its place. NULL: there is no memory, and it is as it
** was; there always is to shrink. Not by a HeapReAlloc that moves: the registry may lack memory for the new place, and
** the old one is gone by then. What is new is cleared here: the system may take the block for larger than it is. */
static void *resize(iocp_heap *heap, void *address, size_t old_size, size_t size, int flags)
{
	size_t kept = old_size < size ? old_size : size;
	char *moved = address;
	if (!HeapReAlloc(heap->system, HEAP_REALLOC_IN_PLACE_ONLY, address, size)) {
		moved = HeapAlloc(heap->system, 0, size);
		if (moved && iocp_registry_add(heap, moved, size) != IOCP_OK) {
			HeapFree(heap->system, 0, moved);
			moved = NULL;
		}
		if (moved)
			memcpy(moved, address, kept);
		else if (size <= old_size)
			moved = address;
	}
	if (moved && (flags & IOCP_ZERO))
		memset(moved + kept, 0, size - kept);
	if (moved && moved != address) {
		iocp_registry_drop(heap, address);
		HeapFree(heap->system, 0, address);
	} else {
		iocp_registry_settle(heap, address, moved ? size : old_size);
	}
	return moved;
}

/* The caller is inside. */
static int realloc_block(iocp_heap *heap, void *address, size_t size, int flags, void **moved)
{
	size_t old_size;
	int64_t more;
	void *block;
	if (!(heap->adopted ? ask_for_idle(heap, address, &old_size) : iocp_registry_claim(heap, address, &old_size)))
		return IOCP_INVALID;
	more = size <= IOCP_LARGEST ? charge_of(size) - charge_of(old_size) : 0;
	if (size > IOCP_LARGEST || !charge(heap, more)) {
		if (!heap->adopted)
			iocp_registry_settle(heap, address, old_size);
		return IOCP_NOMEM;
	}
	if (heap->adopted)
		block = HeapReAlloc(heap->system, flags & IOCP_ZERO ? HEAP_ZERO_MEMORY : 0, address, size);
	else
		block = resize(heap, address, old_size, size, flags);
	if (!block) {
		(void)charge(heap, -more);
		return IOCP_NOMEM;
	}
	count(heap, 0, (int64_t)size - (int64_t)old_size);
	*moved = block;
	return IOCP_OK;
}

int iocp_heap_realloc(iocp_heap *heap, void *address, size_t size, int flags, void **moved)
{
	int r;
	if (!address)
		return iocp_heap_alloc(heap, size, flags, moved);
	r = iocp_heap_enter(heap);
	if (r != IOCP_OK)
		return r;
	r = realloc_block(heap, address, size, flags, moved);
	iocp_heap_leave(heap);
	return r;
}
