/*
** heap/block.c - allocating, freeing and resizing blocks, and the checks of an address.
**
** Every function that looks at a block does so inside (iocp_heap_enter ... leave), so what it looks at stays mapped,
** and checks the address before it believes it: the region map says whether the megabyte is ours, the page whether a
** block starts there, the header whether it is live. None of the three reads memory that is not the heap's own.
*/

#include "native/heap/heap.h"

#include <string.h>

/* ---- finding ----------------------------------------------------------------------------------------------------- */

int iocp_heap_find(const iocp_heap *heap, const void *address, iocp_found *f)
{
	/* Acquire, of every header: whoever finds that the last operation let the block go comes after what that did. */
	f->busy = IOCP_WIDE_BUSY;
	switch (iocp_region_of(heap, address)) {
	case IOCP_REGION_SEGMENT:
		switch (iocp_slab_check(address, &f->class, &f->page)) {
		case IOCP_PAGE_SMALL:
			f->kind = IOCP_FOUND_SMALL;
			f->busy = IOCP_SMALL_BUSY;
			f->header = atomic_load_explicit(iocp_small_header(address, f->class), memory_order_acquire);
			break;
		case IOCP_PAGE_MEDIUM:
			f->kind = IOCP_FOUND_MEDIUM;
			f->header = atomic_load_explicit(&f->page->header, memory_order_acquire);
			break;
		default:
			return 0;
		}
		break;
	case IOCP_REGION_LARGE:
		f->kind = IOCP_FOUND_LARGE;
		f->large = (iocp_large *)((uintptr_t)address & ~(uintptr_t)(IOCP_SEGMENT - 1));
		if ((const char *)address != (const char *)f->large + IOCP_LARGE_OFFSET)
			return 0;
		f->header = atomic_load_explicit(&f->large->header, memory_order_acquire);
		break;
	default:
		return 0;
	}
	f->size = iocp_header_size(f->header, f->busy);
	return iocp_header_lives(f->header, f->busy);
}

/* Acquire and release: what was done to a block happens-before it is given out again. */
int iocp_heap_set_header(const void *address, const iocp_found *f, uint64_t header)
{
	uint64_t expected = f->header;
	if (f->kind == IOCP_FOUND_SMALL) {
		uint32_t small = (uint32_t)expected;
		return atomic_compare_exchange_strong_explicit(
			iocp_small_header(address, f->class), &small, (uint32_t)header, memory_order_acq_rel, memory_order_relaxed);
	}
	return atomic_compare_exchange_strong_explicit(f->kind == IOCP_FOUND_MEDIUM ? &f->page->header : &f->large->header,
		&expected, header, memory_order_acq_rel, memory_order_relaxed);
}

/* The same for who ends or resizes it: not while an operation uses it. */
static int set_idle_header(const void *address, const iocp_found *f, uint64_t header)
{
	return (f->header & IOCP_LIVE) && iocp_heap_set_header(address, f, header);
}

/* The bytes a block of `size` takes, which is what counts towards a maximum. */
static size_t gross_size(size_t size)
{
	if (size <= IOCP_SMALL_LIMIT)
		return iocp_class_infos[iocp_class_of(size)].size;
	if (size <= IOCP_MEDIUM_LIMIT)
		return (size + IOCP_PAGE - 1) & ~(size_t)(IOCP_PAGE - 1);
	return size > SIZE_MAX / 4 ? size : iocp_large_mapping(size);
}

/* The same of a block that is there: one that shrank may have stayed where it was. */
static size_t gross_of(const iocp_found *f)
{
	if (f->kind == IOCP_FOUND_LARGE)
		return f->large->mapped;
	if (f->kind == IOCP_FOUND_SMALL)
		return iocp_class_infos[f->class].size;
	/* Relaxed, as its header. */
	return (size_t)atomic_load_explicit(&f->page->run, memory_order_relaxed) * IOCP_PAGE;
}

/* Takes that many bytes of what a heap with a maximum may hold. 0: they would pass it. */
static int charge(iocp_heap *heap, size_t gross)
{
	uint64_t charged;
	if (gross > heap->maximum)
		return 0;
	/* Relaxed: a counter that orders nothing else. */
	charged = atomic_load_explicit(&heap->charged, memory_order_relaxed);
	do {
		if (charged > heap->maximum - gross)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(
		&heap->charged, &charged, charged + gross, memory_order_relaxed, memory_order_relaxed));
	return 1;
}

static void discharge(iocp_heap *heap, size_t gross)
{
	if (heap->maximum)
		atomic_fetch_sub_explicit(&heap->charged, gross, memory_order_relaxed); /* see charge */
}

