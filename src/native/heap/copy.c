/*
** heap/copy.c - a block's size, and what goes in and out of it, always checked: what is copied lies within one live
** block.
*/

#include "native/heap/heap.h"

#include <string.h>

int iocp_heap_size(iocp_heap *heap, const void *address, size_t *size)
{
	iocp_cache *cache;
	iocp_found f;
	int r = iocp_heap_enter(heap, &cache);
	if (r != IOCP_OK)
		return r;
	if (iocp_heap_find(heap, address, &f))
		*size = f.size;
	else
		r = IOCP_INVALID;
	iocp_heap_leave(cache);
	return r;
}

/* Enters, if a live block starts at `address` and has `length` bytes at `offset`. */
static int enter_range(iocp_heap *heap, const void *address, size_t offset, size_t length, iocp_cache **cache)
{
	iocp_found f;
	int r = iocp_heap_enter(heap, cache);
	if (r == IOCP_OK && !(iocp_heap_find(heap, address, &f) && offset <= f.size && length <= f.size - offset)) {
		iocp_heap_leave(*cache);
		r = IOCP_INVALID;
	}
	return r;
}

int iocp_heap_read(iocp_heap *heap, const void *address, size_t offset, void *buffer, size_t length)
{
	iocp_cache *cache;
	int r = enter_range(heap, address, offset, length, &cache);
	if (r == IOCP_OK) {
		memcpy(buffer, (const char *)address + offset, length);
		iocp_heap_leave(cache);
	}
	return r;
}

int iocp_heap_write(iocp_heap *heap, void *address, size_t offset, const void *buffer, size_t length)
{
	iocp_cache *cache;
	int r = enter_range(heap, address, offset, length, &cache);
	if (r == IOCP_OK) {
		memcpy((char *)address + offset, buffer, length);
		iocp_heap_leave(cache);
	}
	return r;
}
