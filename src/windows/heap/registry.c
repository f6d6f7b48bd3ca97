/*
** registry.c - which blocks of a heap live, how large they are, and how many operations of I/O use them.
**
** The system does not promise to notice a wrong address, and asking it (HeapValidate) and then acting on the answer are
** two steps that other threads come between. Here they are one: whoever takes a block out of the registry is the one
** who frees it. What lives in an adopted heap the system knows: there it has the blocks alone that operations use.
**
** Locking: each shard has a reader/writer lock. A block that is read or written is held by its shard's lock in shared
** mode, so it is not freed meanwhile. Nothing is allocated under the lock: a fuller table is made ready outside.
*/

#include "windows/heap/heap.h"

#include <stdlib.h>

typedef struct iocp_entry {
	uintptr_t address; /* 0: free */
	size_t size;       /* in the lower 45 bits; above how many operations use it, or ALONE; at the top CLAIMED */
} entry;

#define CLAIMED (~(SIZE_MAX >> 1))
#define ALONE (SIZE_MAX >> 46)

enum { LEAST_CAPACITY = 16, BUSY = 45 };

static size_t hash(uintptr_t address)
{
	/* Blocks are 16 bytes apart at least. The multiplier is 2^64 divided by the golden ratio (Knuth, volume 3, 6.4). */
	return (size_t)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15));
}

static iocp_shard *shard_of(iocp_heap *heap, const void *address)
{
	return &heap->shards[hash((uintptr_t)address) >> (sizeof(size_t) * 8 - 4)]; /* the upper 4 bits: 16 shards */
}

/* Where the address is, or the free place where it would be. */
static size_t probe(const entry *entries, size_t capacity, uintptr_t address)
{
	/* Bits from the middle: the upper ones chose the shard, the lower ones mix least. */
	size_t i = (hash(address) >> 16) & (capacity - 1);
	while (entries[i].address && entries[i].address != address)
		i = (i + 1) & (capacity - 1);
	return i;
}

/* A live block's entry, or NULL. The shard's lock is held. */
static entry *find(const iocp_shard *shard, const void *address)
{
	entry *e;
	if (!address || shard->count == 0)
		return NULL;
	e = &shard->entries[probe(shard->entries, shard->capacity, (uintptr_t)address)];
	return e->address ? e : NULL;
}

static size_t size_of(const entry *e)
{
	return e->size & IOCP_LARGEST;
}

static size_t busy_of(const entry *e)
{
	return (e->size & ~CLAIMED) >> BUSY;
}

static entry *find_unclaimed(const iocp_shard *shard, const void *address)
{
	entry *e = find(shard, address);
	return e && !(e->size & CLAIMED) ? e : NULL;
}

/* One that no operation uses either. */
static entry *find_idle(const iocp_shard *shard, const void *address)
{
	entry *e = find_unclaimed(shard, address);
	return e && !busy_of(e) ? e : NULL;
}

/* Frees a place, and moves up what was probed past it. The shard's lock is held exclusively. */
static void erase(iocp_shard *shard, entry *e)
{
	size_t mask = shard->capacity - 1, gap = (size_t)(e - shard->entries), i = gap;
	shard->entries[gap].address = 0;
	for (;;) {
		size_t home;
		i = (i + 1) & mask;
		if (!shard->entries[i].address)
			break;
		home = (hash(shard->entries[i].address) >> 16) & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue; /* its home lies behind the gap */
		shard->entries[gap] = shard->entries[i];
		shard->entries[i].address = 0;
		gap = i;
	}
	shard->count--;
}

/* Moves everything to a larger table; returns the old one. The shard's lock is held exclusively. */
static entry *rehash(iocp_shard *shard, entry *fresh, size_t capacity)
{
	entry *old = shard->entries;
	size_t i;
	for (i = 0; i < shard->capacity; i++)
		if (old[i].address)
			fresh[probe(fresh, capacity, old[i].address)] = old[i];
	shard->entries = fresh;
	shard->capacity = capacity;
	return old;
}

/* Takes the lock exclusively, when there is room for one more. *old is for the caller to free, without the lock.
** IOCP_NOMEM: the lock is not taken, and there is nothing to free. */
static int lock_with_room(iocp_shard *shard, entry **old)
{
	size_t capacity = 0;
	*old = NULL;
	AcquireSRWLockExclusive(&shard->lock);
	/* At most three quarters full. */
	while (shard->count >= shard->capacity - shard->capacity / 4) {
		if (capacity > shard->capacity) {
			*old = rehash(shard, *old, capacity);
			continue;
		}
		capacity = shard->capacity ? shard->capacity * 2 : LEAST_CAPACITY;
		ReleaseSRWLockExclusive(&shard->lock);
		free(*old);
		*old = calloc(capacity, sizeof(**old));
		if (!*old)
			return IOCP_NOMEM;
		AcquireSRWLockExclusive(&shard->lock);
	}
	return IOCP_OK;
}

/* The lock is held exclusively, and there is room. */
static entry *insert(iocp_shard *shard, const void *address, size_t size)
{
	entry *e = &shard->entries[probe(shard->entries, shard->capacity, (uintptr_t)address)];
	*e = (entry){(uintptr_t)address, size};
	shard->count++;
	return e;
}