/* ---- allocating -------------------------------------------------------------------------------------------------- */

/* Inside: makes a block that was taken from a magazine a live one. */
static inline void *make_small(iocp_cache *cache, void *block, uint32_t class, size_t size, int flags)
{
	/* Relaxed: the caller publishes the address together with what it writes there. */
	atomic_store_explicit(iocp_small_header(block, class), (uint32_t)(size << 1 | IOCP_LIVE), memory_order_relaxed);
	iocp_cache_count(cache, 1, (int64_t)size);
	if (flags & IOCP_ZERO)
		memset(block, 0, size);
	return block;
}

static inline void *take_small(iocp_heap *heap, iocp_cache *cache, size_t size, int flags)
{
	uint32_t class = iocp_class_of(size);
	void *block = iocp_cache_take(heap, cache, class);
	return block ? make_small(cache, block, class, size, flags) : NULL;
}

static void *take_medium(iocp_heap *heap, iocp_cache *cache, size_t size, int flags)
{
	void *block;
	iocp_found f;
	iocp_lock_acquire(&heap->mutex);
	block = iocp_slab_take_run(&heap->slab, size);
	iocp_lock_release(&heap->mutex);
	if (block) {
		(void)iocp_slab_check(block, &f.class, &f.page);
		atomic_store_explicit(
			&f.page->header, (uint64_t)size << 1 | IOCP_LIVE, memory_order_relaxed); /* see make_small */
		iocp_cache_count(cache, 1, (int64_t)size);
		if (flags & IOCP_ZERO)
			memset(block, 0, size);
	}
	return block;
}

static void *take_large(iocp_heap *heap, iocp_cache *cache, size_t size, int flags)
{
	void *block = iocp_large_take(heap, size, flags);
	if (block)
		iocp_cache_count(cache, 1, (int64_t)size);
	return block;
}

int iocp_heap_add_segment(iocp_heap *heap)
{
	void *segment = iocp_arena_take();
	if (!segment)
		return IOCP_NOMEM;
	if (!iocp_region_set(segment, heap, IOCP_REGION_SEGMENT)) {
		iocp_arena_give(segment);
		return IOCP_NOMEM;
	}
	iocp_lock_acquire(&heap->mutex);
	iocp_slab_add_segment(&heap->slab, segment);
	iocp_lock_release(&heap->mutex);
	return IOCP_OK;
}

/* Makes room for a block of `size`. */
static int grow_slab(iocp_heap *heap, size_t size)
{
	int added = 0;
	if (size <= IOCP_SMALL_LIMIT) {
		iocp_lock_acquire(&heap->mutex);
		added = iocp_slab_add_page(&heap->slab, iocp_class_of(size));
		iocp_lock_release(&heap->mutex);
	}
	return added ? IOCP_OK : iocp_heap_add_segment(heap);
}

/* Makes room until the block is there, or memory is out. */
static void *take_growing(iocp_heap *heap, iocp_cache *cache, size_t size, int flags)
{
	void *block = NULL;
	if (size > IOCP_MEDIUM_LIMIT)
		return take_large(heap, cache, size, flags);
	while (!block && grow_slab(heap, size) == IOCP_OK)
		block = size <= IOCP_SMALL_LIMIT ? take_small(heap, cache, size, flags) : take_medium(heap, cache, size, flags);
	return block;
}

/* Inside. */
static inline void *take(iocp_heap *heap, iocp_cache *cache, size_t size, int flags)
{
	void *block = NULL;
	if (size <= IOCP_SMALL_LIMIT)
		block = take_small(heap, cache, size, flags);
	else if (size <= IOCP_MEDIUM_LIMIT)
		block = take_medium(heap, cache, size, flags);
	return block ? block : take_growing(heap, cache, size, flags);
}

/* Inside, so the heap is not destroyed under what it gains. */
static inline int alloc_inside(iocp_heap *heap, iocp_cache *cache, size_t size, int flags, void **address)
{
	void *block;
	if (heap->maximum && !charge(heap, gross_size(size)))
		return IOCP_NOMEM;
	block = take(heap, cache, size, flags);
	if (!block) {
		discharge(heap, gross_size(size));
		return IOCP_NOMEM;
	}
	*address = block;
	return IOCP_OK;
}

static int alloc_slowly(iocp_heap *heap, size_t size, int flags, void **address)
{
	iocp_cache *cache;
	int r = iocp_heap_enter(heap, &cache);
	if (r != IOCP_OK)
		return r;
	r = alloc_inside(heap, cache, size, flags, address);
	iocp_heap_leave(cache);
	return r;
}

