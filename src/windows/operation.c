/*
** operation.c - the records of operations that the kernel has.
**
** The range is reserved with the first socket or file and gets memory as it fills; what it has it keeps, for the
** records to come. iocp_port_enqueue refuses its addresses, so a packet that has one is the kernel's.
**
** Numbers that people post are handles, too: a generation * 2^22 + a slot, and slots are taken from 0 on. So the range
** lies as high as can be, and of each 2^22 bytes of it the upper half is used, whose addresses are handles of slots
** from 2,097,152 on.
**
** Ownership: from create to free a record belongs to its operation; see operation.h for what it holds.
**
** Locking: `records_lock` guards the free list, how far the range is filled, and each record's `object` and `heap`,
** which do not change between create and free, but that the operation's owner may give up the heap before.
*/

#include "windows/operation.h"

#include <string.h>

#include "core/busy.h"

#define PART ((uintptr_t)1 << IOCP_SLOT_BITS) /* of the range: the upper half has records */
#define HALF (PART / 2)
#define PARTS (uintptr_t)(sizeof(void *) == 8 ? 256 : 8) /* 3 million records, or 100,000 */

enum {
	IN_A_PART = (1 << (IOCP_SLOT_BITS - 1)) / IOCP_OPERATION_SIZE,
	STEP = 65536,         /* bytes that get memory at a time */
	LOOKED_AT_ONCE = 1024 /* records that are looked at while the lock is held */
};

static iocp_lock records_lock;
static _Atomic uintptr_t range; /* its first address, a multiple of PART; 0: there is none yet */
static uintptr_t filled;        /* the last part's memory ends here */
static size_t used;             /* records that were ever taken */
static iocp_operation *first_free;

static iocp_operation *record_at(size_t index)
{
	/* Relaxed: whoever has an index is ordered behind the range's beginning by the lock. */
	uintptr_t part = atomic_load_explicit(&range, memory_order_relaxed) + index / IN_A_PART * PART;
	return (iocp_operation *)(part + HALF + index % IN_A_PART * IOCP_OPERATION_SIZE);
}

int iocp_operation_is_near(uintptr_t overlapped)
{
	/* Relaxed: a number that is an address in the range comes from somebody who knows of it already. */
	uintptr_t first = atomic_load_explicit(&range, memory_order_relaxed);
	return first && overlapped - first < PARTS * PART && (overlapped & HALF) != 0;
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
	uintptr_t first = atomic_load_explicit(&range, memory_order_relaxed);
	/* Threads of the system's pool may be inside the library. Without the lock, which one that ends may want inside the
	** loader's. */
	if (!first && iocp_pin() != IOCP_OK)
		return IOCP_NOMEM;
	iocp_lock_acquire(&records_lock);
	first = atomic_load_explicit(&range, memory_order_relaxed);
	if (!first) {
		/* With a part more, of which that is left out which is before a multiple of PART. */
		first = (uintptr_t)VirtualAlloc(NULL, (PARTS + 1) * PART, MEM_RESERVE | MEM_TOP_DOWN, PAGE_NOACCESS);
		if (first) {
			first = (first + PART - 1) & ~(PART - 1);
			atomic_store_explicit(&range, first, memory_order_relaxed);
			iocp_busy_set_cancel(stop_all_of);
		}
	}
	iocp_lock_release(&records_lock);
	return first ? IOCP_OK : IOCP_NOMEM;
}

/* Gives memory to a record that never was used. The lock is held, here and in the next. */
static int fill(size_t index)
{
	uintptr_t record = (uintptr_t)record_at(index);
	if (index / IN_A_PART == PARTS)
		return 0;
	if (index % IN_A_PART == 0)
		filled = record;
	for (; filled < record + IOCP_OPERATION_SIZE; filled += STEP)
		if (!VirtualAlloc((void *)filled, STEP, MEM_COMMIT, PAGE_READWRITE))
			return 0;
	return 1;
}

/* A record that nobody uses, or NULL. */
static iocp_operation *take(void)
{
	iocp_operation *operation = first_free;
	if (operation) {
		first_free = operation->older;
		return operation;
	}
	return fill(used) ? record_at(used++) : NULL;
}

/* With a new reference to the object. It takes over the hold, if `heap` is not NULL; failing, too. */
static int create(const iocp_operation_type *type, iocp_object *object, uintptr_t overlapped, iocp_heap *heap,
	const void *address, int alone, iocp_operation **operation)
{
	iocp_operation *made = NULL;
	int possible = !iocp_operation_is_near(overlapped);
	if (possible) {
		iocp_lock_acquire(&records_lock);
		made = take();
		if (made) {
			memset(made, 0, IOCP_OPERATION_SIZE);
			made->type = type;
			made->object = object;
			made->overlapped = overlapped;
			made->heap = heap;
			made->address = address;
			made->alone = alone;
			iocp_object_retain(object);
		}
		iocp_lock_release(&records_lock);
	}
	if (!made && heap)
		iocp_block_let_go(heap, address, alone);
	if (made)
		*operation = made;
	return made ? IOCP_OK : possible ? IOCP_NOMEM : IOCP_INVALID;
}

int iocp_operation_create(
	const iocp_operation_type *type, iocp_object *object, uintptr_t overlapped, iocp_operation **operation)
{
	return create(type, object, overlapped, NULL, NULL, 0, operation);
}

/* How much of a block of `there` bytes is used, which may be IOCP_REST. IOCP_INVALID: it has not that much. */
static int size_of_use(size_t there, size_t at, size_t *size)
{
	if (at > there)
		return IOCP_INVALID;
	if (*size == IOCP_REST)
		*size = there - at;
	return *size >= 1 && *size <= IOCP_LARGEST_TRANSFER && *size <= there - at ? IOCP_OK : IOCP_INVALID;
}

int iocp_operation_create_on(const iocp_operation_type *type, iocp_object *object, uintptr_t overlapped,
	const void *address, size_t at, size_t *size, int alone, iocp_operation **operation)
{
	iocp_heap *heap;
	size_t there;
	int r = iocp_block_hold(address, alone, &heap, &there);
	if (r != IOCP_OK)
		return r;
	r = size_of_use(there, at, size);
	if (r != IOCP_OK) {
		iocp_block_let_go(heap, address, alone);
		return r;
	}
	return create(type, object, overlapped, heap, address, alone, operation);
}

void iocp_operation_let_go(iocp_operation *operation)
{
	iocp_heap *heap = operation->heap;
	iocp_lock_acquire(&records_lock);
	operation->heap = NULL;
	iocp_lock_release(&records_lock);
	if (heap)
		iocp_block_let_go(heap, operation->address, operation->alone);
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

/* ---- those of an object ------------------------------------------------------------------------------------------ */

void iocp_operations_add(iocp_operations *operations, iocp_operation *operation)
{
	operation->newer = NULL;
	operation->older = operations->newest;
	if (operations->newest)
		operations->newest->newer = operation;
	else
		operations->oldest = operation;
	operations->newest = operation;
}

void iocp_operations_remove(iocp_operations *operations, iocp_operation *operation)
{
	if (operation->older)
		operation->older->newer = operation->newer;
	else
		operations->oldest = operation->newer;
	if (operation->newer)
		operation->newer->older = operation->older;
	else
		operations->newest = operation->older;
}
