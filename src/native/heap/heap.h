/*
** heap/heap.h - the parts of the heap and the order in which they are locked.
**
**   region.c      which heap a megabyte of the address space belongs to
**   arena.c       the megabytes that segments lie in
**   slab.c        small and medium blocks: segments of pages, and their headers
**   heap/cache.c  each thread's magazines, the depot they are exchanged with, the gate that keeps threads out
**   heap/large.c  blocks that are mapped on their own
**   heap/block.c  allocating, freeing, resizing
**   heap/copy.c   looking into blocks, and copying in and out
**   heap/busy.c   blocks that operations of I/O use
**   heap.c        creating, destroying, walking
**
** Two locks: `mutex`, short, for the segments, depot, large blocks and gate; and the gate, which is what iocp_heap_lock
** takes: a thread that finds it shut waits. The mutex is never held while waiting for anything.
*/

#ifndef IOCP_NATIVE_HEAP_H
#define IOCP_NATIVE_HEAP_H

#include "native/native.h"

#pragma GCC visibility push(hidden)

enum {
	IOCP_SEGMENT = 1 << 20,
	IOCP_PAGE = 1 << 14,
	IOCP_PAGES = IOCP_SEGMENT / IOCP_PAGE,
	IOCP_CLASSES = 30,
	IOCP_SMALL_LIMIT = 8176,            /* bytes of the largest class */
	IOCP_MEDIUM_LIMIT = 32 * IOCP_PAGE, /* larger blocks are mapped on their own */
	IOCP_MAGAZINE = 64                  /* blocks in one */
};

/* ---- region.c ---------------------------------------------------------------------------------------------------- */

enum iocp_region_kind { IOCP_REGION_NONE = 0, IOCP_REGION_SEGMENT = 1, IOCP_REGION_LARGE = 2 };
enum { IOCP_REGION_KINDS = 3 }; /* the bits of an entry that hold one */

enum { IOCP_SEGMENT_BITS = 20, IOCP_LEAF_BITS = 14, IOCP_ADDRESS_BITS = 48 };
typedef _Atomic uintptr_t iocp_region;
extern _Atomic(iocp_region *) iocp_region_leaves[];

/* The entry for the megabyte around `address`; NULL if none in its neighbourhood was ever set. */
static inline iocp_region *iocp_region_entry(const void *address)
{
	uintptr_t region = (uintptr_t)address >> IOCP_SEGMENT_BITS;
	iocp_region *leaf;
	if (region >> (IOCP_ADDRESS_BITS - IOCP_SEGMENT_BITS))
		return NULL;
	/* Acquire: pairs with the release in region.c; the leaf's zeroes come from the kernel. */
	leaf = atomic_load_explicit(&iocp_region_leaves[region >> IOCP_LEAF_BITS], memory_order_acquire);
	return leaf ? &leaf[region & ((1 << IOCP_LEAF_BITS) - 1)] : NULL;
}

/* What the megabyte around `address` is to `heap`; any address may be asked about and none is read. */
static inline enum iocp_region_kind iocp_region_of(const iocp_heap *heap, const void *address)
{
	iocp_region *entry = iocp_region_entry(address);
	uintptr_t value = entry ? atomic_load_explicit(entry, memory_order_relaxed) : 0; /* see region.c */
	uintptr_t kind = value ^ (uintptr_t)heap; /* what is left is the kind, if the entry is this heap's */
	return kind <= IOCP_REGION_LARGE ? (enum iocp_region_kind)kind : IOCP_REGION_NONE;
}

/* Says that the megabyte at `address` is the heap's. 0: no memory for the map. */
int iocp_region_set(const void *address, const iocp_heap *heap, enum iocp_region_kind kind);
void iocp_region_clear(const void *address);
/* A reference to the heap that the megabyte around `address` belongs to, or NULL; any address may be asked about. No
** lock is held. */
iocp_heap *iocp_region_retain(const void *address);

/* ---- arena.c ----------------------------------------------------------------------------------------------------- */

