/*
** heap/large.c - blocks above IOCP_MEDIUM_LIMIT, each mapped on its own.
**
** The first touch of a mapping's pages costs more than copying what goes there, so some of those that are freed are
** kept for the heap's next such block: the newest, as long as all heaps together keep no more than KEPT_LIMIT, and only
** if the next one needs at least half of it. A heap with a maximum keeps none, so that it has no more than it is
** charged for.
**
** A block that is kept stays the heap's in the region map, with a header that says "not live", so whoever looks at its
** stale address finds that, as with a small one. Only what is unmapped needs a grace period.
**
** Locking: the heap's mutex guards both lists. `kept_bytes` is a counter that orders nothing else, hence relaxed.
*/

#include "native/heap/heap.h"

#include <string.h>

enum { KEPT_LIMIT = 8 << 20 };

static _Atomic size_t kept_bytes; /* of all heaps */

size_t iocp_large_mapping(size_t size)
{
	return (size + IOCP_LARGE_OFFSET + 4095) & ~(size_t)4095;
}

/* Puts the block on the list of live ones. The mutex is held. */
static void link_live(iocp_heap *heap, iocp_large *large)
{
	large->previous = NULL;
	large->next = heap->large;
	if (large->next)
		large->next->previous = large;
	heap->large = large;
}

static void unlink_live(iocp_heap *heap, iocp_large *large)
{
	if (large->next)
		large->next->previous = large->previous;
	if (large->previous)
		large->previous->next = large->next;
	else
		heap->large = large->next;
}

/* ---- kept ones --------------------------------------------------------------------------------------------------- */

/* Takes one for a block that needs `mapped` bytes off the list; NULL: none suits. The mutex is held. */
static iocp_large *take_kept(iocp_heap *heap, size_t mapped)
{
	iocp_large **place = &heap->kept, *large;
	while ((large = *place) != NULL && !(large->mapped >= mapped && large->mapped / 2 <= mapped))
		place = &large->next;
	if (large) {
		*place = large->next;
		atomic_fetch_sub_explicit(&kept_bytes, large->mapped, memory_order_relaxed);
	}
	return large;
}

/* The oldest, which is no longer the heap's. The mutex is held. */
static iocp_large *evict_oldest(iocp_heap *heap)
{
	iocp_large **place = &heap->kept, *large;
	while ((*place)->next)
		place = &(*place)->next;
	large = *place;
	*place = NULL;
	atomic_fetch_sub_explicit(&kept_bytes, large->mapped, memory_order_relaxed);
	heap->large_bytes -= large->mapped;
	iocp_region_clear(large);
	return large;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static iocp_large *map_fresh(const iocp_heap *heap, size_t mapped)
{
	iocp_large *large = iocp_prim_map(mapped, mapped >= IOCP_HUGE_PAGE ? IOCP_HUGE_PAGE : IOCP_SEGMENT);
	if (large && !iocp_region_set(large, heap, IOCP_REGION_LARGE)) {
		iocp_prim_unmap(large, mapped);
		return NULL;
	}
	if (large)
		large->mapped = mapped;
	return large;
}

void *iocp_large_take(iocp_heap *heap, size_t size, int flags)
{
	size_t mapped;
	iocp_large *large;
	char *block;
	int fresh;
	if (size > IOCP_LARGEST)
		return NULL;
	mapped = iocp_large_mapping(size);
	iocp_lock_acquire(&heap->mutex);
	large = take_kept(heap, mapped);
	iocp_lock_release(&heap->mutex);
	fresh = !large;
	if (fresh && !(large = map_fresh(heap, mapped)))
		return NULL;
	block = (char *)large + IOCP_LARGE_OFFSET;
	if (!fresh && (flags & IOCP_ZERO))
		memset(block, 0, size);
	/* Relaxed: the caller publishes the address together with what it writes there. */
	atomic_store_explicit(&large->header, (uint64_t)size << 1 | IOCP_LIVE, memory_order_relaxed);
	iocp_lock_acquire(&heap->mutex);
	link_live(heap, large);
	if (fresh)
		heap->large_bytes += mapped;
	iocp_lock_release(&heap->mutex);
	return block;
}

void iocp_large_drop(iocp_heap *heap, iocp_large *large)
{
	iocp_large *evicted = NULL;
	iocp_lock_acquire(&heap->mutex);
	/* Relaxed: written under the mutex. A heap that is destroyed meanwhile unmaps what is on its lists. */
	if (atomic_load_explicit(&heap->gate, memory_order_relaxed) != IOCP_GATE_DESTROYED) {
		unlink_live(heap, large);
		large->next = heap->kept;
		heap->kept = large;
		atomic_fetch_add_explicit(&kept_bytes, large->mapped, memory_order_relaxed);
		while (heap->kept && (heap->maximum || atomic_load_explicit(&kept_bytes, memory_order_relaxed) > KEPT_LIMIT)) {
			iocp_large *oldest = evict_oldest(heap);
			oldest->next = evicted;
			evicted = oldest;
		}
	}
	iocp_lock_release(&heap->mutex);
	if (evicted)
		iocp_heap_quiesce(heap);
	while (evicted) {
		iocp_large *next = evicted->next;
		iocp_prim_unmap(evicted, evicted->mapped);
		evicted = next;
	}
}

static void unmap_list(iocp_large *large)
{
	while (large) {
		iocp_large *next = large->next;
		iocp_region_clear(large);
		iocp_prim_unmap(large, large->mapped);
		large = next;
	}
}

void iocp_large_unmap_all(iocp_heap *heap)
{
	iocp_large *live, *kept, *large;
	iocp_lock_acquire(&heap->mutex);
	live = heap->large;
	kept = heap->kept;
	heap->large = heap->kept = NULL;
	heap->large_bytes = 0;
	iocp_lock_release(&heap->mutex);
	for (large = kept; large; large = large->next)
		atomic_fetch_sub_explicit(&kept_bytes, large->mapped, memory_order_relaxed);
	unmap_list(live);
	unmap_list(kept);
}