int iocp_registry_add(iocp_heap *heap, const void *address, size_t size)
{
	iocp_shard *shard = shard_of(heap, address);
	entry *old;
	if (lock_with_room(shard, &old) != IOCP_OK)
		return IOCP_NOMEM;
	(void)insert(shard, address, size);
	ReleaseSRWLockExclusive(&shard->lock);
	free(old);
	return IOCP_OK;
}

int iocp_registry_remove(iocp_heap *heap, const void *address, size_t *size)
{
	iocp_shard *shard = shard_of(heap, address);
	entry *e;
	AcquireSRWLockExclusive(&shard->lock);
	e = find_idle(shard, address);
	if (e) {
		*size = size_of(e);
		erase(shard, e);
	}
	ReleaseSRWLockExclusive(&shard->lock);
	return e != NULL;
}

int iocp_registry_hold(iocp_heap *heap, const void *address, size_t *size)
{
	iocp_shard *shard = shard_of(heap, address);
	const entry *e;
	AcquireSRWLockShared(&shard->lock);
	e = find_unclaimed(shard, address);
	if (!e) {
		ReleaseSRWLockShared(&shard->lock);
		return 0;
	}
	*size = size_of(e);
	return 1;
}

void iocp_registry_let(iocp_heap *heap, const void *address)
{
	ReleaseSRWLockShared(&shard_of(heap, address)->lock);
}

int iocp_registry_claim(iocp_heap *heap, const void *address, size_t *size)
{
	iocp_shard *shard = shard_of(heap, address);
	entry *e;
	AcquireSRWLockExclusive(&shard->lock);
	e = find_idle(shard, address);
	if (e) {
		*size = size_of(e);
		e->size |= CLAIMED;
	}
	ReleaseSRWLockExclusive(&shard->lock);
	return e != NULL;
}

void iocp_registry_settle(iocp_heap *heap, const void *address, size_t size)
{
	iocp_shard *shard = shard_of(heap, address);
	AcquireSRWLockExclusive(&shard->lock);
	find(shard, address)->size = size;
	ReleaseSRWLockExclusive(&shard->lock);
}

void iocp_registry_drop(iocp_heap *heap, const void *address)
{
	iocp_shard *shard = shard_of(heap, address);
	AcquireSRWLockExclusive(&shard->lock);
	erase(shard, find(shard, address));
	ReleaseSRWLockExclusive(&shard->lock);
}

void iocp_registry_walk(iocp_heap *heap, void (*visit)(void *, uintptr_t, size_t), void *state)
{
	size_t s, i;
	for (s = 0; s < IOCP_SHARDS; s++) {
		iocp_shard *shard = &heap->shards[s];
		AcquireSRWLockShared(&shard->lock);
		for (i = 0; i < shard->capacity; i++)
			if (shard->entries[i].address)
				visit(state, shard->entries[i].address, size_of(&shard->entries[i]));
		ReleaseSRWLockShared(&shard->lock);
	}
}

void iocp_registry_free(iocp_heap *heap)
{
	size_t s;
	for (s = 0; s < IOCP_SHARDS; s++)
		free(heap->shards[s].entries);
}

/* ---- operations that use blocks ---------------------------------------------------------------------------------- */

int iocp_registry_has(iocp_heap *heap, const void *address)
{
	iocp_shard *shard = shard_of(heap, address);
	int found;
	AcquireSRWLockShared(&shard->lock);
	found = find(shard, address) != NULL;
	ReleaseSRWLockShared(&shard->lock);
	return found;
}

/* The shard's lock is held exclusively. */
static int begin_use(entry *e, int alone)
{
	size_t busy = busy_of(e);
	if (alone ? busy != 0 : busy == ALONE)
		return IOCP_INVALID;
	if (busy == ALONE - 1)
		return IOCP_NOMEM;
	e->size = size_of(e) | (alone ? ALONE : busy + 1) << BUSY;
	return IOCP_OK;
}

int iocp_registry_begin_use(iocp_heap *heap, const void *address, int alone, size_t *size)
{
	iocp_shard *shard = shard_of(heap, address);
	entry *old = NULL, *e;
	int r = IOCP_INVALID;
	if (!heap->adopted)
		AcquireSRWLockExclusive(&shard->lock);
	else if (lock_with_room(shard, &old) != IOCP_OK)
		return IOCP_NOMEM;
	e = find_unclaimed(shard, address);
	if (!e && heap->adopted)
		e = insert(shard, address, *size);
	if (e) {
		r = begin_use(e, alone);
		*size = size_of(e);
	}
	ReleaseSRWLockExclusive(&shard->lock);
	free(old);
	return r;
}

void iocp_registry_end_use(iocp_heap *heap, const void *address, int alone)
{
	iocp_shard *shard = shard_of(heap, address);
	entry *e;
	AcquireSRWLockExclusive(&shard->lock);
	e = find(shard, address);
	e->size = size_of(e) | (alone ? 0 : busy_of(e) - 1) << BUSY;
	if (heap->adopted && !busy_of(e))
		erase(shard, e);
	ReleaseSRWLockExclusive(&shard->lock);
}
