/*
** heap.c - the life of a heap, and what looks at all of it: walk, validate, stats. Blocks are heap/block.c's.
*/

#include "windows/heap/heap.h"
#include "core/sized.h"

#include <stdlib.h>

#include "core/busy.h"
#include "core/port_own.h"

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void free_heap(iocp_object *object)
{
	iocp_heap *heap = (iocp_heap *)object;
	iocp_heap_unlist(heap);
	if (!heap->destroyed)
		(void)iocp_heap_end_use(heap);
	iocp_registry_free(heap);
	free(heap);
}

/* Takes over `system`, destroying it on failure unless it is adopted. */
static int make_heap(HANDLE system, int adopted, size_t initial, size_t maximum, enum iocp_kind kind, iocp_heap **heap)
{
	iocp_heap *h = calloc(1, sizeof(*h)); /* zeroed locks are free ones */
	iocp_object *entered = &h->object;
	int r = h ? IOCP_OK : IOCP_NOMEM;
	if (h) {
		h->system = system;
		h->adopted = adopted;
		h->initial = initial;
		h->maximum = maximum;
		/* Relaxed: nobody knows the heap yet. */
		atomic_store_explicit(&h->users, 1, memory_order_relaxed);
		r = adopted ? iocp_object_adopt(&entered, kind, system, free_heap)
					: iocp_object_register(entered, kind, system, free_heap);
	}
	if (r == IOCP_OK) {
		*heap = (iocp_heap *)entered;
		iocp_heap_list(*heap);
	}
	if (r != IOCP_OK || entered != &h->object)
		free(h);
	if (r != IOCP_OK && !adopted)
		HeapDestroy(system);
	return r;
}

static int create(size_t initial, size_t maximum, enum iocp_kind kind, iocp_heap **heap)
{
	/* The maximum is kept here: a heap of a fixed size would refuse blocks of more than half a megabyte. */
	HANDLE system = HeapCreate(0, initial, 0);
	return system ? make_heap(system, 0, initial, maximum, kind, heap) : IOCP_NOMEM;
}

int iocp_heap_create(size_t initial, size_t maximum, iocp_heap **heap)
{
	return create(initial, maximum, IOCP_KIND_HEAP, heap);
}

int iocp_heap_create_private(iocp_heap **heap)
{
	return create(0, 0, IOCP_KIND_PRIVATE_HEAP, heap);
}

/* Whether it is a heap of this process, by the system's own list. -1: no memory to ask. */
static int is_heap(HANDLE system)
{
	HANDLE *heaps = NULL;
	DWORD capacity = 0, count = GetProcessHeaps(0, NULL), i;
	int found = 0;
	while (count > capacity) { /* others come and go */
		free(heaps);
		capacity = count + 16;
		heaps = malloc(capacity * sizeof(*heaps));
		if (!heaps)
			return -1;
		count = GetProcessHeaps(capacity, heaps);
	}
	for (i = 0; i < count; i++)
		found = found || heaps[i] == system;
	free(heaps);
	return found;
}

int iocp_heap_adopt(const void *native, iocp_heap **heap)
{
	iocp_object *object = iocp_object_find(native, IOCP_KIND_HEAP);
	int found;
	if (object) {
		*heap = (iocp_heap *)object;
		iocp_heap_list(*heap); /* whoever made it may not have come that far */
		return IOCP_OK;
	}
	found = native ? is_heap((HANDLE)(uintptr_t)native) : 0;
	if (found <= 0)
		return found < 0 ? IOCP_NOMEM : IOCP_INVALID;
	return make_heap((HANDLE)(uintptr_t)native, 1, 0, 0, IOCP_KIND_HEAP, heap);
}

int iocp_heap_process(iocp_heap **heap)
{
	return iocp_heap_adopt(GetProcessHeap(), heap);
}

