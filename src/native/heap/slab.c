/*
** heap/slab.c - small and medium blocks.
**
** A segment is a megabyte at a multiple of a megabyte: 64 pages of 16 KiB, of which page 0 holds the segment's own
** description. A small page serves one size class: first the headers of its blocks, 4 bytes each, then the blocks. A
** medium block is a run of whole pages, its header in the first page's description. Headers lie apart from the blocks
** so that blocks of 48 bytes take 52 and are still 16-byte aligned, and so that a write past a block's end reaches
** another block's content but never what this code trusts.
**
** A small block's header is size << 1 | live while it is live, and (index of the next free block + 1) << 1 while it is
** on its page's list. A live header is set by the thread that takes the block, and ended by a compare-and-swap by
** whoever frees it, so of two that free it at once one fails. While operations use the block (heap/busy.c) the header
** has their number in its upper bits, where the others have none, and is not live for who would free it.
**
** Locking: the heap's mutex, but for iocp_slab_check and the headers' atomics.
*/

#include "native/heap/heap.h"

#include <string.h>

/* Bytes from block to block. From 1280 on they are chosen so that 12, 10, 8, 7, 6, 5, 4, 3 and 2 blocks fill a page. */
static const uint16_t class_sizes[IOCP_CLASSES] = {16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448,
	512, 640, 768, 896, 1024, 1280, 1360, 1632, 2032, 2320, 2720, 3264, 4080, 5456, 8176};

static uint32_t block_count(uint32_t class)
{
	/* The largest n with n headers, rounded up to 16 bytes, and n blocks in a page. */
	uint32_t size = class_sizes[class], n = IOCP_PAGE / (size + 4);
	while (((n * 4 + 15) & ~15u) + n * size > IOCP_PAGE)
		n--;
	return n;
}

struct iocp_class_info iocp_class_infos[IOCP_CLASSES];
uint8_t iocp_class_of_units[IOCP_SMALL_LIMIT / 16 + 1];

/* Runs before main, or inside dlopen, so nobody looks at the tables before. It only computes. */
__attribute__((constructor)) static void compute_tables(void)
{
	uint32_t class, unit = 0;
	for (class = 0; class < IOCP_CLASSES; class ++) {
		uint32_t size = class_sizes[class], count = block_count(class);
		iocp_class_infos[class] = (struct iocp_class_info){size, count, (count * 4 + 15) & ~15u, UINT32_MAX / size + 1};
		for (; unit <= size / 16; unit++)
			iocp_class_of_units[unit] = (uint8_t) class;
	}
}

static char *page_memory(const iocp_page *page)
{
	iocp_segment *segment = iocp_segment_of(page);
	return (char *)segment + (size_t)(page - segment->pages) * IOCP_PAGE;
}

static _Atomic uint32_t *headers_of(const iocp_page *page)
{
	return (_Atomic uint32_t *)(void *)page_memory(page);
}

static void set_kind(iocp_page *page, uint32_t kind)
{
	/* Release: whoever sees that the page is small sees of which class, and its headers. Pairs with iocp_slab_check. */
	atomic_store_explicit(&page->kind, kind, memory_order_release);
}

/* ---- segments and pages ------------------------------------------------------------------------------------------ */

#define ALL_PAGES (~UINT64_C(1)) /* but page 0 */

static void unlink_segment(iocp_slab *slab, iocp_segment *segment)
{
	if (segment->next)
		segment->next->previous = segment->previous;
	else
		slab->last = segment->previous;
	if (segment->previous)
		segment->previous->next = segment->next;
	else
		slab->segments = segment->next;
}

static void link_first(iocp_slab *slab, iocp_segment *segment)
{
	segment->previous = NULL;
	segment->next = slab->segments;
	if (segment->next)
		segment->next->previous = segment;
	else
		slab->last = segment;
	slab->segments = segment;
}

static void link_last(iocp_slab *slab, iocp_segment *segment)
{
	segment->next = NULL;
	segment->previous = slab->last;
	if (segment->previous)
		segment->previous->next = segment;
	else
		slab->segments = segment;
	slab->last = segment;
}

void iocp_slab_add_segment(iocp_slab *slab, void *memory)
{
	iocp_segment *segment = memory;
	memset(segment, 0, sizeof(*segment));
	segment->free_pages = ALL_PAGES;
	link_first(slab, segment);
	slab->segment_count++;
	slab->free_segments++;
}

static uint64_t run_bits(uint32_t first, uint32_t count)
{
	return ((UINT64_C(1) << count) - 1) << first; /* count < 64 */
}

/* The list has the segments with free pages first, so that a search ends at the first full one. */
static void take_pages(iocp_slab *slab, iocp_segment *segment, uint64_t bits)
{
	if (segment->free_pages == ALL_PAGES)
		slab->free_segments--;
	segment->free_pages &= ~bits;
	if (segment->free_pages == 0) {
		unlink_segment(slab, segment);
		link_last(slab, segment);
	}
}

