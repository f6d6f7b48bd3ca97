/*
** heap/gate.c - who may use a heap now: everyone, or the thread that locked it; nobody once it is destroyed.
**
** `use` is held shared by every operation for as long as it touches the heap, so it is brief, and exclusively to change
** `owner`, `depth` and `destroyed`. A thread that finds another owner puts itself on `waiters` before it lets `use` go,
** so whoever changes the owner afterwards finds it there: no wake-up is lost. All that wait are woken, and look again.
**
** The owner also holds the system's HeapLock, which keeps out what other code does with the native handle. It is taken
** and released outside `use`. Not that of the process' own heap: the C library's malloc is there, so every thread would
** stop at its next allocation, and all the Lua states with it.
**
** Lock order: `use`, then `waiters_lock`, or `use`, then a shard of the registry. A thread inside waits for nothing
** else.
*/

#include "windows/heap/heap.h"

#include <math.h>

/* The caller holds `use` and may not go on: waits for a change of owner, without `use`. */
static int wait_for_change(iocp_heap *heap, iocp_context *context, int exclusive)
{
	iocp_lock_acquire(&heap->waiters_lock);
	iocp_waiters_push(&heap->waiters, context);
	iocp_lock_release(&heap->waiters_lock);
	if (exclusive)
		ReleaseSRWLockExclusive(&heap->use);
	else
		ReleaseSRWLockShared(&heap->use);
	return iocp_wait(context, &heap->waiters, &heap->waiters_lock, HUGE_VAL);
}

int iocp_heap_enter(iocp_heap *heap)
{
	for (;;) {
		iocp_context *context;
		int r;
		AcquireSRWLockShared(&heap->use);
		if (heap->destroyed) {
			ReleaseSRWLockShared(&heap->use);
			return IOCP_INVALID;
		}
		if (!heap->owner || heap->owner == iocp_context_have())
			return IOCP_OK;
		context = iocp_context_get();
		if (!context) {
			ReleaseSRWLockShared(&heap->use);
			return IOCP_NOMEM;
		}
		r = wait_for_change(heap, context, 0);
		if (r != IOCP_OK)
			return r;
	}
}

void iocp_heap_leave(iocp_heap *heap)
{
	ReleaseSRWLockShared(&heap->use);
}

/* Takes `use` exclusively, with no other thread the owner. */
static int enter_exclusively(iocp_heap *heap, iocp_context *context)
{
	for (;;) {
		int r;
		AcquireSRWLockExclusive(&heap->use);
		if (heap->destroyed) {
			ReleaseSRWLockExclusive(&heap->use);
			return IOCP_INVALID;
		}
		if (!heap->owner || heap->owner == context)
			return IOCP_OK;
		r = wait_for_change(heap, context, 1);
		if (r != IOCP_OK)
			return r;
	}
}

/* The thread ends. */
static void unlock_all(iocp_context *context)
{
	while (context->locked)
		iocp_heap_unlock(context->locked);
}

static int has_own_lock(const iocp_heap *heap)
{
	return heap->system != GetProcessHeap();
}

int iocp_heap_lock(iocp_heap *heap)
{
	iocp_context *context = iocp_context_get();
	uint32_t depth;
	int r;
	if (!context)
		return IOCP_NOMEM;
	r = enter_exclusively(heap, context);
	if (r != IOCP_OK)
		return r;
	heap->owner = context;
	depth = ++heap->depth;
	ReleaseSRWLockExclusive(&heap->use);
	if (depth == 1) {
		if (has_own_lock(heap))
			HeapLock(heap->system);
		heap->next_locked = context->locked;
		context->locked = iocp_heap_retain(heap);
		context->unlock_heaps = unlock_all;
	}
	return IOCP_OK;
}

/* The owner's list no longer has the heap. Its reference is the caller's. */
static void unlist(iocp_context *context, const iocp_heap *heap)
{
	iocp_heap **link = &context->locked;
	while (*link != heap)
		link = &(*link)->next_locked;
	*link = heap->next_locked;
}

int iocp_heap_unlock(iocp_heap *heap)
{
	iocp_context *context = iocp_context_have();
	int mine, last;
	AcquireSRWLockShared(&heap->use);
	mine = context && heap->owner == context;
	last = mine && heap->depth == 1; /* nobody but the owner changes it */
	ReleaseSRWLockShared(&heap->use);
	if (!mine)
		return IOCP_INVALID;
	if (last) {
		if (has_own_lock(heap))
			HeapUnlock(heap->system);
		unlist(context, heap);
	}
	AcquireSRWLockExclusive(&heap->use);
	if (--heap->depth == 0)
		heap->owner = NULL;
	ReleaseSRWLockExclusive(&heap->use);
	if (last) {
		iocp_waiters_serve_all(&heap->waiters, &heap->waiters_lock, IOCP_OK);
		iocp_heap_release(heap);
	}
	return IOCP_OK;
}

int iocp_heap_shut(iocp_heap *heap)
{
	iocp_context *context = iocp_context_get();
	int r = context ? enter_exclusively(heap, context) : IOCP_NOMEM;
	int locked;
	if (r != IOCP_OK)
		return r;
	locked = heap->owner == context;
	heap->destroyed = 1;
	heap->owner = NULL;
	heap->depth = 0;
	ReleaseSRWLockExclusive(&heap->use);
	iocp_waiters_serve_all(&heap->waiters, &heap->waiters_lock, IOCP_OK);
	if (locked) {
		HeapUnlock(heap->system);
		unlist(context, heap);
		iocp_heap_release(heap);
	}
	return IOCP_OK;
}