int iocp_heap_destroy(iocp_heap *heap)
{
	int r;
	if (heap->adopted || heap->object.counted.kind == IOCP_KIND_PRIVATE_HEAP) /* queued packets name its blocks */
		return IOCP_INVALID;
	r = iocp_heap_shut(heap);
	if (r != IOCP_OK)
		return r;
	iocp_object_revoke(&heap->object);
	iocp_heap_unlist(heap); /* before the system has other blocks at these addresses */
	if (!iocp_heap_end_use(heap))
		iocp_busy_cancel(heap);
	return IOCP_OK;
}

/* ---- looking at all of it --------------------------------------------------------------------------------------- */

typedef struct listing {
	iocp_block *blocks;
	size_t capacity, count, bytes;
} listing;

static void list_block(void *state, uintptr_t address, size_t size)
{
	listing *l = state;
	if (l->count < l->capacity)
		l->blocks[l->count] = (iocp_block){address, size};
	l->count++;
	l->bytes += size;
}

/* The caller has the heap locked, but of the process' own not the system's lock, which a walk needs. Nothing is
** allocated under it. */
static void list_all(iocp_heap *heap, listing *l)
{
	PROCESS_HEAP_ENTRY at = {0};
	if (!heap->adopted) {
		iocp_registry_walk(heap, list_block, l);
		return;
	}
	HeapLock(heap->system);
	while (HeapWalk(heap->system, &at))
		if (at.wFlags & PROCESS_HEAP_ENTRY_BUSY)
			list_block(l, (uintptr_t)at.lpData, at.cbData);
	HeapUnlock(heap->system);
}

int iocp_heap_walk(iocp_heap *heap, iocp_block *blocks, size_t capacity, size_t *count)
{
	listing l = {blocks, capacity, 0, 0};
	int r = iocp_heap_lock(heap);
	if (r != IOCP_OK)
		return r;
	list_all(heap, &l);
	iocp_heap_unlock(heap);
	*count = l.count;
	return IOCP_OK;
}

int iocp_heap_validate(iocp_heap *heap, const void *address)
{
	size_t size;
	int r;
	if (address)
		return iocp_heap_size(heap, address, &size);
	r = iocp_heap_lock(heap);
	if (r != IOCP_OK)
		return r;
	r = HeapValidate(heap->system, 0, NULL) ? IOCP_OK : IOCP_INVALID;
	iocp_heap_unlock(heap);
	return r;
}

int iocp_heap_stats(iocp_heap *heap, iocp_heap_info *info)
{
	iocp_heap_info now = {.size = info->size};
	listing l = {NULL, 0, 0, 0};
	int64_t charged;
	int r;
	if (heap->adopted) {
		r = iocp_heap_lock(heap);
		if (r != IOCP_OK)
			return r;
		list_all(heap, &l);
		iocp_heap_unlock(heap);
		now.blocks = l.count;
		now.bytes = now.peak_bytes = now.reserved = l.bytes;
		iocp_copy_known(info, info->size, &now, sizeof(now));
		return IOCP_OK;
	}
	AcquireSRWLockShared(&heap->use); /* not iocp_heap_enter: it tells of a locked heap, too */
	r = heap->destroyed ? IOCP_INVALID : IOCP_OK;
	ReleaseSRWLockShared(&heap->use);
	if (r != IOCP_OK)
		return r;
	/* Relaxed: counters. */
	charged = atomic_load_explicit(&heap->charged, memory_order_relaxed);
	now.blocks = (uint64_t)atomic_load_explicit(&heap->blocks, memory_order_relaxed);
	now.bytes = (uint64_t)atomic_load_explicit(&heap->bytes, memory_order_relaxed);
	now.peak_bytes = (uint64_t)atomic_load_explicit(&heap->peak_bytes, memory_order_relaxed);
	/* The system does not tell without a walk: at least what was asked for. */
	now.reserved = (uint64_t)charged > heap->initial ? (uint64_t)charged : heap->initial;
	iocp_copy_known(info, info->size, &now, sizeof(now));
	return IOCP_OK;
}
