/*
** heap/busy.c - blocks that operations of I/O use, and the list of all heaps, in which a block's heap is found.
**
** How many operations use a block the registry says, which gives it to nobody meanwhile who would free or resize it. An
** adopted heap's blocks are in its registry only as long as they are used.
**
** Finding the heap. The list holds no references. A heap leaves it, under the lock, before it is freed, so whoever
** finds it there, under the lock, may try for a reference: there is none to have if its last is going. The system
** reserves memory by 64 KiB, so what lies in one such piece is one heap's: a table has for some pieces the heap that
** was found there last, which mostly is the right one however many heaps there are. Adopted ones, which only the system
** can be asked about, come after all others and one by one, each with a reference and without the list's lock, since
** another thread may hold the system's for long. While there is a reference a heap of them stays in the list, as it
** cannot be destroyed.
**
** Letting go does not enter the heap, as it must neither fail nor wait at a gate that a script keeps shut. The block is
** in the registry, and what an operation did to it happens-before its end by the shard's lock.
**
** Destroying. `users` counts the operations, and 1 for the heap until it is destroyed. It grows only inside, so not
** after iocp_heap_shut; whoever makes it 0 is the last, and gives the memory back. An operation's reference keeps the
** heap's description, with the registry, until then; nobody waits.
**
** Lock order: the list's, then a shard's.
*/

#include "windows/heap/heap.h"

#include "core/busy.h"

enum { PIECE_BITS = 16, FOUND = 256 };

static SRWLOCK list_lock = SRWLOCK_INIT;
static iocp_heap *heaps;                  /* linked by `next` */
static _Atomic(iocp_heap *) found[FOUND]; /* in the list, or NULL; cleared with the lock held exclusively */

void iocp_heap_list(iocp_heap *heap)
{
	AcquireSRWLockExclusive(&list_lock);
	if (heap->listed == 0) {
		heap->next = heaps;
		heaps = heap;
		heap->listed = 1;
	}
	ReleaseSRWLockExclusive(&list_lock);
}

void iocp_heap_unlist(iocp_heap *heap)
{
	iocp_heap **link = &heaps;
	size_t i;
	AcquireSRWLockExclusive(&list_lock);
	if (heap->listed == 1) {
		while (*link != heap)
			link = &(*link)->next;
		*link = heap->next;
		for (i = 0; i < FOUND; i++) /* relaxed, here and below: the lock orders it */
			if (atomic_load_explicit(&found[i], memory_order_relaxed) == heap)
				atomic_store_explicit(&found[i], NULL, memory_order_relaxed);
	}
	heap->listed = -1;
	ReleaseSRWLockExclusive(&list_lock);
}

static int has(iocp_heap *heap, const void *address)
{
	return heap && !heap->adopted && iocp_registry_has(heap, address);
}

/* A reference to the heap, not an adopted one, that has the address; NULL if none has. */
static iocp_heap *find_registered(const void *address)
{
	_Atomic(iocp_heap *) *last = &found[((uintptr_t)address >> PIECE_BITS) % FOUND];
	iocp_heap *heap;
	AcquireSRWLockShared(&list_lock);
	heap = atomic_load_explicit(last, memory_order_relaxed);
	if (!has(heap, address)) {
		for (heap = heaps; heap && !has(heap, address);)
			heap = heap->next;
		if (heap)
			atomic_store_explicit(last, heap, memory_order_relaxed);
	}
	if (heap)
		heap = (iocp_heap *)iocp_object_try_retain(&heap->object);
	ReleaseSRWLockShared(&list_lock);
	return heap;
}

/* A reference to the next adopted heap in the list, behind one that the caller has a reference to, or NULL. */
static iocp_heap *next_adopted(const iocp_heap *before)
{
	iocp_heap *heap;
	AcquireSRWLockShared(&list_lock);
	heap = before ? before->next : heaps;
	while (heap && !(heap->adopted && iocp_object_try_retain(&heap->object)))
		heap = heap->next;
	ReleaseSRWLockShared(&list_lock);
	return heap;
}

/* The caller has a reference, and on IOCP_OK so has the operation. */
static int begin_use(iocp_heap *heap, const void *address, int alone, iocp_heap **used, size_t *size)
{
	int r = iocp_heap_enter(heap);
	if (r != IOCP_OK)
		return r;
	if (heap->adopted && !iocp_block_pin(heap, address, size))
		r = IOCP_INVALID;
	else
		r = iocp_registry_begin_use(heap, address, alone, size);
	if (r == IOCP_OK) {
		/* Relaxed: whoever destroys the heap waits until this thread has left. */
		atomic_fetch_add_explicit(&heap->users, 1, memory_order_relaxed);
		*used = iocp_heap_retain(heap);
	}
	iocp_heap_leave(heap);
	return r;
}

static int begin_use_adopted(const void *address, int alone, iocp_heap **used, size_t *size)
{
	iocp_heap *heap = next_adopted(NULL);
	int r = IOCP_INVALID;
	while (heap) {
		iocp_heap *next;
		r = begin_use(heap, address, alone, used, size);
		next = r == IOCP_INVALID ? next_adopted(heap) : NULL;
		iocp_heap_release(heap);
		heap = next;
	}
	return r;
}

int iocp_block_hold(const void *address, int alone, iocp_heap **heap, size_t *size)
{
	iocp_heap *owner = find_registered(address);
	int r;
	if (!owner)
		return begin_use_adopted(address, alone, heap, size);
	r = begin_use(owner, address, alone, heap, size);
	iocp_heap_release(owner);
	return r;
}

void iocp_block_let_go(iocp_heap *heap, const void *address, int alone)
{
	iocp_registry_end_use(heap, address, alone);
	(void)iocp_heap_end_use(heap);
	iocp_heap_release(heap);
}

int iocp_heap_end_use(iocp_heap *heap)
{
	/* Release: all use of the memory happens-before the acquire, here, of who gives it back. */
	if (atomic_fetch_sub_explicit(&heap->users, 1, memory_order_acq_rel) != 1)
		return 0;
	if (!heap->adopted)
		HeapDestroy(heap->system);
	return 1;
}
