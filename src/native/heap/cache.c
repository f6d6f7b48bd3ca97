/*
** heap/cache.c - each thread's magazines, the depot they are exchanged with, and the gate.
**
** Magazines (Bonwick and Adams, "Magazines and Vmem", 2001): a thread allocates from and frees to two magazines of 64
** blocks a class that are its own; only a full or empty one is exchanged with the heap's depot, under the mutex, so a
** block that is allocated in one thread and freed in another costs a thirty-second of two lock pairs. Beyond
** DEPOT_LIMIT full magazines a class, blocks go back to their pages.
**
** The gate. Its word is 0, or names the context that shut it; IOCP_GATE_DESTROYED for ever. A thread is inside from
** `busy = 1` followed by a look at the gate that found it open (or its own), until `busy = 0`. Whoever shuts the gate
** writes the word, then waits for each cache's `busy` to be 0 once (iocp_heap_quiesce). Claim: after that nobody else
** is inside, or gets in, until the gate opens. The two sides are Dekker's: write mine, look at the other's. The rare
** side's iocp_prim_barrier puts a full barrier into the frequent side, wherever that runs: either its write of `busy`
** is visible to us, and we wait, or its look at the gate comes after our write, and it leaves. Where the kernel has no
** such barrier an open gate is IOCP_GATE_FENCED, which only iocp_heap_enter_slowly takes for open: it orders its two
** steps itself. A process that denies itself the call later makes its gates so then, one by one: whoever finds that the
** barrier fails writes the word, and what is needed once, a barrier for those who may have entered before, is had more
** slowly. `fenced` is set behind that; until then everyone who waits makes that barrier too. In the same way a second
** thread that comes to a heap says so in `shared` and waits for the first to leave once, so that as long as a thread
** inside finds `shared` unset, it is the only one inside. The same wait, with the gate open, is a grace period: threads
** that entered before have left, so nobody still looks at what was unlinked before it. Memory is unmapped, and a page
** given another use, only after one.
**
** All of this is a model in spec/model/gate.pml.
**
** No deadlock: the mutex is never held while waiting, and a thread inside waits for nothing but the mutex, so it leaves
** in bounded time; nobody quiesces from inside.
*/

#include "native/native.h"

#include <sched.h>
#include <stdlib.h>

#include "native/heap/heap.h"

enum { DEPOT_LIMIT = 32, EMPTY_PAGES_LIMIT = IOCP_PAGES };

/* ---- the gate ---------------------------------------------------------------------------------------------------- */

static int is_open(uintptr_t gate)
{
	return gate == 0 || gate == IOCP_GATE_FENCED;
}

/* From now on all that enter make their own barrier, and those who are inside have made one. */
static void fence_gate(iocp_heap *heap)
{
	iocp_lock_acquire(&heap->mutex);
	heap->open = IOCP_GATE_FENCED;
	if (atomic_load_explicit(&heap->gate, memory_order_relaxed) == 0)
		atomic_store_explicit(&heap->gate, IOCP_GATE_FENCED, memory_order_seq_cst);
	iocp_lock_release(&heap->mutex);
	iocp_prim_barrier_slowly();
	/* Release: whoever finds it set comes after the barrier. */
	atomic_store_explicit(&heap->fenced, 1, memory_order_release);
}

void iocp_heap_quiesce(iocp_heap *heap)
{
	iocp_cache *cache;
	/* Acquire: pairs with fence_gate. */
	if (!atomic_load_explicit(&heap->fenced, memory_order_acquire) && !iocp_prim_barrier())
		fence_gate(heap);
	/* Changes nothing. Sequentially consistent: whoever enters a fenced gate after we looked at its `busy` has read
	** this, or something later, and so sees all that was unlinked before. */
	atomic_fetch_or_explicit(&heap->gate, 0, memory_order_seq_cst);
	/* Acquire, here: pairs with push_cache. A cache that is pushed later belongs to a thread that has yet to
	** look at the gate, after it has held the mutex that whoever shut the gate held before. */
	for (cache = atomic_load_explicit(&heap->caches, memory_order_acquire); cache; cache = cache->next) {
		int looks = 0;
		/* Pairs with iocp_heap_leave; sequentially consistent for the sake of fenced gates, see the top. */
		while (atomic_load_explicit(&cache->busy, memory_order_seq_cst)) {
			if (++looks > 100)
				sched_yield(); /* it was preempted inside */
			else
				iocp_relax();
		}
	}
}