/* A megabyte for a segment, at a multiple of a megabyte, with any content. NULL: out of memory. */
void *iocp_arena_take(void);
void iocp_arena_give(void *segment);
/* Before many are taken: maps what they need, at once. IOCP_NOMEM. */
int iocp_arena_reserve(size_t segments);

/* ---- slab.c ------------------------------------------------------------------------------------------------------ */

/* A block's header, which lies apart from it: 32 bits of a small one, 64 of the others. The lowest bit says that the
** block is live and that no operation uses it, and is all that allocating and freeing look at. Behind it lies the size
** asked for, and in the upper 18 bits how many operations use it, or IOCP_BUSY_ALONE. A block is live if it has either
** of the two. */
#define IOCP_LIVE UINT64_C(1)
enum { IOCP_BUSY_BITS = 18, IOCP_BUSY_ALONE = (1 << IOCP_BUSY_BITS) - 1 };
enum { IOCP_SMALL_BUSY = 32 - IOCP_BUSY_BITS, IOCP_WIDE_BUSY = 64 - IOCP_BUSY_BITS }; /* the first of these bits */
#define IOCP_LARGEST ((UINT64_C(1) << (IOCP_WIDE_BUSY - 1)) - 1)                      /* bytes of a block: 32 TiB */

static inline int iocp_header_lives(uint64_t header, int busy)
{
	return (header & IOCP_LIVE) || header >> busy;
}

static inline size_t iocp_header_size(uint64_t header, int busy)
{
	return (size_t)((header & ((UINT64_C(1) << busy) - 1)) >> 1);
}

typedef struct iocp_page iocp_page;

typedef struct iocp_segment {
	uint64_t free_pages; /* a bit each */
	struct iocp_segment *next, *previous;
	struct iocp_page {
		_Atomic uint32_t kind;      /* IOCP_PAGE_*, below; read without the mutex to check an address */
		_Atomic uint32_t class;     /* of a small page */
		uint32_t used;              /* small: blocks that are live or in magazines */
		uint32_t carved;            /* small: blocks ever given out; behind them all is untouched */
		uint32_t first_free;        /* small: index + 1 of the newest block given back, 0 for none */
		_Atomic uint32_t run;       /* medium: how many pages */
		_Atomic uint64_t header;    /* medium: the block's */
		iocp_page *next, *previous; /* small: pages of the class with a block to give */
	} pages[IOCP_PAGES];
} iocp_segment;

enum { IOCP_PAGE_FREE = 0, IOCP_PAGE_SMALL = 1, IOCP_PAGE_MEDIUM = 2, IOCP_PAGE_TAIL = 3 };

typedef struct iocp_slab {
	iocp_segment *segments, *last; /* those with free pages first */
	iocp_page *partial[IOCP_CLASSES];
	uint32_t segment_count;
	uint32_t empty_pages;   /* small pages none of whose blocks is out */
	uint32_t free_segments; /* segments all of whose pages are free */
} iocp_slab;

/* Division by a class size is a multiplication, exact for offsets below IOCP_PAGE. */
extern struct iocp_class_info {
	uint32_t size;       /* bytes from block to block */
	uint32_t count;      /* blocks in a page */
	uint32_t offset;     /* of the first block in its page */
	uint32_t reciprocal; /* 2^32 / size, rounded up */
} iocp_class_infos[IOCP_CLASSES];
extern uint8_t iocp_class_of_units[];

static inline uint32_t iocp_class_of(size_t size) /* size <= IOCP_SMALL_LIMIT */
{
	return iocp_class_of_units[(size + 15) / 16];
}

static inline iocp_segment *iocp_segment_of(const void *address)
{
	return (iocp_segment *)((uintptr_t)address & ~(uintptr_t)(IOCP_SEGMENT - 1));
}

static inline iocp_page *iocp_page_of(const void *address)
{
	return &iocp_segment_of(address)->pages[((uintptr_t)address & (IOCP_SEGMENT - 1)) / IOCP_PAGE];
}

static inline uint32_t iocp_small_index(const void *block, uint32_t class)
{
	uint32_t offset = (uint32_t)((uintptr_t)block & (IOCP_PAGE - 1)) - iocp_class_infos[class].offset;
	return (uint32_t)(((uint64_t)offset * iocp_class_infos[class].reciprocal) >> 32);
}

