/*
** queue.h - an unbounded first-in first-out queue of packets in chunks that are recycled and given back.
**
** Not thread-safe: the port's lock guards it. No function here that runs under the lock allocates or frees: the caller
** brings a chunk when iocp_queue_has_room says that one is missing, and frees what take and clear hand out.
*/

#ifndef IOCP_QUEUE_H
#define IOCP_QUEUE_H

#include "native/native.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_chunk {
	struct iocp_chunk *next;
	size_t capacity;    /* packets */
	size_t first, last; /* packets[first..last-1] are queued */
	size_t bytes;       /* its own; large ones are mapped */
	iocp_packet packets[];
} iocp_chunk;

typedef struct iocp_queue {
	iocp_chunk *head, *tail;
	iocp_chunk *spare; /* empty ones, kept for the next growth */
	uint64_t count;    /* packets */
} iocp_queue;

/* Whether `count` packets fit without a new chunk. */
int iocp_queue_has_room(const iocp_queue *queue, size_t count);
/* How large the queue's next chunk had better be, bytes. */
size_t iocp_queue_next_size(const iocp_queue *queue);
/* A chunk of that size, or larger if `count` packets need it; 0 bytes: a small one. NULL: out of memory. Needs no
** lock. */
iocp_chunk *iocp_chunk_new(size_t count, size_t bytes);
void iocp_queue_add_spare(iocp_queue *queue, iocp_chunk *chunk);
/* There is room. */
void iocp_queue_append(iocp_queue *queue, const iocp_packet *packet);
void iocp_queue_append_many(iocp_queue *queue, const iocp_packet *packets, size_t count);
/* Appends a chunk with its packets. */
void iocp_queue_append_chunk(iocp_queue *queue, iocp_chunk *chunk);
/* Takes up to `max` packets; chunks no longer needed are linked to *garbage. Returns how many. */
size_t iocp_queue_take(iocp_queue *queue, iocp_packet *packets, size_t max, iocp_chunk **garbage);
/* Puts packets before all others, where packets lay that were taken. 0: there is not that much room. */
int iocp_queue_put_back(iocp_queue *queue, const iocp_packet *packets, size_t count);
/* Puts a chunk with its packets before all others. */
void iocp_queue_prepend(iocp_queue *queue, iocp_chunk *chunk);
/* Empties the queue; returns all its chunks. */
iocp_chunk *iocp_queue_clear(iocp_queue *queue);
void iocp_chunks_free(iocp_chunk *chunks);

#pragma GCC visibility pop

#endif
