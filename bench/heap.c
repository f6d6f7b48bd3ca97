/*
** heap.c - the heap beside malloc.
*/

#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { RING = 4096, STEP = 64 };

int run_pairs(size_t count)
{
	size_t i;
	release(allocate(BLOCK));
	start();
	for (i = 0; i < count; i++)
		release(allocate(BLOCK));
	return stop();
}

static void *ring[RING];
static _Atomic size_t filled, emptied;

static void *free_ring(void *count)
{
	size_t i, end = *(size_t *)count;
	for (i = 0; i < end; i++) {
		while (i == atomic_load_explicit(&filled, memory_order_acquire))
			iocp_relax();
		release(ring[i % RING]);
		if (i % STEP == STEP - 1)
			atomic_store_explicit(&emptied, i + 1, memory_order_release);
	}
	return NULL;
}

/* Allocated here, freed there, both at once, through the cheapest of queues. */
int run_across(size_t count)
{
	pthread_t thread;
	size_t i;
	count -= count % STEP;
	pthread_create(&thread, NULL, free_ring, &count);
	start();
	for (i = 0; i < count; i++) {
		while (i - atomic_load_explicit(&emptied, memory_order_acquire) >= RING)
			iocp_relax();
		ring[i % RING] = allocate(BLOCK);
		if (i % STEP == STEP - 1)
			atomic_store_explicit(&filled, i + 1, memory_order_release);
	}
	pthread_join(thread, NULL);
	return stop();
}

int run_destroy(size_t count)
{
	void **blocks = or_die(malloc(count * sizeof(*blocks)));
	size_t i;
	for (i = 0; i < count; i++)
		blocks[i] = allocate(BLOCK);
	start();
	if (ours)
		iocp_heap_destroy(heap);
	else
		for (i = 0; i < count; i++)
			free(blocks[i]);
	return stop();
}

int run_create(size_t count)
{
	size_t i;
	start();
	for (i = 0; i < count; i++) {
		void *block;
		iocp_heap *h;
		if (iocp_heap_create(0, 0, &h) != IOCP_OK || iocp_heap_alloc(h, BLOCK, 0, &block) != IOCP_OK)
			abort();
		iocp_heap_destroy(h);
		iocp_heap_release(h);
	}
	return stop();
}

/* Prints bytes a block, not seconds. */
int run_footprint(size_t count)
{
	size_t before = resident(), i;
	for (i = 0; i < count; i++)
		memset(allocate(BLOCK), 1, BLOCK);
	printf("%.2f\n", (double)(resident() - before) / (double)count);
	return 0;
}
