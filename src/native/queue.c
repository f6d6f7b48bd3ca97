/*
** queue.c - see queue.h.
**
** Chunks grow from 4 KiB to 128 KiB as packets pass, so an idle port is small and a busy one makes few system calls;
** large ones are mapped, so that a drained backlog's memory goes back to the system whatever malloc thinks. A backlog
** of DEEP bytes and more goes on in huge pages: clearing one takes a fifth of the time that its 512 small ones take.
** (The price: a backlog just beyond that has 2 MiB more than it needs.) When a chunk is drained the queue keeps one
** spare, a huge one only while it is deep: so what streams through a backlog is not cleared again and again. Drained,
** it has the chunk it works in and a spare of 128 KiB.
*/

#include "native/queue.h"

#include <stdlib.h>
#include <string.h>

#ifndef MADV_POPULATE_WRITE /* glibc 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

enum { SMALLEST = 4096, LARGE = 131072, DEEP = 262144, MAPPED_FROM = 65536 };

int iocp_queue_has_room(const iocp_queue *queue, size_t count)
{
	const iocp_chunk *chunk;
	size_t room = queue->tail ? queue->tail->capacity - queue->tail->last : 0;
	for (chunk = queue->spare; chunk && room < count; chunk = chunk->next)
		room += chunk->capacity;
	return room >= count;
}

static int is_deep(const iocp_queue *queue)
{
	return queue->count >= DEEP / sizeof(iocp_packet);
}

size_t iocp_queue_next_size(const iocp_queue *queue)
{
	size_t tail = queue->tail ? queue->tail->bytes : 0;
	if (is_deep(queue))
		return IOCP_HUGE_PAGE;
	if (tail < SMALLEST)
		return SMALLEST;
	return tail < LARGE / 4 ? tail * 4 : LARGE;
}

/* A chunk's memory, cleared by the kernel already: else that would happen while the port's lock is held. */
static iocp_chunk *map_chunk(size_t bytes)
{
	char *memory = iocp_prim_map(bytes, bytes >= IOCP_HUGE_PAGE ? IOCP_HUGE_PAGE : IOCP_SMALL_PAGE);
	if (memory)
		iocp_prim_populate(memory, bytes);
	return (iocp_chunk *)memory;
}

iocp_chunk *iocp_chunk_new(size_t count, size_t bytes)
{
	iocp_chunk *chunk;
	size_t least;
	if (count > (SIZE_MAX / 2) / sizeof(iocp_packet))
		return NULL;
	least = offsetof(iocp_chunk, packets) + count * sizeof(iocp_packet);
	least = (least + IOCP_SMALL_PAGE - 1) & ~(size_t)(IOCP_SMALL_PAGE - 1);
	if (bytes < least)
		bytes = least;
	chunk = bytes < MAPPED_FROM ? malloc(bytes) : map_chunk(bytes);
	if (!chunk)
		return bytes > least && bytes > LARGE ? iocp_chunk_new(count, LARGE) : NULL;
	chunk->next = NULL;
	chunk->first = chunk->last = 0;
	chunk->bytes = bytes;
	chunk->capacity = (bytes - offsetof(iocp_chunk, packets)) / sizeof(iocp_packet);
	return chunk;
}

void iocp_queue_add_spare(iocp_queue *queue, iocp_chunk *chunk)
{
	chunk->next = queue->spare;
	queue->spare = chunk;
}

void iocp_queue_append_chunk(iocp_queue *queue, iocp_chunk *chunk)
{
	chunk->next = NULL;
	if (queue->tail)
		queue->tail->next = chunk;
	else
		queue->head = chunk;
	queue->tail = chunk;
	queue->count += chunk->last - chunk->first;
}

/* A tail with room, made of the first spare chunk if need be. */
static iocp_chunk *tail_with_room(iocp_queue *queue)
{
	iocp_chunk *tail = queue->tail;
	if (!tail || tail->last == tail->capacity) {
		tail = queue->spare;
		queue->spare = tail->next;
		iocp_queue_append_chunk(queue, tail);
	}
	return tail;
}

