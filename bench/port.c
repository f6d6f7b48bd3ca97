/*
** port.c - the workloads of the queue. Key 0 ends a worker; it is posted behind the work, once for each of them.
*/

#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { MOST_WORKERS = 1024, WORKERS = 4, RECEIVERS = 2, BATCH = 64, LARGE = 65536, WINDOW = 64 };
enum { ALL_TEXTS = 1 << 26, MOST_TEXTS = 1 << 17 };

static pthread_t threads[MOST_WORKERS];
static size_t workers, batch;
static _Atomic size_t handled;

static void await_workers(void)
{
	while (queued() > 0 || waiting() < workers)
		iocp_sleep(0.1);
}

static void start_workers(size_t count, void *(*body)(void *))
{
	size_t i;
	workers = count;
	for (i = 0; i < workers; i++)
		if (i == MOST_WORKERS || pthread_create(&threads[i], NULL, body, NULL) != 0)
			abort();
	await_workers();
}

/* When all that was posted has been handled, and everybody waits again, the clock stops. How long threads take to end
** is not the queue's affair. */
static int finish(size_t count)
{
	double seconds;
	size_t i;
	await_workers();
	seconds = elapsed();
	for (i = 0; i < workers; i++)
		push(0);
	for (i = 0; i < workers; i++)
		pthread_join(threads[i], NULL);
	if (handled != count)
		abort();
	return print_seconds(seconds);
}

static void *key_worker(void *unused)
{
	size_t n = 0;
	while (pop())
		n++;
	atomic_fetch_add(&handled, n);
	return unused;
}

int run_keys(size_t count)
{
	size_t i;
	start_workers(parameter ? parameter : WORKERS, key_worker);
	start();
	for (i = 1; i <= count; i++)
		push(i);
	return finish(count);
}

static void *batch_worker(void *unused)
{
	uintptr_t keys[LARGEST_BATCH];
	size_t n = 0, ends = 0;
	while (ends == 0) {
		size_t i, taken = pop_many(keys, batch);
		for (i = 0; i < taken; i++)
			if (keys[i])
				n++;
			else
				ends++;
	}
	while (--ends > 0)
		push(0); /* the others' */
	atomic_fetch_add(&handled, n);
	return unused;
}

int run_batches(size_t count)
{
	uintptr_t keys[LARGEST_BATCH];
	size_t i, j;
	batch = parameter ? parameter : BATCH;
	count -= count % batch;
	start_workers(WORKERS, batch_worker);
	start();
	for (i = 1; i <= count; i += batch) {
		for (j = 0; j < batch; j++)
			keys[j] = i + j;
		push_many(keys, batch);
	}
	return finish(count);
}

static void *article_worker(void *unused)
{
	volatile uint64_t sum = 0;
	uint64_t *block;
	size_t n = 0;
	while ((block = (uint64_t *)pop()) != NULL) {
		sum = sum + *block;
		release(block);
		n++;
	}
	atomic_fetch_add(&handled, n);
	return unused;
}

int run_article(size_t count)
{
	size_t i;
	start_workers(parameter ? parameter : WORKERS, article_worker);
	start();
	for (i = 1; i <= count; i++) {
		uint64_t *block = allocate(BLOCK);
		*block = i;
		push((uintptr_t)block);
	}
	return finish(count);
}

/* What a string costs at the least: copied into a block here, and out of it there. */
static void *copy_worker(void *unused)
{
	char *copy = or_die(malloc(parameter));
	void *block;
	size_t n = 0;
	while ((block = (void *)pop()) != NULL) {
		memcpy(copy, block, parameter);
		release(block);
		n++;
	}
	free(copy);
	atomic_fetch_add(&handled, n);
	return unused;
}

/* As many different texts as the scripts have: they are as cold in the caches here as there. */
int run_strings(size_t count)
{
	size_t i, texts = ALL_TEXTS / parameter < MOST_TEXTS ? ALL_TEXTS / parameter : MOST_TEXTS;
	char *text = or_die(malloc(texts * parameter));
	memset(text, 'x', texts * parameter);
	start_workers(RECEIVERS, copy_worker);
	start();
	for (i = 1; i <= count; i++) {
		void *block = allocate(parameter);
		memcpy(block, text + i % texts * parameter, parameter);
		push((uintptr_t)block);
		/* Large ones would fill the memory if the receivers are slower. */
		while (parameter >= LARGE && queued() > WINDOW)
			iocp_yield();
	}
	return finish(count);
}

int run_pair(size_t count)
{
	size_t i;
	start();
	for (i = 1; i <= count; i++) {
		push(i);
		if (pop() != i)
			abort();
	}
	return stop();
}

static void fill(size_t count)
{
	size_t i;
	for (i = 1; i <= count; i++)
		push(i);
}

static void drain(size_t count)
{
	size_t i;
	for (i = 1; i <= count; i++)
		if (pop() != i)
			abort();
}

/* Fills the queue up to `parameter` and empties it, again and again until `count` items have passed. */
int run_depth(size_t count)
{
	size_t done;
	start();
	for (done = 0; done < count; done += parameter) {
		fill(parameter);
		drain(parameter);
	}
	return stop();
}

int run_backlog_in(size_t count)
{
	start();
	fill(count);
	return stop();
}

int run_backlog_out(size_t count)
{
	fill(count);
	start();
	drain(count);
	return stop();
}

/* Prints bytes, not seconds. */
int run_packet_bytes(size_t count)
{
	size_t before = resident();
	fill(count);
	printf("%.2f\n", (double)(resident() - before) / (double)count);
	return 0;
}

/* Prints the processor time that waiting workers take, seconds. */
int run_idle(size_t milliseconds)
{
	clock_t before;
	start_workers(WORKERS, key_worker);
	iocp_sleep(100);
	before = clock();
	iocp_sleep((double)milliseconds);
	printf("%.9f\n", (double)(clock() - before) / CLOCKS_PER_SEC);
	return 0;
}

static double processor_time(void)
{
	struct timespec used;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* Prints the processor time, seconds, that a second takes in which `rate` messages come at even distances. */
int run_trickle(size_t rate)
{
	enum { NS = 1000000000 };
	struct timespec due;
	double before;
	size_t i;
	prctl(PR_SET_TIMERSLACK, 1);
	iocp_port_set_spin(port, spins);
	start_workers(WORKERS, key_worker);
	clock_gettime(CLOCK_MONOTONIC, &due);
	before = processor_time();
	for (i = 1; i <= rate; i++) {
		due.tv_nsec += (long)(NS / rate);
		due.tv_sec += due.tv_nsec / NS;
		due.tv_nsec %= NS;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		push(i);
	}
	await_workers();
	printf("%.9f\n", processor_time() - before);
	return 0;
}
