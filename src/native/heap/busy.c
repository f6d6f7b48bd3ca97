/*
** heap/busy.c - blocks that operations of I/O use: they stay where they are, whoever frees them or destroys their heap.
**
** How many operations use a block its header says (heap.h), which is not IOCP_LIVE meanwhile: whoever would free or
** resize it, quickly or slowly, finds that, or fails in the compare-and-swap that ends a live header.
**
** Beginning. The heap of an address comes with a reference (iocp_region_retain). Then the thread enters it as any
** other: what it looks at stays mapped, and a heap that only one other thread used is `shared` from then on, so that
** thread ends headers by compare-and-swap. The argument of heap/cache.c for a free holds as it stands.
**
** Letting go does not enter, as it must neither fail nor wait at a gate that a script keeps shut. It need not: a busy
** block cannot be freed, so neither its page nor its segment is given another use or unmapped; and a walk by the thread
** that holds the lock sees a live block before and after. Where the heap is not `shared`, because no other thread
** entered it, the only thread in it may end a header without a compare-and-swap; but only one that it found live, which
** the last iocp_block_let_go wrote, and that wrote nothing more. Release, there, and acquire, where a header is found:
** what the operation did to the block happens-before the block is given out again.
**
** Destroying. `users` counts the operations, and 1 for the heap until it is destroyed. It grows only inside, so not
** after iocp_heap_shut; whoever makes it 0 is the last, and gives the memory back. An operation's reference keeps the
** heap's description until then; nobody waits.
*/

#include "native/heap/heap.h"

#include "core/busy.h"

_Static_assert(IOCP_SMALL_LIMIT < 1 << (IOCP_SMALL_BUSY - 1), "a small block's size fits beside the count");

/* The header of the found block when `busy` operations use it. */
static uint64_t header_with(const iocp_found *f, uint64_t busy)
{
	return busy << f->busy | (uint64_t)f->size << 1 | (busy ? 0 : IOCP_LIVE);
}

/* Inside. */
static int begin_use(iocp_heap *heap, const void *address, int alone, size_t *size)
{
	iocp_found f;
	uint64_t busy;
	do {
		if (!iocp_heap_find(heap, address, &f))
			return IOCP_INVALID;
		busy = f.header >> f.busy;
		if (alone ? busy != 0 : busy == IOCP_BUSY_ALONE)
			return IOCP_INVALID;
		if (busy == IOCP_BUSY_ALONE - 1)
			return IOCP_NOMEM;
	} while (!iocp_heap_set_header(address, &f, header_with(&f, alone ? IOCP_BUSY_ALONE : busy + 1)));
	*size = f.size;
	/* Relaxed: whoever destroys the heap waits until this thread has left. */
	atomic_fetch_add_explicit(&heap->users, 1, memory_order_relaxed);
	return IOCP_OK;
}

int iocp_block_hold(const void *address, int alone, iocp_heap **heap, size_t *size)
{
	iocp_heap *found = iocp_region_retain(address);
	iocp_cache *cache;
	int r;
	if (!found)
		return IOCP_INVALID;
	r = iocp_heap_enter(found, &cache);
	if (r == IOCP_OK) {
		r = begin_use(found, address, alone, size);
		iocp_heap_leave(cache);
	}
	if (r == IOCP_OK)
		*heap = found;
	else
		iocp_heap_release(found);
	return r;
}

void iocp_block_let_go(iocp_heap *heap, const void *address, int alone)
{
	iocp_found f;
	do
		(void)iocp_heap_find(heap, address, &f); /* it is busy, so it is there */
	while (!iocp_heap_set_header(address, &f, header_with(&f, alone ? 0 : (f.header >> f.busy) - 1)));
	(void)iocp_heap_end_use(heap);
	iocp_heap_release(heap);
}