/* Waits until the gate is open or the caller's own. Takes the mutex, and on IOCP_OK keeps it. */
static int lock_open_gate(iocp_heap *heap, iocp_context *context)
{
	for (;;) {
		uintptr_t gate;
		int r;
		iocp_lock_acquire(&heap->mutex);
		gate = atomic_load_explicit(&heap->gate, memory_order_relaxed); /* written under the mutex */
		if (is_open(gate) || gate == (uintptr_t)context)
			return IOCP_OK;
		if (gate == IOCP_GATE_DESTROYED || iocp_context_cancelled(context)) {
			iocp_lock_release(&heap->mutex);
			return gate == IOCP_GATE_DESTROYED ? IOCP_INVALID : IOCP_CANCELLED;
		}
		iocp_waiters_wait(&heap->waiters, &context->waiter);
		iocp_lock_release(&heap->mutex);
		r = iocp_wait_without_slot(context, &heap->waiters, &heap->mutex, IOCP_FOREVER, NULL);
		if (r != IOCP_OK)
			return r;
	}
}

/* Takes the heap out of the list of those that the context holds locked, with its reference, which the caller drops. */
static void forget_locked(iocp_context *context, iocp_heap *heap)
{
	iocp_heap **place = &context->locked;
	while (*place != heap)
		place = &(*place)->next_locked;
	*place = heap->next_locked;
}

static void forget_heaps(iocp_context *context);

int iocp_heap_lock(iocp_heap *heap)
{
	iocp_context *context = iocp_context_get();
	uint32_t depth;
	int r;
	if (!context)
		return IOCP_NOMEM;
	r = lock_open_gate(heap, context);
	if (r != IOCP_OK)
		return r;
	depth = ++heap->gate_depth;
	atomic_store_explicit(&heap->gate, (uintptr_t)context, memory_order_seq_cst); /* see the top */
	iocp_lock_release(&heap->mutex);
	if (depth == 1) {
		heap->next_locked = context->locked;
		context->locked = iocp_heap_retain(heap);
		context->forget_heaps = forget_heaps;
		iocp_heap_quiesce(heap);
	}
	return IOCP_OK;
}

int iocp_heap_unlock(iocp_heap *heap)
{
	iocp_context *context = iocp_this_thread.context;
	uint32_t depth;
	iocp_lock_acquire(&heap->mutex);
	/* Relaxed: written under the mutex. */
	if (!context || atomic_load_explicit(&heap->gate, memory_order_relaxed) != (uintptr_t)context) {
		iocp_lock_release(&heap->mutex);
		return IOCP_INVALID;
	}
	depth = --heap->gate_depth;
	if (depth == 0) {
		forget_locked(context, heap); /* while the gate is shut: the next to shut it uses the same link */
		/* Release: what was done behind the gate happens-before the look that finds it open. */
		atomic_store_explicit(&heap->gate, heap->open, memory_order_release);
	}
	iocp_lock_release(&heap->mutex);
	if (depth == 0) {
		iocp_waiters_serve_all(&heap->waiters, &heap->mutex, IOCP_OK);
		iocp_heap_release(heap);
	}
	return IOCP_OK;
}

