/*
** heap.h - what the files of the heap share.
**
** A heap is one of the system's (HeapCreate), used through its own functions. What they leave undefined (a wrong
** address, a double free, use after HeapDestroy) must be an answer here, so a heap that we made has beside it a
** registry of its live blocks and a gate in front of it. An adopted heap is used by others too: what lives in it only
** the system knows, which is asked (HeapValidate, HeapSize, HeapWalk), and it is never destroyed.
*/

#ifndef IOCP_WINDOWS_HEAP_H
#define IOCP_WINDOWS_HEAP_H

#include "windows/windows.h"

enum { IOCP_SHARDS = 16 };

/* A part of the registry: a hash table with linear probing. */
typedef struct iocp_shard {
	SRWLOCK lock;
	struct iocp_entry *entries; /* `capacity` of them, a power of two, or none; in the process' memory */
	size_t capacity, count;
} iocp_shard;

struct iocp_heap {
	iocp_object object;
	HANDLE system;
	int adopted;
	size_t initial, maximum;
	_Atomic int64_t charged; /* bytes of the blocks, each rounded up: what `maximum` limits */
	_Atomic int64_t blocks, bytes, peak_bytes;
	iocp_shard shards[IOCP_SHARDS];
	/* The gate: heap/gate.c. */
	SRWLOCK use;
	iocp_context *owner; /* of iocp_heap_lock; it and the next two are written with `use` held exclusively */
	uint32_t depth;
	int destroyed;
	iocp_lock waiters_lock;
	iocp_waiters waiters;
	iocp_heap *next_locked; /* in the owner's list */
};

/* ---- heap/gate.c ------------------------------------------------------------------------------------------------- */

/* Keeps the heap from being destroyed, and others from locking it, until iocp_heap_leave; waits for a thread that has
** it locked. IOCP_INVALID: destroyed; IOCP_CANCELLED, IOCP_INTERRUPTED, IOCP_NOMEM. Not recursive. */
int iocp_heap_enter(iocp_heap *heap);
void iocp_heap_leave(iocp_heap *heap);
/* Ends the heap's use for good: after it, nobody is inside or gets in. As iocp_heap_enter. */
int iocp_heap_shut(iocp_heap *heap);

/* ---- registry.c: the live blocks of a heap that is not adopted; the caller is inside ----------------------------- */

/* IOCP_NOMEM: not added. */
int iocp_registry_add(iocp_heap *heap, const void *address, size_t size);
/* Takes a live block out; 0: it is none. Of several that try, one succeeds. */
int iocp_registry_remove(iocp_heap *heap, const void *address, size_t *size);
/* Finds a live block and keeps it so until iocp_registry_let; 0: it is none, and nothing is to be let. */
int iocp_registry_hold(iocp_heap *heap, const void *address, size_t *size);
void iocp_registry_let(iocp_heap *heap, const void *address);
/* From a claim on the block is live to nobody else, until the claimer settles it (with its new size) or drops it. */
int iocp_registry_claim(iocp_heap *heap, const void *address, size_t *size);
void iocp_registry_settle(iocp_heap *heap, const void *address, size_t size);
void iocp_registry_drop(iocp_heap *heap, const void *address);
void iocp_registry_walk(iocp_heap *heap, void (*visit)(void *state, uintptr_t address, size_t size), void *state);
void iocp_registry_free(iocp_heap *heap);

/* ---- heap/block.c ------------------------------------------------------------------------------------------------ */

/* As iocp_registry_hold and iocp_registry_let, for any heap. */
int iocp_block_hold(iocp_heap *heap, const void *address, size_t *size);
void iocp_block_let(iocp_heap *heap, const void *address);
/* As iocp_heap_alloc; the caller is inside. */
int iocp_block_alloc(iocp_heap *heap, size_t size, int flags, void **address);

#endif
