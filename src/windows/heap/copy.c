/*
** heap/copy.c - a block's size, and what goes in and out of it, always checked: what is copied lies within one live
** block, which is held for as long as it is copied.
*/

#include "windows/heap/heap.h"

#include <string.h>

int iocp_heap_size(iocp_heap *heap, const void *address, size_t *size)
{
	size_t found;
	int r = iocp_heap_enter(heap);
	if (r != IOCP_OK)
		return r;
	if (iocp_block_pin(heap, address, &found)) {
		iocp_block_unpin(heap, address);
		*size = found;
	} else {
		r = IOCP_INVALID;
	}
	iocp_heap_leave(heap);
	return r;
}

/* Enters and holds the block, if a live one starts at `address` and has `length` bytes at `offset`. */
static int enter_range(iocp_heap *heap, const void *address, size_t offset, size_t length)
{
	size_t size;
	int r = iocp_heap_enter(heap);
	if (r != IOCP_OK)
		return r;
	if (iocp_block_pin(heap, address, &size)) {
		if (offset <= size && length <= size - offset)
			return IOCP_OK;
		iocp_block_unpin(heap, address);
	}
	iocp_heap_leave(heap);
	return IOCP_INVALID;
}

static void leave_range(iocp_heap *heap, const void *address)
{
	iocp_block_unpin(heap, address);
	iocp_heap_leave(heap);
}

int iocp_heap_read(iocp_heap *heap, const void *address, size_t offset, void *buffer, size_t length)
{
	int r = enter_range(heap, address, offset, length);
	if (r == IOCP_OK) {
		memcpy(buffer, (const char *)address + offset, length);
		leave_range(heap, address);
	}
	return r;
}

int iocp_heap_write(iocp_heap *heap, void *address, size_t offset, const void *buffer, size_t length)
{
	int r = enter_range(heap, address, offset, length);
	if (r == IOCP_OK) {
		memcpy((char *)address + offset, buffer, length);
		leave_range(heap, address);
	}
	return r;
}

int iocp_heap_put(iocp_heap *heap, const void *data, size_t size, void **address)
{
	int r = iocp_heap_enter(heap);
	if (r != IOCP_OK)
		return r;
	r = iocp_block_alloc(heap, size, 0, address);
	if (r == IOCP_OK)
		memcpy(*address, data, size);
	iocp_heap_leave(heap);
	return r;
}