int iocp_heap_shut(iocp_heap *heap)
{
	iocp_context passing = {0}, *context = iocp_context_get(); /* without memory for one: see enter_as_guest */
	int r, locked;
	if (!context)
		context = &passing;
	r = lock_open_gate(heap, context);
	if (r != IOCP_OK)
		return r;
	locked = heap->gate_depth > 0;
	atomic_store_explicit(&heap->gate, IOCP_GATE_DESTROYED, memory_order_seq_cst); /* see the top */
	iocp_lock_release(&heap->mutex);
	iocp_heap_quiesce(heap);
	iocp_waiters_serve_all(&heap->waiters, &heap->mutex, IOCP_OK); /* they look again, and find it destroyed */
	if (locked) {
		forget_locked(context, heap);
		iocp_heap_release(heap); /* not the last: the caller has one */
	}
	return IOCP_OK;
}

/* ---- caches ------------------------------------------------------------------------------------------------------ */

static void empty_magazine(iocp_heap *heap, uint32_t class, iocp_magazine *magazine)
{
	while (magazine->count)
		iocp_slab_give(&heap->slab, class, magazine->blocks[--magazine->count]);
	magazine->next = heap->empty;
	heap->empty = magazine;
}

/* Adds what the cache counted to the heap's numbers. The mutex is held, by the owner or when there is none. */
static void publish(iocp_heap *heap, iocp_cache *cache)
{
	heap->blocks += atomic_load_explicit(&cache->blocks, memory_order_relaxed); /* see iocp_cache_count */
	heap->bytes += atomic_load_explicit(&cache->bytes, memory_order_relaxed);
	atomic_store_explicit(&cache->blocks, 0, memory_order_relaxed);
	atomic_store_explicit(&cache->bytes, 0, memory_order_relaxed);
	if (heap->bytes > heap->peak_bytes)
		heap->peak_bytes = heap->bytes;
}

void iocp_heap_totals(iocp_heap *heap, int64_t *blocks, int64_t *bytes)
{
	const iocp_cache *cache = atomic_load_explicit(&heap->caches, memory_order_acquire); /* see push_cache */
	*blocks = heap->blocks;
	*bytes = heap->bytes;
	for (; cache; cache = cache->next) {
		*blocks += atomic_load_explicit(&cache->blocks, memory_order_relaxed); /* see iocp_cache_count */
		*bytes += atomic_load_explicit(&cache->bytes, memory_order_relaxed);
	}
	if (*bytes > heap->peak_bytes)
		heap->peak_bytes = *bytes;
}

/* The owner gives all up. */
static void return_cache(iocp_heap *heap, iocp_cache *cache)
{
	uint32_t class;
	iocp_lock_acquire(&heap->mutex);
	/* Relaxed: written under the mutex. */
	if (atomic_load_explicit(&heap->gate, memory_order_relaxed) != IOCP_GATE_DESTROYED) {
		for (class = 0; class < IOCP_CLASSES; class ++) {
			if (cache->classes[class].loaded)
				empty_magazine(heap, class, cache->classes[class].loaded);
			if (cache->classes[class].previous)
				empty_magazine(heap, class, cache->classes[class].previous);
			cache->classes[class].loaded = cache->classes[class].previous = NULL;
		}
		publish(heap, cache);
	}
	cache->next_idle = heap->idle;
	heap->idle = cache;
	iocp_lock_release(&heap->mutex);
}

/* Frees an entry of the context's table. The heap may be gone: then so is the cache, and the handle opens nothing. */
static void forget_entry(iocp_cached *entry)
{
	iocp_object *object = entry->heap ? iocp_object_open(entry->heap, IOCP_KIND_HEAP | IOCP_KIND_PRIVATE_HEAP) : NULL;
	if (object) {
		return_cache((iocp_heap *)object, entry->cache);
		iocp_heap_reclaim((iocp_heap *)object);
		iocp_object_release(object);
	}
	if (iocp_this_thread.heap == entry->heap)
		iocp_this_thread.heap = 0; /* the cache may have a new owner any moment */
	*entry = (iocp_cached){0, NULL};
}

/* The thread ends: gives back every magazine, and unlocks the heaps that it holds locked. */
static void forget_heaps(iocp_context *context)
{
	uint32_t i;
	while (context->locked)
		iocp_heap_unlock(context->locked);
	for (i = 0; i < context->capacity; i++)
		forget_entry(&context->caches[i]);
	free(context->caches);
	context->caches = NULL;
	context->capacity = 0;
}

