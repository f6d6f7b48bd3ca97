/*
** queue.c - see queue.h.
**
** Chunks grow from 4 KiB to 128 KiB as a queue deepens, so an idle port is small and a deep one makes few system calls;
** large ones are mapped, so that a drained backlog's memory goes back to the system whatever malloc thinks, and populated
** at once, which takes half the time of a page fault for each page. A queue
** that was drained keeps the chunk it works in and one spare.
*/

#include "linux/queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALLEST = 4096, LARGEST = 131072, MAPPED_FROM = 65536, PAGE = 4096 };

static size_t capacity_of(size_t bytes)
{
	return (bytes - offsetof(iocp_chunk, packets)) / sizeof(iocp_packet);
}

int iocp_queue_has_room(const iocp_queue *queue, size_t count)
{
	const iocp_chunk *chunk;
	size_t room = queue->tail ? queue->tail->capacity - queue->tail->last : 0;
	for (chunk = queue->spare; chunk && room < count; chunk = chunk->next)
		room += chunk->capacity;
	return room >= count;
}

size_t iocp_queue_tail_capacity(const iocp_queue *queue)
{
	return queue->tail ? queue->tail->capacity : 0;
}

iocp_chunk *iocp_chunk_new(size_t count, size_t grow_from)
{
	iocp_chunk *chunk;
	size_t bytes = SMALLEST, needed;
	if (count > (SIZE_MAX / 2) / sizeof(iocp_packet))
		return NULL;
	needed = offsetof(iocp_chunk, packets) + count * sizeof(iocp_packet);
	while (bytes < LARGEST && capacity_of(bytes) <= grow_from)
		bytes *= 4;
	if (bytes > LARGEST)
		bytes = LARGEST;
	if (bytes < needed)
		bytes = (needed + PAGE - 1) & ~(size_t)(PAGE - 1);
	if (bytes < MAPPED_FROM) {
		chunk = malloc(bytes);
		if (!chunk)
			return NULL;
		chunk->mapped = 0;
	} else {
		chunk = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (chunk == MAP_FAILED)
			return NULL;
		madvise(chunk, bytes, MADV_NOHUGEPAGE); /* huge pages make a growing backlog slower; failing is harmless */
		chunk->mapped = bytes;
	}
	chunk->next = NULL;
	chunk->first = chunk->last = 0;
	chunk->capacity = capacity_of(bytes);
	return chunk;
}

void iocp_queue_add_spare(iocp_queue *queue, iocp_chunk *chunk)
{
	chunk->next = queue->spare;
	queue->spare = chunk;
}

/* A tail with room, made of the first spare chunk if need be. */
static iocp_chunk *tail_with_room(iocp_queue *queue)
{
	iocp_chunk *tail = queue->tail;
	if (!tail || tail->last == tail->capacity) {
		tail = queue->spare;
		queue->spare = tail->next;
		tail->next = NULL;
		if (queue->tail)
			queue->tail->next = tail;
		else
			queue->head = tail;
		queue->tail = tail;
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

/* The head has no more packets. */
static void retire_head(iocp_queue *queue, iocp_chunk **garbage)
{
	iocp_chunk *chunk = queue->head;
	chunk->first = chunk->last = 0;
	if (chunk == queue->tail) {
		if (chunk->mapped <= LARGEST)
			return;         /* work goes on in it */
		queue->tail = NULL; /* a huge one, made for a batch */
	}
	queue->head = chunk->next;
	if (!queue->spare && chunk->mapped == LARGEST) {
		iocp_queue_add_spare(queue, chunk);
	} else {
		chunk->next = *garbage;
		*garbage = chunk;
	}
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
		if (chunks->mapped)
			munmap(chunks, chunks->mapped);
		else
			free(chunks);
		chunks = next;
	}
}
