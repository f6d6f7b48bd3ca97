/*
** busy.c - what is to be called for a heap that is destroyed while operations use its blocks.
*/

#include "core/busy.h"

#include "core/atomic.h"

static void (*_Atomic cancel_all)(iocp_heap *heap);

void iocp_busy_set_cancel(void (*cancel)(iocp_heap *heap))
{
	/* Release: what it needs is there before it is found. */
	atomic_store_explicit(&cancel_all, cancel, memory_order_release);
}

void iocp_busy_cancel(iocp_heap *heap)
{
	/* Acquire: pairs with the release above. */
	void (*cancel)(iocp_heap *) = atomic_load_explicit(&cancel_all, memory_order_acquire);
	if (cancel)
		cancel(heap);
}