/* Adds a cache to the heap's list. The mutex is held. */
static void push_cache(iocp_heap *heap, iocp_cache *cache)
{
	cache->next = atomic_load_explicit(&heap->caches, memory_order_relaxed); /* written under the mutex */
	if (cache->next != &heap->spare)
		atomic_store_explicit(&heap->shared, 1, memory_order_seq_cst); /* see the top */
	/* Release: the cache's content happens-before iocp_heap_quiesce and iocp_heap_totals read it. */
	atomic_store_explicit(&heap->caches, cache, memory_order_release);
}

/* A cache of the heap for the caller alone: one that a thread gave back, or a new one. NULL: out of memory. */
static iocp_cache *own_cache(iocp_heap *heap)
{
	iocp_cache *cache;
	iocp_lock_acquire(&heap->mutex);
	cache = heap->idle;
	if (cache)
		heap->idle = cache->next_idle;
	iocp_lock_release(&heap->mutex);
	if (cache || !(cache = calloc(1, sizeof(*cache))))
		return cache;
	iocp_lock_acquire(&heap->mutex);
	push_cache(heap, cache);
	iocp_lock_release(&heap->mutex);
	if (cache->next != &heap->spare)
		iocp_heap_quiesce(heap);
	return cache;
}

/* ---- a thread's table of caches ---------------------------------------------------------------------------------- */

/* A hash table: a heap is in one of the WINDOW entries from the number of its slot on. An entry of the same slot with
** another handle is of a heap that is gone or destroyed. Where there is no room the table is doubled, up to
** LARGEST_TABLE; then a heap takes the place of another, to which its cache goes back, so that a thread holds blocks of
** so many at most. */
enum { WINDOW = 8, LEAST_TABLE = 16, LARGEST_TABLE = 1024 };

static iocp_cached *entry_at(const iocp_context *context, iocp_handle heap, uint32_t i)
{
	return &context->caches[(iocp_handle_slot(heap) + i) & (context->capacity - 1)];
}

static inline iocp_cache *look_up(const iocp_context *context, iocp_handle heap)
{
	uint32_t i;
	for (i = 0; i < WINDOW && context->capacity; i++)
		if (entry_at(context, heap, i)->heap == heap)
			return entry_at(context, heap, i)->cache;
	return NULL;
}

/* Where the heap may have its entry; NULL: no room. */
static iocp_cached *vacancy(const iocp_context *context, iocp_handle heap)
{
	uint32_t i;
	for (i = 0; i < WINDOW && context->capacity; i++) {
		iocp_cached *entry = entry_at(context, heap, i);
		if (!entry->heap || iocp_handle_slot(entry->heap) == iocp_handle_slot(heap))
			return entry;
	}
	return NULL;
}

/* 0: it is as large as it gets, or there is no memory. */
static int enlarge_table(iocp_context *context)
{
	iocp_cached *old = context->caches, *entry;
	uint32_t i, count = context->capacity, capacity = count ? count * 2 : LEAST_TABLE;
	iocp_cached *fresh = capacity <= LARGEST_TABLE ? calloc(capacity, sizeof(*fresh)) : NULL;
	if (!fresh)
		return 0;
	context->caches = fresh;
	context->capacity = capacity;
	context->forget_heaps = forget_heaps;
	for (i = 0; i < count; i++) {
		entry = old[i].heap ? vacancy(context, old[i].heap) : NULL;
		if (entry)
			*entry = old[i];
		else
			forget_entry(&old[i]);
	}
	free(old);
	return 1;
}

static iocp_cached *make_room(iocp_context *context, iocp_handle heap)
{
	iocp_cached *entry;
	while (!(entry = vacancy(context, heap)))
		if (!enlarge_table(context))
			break;
	if (!entry && context->capacity)
		entry = entry_at(context, heap, 0);
	if (entry)
		forget_entry(entry);
	return entry;
}

