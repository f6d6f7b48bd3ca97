/*
** busy.h - blocks that operations of I/O use: the other side of the heap, for whoever starts such operations.
*/

#ifndef IOCP_BUSY_H
#define IOCP_BUSY_H

#include <stddef.h>

#include "core/api.h"

#pragma GCC visibility push(hidden)

/* An operation begins to use the live block at `address`, of whichever heap of the process: from now on it cannot be
** freed, taken or resized, until as many iocp_block_let_go. `alone`: nobody else uses it, nor may before that.
** IOCP_INVALID: no live block starts there, or it is used, by whom does not bear the other. IOCP_NOMEM: as many as can
** be counted use it, or there is no memory. It waits, as all that looks into a heap, for a thread that holds
** iocp_heap_lock: IOCP_CANCELLED, IOCP_INTERRUPTED. On IOCP_OK *heap has one more reference, which iocp_block_let_go
** drops, and *size is the block's. Any thread; no lock is held, since it may free a heap. */
int iocp_block_hold(const void *address, int alone, iocp_heap **heap, size_t *size);
/* It waits for nobody, whoever holds iocp_heap_lock. What was done to the block happens-before its free. Any thread; no
** lock is held, since it may free the heap. */
void iocp_block_let_go(iocp_heap *heap, const void *address, int alone);
/* What iocp_heap_destroy calls, without any lock, for a heap whose blocks operations use: it is to have them end soon.
** By then the heap is destroyed for everybody, so no operation begins any more. Set once, before the first hold. The
** memory goes back with the last iocp_block_let_go. (A heap's end with its last reference finds no operation.) */
void iocp_busy_set_cancel(void (*cancel)(iocp_heap *heap));
/* For the backends: calls it. */
void iocp_busy_cancel(iocp_heap *heap);

#pragma GCC visibility pop

#endif
