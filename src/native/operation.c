/*
** operation.c - what every operation of I/O is, whatever it transfers.
**
** Ownership: an operation owns its references to a heap and to a client, and memory of its own in `block` where it has
** no heap. A block is let go of before the packet is posted, so that who receives that may free the block.
*/

#include "native/operation.h"

#include <stdlib.h>
#include <string.h>

#include "core/busy.h"

void iocp_operations_append(iocp_operations *operations, iocp_operation *operation)
{
	operation->next = NULL;
	if (operations->last)
		operations->last->next = operation;
	else
		operations->first = operation;
	operations->last = operation;
}

void iocp_operations_remove_first(iocp_operations *operations)
{
	operations->first = operations->first->next;
	if (!operations->first)
		operations->last = NULL;
}

uint32_t iocp_operations_take(iocp_operations *operations, int (*matches)(const iocp_operation *, const void *),
	const void *with, iocp_operations *taken)
{
	iocp_operation *operation = operations->first, *next;
	uint32_t count = 0;
	*operations = (iocp_operations){NULL, NULL};
	for (; operation; operation = next) {
		int takes = !matches || matches(operation, with);
		next = operation->next;
		iocp_operations_append(takes ? taken : operations, operation);
		count += (uint32_t)takes;
	}
	return count;
}

int iocp_operation_has_overlapped(const iocp_operation *operation, const void *overlapped)
{
	return operation->packet.overlapped == *(const uintptr_t *)overlapped;
}

int iocp_operation_uses_heap(const iocp_operation *operation, const void *heap)
{
	return operation->heap == heap;
}

int iocp_operation_lost_heap(const iocp_operation *operation)
{
	/* A private heap is never destroyed. The news of one that was comes with the lock that is held. */
	return operation->heap && !iocp_object_is_open((const iocp_object *)operation->heap);
}

int iocp_number_of(int code)
{
	return iocp_io_error_name(code) ? code : iocp_io_error_unnamed(code);
}

iocp_operation *iocp_operation_new(enum iocp_operation_kind kind, uintptr_t overlapped)
{
	/* Not calloc, which in the GNU library does not take what the thread has freed just now. */
	iocp_operation *operation = malloc(sizeof(*operation));
	if (operation)
		*operation = (iocp_operation){.kind = (uint8_t)kind, .packet.overlapped = overlapped};
	return operation;
}

iocp_operation *iocp_operation_brief(iocp_operation *memory, enum iocp_operation_kind kind, uintptr_t overlapped)
{
	if (!memory)
		return iocp_operation_new(kind, overlapped);
	*memory = (iocp_operation){.kind = (uint8_t)kind, .brief = 1, .packet.overlapped = overlapped};
	return memory;
}

int iocp_operation_use(
	iocp_operation *operation, const void *address, size_t at, size_t size, size_t least, size_t most, int alone)
{
	size_t whole;
	int r = iocp_block_hold(address, alone, &operation->heap, &whole);
	if (r != IOCP_OK) {
		operation->heap = NULL;
		return r;
	}
	operation->alone = (uint8_t)alone;
	operation->block = (void *)(uintptr_t)address;
	operation->data = (char *)operation->block + at;
	if (at > whole)
		return IOCP_INVALID;
	if (size == IOCP_REST)
		size = whole - at;
	operation->size = (uint32_t)size;
	return size <= whole - at && size >= least && size <= most ? IOCP_OK : IOCP_INVALID;
}

int iocp_operation_own(iocp_operation *operation)
{
	size_t left = operation->size - operation->packet.bytes;
	if (!operation->borrowed)
		return 1;
	operation->block = malloc(left ? left : 1);
	if (!operation->block)
		return 0;
	memcpy(operation->block, operation->data, left);
	operation->data = operation->block;
	operation->borrowed = 0;
	return 1;
}

int iocp_operation_keep(iocp_operation **operation)
{
	iocp_operation *kept = *operation;
	if (kept->brief) {
		kept = malloc(sizeof(*kept));
		if (!kept)
			return 0;
		*kept = **operation;
		kept->brief = 0;
	}
	if (!iocp_operation_own(kept)) {
		if (kept != *operation)
			free(kept);
		return 0;
	}
	*operation = kept;
	return 1;
}

static void let_go(iocp_operation *operation)
{
	if (operation->heap)
		iocp_block_let_go(operation->heap, operation->block, operation->alone);
	else
		free(operation->block);
	operation->heap = NULL;
	operation->block = NULL;
	if (operation->kind == IOCP_ACCEPT && operation->of.accept.client) {
		iocp_object_release(operation->of.accept.client);
		operation->of.accept.client = NULL;
	}
	if (operation->kind >= IOCP_READ && operation->of.transfer.of) {
		iocp_object_release(operation->of.transfer.of);
		operation->of.transfer.of = NULL;
	}
}

void iocp_operation_drop(iocp_operation *operation)
{
	let_go(operation);
	if (!operation->brief)
		free(operation);
}

void iocp_finish(iocp_finished *finished, iocp_operation *operation, int number)
{
	operation->packet.code = number;
	operation->next = NULL;
	if (finished->last)
		finished->last->next = operation;
	else
		finished->first = operation;
	finished->last = operation;
	finished->count++;
}

void iocp_finished_join(iocp_finished *finished, iocp_finished *more)
{
	if (!more->first)
		return;
	if (finished->last)
		finished->last->next = more->first;
	else
		finished->first = more->first;
	finished->last = more->last;
	finished->count += more->count;
	*more = (iocp_finished){NULL, NULL, 0};
}

void iocp_finished_let_go(iocp_finished *finished)
{
	iocp_operation *operation;
	for (operation = finished->first; operation; operation = operation->next)
		let_go(operation);
}

void iocp_finished_drop(iocp_finished *finished)
{
	iocp_operation *operation = finished->first, *next;
	for (; operation; operation = next) {
		next = operation->next;
		iocp_operation_drop(operation);
	}
	*finished = (iocp_finished){NULL, NULL, 0};
}

/* The memory of an operation as a chunk of the queue with its packet. */
static iocp_chunk *chunk_of(iocp_operation *operation)
{
	iocp_packet packet = operation->packet;
	iocp_chunk *chunk = (iocp_chunk *)(void *)operation;
	_Static_assert(sizeof(iocp_operation) >= offsetof(iocp_chunk, packets) + sizeof(iocp_packet), "a chunk fits in");
	*chunk = (iocp_chunk){.capacity = 1, .last = 1, .bytes = sizeof(*operation)};
	chunk->packets[0] = packet;
	return chunk;
}

void iocp_finished_append(iocp_finished *finished, iocp_queue *queue, int32_t mark, int room)
{
	iocp_operation *operation, *next;
	for (operation = finished->first; operation; operation = next) {
		next = operation->next;
		operation->packet.code |= mark;
		if (room)
			iocp_queue_append(queue, &operation->packet);
		else
			iocp_queue_append_chunk(queue, chunk_of(operation));
	}
	if (!room)
		*finished = (iocp_finished){NULL, NULL, 0};
}