/* The header of the small block of that class at `block`, which is known to be one. */
static inline _Atomic uint32_t *iocp_small_header(const void *block, uint32_t class)
{
	char *page = (char *)((uintptr_t)block & ~(uintptr_t)(IOCP_PAGE - 1));
	return (_Atomic uint32_t *)(void *)page + iocp_small_index(block, class);
}

/* Checks an address in one of the heap's segments. Returns the kind of page if a block of that page starts there
** (whether it is live is for its header to say), else IOCP_PAGE_FREE. Needs no lock, but see iocp_heap_enter. */
static inline uint32_t iocp_slab_check(const void *address, uint32_t *class, iocp_page **page)
{
	iocp_page *p = iocp_page_of(address);
	uint32_t offset = (uint32_t)((uintptr_t)address & (IOCP_PAGE - 1));
	uint32_t kind = atomic_load_explicit(&p->kind, memory_order_acquire); /* pairs with set_kind */
	*page = p;
	if (kind == IOCP_PAGE_SMALL) {
		uint32_t c = atomic_load_explicit(&p->class, memory_order_relaxed);
		const struct iocp_class_info *info = &iocp_class_infos[c];
		uint32_t index = iocp_small_index(address, c);
		*class = c;
		return offset >= info->offset && index < info->count && info->offset + index * info->size == offset
				   ? kind
				   : (uint32_t)IOCP_PAGE_FREE;
	}
	return kind == IOCP_PAGE_MEDIUM && offset == 0 ? kind : (uint32_t)IOCP_PAGE_FREE;
}

/* Under the mutex, all: */
/* Takes up to `max` blocks of a class; fewer, or 0, when no page of it is left. */
uint32_t iocp_slab_take(iocp_slab *slab, uint32_t class, void **blocks, uint32_t max);
void iocp_slab_give(iocp_slab *slab, uint32_t class, void *block);
/* Turns a free page into one of the class; 0 if there is none. */
int iocp_slab_add_page(iocp_slab *slab, uint32_t class);
/* A run for `size` bytes; NULL if no segment has one. Its header is for the caller to set. */
void *iocp_slab_take_run(iocp_slab *slab, size_t size);
void iocp_slab_give_run(iocp_slab *slab, void *block);
void iocp_slab_add_segment(iocp_slab *slab, void *memory);
/* Takes the empty pages out of use, linked by `next`; iocp_slab_free_pages makes them free pages. In between every
** thread must have left the heap once, since one that checks a stale address may look at them. */
iocp_page *iocp_slab_detach_pages(iocp_slab *slab);
void iocp_slab_free_pages(iocp_slab *slab, iocp_page *pages);
/* Takes out all segments that are free but one, or all there are, linked by `next`, and clears their regions; the
** caller unmaps them, again after every thread has left the heap once. */
iocp_segment *iocp_slab_detach_segments(iocp_slab *slab, int all);
/* Calls visit for each live block. Every thread is kept out. */
void iocp_slab_walk(const iocp_slab *slab, void (*visit)(void *state, uintptr_t address, size_t size), void *state);
/* Whether everything said above of pages and lists is so. Every thread is kept out. */
int iocp_slab_validate(const iocp_slab *slab);

/* ---- heap/cache.c ------------------------------------------------------------------------------------------------ */

typedef struct iocp_magazine {
	struct iocp_magazine *next;
	uint32_t count;
	void *blocks[IOCP_MAGAZINE];
} iocp_magazine;

/* A thread's part of a heap. Its owner alone touches it while `busy`; others, for the counts, read atomics. */
typedef struct iocp_cache {
	_Atomic uint32_t busy;         /* 1 while its owner is inside the heap */
	int reclaim;                   /* its owner saw that there is memory to give back */
	_Atomic int64_t blocks, bytes; /* live ones added since the last exchange with the depot */
	struct {
		iocp_magazine *loaded, *previous; /* Bonwick and Adams 2001: two, so that no pattern exchanges each time */
	} classes[IOCP_CLASSES];
	struct iocp_cache *next;      /* fixed once it is in the heap's list; caches go with the heap */
	struct iocp_cache *next_idle; /* of those without an owner; guarded by the mutex */
} iocp_cache;