void iocp_queue_append(iocp_queue *queue, const iocp_packet *packet)
{
	iocp_chunk *tail = tail_with_room(queue);
	tail->packets[tail->last++] = *packet;
	queue->count++;
}

void iocp_queue_append_many(iocp_queue *queue, const iocp_packet *packets, size_t count)
{
	queue->count += count;
	while (count > 0) {
		iocp_chunk *tail = tail_with_room(queue);
		size_t n = tail->capacity - tail->last;
		if (n > count)
			n = count;
		memcpy(tail->packets + tail->last, packets, n * sizeof(*packets));
		tail->last += n;
		packets += n;
		count -= n;
	}
}

static int is_worth_keeping(const iocp_queue *queue, const iocp_chunk *chunk)
{
	return chunk->bytes == LARGE || (chunk->bytes == IOCP_HUGE_PAGE && is_deep(queue));
}

static void give_up(iocp_chunk *chunk, iocp_chunk **garbage)
{
	chunk->next = *garbage;
	*garbage = chunk;
}

/* Of the spares, several if several threads brought one, one is kept that is worth it. */
static void trim_spares(iocp_queue *queue, iocp_chunk **garbage)
{
	iocp_chunk *spare = queue->spare, *next;
	queue->spare = NULL;
	for (; spare; spare = next) {
		next = spare->next;
		spare->next = NULL;
		if (!queue->spare && is_worth_keeping(queue, spare))
			queue->spare = spare;
		else
			give_up(spare, garbage);
	}
}

/* The head has no more packets. */
static void retire_head(iocp_queue *queue, iocp_chunk **garbage)
{
	iocp_chunk *chunk = queue->head;
	trim_spares(queue, garbage);
	chunk->first = chunk->last = 0;
	if (chunk == queue->tail) {
		if (chunk->bytes <= LARGE)
			return; /* work goes on in it */
		queue->tail = NULL;
	}
	queue->head = chunk->next;
	if (!queue->spare && is_worth_keeping(queue, chunk))
		iocp_queue_add_spare(queue, chunk);
	else
		give_up(chunk, garbage);
}

size_t iocp_queue_take(iocp_queue *queue, iocp_packet *packets, size_t max, iocp_chunk **garbage)
{
	size_t taken = 0;
	while (taken < max && queue->count > 0) {
		iocp_chunk *head = queue->head;
		size_t n = head->last - head->first;
		if (n > max - taken)
			n = max - taken;
		if (n == 1) /* mostly; without a call */
			packets[taken] = head->packets[head->first];
		else
			memcpy(packets + taken, head->packets + head->first, n * sizeof(*packets));
		taken += n;
		head->first += n;
		queue->count -= n;
		if (head->first == head->last)
			retire_head(queue, garbage);
	}
	return taken;
}

int iocp_queue_put_back(iocp_queue *queue, const iocp_packet *packets, size_t count)
{
	iocp_chunk *head = queue->head;
	if (!head || head->first < count) {
		if (queue->count || !iocp_queue_has_room(queue, count))
			return 0;
		iocp_queue_append_many(queue, packets, count);
		return 1;
	}
	head->first -= count;
	memcpy(head->packets + head->first, packets, count * sizeof(*packets));
	queue->count += count;
	return 1;
}

void iocp_queue_prepend(iocp_queue *queue, iocp_chunk *chunk)
{
	chunk->next = queue->head;
	queue->head = chunk;
	if (!queue->tail)
		queue->tail = chunk;
	queue->count += chunk->last - chunk->first;
}

iocp_chunk *iocp_queue_clear(iocp_queue *queue)
{
	iocp_chunk *all = queue->head;
	if (queue->tail) {
		queue->tail->next = queue->spare;
	} else {
		all = queue->spare;
	}
	memset(queue, 0, sizeof(*queue));
	return all;
}

void iocp_chunks_free(iocp_chunk *chunks)
{
	while (chunks) {
		iocp_chunk *next = chunks->next;
		if (chunks->bytes >= MAPPED_FROM)
			iocp_prim_unmap(chunks, chunks->bytes);
		else
			free(chunks);
		chunks = next;
	}
}
