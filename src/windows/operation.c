/*
** operation.c - the records of operations that the kernel has.
**
** The range is reserved with the first socket and gets memory as it fills; what it has it keeps, for the records to
** come. iocp_port_enqueue refuses its addresses, so a packet that has one is the kernel's.
**
** Ownership: from create to free a record belongs to its operation; see operation.h for what it holds.
**
** Locking: `records_lock` guards the free list, how far the range is filled, and each record's `object` and `heap`,
** which do not change between create and free.
*/

#include "windows/operation.h"

#include <string.h>

#include "core/busy.h"

#define RANGE ((size_t)(sizeof(void *) == 8 ? 1024 : 32) << 20) /* bytes of addresses: 6 million records, or 190,000 */

enum {
	STEP = 65536,         /* bytes that get memory at a time */
	LOOKED_AT_ONCE = 1024 /* records that are looked at while the lock is held */
};

static iocp_lock records_lock;
static _Atomic uintptr_t range; /* its first address; 0: there is none yet */
static size_t filled;           /* bytes of it that have memory */
static size_t used;             /* records that were ever taken */
static iocp_operation *first_free;

static iocp_operation *record_at(size_t index)
{
	/* Relaxed: whoever has an index is ordered behind the range's beginning by the lock. */
	return (iocp_operation *)(atomic_load_explicit(&range, memory_order_relaxed) + index * IOCP_OPERATION_SIZE);
}

int iocp_operation_is_near(uintptr_t overlapped)
{
	/* Relaxed: a number that is an address in the range comes from somebody who knows of it already. */
	uintptr_t first = atomic_load_explicit(&range, memory_order_relaxed);
	return first && overlapped - first < RANGE;
}

iocp_operation *iocp_operation_of(uintptr_t overlapped)
{
	return iocp_operation_is_near(overlapped) ? (iocp_operation *)overlapped : NULL;
}

/* ---- heaps that end ---------------------------------------------------------------------------------------------- */

/* The object, with a new reference, of the first record from *index on that is of the heap; NULL: of the records that
** were looked at, none is. *index is where to go on. */
static iocp_object *next_of(iocp_heap *heap, size_t *index, const iocp_operation_type **type, int *last)
{
	iocp_object *object = NULL;
	size_t end = *index + LOOKED_AT_ONCE;
	iocp_lock_acquire(&records_lock);
	for (; *index < end && *index < used && !object; ++*index) {
		iocp_operation *operation = record_at(*index);
		if (operation->object && operation->heap == heap) {
			object = operation->object;
			*type = operation->type;
			iocp_object_retain(object); /* the record holds one, until it is freed under this lock */
		}
	}
	*last = *index >= used;
	iocp_lock_release(&records_lock);
	return object;
}

/* A heap is destroyed: an operation on it that starts at the same time looks whether it is, once it has started. */
static void stop_all_of(iocp_heap *heap)
{
	const iocp_operation_type *type = NULL;
	size_t index = 0;
	int last = 0;
	while (!last) {
		iocp_object *object = next_of(heap, &index, &type, &last);
		if (object) {
			type->stop(object, heap);
			iocp_object_release(object);
		}
	}
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

int iocp_operation_begin(void)
{
	uintptr_t first;
	iocp_lock_acquire(&records_lock);
	first = atomic_load_explicit(&range, memory_order_relaxed);
	if (!first && (first = (uintptr_t)VirtualAlloc(NULL, RANGE, MEM_RESERVE, PAGE_NOACCESS)) != 0) {
		atomic_store_explicit(&range, first, memory_order_relaxed);
		iocp_busy_set_cancel(stop_all_of);
	}
	iocp_lock_release(&records_lock);
	return first ? IOCP_OK : IOCP_NOMEM;
}

/* A record that nobody uses, or NULL. The lock is held. */
static iocp_operation *take(void)
{
	iocp_operation *operation = first_free;
	size_t end = (used + 1) * IOCP_OPERATION_SIZE;
	if (operation) {
		first_free = operation->older;
		return operation;
	}
	if (end > filled) {
		if (filled == RANGE || !VirtualAlloc((char *)record_at(0) + filled, STEP, MEM_COMMIT, PAGE_READWRITE))
			return NULL;
		filled += STEP;
	}
	return record_at(used++);
}

int iocp_operation_create(const iocp_operation_type *type, iocp_object *object, iocp_heap *heap, const void *address,
	int alone, iocp_operation **operation)
{
	iocp_operation *made;
	iocp_lock_acquire(&records_lock);
	made = take();
	if (made) {
		memset(made, 0, IOCP_OPERATION_SIZE);
		made->type = type;
		made->object = object;
		made->heap = heap;
		made->address = address;
		made->alone = alone;
		iocp_object_retain(object);
	}
	iocp_lock_release(&records_lock);
	if (!made)
		return IOCP_NOMEM;
	*operation = made;
	return IOCP_OK;
}

void iocp_operation_free(iocp_operation *operation)
{
	iocp_object *object = operation->object;
	iocp_heap *heap = operation->heap;
	const void *address = operation->address;
	int alone = operation->alone;
	iocp_lock_acquire(&records_lock);
	operation->object = NULL;
	operation->heap = NULL;
	operation->older = first_free;
	first_free = operation;
	iocp_lock_release(&records_lock);
	if (heap)
		iocp_block_let_go(heap, address, alone);
	iocp_object_release(object);
}