/* The way of nearly every block: small, no maximum to mind, a magazine with blocks. alloc_slowly can do all of it
** too. */
int iocp_heap_alloc(iocp_heap *heap, size_t size, int flags, void **address)
{
	iocp_cache *cache;
	iocp_magazine *loaded;
	uint32_t class;
	if (size > IOCP_SMALL_LIMIT || heap->maximum || !(cache = iocp_heap_enter_quickly(heap)))
		return alloc_slowly(heap, size, flags, address);
	class = iocp_class_of(size);
	loaded = cache->classes[class].loaded;
	if (!loaded || loaded->count == 0) {
		iocp_heap_leave(cache);
		return alloc_slowly(heap, size, flags, address);
	}
	*address = make_small(cache, loaded->blocks[--loaded->count], class, size, flags);
	iocp_heap_leave(cache);
	return IOCP_OK;
}

int iocp_heap_put(iocp_heap *heap, const void *data, size_t size, void **address)
{
	iocp_cache *cache;
	int r = iocp_heap_enter(heap, &cache);
	if (r != IOCP_OK)
		return r;
	r = alloc_inside(heap, cache, size, 0, address);
	if (r == IOCP_OK)
		memcpy(*address, data, size);
	iocp_heap_leave(cache);
	return r;
}

/* ---- freeing ----------------------------------------------------------------------------------------------------- */

/* Inside. The block was found live. What it is charged for is the caller's, and a large one is for leave_after to
** drop. */
static int end_block(iocp_heap *heap, iocp_cache *cache, void *address, const iocp_found *f)
{
	if (!set_idle_header(address, f, 0))
		return IOCP_INVALID;
	iocp_cache_count(cache, -1, -(int64_t)f->size);
	if (f->kind == IOCP_FOUND_SMALL) {
		iocp_cache_give(heap, cache, f->class, address);
	} else if (f->kind == IOCP_FOUND_MEDIUM) {
		iocp_lock_acquire(&heap->mutex);
		iocp_slab_give_run(&heap->slab, address);
		cache->reclaim = iocp_heap_can_reclaim(heap);
		iocp_lock_release(&heap->mutex);
	}
	return IOCP_OK;
}

/* Leaves, and gives back what end_block made superfluous; `ended`: the block, or NULL if there is none. */
static void leave_after(iocp_heap *heap, iocp_cache *cache, const iocp_found *ended)
{
	int reclaim = cache->reclaim; /* set in end_block, or where a full magazine was given back */
	cache->reclaim = 0;
	iocp_heap_leave(cache);
	if (ended && ended->kind == IOCP_FOUND_LARGE)
		iocp_large_drop(heap, ended->large);
	if (reclaim)
		iocp_heap_reclaim(heap);
}

/* The way of nearly every block, as in iocp_heap_alloc. Inside. 0: it is not such a block, and nothing was done. */
static inline int free_quickly(const iocp_heap *heap, iocp_cache *cache, void *address)
{
	iocp_magazine *loaded;
	_Atomic uint32_t *header;
	iocp_page *page;
	uint32_t class, live;
	if (iocp_region_of(heap, address) != IOCP_REGION_SEGMENT || heap->maximum
		|| iocp_slab_check(address, &class, &page) != IOCP_PAGE_SMALL)
		return 0;
	loaded = cache->classes[class].loaded;
	header = iocp_small_header(address, class);
	live = atomic_load_explicit(header, memory_order_acquire); /* see iocp_heap_find */
	if (!(live & IOCP_LIVE) || !loaded || loaded->count == IOCP_MAGAZINE)
		return 0;
	/* With one thread in the heap nobody can free the block at the same time; relaxed, see heap/cache.c. */
	if (!atomic_load_explicit(&heap->shared, memory_order_relaxed))
		atomic_store_explicit(header, 0, memory_order_relaxed);
	else if (!atomic_compare_exchange_strong_explicit(header, &live, 0, memory_order_acq_rel, memory_order_relaxed))
		return 0;
	loaded->blocks[loaded->count++] = address;
	iocp_cache_count(cache, -1, -(int64_t)(live >> 1));
	return 1;
}

static int free_slowly(iocp_heap *heap, void *address)
{
	iocp_cache *cache;
	iocp_found f;
	int r;
	if (!address)
		return IOCP_OK;
	r = iocp_heap_enter(heap, &cache);
	if (r != IOCP_OK)
		return r;
	r = IOCP_INVALID;
	if (iocp_heap_find(heap, address, &f)) {
		size_t gross = gross_of(&f); /* before the block may be given out again */
		r = end_block(heap, cache, address, &f);
		if (r == IOCP_OK)
			discharge(heap, gross);
	}
	leave_after(heap, cache, r == IOCP_OK ? &f : NULL);
	return r;
}