/* The caller's cache of the heap, and its thread-local shortcut. NULL: out of memory. */
static iocp_cache *find_cache(iocp_heap *heap, iocp_context *context)
{
	iocp_handle handle = heap->object.handle;
	iocp_cache *cache = look_up(context, handle);
	if (!cache) {
		iocp_cached *entry = make_room(context, handle);
		cache = entry ? own_cache(heap) : NULL;
		if (!cache)
			return NULL;
		*entry = (iocp_cached){handle, cache};
	}
	iocp_this_thread.heap = handle;
	iocp_this_thread.cache = cache;
	return cache;
}

/* ---- entering ---------------------------------------------------------------------------------------------------- */

static inline int enter(iocp_heap *heap, iocp_context *context, iocp_cache *cache)
{
	for (;;) {
		uintptr_t gate;
		int r;
		/* Both sequentially consistent, which is all that a fenced gate needs. Only the spare one is found busy. */
		while (atomic_exchange_explicit(&cache->busy, 1, memory_order_seq_cst))
			sched_yield();
		gate = atomic_load_explicit(&heap->gate, memory_order_seq_cst);
		if (is_open(gate) || gate == (uintptr_t)context)
			return IOCP_OK;
		iocp_heap_leave(cache);
		r = lock_open_gate(heap, context);
		if (r != IOCP_OK)
			return r;
		iocp_lock_release(&heap->mutex);
	}
}

/* Whoever has no memory for a cache uses the spare one, one at a time: what needs no memory itself, a free, say, never
** fails for want of it. */
static int enter_as_guest(iocp_heap *heap, iocp_context *context)
{
	iocp_context passing = {0}; /* for a wait at the gate; nobody comes to know it */
	/* Each time, as who did so first may still be waiting; see the top. */
	atomic_store_explicit(&heap->shared, 1, memory_order_seq_cst);
	iocp_heap_quiesce(heap);
	return enter(heap, context ? context : &passing, &heap->spare);
}

int iocp_heap_enter_slowly(iocp_heap *heap, iocp_cache **cache)
{
	iocp_context *context = iocp_context_get();
	/* Relaxed: IOCP_GATE_DESTROYED is final; anything else is looked at again. */
	if (atomic_load_explicit(&heap->gate, memory_order_relaxed) == IOCP_GATE_DESTROYED)
		return IOCP_INVALID;
	*cache = context ? find_cache(heap, context) : NULL;
	if (*cache)
		return enter(heap, context, *cache);
	*cache = &heap->spare;
	return enter_as_guest(heap, context);
}

/* ---- magazines --------------------------------------------------------------------------------------------------- */

static void swap_magazines(iocp_cache *cache, uint32_t class)
{
	iocp_magazine *loaded = cache->classes[class].loaded;
	cache->classes[class].loaded = cache->classes[class].previous;
	cache->classes[class].previous = loaded;
}

/* Puts an empty magazine where `place` has none. The mutex is held and, without memory, `place` stays NULL: then blocks
** come from the pages and go there one by one. */
static void bring_magazine(iocp_heap *heap, iocp_magazine **place)
{
	if (*place)
		return;
	*place = heap->empty;
	if (*place) {
		heap->empty = heap->empty->next;
		return;
	}
	iocp_lock_release(&heap->mutex);
	*place = calloc(1, sizeof(**place));
	iocp_lock_acquire(&heap->mutex);
}

/* The loaded magazine is empty or missing. */
void *iocp_cache_take_slowly(iocp_heap *heap, iocp_cache *cache, uint32_t class)
{
	iocp_magazine **loaded = &cache->classes[class].loaded;
	void *block = NULL;
	swap_magazines(cache, class);
	if (*loaded && (*loaded)->count)
		return (*loaded)->blocks[--(*loaded)->count];
	iocp_lock_acquire(&heap->mutex);
	publish(heap, cache);
	if (heap->depot[class].full) {
		if (*loaded) {
			(*loaded)->next = heap->empty;
			heap->empty = *loaded;
		}
		*loaded = heap->depot[class].full;
		heap->depot[class].full = (*loaded)->next;
		heap->depot[class].count--;
	} else {
		bring_magazine(heap, loaded);
		if (*loaded)
			(*loaded)->count = iocp_slab_take(&heap->slab, class, (*loaded)->blocks, IOCP_MAGAZINE);
		else
			(void)iocp_slab_take(&heap->slab, class, &block, 1);
	}
	if (*loaded && (*loaded)->count)
		block = (*loaded)->blocks[--(*loaded)->count];
	iocp_lock_release(&heap->mutex);
	return block;
}