static void give_pages(iocp_slab *slab, iocp_segment *segment, uint64_t bits)
{
	if (segment->free_pages == 0) {
		unlink_segment(slab, segment);
		link_first(slab, segment);
	}
	segment->free_pages |= bits;
	if (segment->free_pages == ALL_PAGES)
		slab->free_segments++;
}

/* A run of `count` free pages, and where it starts; NULL if none. */
static iocp_segment *find_run(const iocp_slab *slab, uint32_t count, uint32_t *first)
{
	iocp_segment *segment;
	for (segment = slab->segments; segment && segment->free_pages; segment = segment->next) {
		uint64_t starts = segment->free_pages;
		uint32_t i;
		for (i = 1; i < count && starts; i++)
			starts &= segment->free_pages >> i;
		if (starts) {
			*first = (uint32_t)__builtin_ctzll(starts);
			return segment;
		}
	}
	return NULL;
}

/* ---- small blocks ------------------------------------------------------------------------------------------------ */

static void link_partial(iocp_slab *slab, uint32_t class, iocp_page *page)
{
	page->previous = NULL;
	page->next = slab->partial[class];
	if (page->next)
		page->next->previous = page;
	slab->partial[class] = page;
}

static void unlink_partial(iocp_slab *slab, uint32_t class, iocp_page *page)
{
	if (page->next)
		page->next->previous = page->previous;
	if (page->previous)
		page->previous->next = page->next;
	else
		slab->partial[class] = page->next;
}

int iocp_slab_add_page(iocp_slab *slab, uint32_t class)
{
	uint32_t first, i;
	iocp_segment *segment = find_run(slab, 1, &first);
	iocp_page *page;
	if (!segment)
		return 0;
	take_pages(slab, segment, run_bits(first, 1));
	page = &segment->pages[first];
	page->used = page->carved = page->first_free = 0;
	for (i = 0; i < iocp_class_infos[class].count; i++)
		atomic_store_explicit(&headers_of(page)[i], 0, memory_order_relaxed);
	atomic_store_explicit(&page->class, class, memory_order_relaxed); /* see set_kind */
	set_kind(page, IOCP_PAGE_SMALL);
	slab->empty_pages++;
	link_partial(slab, class, page);
	return 1;
}

static int has_block(const iocp_page *page, uint32_t class)
{
	return page->first_free || page->carved < iocp_class_infos[class].count;
}

uint32_t iocp_slab_take(iocp_slab *slab, uint32_t class, void **blocks, uint32_t max)
{
	const struct iocp_class_info *info = &iocp_class_infos[class];
	uint32_t n = 0;
	iocp_page *page;
	while (n < max && (page = slab->partial[class]) != NULL) {
		_Atomic uint32_t *headers = headers_of(page);
		char *memory = page_memory(page) + info->offset;
		if (page->used == 0)
			slab->empty_pages--;
		while (n < max && has_block(page, class)) {
			uint32_t index;
			if (page->first_free) {
				index = page->first_free - 1;
				/* Relaxed, and so is the store: off the list a header of 0 says "not live" to whoever looks. */
				page->first_free = atomic_load_explicit(&headers[index], memory_order_relaxed) >> 1;
				atomic_store_explicit(&headers[index], 0, memory_order_relaxed);
			} else {
				index = page->carved++;
			}
			page->used++;
			blocks[n++] = memory + (size_t)index * info->size;
		}
		if (!has_block(page, class))
			unlink_partial(slab, class, page);
	}
	return n;
}

void iocp_slab_give(iocp_slab *slab, uint32_t class, void *block)
{
	iocp_page *page = iocp_page_of(block);
	int was_full = !has_block(page, class);
	uint32_t index = iocp_small_index(block, class);
	atomic_store_explicit(&headers_of(page)[index], page->first_free << 1, memory_order_relaxed);
	page->first_free = index + 1;
	if (--page->used == 0)
		slab->empty_pages++;
	if (was_full)
		link_partial(slab, class, page);
}

iocp_page *iocp_slab_detach_pages(iocp_slab *slab)
{
	iocp_page *detached = NULL, *page, *next;
	uint32_t class;
	for (class = 0; class < IOCP_CLASSES; class ++) {
		for (page = slab->partial[class]; page; page = next) {
			next = page->next;
			if (page->used == 0) {
				unlink_partial(slab, class, page);
				page->next = detached;
				detached = page;
			}
		}
	}
	slab->empty_pages = 0;
	return detached;
}

void iocp_slab_free_pages(iocp_slab *slab, iocp_page *pages)
{
	while (pages) {
		iocp_page *next = pages->next;
		iocp_segment *segment = iocp_segment_of(pages);
		set_kind(pages, IOCP_PAGE_FREE);
		give_pages(slab, segment, run_bits((uint32_t)(pages - segment->pages), 1));
		pages = next;
	}
}