int iocp_heap_free(iocp_heap *heap, void *address)
{
	iocp_cache *cache = iocp_heap_enter_quickly(heap);
	int done;
	if (!cache)
		return free_slowly(heap, address);
	done = free_quickly(heap, cache, address);
	iocp_heap_leave(cache);
	return done ? IOCP_OK : free_slowly(heap, address);
}

/* ---- resizing ---------------------------------------------------------------------------------------------------- */

/* Inside: whether a block of `size` bytes fits where the found one is, without wasting more than moving it would. */
static int fits(const iocp_found *f, size_t size)
{
	if (f->kind == IOCP_FOUND_LARGE)
		return size > IOCP_MEDIUM_LIMIT && size <= f->large->mapped - IOCP_LARGE_OFFSET && size >= f->large->mapped / 2;
	return size <= IOCP_MEDIUM_LIMIT && gross_size(size) == gross_of(f)
		   && (size <= IOCP_SMALL_LIMIT) == (f->kind == IOCP_FOUND_SMALL);
}

/* Inside. */
static int resize_in_place(iocp_cache *cache, void *address, size_t size, const iocp_found *f, int flags)
{
	if (!set_idle_header(address, f, (uint64_t)size << 1 | IOCP_LIVE))
		return IOCP_INVALID;
	iocp_cache_count(cache, 0, (int64_t)size - (int64_t)f->size);
	if ((flags & IOCP_ZERO) && size > f->size)
		memset((char *)address + f->size, 0, size - f->size);
	return IOCP_OK;
}

/* What a block of `size` takes more than the found one. While a copy and its original are both there, only that is
** charged: a heap is never full for the sake of a copy. */
static size_t surplus(const iocp_found *f, size_t size)
{
	size_t old = gross_of(f), new = gross_size(size);
	return new > old ? new - old : 0;
}

/* Inside: a copy of the found block with another size. NULL: no memory. */
static void *copy_block(
	iocp_heap *heap, iocp_cache *cache, const void *address, const iocp_found *f, size_t size, int flags)
{
	size_t keep = size < f->size ? size : f->size;
	char *copy;
	if (heap->maximum && !charge(heap, surplus(f, size)))
		return NULL;
	copy = take(heap, cache, size, 0);
	if (!copy) {
		discharge(heap, surplus(f, size));
		return NULL;
	}
	memcpy(copy, address, keep);
	if (flags & IOCP_ZERO)
		memset(copy + keep, 0, size - keep);
	return copy;
}

/* Inside: ends the found block, which the copy is to replace, or the copy if another thread freed or resized the block
** meanwhile, which is IOCP_INVALID. *f is then the one that ended. */
static int replace_block(iocp_heap *heap, iocp_cache *cache, void *address, void *copy, size_t size, iocp_found *f)
{
	size_t old = gross_of(f), more = surplus(f, size);
	if (end_block(heap, cache, address, f) == IOCP_OK) {
		discharge(heap, old + more - gross_size(size));
		return IOCP_OK;
	}
	discharge(heap, more);
	if (!iocp_heap_find(heap, copy, f) || end_block(heap, cache, copy, f) != IOCP_OK)
		f->kind = IOCP_FOUND_SMALL; /* a made-up address was right: there is nothing to drop */
	return IOCP_INVALID;
}

/* All of it inside, so that the heap is not destroyed under what is copied or cleared. */
int iocp_heap_realloc(iocp_heap *heap, void *address, size_t size, int flags, void **moved)
{
	iocp_cache *cache;
	iocp_found f;
	void *copy;
	int r, stays;
	if (!address)
		return iocp_heap_alloc(heap, size, flags, moved);
	r = iocp_heap_enter(heap, &cache);
	if (r != IOCP_OK)
		return r;
	if (!iocp_heap_find(heap, address, &f) || !(f.header & IOCP_LIVE)) {
		iocp_heap_leave(cache);
		return IOCP_INVALID;
	}
	stays = fits(&f, size);
	copy = stays ? NULL : copy_block(heap, cache, address, &f, size, flags);
	if (copy)
		r = replace_block(heap, cache, address, copy, size, &f);
	else if (stays || size <= f.size) /* without memory for a copy a block shrinks where it is */
		r = resize_in_place(cache, address, size, &f, flags);
	else
		r = IOCP_NOMEM;
	leave_after(heap, cache, copy ? &f : NULL);
	if (r == IOCP_OK)
		*moved = copy ? copy : address;
	return r;
}
