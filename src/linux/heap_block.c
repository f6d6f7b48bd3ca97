/*
** heap_block.c - allocating, freeing and resizing blocks, and the checks of an address.
**
** Every function that looks at a block does so inside (iocp_heap_enter ... leave), so what it looks at stays mapped, and
** checks the address before it believes it: the region map says whether the megabyte is ours, the page whether a block
** starts there, the header whether it is live. None of the three reads memory that is not the heap's own.
*/

#include "linux/heap.h"

#include <string.h>

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* Inside. 0: no live block of this heap starts at `address`. */
int iocp_heap_find(const iocp_heap *heap, const void *address, iocp_found *f)
{
	switch (iocp_region_of(heap, address)) {
	case IOCP_REGION_SEGMENT:
		switch (iocp_slab_check(address, &f->class, &f->page)) {
		case IOCP_PAGE_SMALL:
			f->kind = IOCP_FOUND_SMALL;
			/* Relaxed: whoever gave the caller the address ordered the write before. */
			f->header = atomic_load_explicit(iocp_small_header(address, f->class), memory_order_relaxed);
			break;
		case IOCP_PAGE_MEDIUM:
			f->kind = IOCP_FOUND_MEDIUM;
			f->header = atomic_load_explicit(&f->page->header, memory_order_relaxed);
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
		f->header = atomic_load_explicit(&f->large->header, memory_order_relaxed);
		break;
	default:
		return 0;
	}
	f->size = (size_t)(f->header >> 1);
	return (int)(f->header & IOCP_LIVE);
}

/* Replaces the header of a found block, unless another thread freed or resized it since. Acquire and release: what
** was done to a block happens-before it is given out again. */
static int set_header(const void *address, const iocp_found *f, uint64_t header)
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

/* The bytes a block of `size` takes, which is what counts towards a maximum. */
static size_t gross_size(size_t size)
{
	if (size <= IOCP_SMALL_LIMIT)
		return iocp_class_infos[iocp_class_of(size)].size;
	if (size <= IOCP_MEDIUM_LIMIT)
		return (size + IOCP_PAGE - 1) & ~(size_t)(IOCP_PAGE - 1);
	return size > SIZE_MAX / 4 ? size : iocp_large_mapping(size);
}

/* The same of a block that is there; a large one may have been resized in its mapping. */
static size_t gross_of(const iocp_found *f)
{
	return f->kind == IOCP_FOUND_LARGE ? f->large->mapped : gross_size(f->size);
}

/* 0: a block of `size` would pass the maximum. */
static int charge(iocp_heap *heap, size_t size)
{
	uint64_t charged, gross;
	if (heap->maximum == 0)
		return 1;
	gross = gross_size(size);
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

static void *take_small(iocp_heap *heap, iocp_cache *cache, size_t size, int flags)
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

/* One try, inside. NULL with *grow set: another segment or page of the class would help. */
static void *take(iocp_heap *heap, iocp_cache *cache, size_t size, int flags, int *grow)
{
	*grow = size <= IOCP_MEDIUM_LIMIT;
	if (size <= IOCP_SMALL_LIMIT)
		return take_small(heap, cache, size, flags);
	return *grow ? take_medium(heap, cache, size, flags) : take_large(heap, cache, size, flags);
}

int iocp_heap_add_segments(iocp_heap *heap, size_t count)
{
	char *memory = count > SIZE_MAX / 2 / IOCP_SEGMENT ? NULL : iocp_map(count * IOCP_SEGMENT, IOCP_SEGMENT);
	if (!memory)
		return IOCP_NOMEM;
	for (; count > 0; count--, memory += IOCP_SEGMENT) {
		if (!iocp_region_set(memory, heap, IOCP_REGION_SEGMENT)) {
			iocp_unmap(memory, count * IOCP_SEGMENT);
			return IOCP_NOMEM;
		}
		iocp_lock_acquire(&heap->mutex);
		iocp_slab_add_segment(&heap->slab, memory);
		iocp_lock_release(&heap->mutex);
	}
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
	return added ? IOCP_OK : iocp_heap_add_segments(heap, 1);
}

static int alloc_slowly(iocp_heap *heap, size_t size, int flags, void **address)
{
	iocp_cache *cache;
	int r, grow;
	void *block;
	for (;;) {
		r = iocp_heap_enter(heap, &cache);
		if (r != IOCP_OK)
			return r;
		if (!charge(heap, size)) {
			iocp_heap_leave(cache);
			return IOCP_NOMEM;
		}
		block = take(heap, cache, size, flags, &grow);
		if (block) {
			iocp_heap_leave(cache);
			*address = block;
			return IOCP_OK;
		}
		discharge(heap, gross_size(size));
		/* Still inside, so the heap is not destroyed under what it gains. */
		r = grow ? grow_slab(heap, size) : IOCP_NOMEM;
		iocp_heap_leave(cache);
		if (r != IOCP_OK)
			return r;
	}
}

/* The way of nearly every block: small, no maximum to mind, a magazine with blocks. alloc_slowly can do all of it too. */
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

/* ---- freeing ----------------------------------------------------------------------------------------------------- */

/* Inside; leaves. The block was found live. */
static int end_block(iocp_heap *heap, iocp_cache *cache, void *address, const iocp_found *f)
{
	size_t gross = gross_of(f); /* before the block may be given out again */
	if (!set_header(address, f, 0)) {
		iocp_heap_leave(cache);
		return IOCP_INVALID;
	}
	iocp_cache_count(cache, -1, -(int64_t)f->size);
	discharge(heap, gross);
	if (f->kind == IOCP_FOUND_SMALL) {
		iocp_cache_give(heap, cache, f->class, address);
	} else if (f->kind == IOCP_FOUND_MEDIUM) {
		iocp_lock_acquire(&heap->mutex);
		iocp_slab_give_run(&heap->slab, address);
		cache->reclaim = iocp_heap_can_reclaim(heap);
		iocp_lock_release(&heap->mutex);
	}
	iocp_heap_leave(cache);
	if (f->kind == IOCP_FOUND_LARGE)
		iocp_large_drop(heap, f->large);
	if (cache->reclaim) { /* set here or where a full magazine was given back */
		cache->reclaim = 0;
		iocp_heap_reclaim(heap);
	}
	return IOCP_OK;
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
	live = atomic_load_explicit(header, memory_order_relaxed); /* see find and set_header for the orders */
	if (!(live & IOCP_LIVE) || !loaded || loaded->count == IOCP_MAGAZINE)
		return 0;
	/* With one thread in the heap nobody can free the block at the same time; relaxed, see heap_cache.c. */
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
	if (!iocp_heap_find(heap, address, &f)) {
		iocp_heap_leave(cache);
		return IOCP_INVALID;
	}
	return end_block(heap, cache, address, &f);
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
	return size <= IOCP_MEDIUM_LIMIT && gross_size(size) == gross_size(f->size)
		   && (size <= IOCP_SMALL_LIMIT) == (f->kind == IOCP_FOUND_SMALL);
}

static int move_block(iocp_heap *heap, void *address, size_t size, size_t old_size, int flags, void **moved)
{
	iocp_context *context = iocp_this_thread.context; /* the caller was inside, so there is one */
	size_t keep = size < old_size ? size : old_size;
	void *block;
	int r = iocp_heap_alloc(heap, size, 0, &block);
	if (r != IOCP_OK)
		return r;
	context->shielded++; /* from here on a cancel would leave a block that nobody knows */
	if (flags & IOCP_ZERO)
		memset((char *)block + keep, 0, size - keep);
	r = iocp_heap_read(heap, address, 0, block, keep); /* also finds a block that another thread freed meanwhile */
	if (r == IOCP_OK)
		r = iocp_heap_free(heap, address);
	if (r != IOCP_OK)
		iocp_heap_free(heap, block);
	else
		*moved = block;
	context->shielded--;
	return r;
}

/* Inside. */
static int resize_in_place(iocp_cache *cache, void *address, size_t size, const iocp_found *f, int flags)
{
	if (!set_header(address, f, (uint64_t)size << 1 | IOCP_LIVE))
		return IOCP_INVALID;
	iocp_cache_count(cache, 0, (int64_t)size - (int64_t)f->size);
	if ((flags & IOCP_ZERO) && size > f->size)
		memset((char *)address + f->size, 0, size - f->size);
	return IOCP_OK;
}

int iocp_heap_realloc(iocp_heap *heap, void *address, size_t size, int flags, void **moved)
{
	iocp_cache *cache;
	iocp_found f;
	int r;
	if (!address)
		return iocp_heap_alloc(heap, size, flags, moved);
	r = iocp_heap_enter(heap, &cache);
	if (r != IOCP_OK)
		return r;
	if (!iocp_heap_find(heap, address, &f)) {
		iocp_heap_leave(cache);
		return IOCP_INVALID;
	}
	if (!fits(&f, size)) {
		iocp_heap_leave(cache);
		return move_block(heap, address, size, f.size, flags, moved);
	}
	r = resize_in_place(cache, address, size, &f, flags);
	iocp_heap_leave(cache);
	if (r == IOCP_OK)
		*moved = address;
	return r;
}