iocp_segment *iocp_slab_detach_segments(iocp_slab *slab, int all)
{
	iocp_segment *detached = NULL, *segment, *next;
	for (segment = slab->segments; segment; segment = next) {
		next = segment->next;
		if (!all && (segment->free_pages != ALL_PAGES || slab->free_segments == 1))
			continue;
		if (segment->free_pages == ALL_PAGES)
			slab->free_segments--;
		unlink_segment(slab, segment);
		slab->segment_count--;
		iocp_region_clear(segment);
		segment->next = detached;
		detached = segment;
	}
	return detached;
}

/* ---- medium blocks ----------------------------------------------------------------------------------------------- */

void *iocp_slab_take_run(iocp_slab *slab, size_t size)
{
	uint32_t count = (uint32_t)((size + IOCP_PAGE - 1) / IOCP_PAGE), first, i;
	iocp_segment *segment = find_run(slab, count, &first);
	if (!segment)
		return NULL;
	take_pages(slab, segment, run_bits(first, count));
	atomic_store_explicit(&segment->pages[first].run, count, memory_order_relaxed);
	atomic_store_explicit(&segment->pages[first].header, 0, memory_order_relaxed);
	for (i = 1; i < count; i++)
		set_kind(&segment->pages[first + i], IOCP_PAGE_TAIL);
	set_kind(&segment->pages[first], IOCP_PAGE_MEDIUM);
	return page_memory(&segment->pages[first]);
}

void iocp_slab_give_run(iocp_slab *slab, void *block)
{
	iocp_page *page = iocp_page_of(block);
	iocp_segment *segment = iocp_segment_of(block);
	uint32_t i, count = atomic_load_explicit(&page->run, memory_order_relaxed); /* written under the mutex */
	for (i = 0; i < count; i++)
		set_kind(&page[i], IOCP_PAGE_FREE);
	give_pages(slab, segment, run_bits((uint32_t)(page - segment->pages), count));
}

/* ---- inspection -------------------------------------------------------------------------------------------------- */

static void walk_page(const iocp_page *page, void (*visit)(void *, uintptr_t, size_t), void *state)
{
	uint32_t kind = atomic_load_explicit(&page->kind, memory_order_relaxed), i;
	if (kind == IOCP_PAGE_SMALL) {
		const struct iocp_class_info *info =
			&iocp_class_infos[atomic_load_explicit(&page->class, memory_order_relaxed)];
		for (i = 0; i < page->carved; i++) {
			uint32_t header = atomic_load_explicit(&headers_of(page)[i], memory_order_relaxed);
			if (iocp_header_lives(header, IOCP_SMALL_BUSY))
				visit(state, (uintptr_t)page_memory(page) + info->offset + (uintptr_t)i * info->size,
					iocp_header_size(header, IOCP_SMALL_BUSY));
		}
	} else if (kind == IOCP_PAGE_MEDIUM) {
		uint64_t header = atomic_load_explicit(&page->header, memory_order_relaxed);
		if (iocp_header_lives(header, IOCP_WIDE_BUSY))
			visit(state, (uintptr_t)page_memory(page), iocp_header_size(header, IOCP_WIDE_BUSY));
	}
}

void iocp_slab_walk(const iocp_slab *slab, void (*visit)(void *, uintptr_t, size_t), void *state)
{
	const iocp_segment *segment;
	uint32_t i;
	for (segment = slab->segments; segment; segment = segment->next)
		for (i = 1; i < IOCP_PAGES; i++)
			walk_page(&segment->pages[i], visit, state);
}

static int small_page_valid(const iocp_page *page, uint32_t class)
{
	uint32_t listed = 0, link, live = 0, i;
	for (link = page->first_free; link;
		 link = atomic_load_explicit(&headers_of(page)[link - 1], memory_order_relaxed) >> 1)
		if (link > page->carved || ++listed > page->carved)
			return 0;
	for (i = 0; i < page->carved; i++) {
		uint32_t header = atomic_load_explicit(&headers_of(page)[i], memory_order_relaxed);
		if (!iocp_header_lives(header, IOCP_SMALL_BUSY))
			continue;
		live++;
		if (iocp_header_size(header, IOCP_SMALL_BUSY) > iocp_class_infos[class].size)
			return 0;
	}
	return page->carved <= iocp_class_infos[class].count && page->used == page->carved - listed && live <= page->used;
}

int iocp_slab_validate(const iocp_slab *slab)
{
	const iocp_segment *segment;
	uint32_t i, segments = 0;
	for (segment = slab->segments; segment; segment = segment->next, segments++) {
		for (i = 1; i < IOCP_PAGES; i++) {
			const iocp_page *page = &segment->pages[i];
			uint32_t kind = atomic_load_explicit(&page->kind, memory_order_relaxed);
			uint32_t class = atomic_load_explicit(&page->class, memory_order_relaxed);
			if ((kind == IOCP_PAGE_FREE) != (segment->free_pages >> i & 1))
				return 0;
			if (kind == IOCP_PAGE_SMALL && (class >= IOCP_CLASSES || !small_page_valid(page, class)))
				return 0;
		}
	}
	return segments == slab->segment_count;
}
