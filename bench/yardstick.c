/*
** yardstick.c - what C does on this machine: the workloads of the benchmark over plain pthreads and libc, and over iocp.h.
**
** Usage: bench WORKLOAD COUNT prints one number, the seconds it took. tools/bench runs it beside the Lua scripts.
*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "core/atomic.h"
#include "iocp.h"

enum { WORKERS = 4, BLOCK = 48 };

static double started;

static void start(void)
{
	started = iocp_clock();
}

static int stop(void)
{
	printf("%.9f\n", (iocp_clock() - started) / 1000);
	return 0;
}

static void *or_die(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- the yardstick's queue: a ring under a mutex, and a condition variable signalled at each push ----------------- */

static struct deque {
	pthread_mutex_t mutex;
	pthread_cond_t filled;
	uintptr_t *keys;
	size_t capacity, first, count;
	int closed;
} deque = {.mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void deque_grow(struct deque *d)
{
	size_t i, capacity = d->capacity ? d->capacity * 2 : 1024;
	uintptr_t *keys = or_die(malloc(capacity * sizeof(*keys)));
	for (i = 0; i < d->count; i++)
		keys[i] = d->keys[(d->first + i) % d->capacity];
	free(d->keys);
	d->keys = keys;
	d->capacity = capacity;
	d->first = 0;
}

static void deque_push(struct deque *d, uintptr_t key)
{
	pthread_mutex_lock(&d->mutex);
	if (d->count == d->capacity)
		deque_grow(d);
	d->keys[(d->first + d->count++) & (d->capacity - 1)] = key;
	pthread_mutex_unlock(&d->mutex);
	pthread_cond_signal(&d->filled);
}

static int deque_pop(struct deque *d, uintptr_t *key)
{
	int open;
	pthread_mutex_lock(&d->mutex);
	while (d->count == 0 && !d->closed)
		pthread_cond_wait(&d->filled, &d->mutex);
	open = d->count > 0;
	if (open) {
		*key = d->keys[d->first];
		d->first = (d->first + 1) & (d->capacity - 1);
		d->count--;
	}
	pthread_mutex_unlock(&d->mutex);
	return open;
}

static void deque_close(struct deque *d)
{
	pthread_mutex_lock(&d->mutex);
	d->closed = 1;
	pthread_mutex_unlock(&d->mutex);
	pthread_cond_broadcast(&d->filled);
}

/* ---- one queue, or the other ----------------------------------------------------------------------------------- */

static iocp_port *port;
static iocp_heap *heap;
static int ours, with_blocks;
static _Atomic size_t handled;

static int pop(uintptr_t *key)
{
	iocp_packet packet;
	if (!ours)
		return deque_pop(&deque, key);
	if (iocp_port_dequeue(port, &packet, IOCP_INFINITE) != IOCP_OK)
		return 0;
	*key = packet.key;
	return 1;
}

static void push(uintptr_t key)
{
	if (!ours)
		deque_push(&deque, key);
	else if (iocp_port_enqueue(port, key, BLOCK, 0) != IOCP_OK)
		abort();
}

static void close_queue(void)
{
	if (ours)
		iocp_port_close(port);
	else
		deque_close(&deque);
}

static void *allocate(void)
{
	void *block = NULL;
	if (!ours)
		return or_die(malloc(BLOCK));
	if (iocp_heap_alloc(heap, BLOCK, 0, &block) != IOCP_OK)
		abort();
	return block;
}

static void release(void *block)
{
	if (!ours)
		free(block);
	else if (iocp_heap_free(heap, block) != IOCP_OK)
		abort();
}

/* ---- workloads ------------------------------------------------------------------------------------------------- */

static void *worker(void *unused)
{
	uintptr_t key;
	size_t n = 0;
	volatile uint64_t sum = 0;
	while (pop(&key)) {
		if (with_blocks) {
			sum = sum + *(uint64_t *)key;
			release((void *)key);
		}
		n++;
	}
	atomic_fetch_add(&handled, n);
	return unused;
}

static int run_article(size_t count)
{
	pthread_t threads[WORKERS];
	size_t i;
	for (i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, worker, NULL);
	start();
	for (i = 1; i <= count; i++) {
		uintptr_t key = i;
		if (with_blocks) {
			uint64_t *block = allocate();
			*block = i;
			key = (uintptr_t)block;
		}
		push(key);
	}
	/* The queue is drained when it is empty and everyone waits; closing says so to both kinds. */
	if (ours) {
		iocp_port_info info;
		do {
			iocp_sleep(0);
			iocp_port_stats(port, &info);
		} while (info.queued > 0);
	}
	close_queue();
	for (i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	if (handled != count)
		abort();
	return stop();
}

static int run_backlog(size_t count)
{
	uintptr_t key;
	size_t i;
	start();
	for (i = 1; i <= count; i++)
		push(i);
	for (i = 1; i <= count; i++)
		if (!pop(&key) || key != i)
			abort();
	return stop();
}

static iocp_port *back;

static void *echo(void *unused)
{
	iocp_packet packet;
	while (iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_OK)
		iocp_port_enqueue(back, packet.key, 0, 0);
	return unused;
}

static int run_ping_pong(size_t count)
{
	iocp_packet packet;
	pthread_t thread;
	size_t i;
	iocp_port_create(0, &back);
	pthread_create(&thread, NULL, echo, NULL);
	start();
	for (i = 1; i <= count; i++) {
		iocp_port_enqueue(port, i, 0, 0);
		if (iocp_port_dequeue(back, &packet, IOCP_INFINITE) != IOCP_OK || packet.key != i)
			abort();
	}
	iocp_port_close(port);
	pthread_join(thread, NULL);
	return stop();
}

static _Atomic uint32_t ball;

static void wait_ball(uint32_t other)
{
	while (atomic_load(&ball) == other)
		syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0);
}

static void throw_ball(uint32_t to)
{
	atomic_store(&ball, to);
	syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *futex_echo(void *count)
{
	size_t i;
	for (i = 0; i < *(size_t *)count; i++) {
		wait_ball(0);
		throw_ball(0);
	}
	return NULL;
}

static int run_futex_ping_pong(size_t count)
{
	pthread_t thread;
	size_t i;
	pthread_create(&thread, NULL, futex_echo, &count);
	start();
	for (i = 0; i < count; i++) {
		throw_ball(1);
		wait_ball(1);
	}
	pthread_join(thread, NULL);
	return stop();
}

static void *open_state(void *unused)
{
	lua_State *L = or_die(luaL_newstate());
	luaL_openlibs(L);
	lua_close(L);
	return unused;
}

static int run_states(size_t count)
{
	pthread_t thread;
	size_t i;
	start();
	for (i = 0; i < count; i++) {
		pthread_create(&thread, NULL, open_state, NULL);
		pthread_join(thread, NULL);
	}
	return stop();
}

/* ---- the heap beside malloc -------------------------------------------------------------------------------------- */

static int run_pairs(size_t count)
{
	size_t i;
	release(allocate());
	start();
	for (i = 0; i < count; i++)
		release(allocate());
	return stop();
}

enum { RING = 4096, STEP = 64 };
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
static int run_across(size_t count)
{
	pthread_t thread;
	size_t i;
	count -= count % STEP;
	pthread_create(&thread, NULL, free_ring, &count);
	start();
	for (i = 0; i < count; i++) {
		while (i - atomic_load_explicit(&emptied, memory_order_acquire) >= RING)
			iocp_relax();
		ring[i % RING] = allocate();
		if (i % STEP == STEP - 1)
			atomic_store_explicit(&filled, i + 1, memory_order_release);
	}
	pthread_join(thread, NULL);
	return stop();
}

static int run_destroy(size_t count)
{
	void **blocks = or_die(malloc(count * sizeof(*blocks)));
	size_t i;
	for (i = 0; i < count; i++)
		blocks[i] = allocate();
	start();
	if (ours)
		iocp_heap_destroy(heap);
	else
		for (i = 0; i < count; i++)
			free(blocks[i]);
	return stop();
}

static int run_create(size_t count)
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

static size_t resident(void)
{
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*u %zu", &pages) != 1)
		abort();
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Prints bytes a block, not seconds. */
static int run_footprint(size_t count)
{
	size_t before = resident(), i;
	for (i = 0; i < count; i++)
		memset(allocate(), 1, BLOCK);
	printf("%.2f\n", (double)(resident() - before) / (double)count);
	return 0;
}

/* ---- copies: memcpy and a post, memcpy and a free: the least that a message can cost ------------------------------------ */

static size_t copy_size;

static void *receive_copies(void *unused)
{
	iocp_packet packet;
	size_t n = 0;
	while (iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_OK) {
		char *copy = or_die(malloc(packet.bytes));
		memcpy(copy, (const void *)packet.key, packet.bytes);
		__asm__ volatile("" : : "r"(copy) : "memory"); /* a copy that is looked at */
		free(copy);
		iocp_heap_free(heap, (void *)packet.key);
		n++;
	}
	atomic_fetch_add(&handled, n);
	return unused;
}

static int run_copies(size_t count)
{
	char *content = or_die(calloc(1, copy_size));
	pthread_t threads[2];
	iocp_port_info info;
	size_t i;
	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, receive_copies, NULL);
	start();
	for (i = 0; i < count; i++) {
		void *block = NULL;
		if (iocp_heap_put(heap, content, copy_size, &block) != IOCP_OK
			|| iocp_port_enqueue(port, (uintptr_t)block, (uint32_t)copy_size, 0) != IOCP_OK)
			abort();
	}
	do {
		iocp_sleep(0);
		iocp_port_stats(port, &info);
	} while (info.queued > 0);
	close_queue();
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (handled != count)
		abort();
	free(content);
	return stop();
}

static int run_copies_48(size_t count)
{
	copy_size = 48;
	return run_copies(count);
}

static int run_copies_1k(size_t count)
{
	copy_size = 1024;
	return run_copies(count);
}

static int run_copies_1m(size_t count)
{
	copy_size = (size_t)1 << 20;
	return run_copies(count);
}

static const struct workload {
	const char *name;
	int (*run)(size_t count);
	int ours, with_blocks;
} workloads[] = {
	{"keys-iocp", run_article, 1, 0},
	{"keys-pthread", run_article, 0, 0},
	{"article-iocp", run_article, 1, 1},
	{"article-pthread", run_article, 0, 1},
	{"backlog-iocp", run_backlog, 1, 0},
	{"backlog-pthread", run_backlog, 0, 0},
	{"ping-pong-iocp", run_ping_pong, 1, 0},
	{"ping-pong-futex", run_futex_ping_pong, 0, 0},
	{"threads-lua-state", run_states, 0, 0},
	{"copies-48", run_copies_48, 1, 0},
	{"copies-1k", run_copies_1k, 1, 0},
	{"copies-1m", run_copies_1m, 1, 0},
	{"pairs-iocp", run_pairs, 1, 0},
	{"pairs-malloc", run_pairs, 0, 0},
	{"across-iocp", run_across, 1, 0},
	{"across-malloc", run_across, 0, 0},
	{"destroy-iocp", run_destroy, 1, 0},
	{"destroy-malloc", run_destroy, 0, 0},
	{"create-iocp", run_create, 1, 0},
	{"footprint-iocp", run_footprint, 1, 0},
	{"footprint-malloc", run_footprint, 0, 0},
};

int main(int argc, char **argv)
{
	size_t i, count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	for (i = 0; count > 0 && i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(argv[1], workloads[i].name) == 0) {
			ours = workloads[i].ours;
			with_blocks = workloads[i].with_blocks;
			if (iocp_port_create(0, &port) != IOCP_OK || iocp_heap_create(0, 0, &heap) != IOCP_OK)
				abort();
			return workloads[i].run(count);
		}
	}
	fprintf(stderr, "usage: bench WORKLOAD COUNT\n");
	return 2;
}
