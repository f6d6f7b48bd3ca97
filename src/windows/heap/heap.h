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

/* No block is larger, so that a count fits beside its size, and all of them, rounded up, have a sum. */
#define IOCP_LARGEST (SIZE_MAX >> 19)

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
	_Atomic uint64_t users; /* operations that use its blocks, and 1 until it is destroyed: heap/busy.c */
	iocp_heap *next;        /* in the list of all: heap/busy.c */
	int listed;             /* guarded by its lock: 1, or -1 for ever once it was taken out */
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

/* ---- registry.c: the live blocks of a heap, or of an adopted one those in use; the caller is inside -------------- */

/* IOCP_NOMEM: not added. */
int iocp_registry_add(iocp_heap *heap, const void *address, size_t size);
/* Takes a live block out that no operation uses; 0: it is none. Of several that try, one succeeds. */
int iocp_registry_remove(iocp_heap *heap, const void *address, size_t *size);
/* Finds a live block and keeps it so until iocp_registry_let; 0: it is none, and nothing is to be let. */
int iocp_registry_hold(iocp_heap *heap, const void *address, size_t *size);
void iocp_registry_let(iocp_heap *heap, const void *address);
/* From a claim on the block is live to nobody else, until the claimer settles it (with its new size) or drops it. 0: it
** is no live block, or an operation uses it. */
int iocp_registry_claim(iocp_heap *heap, const void *address, size_t *size);
void iocp_registry_settle(iocp_heap *heap, const void *address, size_t size);
void iocp_registry_drop(iocp_heap *heap, const void *address);
void iocp_registry_walk(iocp_heap *heap, void (*visit)(void *state, uintptr_t address, size_t size), void *state);
void iocp_registry_free(iocp_heap *heap);
/* Whether it has the address; the caller need not be inside. */
int iocp_registry_has(iocp_heap *heap, const void *address);
/* One more operation uses the block, alone if that is said. Where the heap is adopted it is added, and *size is what it
** has; else *size becomes what it has. IOCP_INVALID: it is no live block, or used, by whom does not bear the other.
** IOCP_NOMEM. */
int iocp_registry_begin_use(iocp_heap *heap, const void *address, int alone, size_t *size);
/* One operation less; the caller need not be inside. */
void iocp_registry_end_use(iocp_heap *heap, const void *address, int alone);

/* ---- heap/block.c ------------------------------------------------------------------------------------------------ */

/* As iocp_registry_hold and iocp_registry_let, for any heap. */
int iocp_block_pin(iocp_heap *heap, const void *address, size_t *size);
void iocp_block_unpin(iocp_heap *heap, const void *address);
/* As iocp_heap_alloc; the caller is inside. */
int iocp_block_alloc(iocp_heap *heap, size_t size, int flags, void **address);

/* ---- heap/busy.c ------------------------------------------------------------------------------------------------- */

/* From now on an address is looked up in the heap too, unless that is over. Safe to repeat. The caller has a
** reference. */
void iocp_heap_list(iocp_heap *heap);
/* No more: it is destroyed, or nobody's. Safe to repeat. */
void iocp_heap_unlist(iocp_heap *heap);
/* The heap's own use of its memory, or an operation's, has ended. 0: operations use blocks, the last of which gives the
** memory back. */
int iocp_heap_end_use(iocp_heap *heap);

#endif