/* The loaded magazine is full or missing. */
void iocp_cache_give_slowly(iocp_heap *heap, iocp_cache *cache, uint32_t class, void *block)
{
	iocp_magazine **loaded = &cache->classes[class].loaded;
	swap_magazines(cache, class);
	if (*loaded && (*loaded)->count < IOCP_MAGAZINE) {
		(*loaded)->blocks[(*loaded)->count++] = block;
		return;
	}
	iocp_lock_acquire(&heap->mutex);
	publish(heap, cache);
	if (*loaded && heap->depot[class].count < DEPOT_LIMIT) {
		(*loaded)->next = heap->depot[class].full;
		heap->depot[class].full = *loaded;
		heap->depot[class].count++;
		*loaded = NULL;
	} else if (*loaded) {
		empty_magazine(heap, class, *loaded);
		*loaded = NULL;
	}
	bring_magazine(heap, loaded);
	if (*loaded)
		(*loaded)->blocks[(*loaded)->count++] = block;
	else
		iocp_slab_give(&heap->slab, class, block);
	cache->reclaim = iocp_heap_can_reclaim(heap);
	iocp_lock_release(&heap->mutex);
}

/* ---- giving memory back ------------------------------------------------------------------------------------------ */

int iocp_heap_can_reclaim(const iocp_heap *heap)
{
	/* Relaxed: written under the mutex. Behind a gate of the caller's own there is no reclaiming. */
	return is_open(atomic_load_explicit(&heap->gate, memory_order_relaxed))
		   && (heap->slab.empty_pages >= EMPTY_PAGES_LIMIT || heap->slab.free_segments > 1);
}

void iocp_heap_reclaim(iocp_heap *heap)
{
	iocp_page *pages = NULL;
	iocp_segment *segments = NULL;
	int enough;
	iocp_lock_acquire(&heap->mutex);
	enough = iocp_heap_can_reclaim(heap);
	if (enough)
		pages = iocp_slab_detach_pages(&heap->slab);
	iocp_lock_release(&heap->mutex);
	if (!enough)
		return;
	iocp_heap_quiesce(heap);
	iocp_lock_acquire(&heap->mutex);
	if (atomic_load_explicit(&heap->gate, memory_order_relaxed) != IOCP_GATE_DESTROYED) { /* else the pages are gone */
		iocp_slab_free_pages(&heap->slab, pages);
		segments = iocp_slab_detach_segments(&heap->slab, 0);
	}
	iocp_lock_release(&heap->mutex);
	if (segments)
		iocp_heap_quiesce(heap);
	while (segments) {
		iocp_segment *next = segments->next;
		iocp_arena_give(segments);
		segments = next;
	}
}

static void free_magazines(iocp_magazine *magazine)
{
	while (magazine) {
		iocp_magazine *next = magazine->next;
		free(magazine);
		magazine = next;
	}
}

void iocp_heap_free_caches(iocp_heap *heap)
{
	iocp_cache *cache = atomic_load_explicit(&heap->caches, memory_order_acquire);
	uint32_t class;
	while (cache) {
		iocp_cache *next = cache->next;
		for (class = 0; class < IOCP_CLASSES; class ++) {
			free(cache->classes[class].loaded);
			free(cache->classes[class].previous);
		}
		if (cache != &heap->spare)
			free(cache);
		cache = next;
	}
	for (class = 0; class < IOCP_CLASSES; class ++)
		free_magazines(heap->depot[class].full);
	free_magazines(heap->empty);
}