typedef struct iocp_large {
	struct iocp_large *next, *previous;
	size_t mapped;
	_Atomic uint64_t header;
} iocp_large;

enum { IOCP_LARGE_OFFSET = 64 }; /* from the mapping to the block */

/* ---- heap/large.c ------------------------------------------------------------------------------------------------ */

/* What is mapped for a block of `size` bytes; one near SIZE_MAX is refused before. */
size_t iocp_large_mapping(size_t size);
/* Inside: a live block; NULL: out of memory. */
void *iocp_large_take(iocp_heap *heap, size_t size, int flags);
/* Outside: takes back one that is no longer live. */
void iocp_large_drop(iocp_heap *heap, iocp_large *large);
/* Nobody is inside or gets in: gives all of them back to the system. */
void iocp_large_unmap_all(iocp_heap *heap);

struct iocp_heap {
	iocp_object object;
	_Atomic uint64_t users;       /* operations that use its blocks, and 1 until it is destroyed: see heap/busy.c */
	size_t maximum;               /* 0: none */
	_Atomic uint64_t charged;     /* bytes of blocks, counted only if there is a maximum */
	_Atomic uintptr_t gate;       /* `open`, the context that shut it, or IOCP_GATE_DESTROYED */
	_Atomic uint32_t fenced;      /* 1: all who are inside made their own barrier; see heap/cache.c */
	_Atomic uint32_t shared;      /* 1 once a second thread uses the heap */
	_Atomic(iocp_cache *) caches; /* all ever made for this heap; grows at the front, and ends with the spare one */
	iocp_cache spare;             /* of whoever has no memory for one, and is inside */
	iocp_lock mutex;              /* guards what follows */
	iocp_cache *idle;             /* caches that threads gave back */
	uintptr_t open;               /* what the gate is when it is open: 0, or IOCP_GATE_FENCED from some time on */
	uint32_t gate_depth;
	iocp_heap *next_locked; /* in the list of the context that shut the gate, which alone touches it */
	iocp_waiters waiters;   /* for the gate */
	iocp_slab slab;
	iocp_large *large;    /* the live ones */
	iocp_large *kept;     /* newest first, linked by `next` */
	uint64_t large_bytes; /* mapped for both */
	struct {
		iocp_magazine *full;
		uint32_t count;
	} depot[IOCP_CLASSES];
	iocp_magazine *empty;
	int64_t blocks, bytes; /* live, but for what caches hold back */
	int64_t peak_bytes;
};

enum { IOCP_GATE_FENCED = 1 }; /* open to those who make a full barrier as they enter */
#define IOCP_GATE_DESTROYED UINTPTR_MAX

