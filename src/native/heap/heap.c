/*
** heap.c - the life of a heap, and what looks at all of it: walk, validate, stats. Blocks are heap/block.c's.
*/

#include "native/heap/heap.h"
#include "core/sized.h"

#include <stdlib.h>

#include "core/busy.h"
#include "core/port_own.h"

static iocp_heap *heap_of(iocp_object *object)
{
	return (iocp_heap *)object;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Everything the heap mapped. Nobody is inside or gets in. */
static void unmap_all(iocp_heap *heap)
{
	iocp_segment *segments;
	iocp_lock_acquire(&heap->mutex);
	segments = iocp_slab_detach_segments(&heap->slab, 1);
	heap->slab = (iocp_slab){0};
	iocp_lock_release(&heap->mutex);
	while (segments) {
		iocp_segment *next = segments->next;
		iocp_arena_give(segments);
		segments = next;
	}
	iocp_large_unmap_all(heap);
}

int iocp_heap_end_use(iocp_heap *heap)
{
	/* Release: all use of the memory happens-before the acquire, here, of who gives it back. */
	if (atomic_fetch_sub_explicit(&heap->users, 1, memory_order_acq_rel) != 1)
		return 0;
	unmap_all(heap);
	return 1;
}

static void free_heap(iocp_object *object)
{
	iocp_heap *heap = heap_of(object);
	unmap_all(heap);
	iocp_heap_free_caches(heap);
	free(heap);
}

int iocp_heap_adopt(const void *native, iocp_heap **heap)
{
	iocp_object *object = iocp_object_find(native, IOCP_KIND_HEAP);
	if (!object)
		return IOCP_INVALID;
	*heap = heap_of(object);
	return IOCP_OK;
}

static int map_ahead(iocp_heap *heap, size_t segments)
{
	int r = iocp_arena_reserve(segments); /* what no memory can hold fails at once */
	for (; segments > 0 && r == IOCP_OK; segments--)
		r = iocp_heap_add_segment(heap);
	return r;
}

static int create(size_t initial, size_t maximum, enum iocp_kind kind, iocp_heap **heap)
{
	iocp_heap *h = calloc(1, sizeof(*h));
	if (!h)
		return IOCP_NOMEM;
	h->maximum = maximum;
	atomic_store_explicit(&h->caches, &h->spare, memory_order_relaxed);
	atomic_store_explicit(&h->users, 1, memory_order_relaxed);
	h->open = iocp_prim_barrier_works() ? 0 : IOCP_GATE_FENCED;
	/* Relaxed: nobody knows the heap yet. */
	atomic_store_explicit(&h->gate, h->open, memory_order_relaxed);
	atomic_store_explicit(&h->fenced, h->open != 0, memory_order_relaxed);
	if (iocp_object_register(&h->object, kind, h, free_heap) != IOCP_OK) {
		free(h);
		return IOCP_NOMEM;
	}
	if (initial && map_ahead(h, (initial - 1) / IOCP_SEGMENT + 1) != IOCP_OK) {
		iocp_heap_release(h);
		return IOCP_NOMEM;
	}
	*heap = h;
	return IOCP_OK;
}

int iocp_heap_create(size_t initial, size_t maximum, iocp_heap **heap)
{
	return create(initial, maximum, IOCP_KIND_HEAP, heap);
}

int iocp_heap_create_private(iocp_heap **heap)
{
	return create(0, 0, IOCP_KIND_PRIVATE_HEAP, heap);
}

static _Atomic(iocp_heap *) process_heap; /* with a reference that is never given back */

int iocp_heap_process(iocp_heap **heap)
{
	/* Acquire: pairs with the release below. */
	iocp_heap *found = atomic_load_explicit(&process_heap, memory_order_acquire), *fresh;
	if (!found) {
		int r = iocp_heap_create(0, 0, &fresh);
		if (r != IOCP_OK)
			return r;
		/* Release: the heap is made before it is found. Acquire: so is one that another thread made first. */
		if (atomic_compare_exchange_strong_explicit(
				&process_heap, &found, fresh, memory_order_acq_rel, memory_order_acquire))
			found = fresh;
		else
			iocp_heap_release(fresh);
	}
	*heap = iocp_heap_retain(found);
	return IOCP_OK;
}

int iocp_heap_destroy(iocp_heap *heap)
{
	int r;
	/* Relaxed: a heap is the process' own before anyone else knows it, or never. */
	if (heap == atomic_load_explicit(&process_heap, memory_order_relaxed)
		|| heap->object.counted.kind == IOCP_KIND_PRIVATE_HEAP) /* queued packets name its blocks */
		return IOCP_INVALID;
	r = iocp_heap_shut(heap);
	if (r != IOCP_OK)
		return r;
	iocp_object_revoke(&heap->object);
	if (!iocp_heap_end_use(heap))
		iocp_busy_cancel(heap);
	return IOCP_OK;
}

/* ---- looking at all of it --------------------------------------------------------------------------------------- */

typedef struct listing {
	iocp_block *blocks;
	size_t capacity, count;
} listing;

static void list_block(void *state, uintptr_t address, size_t size)
{
	listing *l = state;
	if (l->count < l->capacity)
		l->blocks[l->count] = (iocp_block){address, size};
	l->count++;
}

int iocp_heap_walk(iocp_heap *heap, iocp_block *blocks, size_t capacity, size_t *count)
{
	listing l = {blocks, capacity, 0};
	const iocp_large *large;
	int r = iocp_heap_lock(heap);
	if (r != IOCP_OK)
		return r;
	/* The gate keeps the threads out that allocate and free, the mutex one that ends or reclaims. */
	iocp_lock_acquire(&heap->mutex);
	iocp_slab_walk(&heap->slab, list_block, &l);
	for (large = heap->large; large; large = large->next) {
		uint64_t header = atomic_load_explicit(&large->header, memory_order_relaxed);
		if (iocp_header_lives(header, IOCP_WIDE_BUSY))
			list_block(&l, (uintptr_t)large + IOCP_LARGE_OFFSET, iocp_header_size(header, IOCP_WIDE_BUSY));
	}
	iocp_lock_release(&heap->mutex);
	iocp_heap_unlock(heap);
	*count = l.count;
	return IOCP_OK;
}

static int validate_all(iocp_heap *heap)
{
	const iocp_large *large;
	int valid, r = iocp_heap_lock(heap);
	if (r != IOCP_OK)
		return r;
	iocp_lock_acquire(&heap->mutex);
	valid = iocp_slab_validate(&heap->slab);
	for (large = heap->large; large && valid; large = large->next) {
		uint64_t header = atomic_load_explicit(&large->header, memory_order_relaxed);
		valid = iocp_region_of(heap, large) == IOCP_REGION_LARGE
				&& iocp_header_size(header, IOCP_WIDE_BUSY) <= large->mapped - IOCP_LARGE_OFFSET;
	}
	iocp_lock_release(&heap->mutex);
	iocp_heap_unlock(heap);
	return valid ? IOCP_OK : IOCP_INVALID;
}

int iocp_heap_validate(iocp_heap *heap, const void *address)
{
	size_t size;
	return address ? iocp_heap_size(heap, address, &size) : validate_all(heap);
}

int iocp_heap_stats(iocp_heap *heap, iocp_heap_info *info)
{
	iocp_heap_info now = {.size = info->size};
	int64_t blocks, bytes;
	int r = IOCP_OK;
	iocp_lock_acquire(&heap->mutex);
	/* Relaxed: written under the mutex. */
	if (atomic_load_explicit(&heap->gate, memory_order_relaxed) == IOCP_GATE_DESTROYED) {
		r = IOCP_INVALID;
	} else {
		iocp_heap_totals(heap, &blocks, &bytes);
		now.blocks = blocks > 0 ? (uint64_t)blocks : 0; /* a sum taken while others work may be off for a moment */
		now.bytes = bytes > 0 ? (uint64_t)bytes : 0;
		now.peak_bytes = (uint64_t)heap->peak_bytes;
		now.reserved = (uint64_t)heap->slab.segment_count * IOCP_SEGMENT + heap->large_bytes;
	}
	iocp_lock_release(&heap->mutex);
	if (r == IOCP_OK)
		iocp_copy_known(info, info->size, &now, sizeof(now));
	return r;
}