/* Between enter and leave nothing of the heap is unmapped and nobody else shuts the gate. Does not nest. IOCP_INVALID,
** IOCP_CANCELLED, IOCP_INTERRUPTED, IOCP_NOMEM. The argument for the gate is in heap/cache.c. */
int iocp_heap_enter_slowly(iocp_heap *heap, iocp_cache **cache);
static inline void iocp_heap_leave(iocp_cache *cache)
{
	/* Release: what was done inside happens-before the acquire in iocp_heap_quiesce. */
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
}
/* As iocp_heap_enter, if the thread used this heap last and the gate is open; else NULL, and it is not inside. */
static inline iocp_cache *iocp_heap_enter_quickly(iocp_heap *heap)
{
	iocp_cache *cache = iocp_this_thread.cache;
	if (iocp_this_thread.heap != heap->object.handle)
		return NULL;
	/* Relaxed, and only the compiler is kept from reordering: iocp_prim_barrier does the rest. */
	atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&heap->gate, memory_order_seq_cst) == 0)
		return cache;
	iocp_heap_leave(cache);
	return NULL;
}
static inline int iocp_heap_enter(iocp_heap *heap, iocp_cache **cache)
{
	*cache = iocp_heap_enter_quickly(heap);
	return *cache ? IOCP_OK : iocp_heap_enter_slowly(heap, cache);
}
/* Inside: a block of the class, its header not yet live; NULL if the slab has no page for one. */
void *iocp_cache_take_slowly(iocp_heap *heap, iocp_cache *cache, uint32_t class);
static inline void *iocp_cache_take(iocp_heap *heap, iocp_cache *cache, uint32_t class)
{
	iocp_magazine *loaded = cache->classes[class].loaded;
	return loaded && loaded->count ? loaded->blocks[--loaded->count] : iocp_cache_take_slowly(heap, cache, class);
}
void iocp_cache_give_slowly(iocp_heap *heap, iocp_cache *cache, uint32_t class, void *block);
static inline void iocp_cache_give(iocp_heap *heap, iocp_cache *cache, uint32_t class, void *block)
{
	iocp_magazine *loaded = cache->classes[class].loaded;
	if (loaded && loaded->count < IOCP_MAGAZINE)
		loaded->blocks[loaded->count++] = block;
	else
		iocp_cache_give_slowly(heap, cache, class, block);
}
/* Inside: `blocks` and `bytes` more (or fewer) are live. */
static inline void iocp_cache_count(iocp_cache *cache, int64_t blocks, int64_t bytes)
{
	/* Relaxed: the owner alone writes; iocp_heap_totals reads what is true of some recent moment. */
	int64_t old_blocks = atomic_load_explicit(&cache->blocks, memory_order_relaxed);
	int64_t old_bytes = atomic_load_explicit(&cache->bytes, memory_order_relaxed);
	atomic_store_explicit(&cache->blocks, old_blocks + blocks, memory_order_relaxed);
	atomic_store_explicit(&cache->bytes, old_bytes + bytes, memory_order_relaxed);
}
/* Outside: waits until every thread that is inside has left once. */
void iocp_heap_quiesce(iocp_heap *heap);
/* Whether there is enough memory that no block needs to be worth giving back. The mutex is held. */
int iocp_heap_can_reclaim(const iocp_heap *heap);
/* Outside: gives it back. */
void iocp_heap_reclaim(iocp_heap *heap);
/* Live blocks and bytes with what the caches hold back. The mutex is held. */
void iocp_heap_totals(iocp_heap *heap, int64_t *blocks, int64_t *bytes);
/* ---- heap/block.c ------------------------------------------------------------------------------------------------ */

/* A live block, found by its address. */
typedef struct iocp_found {
	enum { IOCP_FOUND_SMALL, IOCP_FOUND_MEDIUM, IOCP_FOUND_LARGE } kind;
	int busy; /* IOCP_SMALL_BUSY or IOCP_WIDE_BUSY */
	uint32_t class;
	uint64_t header; /* as it was when it was found live */
	size_t size;
	iocp_page *page;   /* of a medium one */
	iocp_large *large; /* itself, if it is large */
} iocp_found;
/* Inside, or an operation uses the block. 0: no live block of this heap starts at `address`. */
int iocp_heap_find(const iocp_heap *heap, const void *address, iocp_found *f);
/* Replaces the header of a found block, unless another thread changed it since. */
int iocp_heap_set_header(const void *address, const iocp_found *f, uint64_t header);
/* One more segment. The caller is inside, or alone. IOCP_NOMEM. */
int iocp_heap_add_segment(iocp_heap *heap);
/* Shuts the gate for good. IOCP_INVALID: it was done before. */
int iocp_heap_shut(iocp_heap *heap);
/* The heap is nobody's any more: frees the caches and magazines. */
void iocp_heap_free_caches(iocp_heap *heap);
/* ---- heap.c ------------------------------------------------------------------------------------------------------ */

/* The heap's own use of its memory, or an operation's, has ended, and nobody is inside or gets in if it was the heap's.
** 0: operations use blocks, the last of which gives the memory back. */
int iocp_heap_end_use(iocp_heap *heap);

#pragma GCC visibility pop

#endif
