/*
** socket_stress_test.c - who waits in the set of descriptors, under everything at once: posts, I/O, gets of all
** timeouts, batches, cancels of threads, cancels and closes of sockets. Each operation ends in one packet, each packet
** comes once, and nobody sleeps beside one. For the sanitizers, too; `IOCP_SECONDS` makes it longer.
*/

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/io_error.h"
#include "iocp.h"

enum { GETTERS = 4, PAIRS = 8, BATCH = 8, HANG = 20000 /* ms */, POST = 1, IO = 2 /* what `overlapped` begins with */ };

static iocp_port *port;
static atomic_uint posted, got, started, ended, stop;
static iocp_socket *ends[PAIRS][2];
static iocp_heap *heap;
static void *blocks[PAIRS * 2];

/* In any thread, where cmocka's asserts end the process without a word. */
#define must(condition)                                                                                                \
	((condition) ? (void)0 : (fprintf(stderr, "socket_stress_test.c:%d: not so: %s\n", __LINE__, #condition), abort()))

static double seconds(void)
{
	const char *text = getenv("IOCP_SECONDS");
	return text ? atof(text) : 1;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* The socket of this number reads again, and its peer has something for it. */
static void begin_again(uintptr_t number, uint32_t *state)
{
	iocp_socket *reader = ends[number / 2][number % 2], *writer = ends[number / 2][1 - number % 2];
	int64_t done;
	int r;
	atomic_fetch_add(&started, 1);
	/* One operation a socket at a time, so nobody else uses the block. */
	r = next_random(state) % 4 ? iocp_socket_receive(reader, blocks[number], 0, 64, IO | number << 8, NULL)
							   : iocp_socket_ready(reader, IOCP_SIDE_READ, IO | number << 8, NULL);
	if (r != IOCP_OK)
		atomic_fetch_sub(&started, 1); /* it is closed */
	if (next_random(state) % 8 == 0)
		(void)iocp_socket_cancel(reader, NULL);
	(void)iocp_socket_send_copy(writer, "x", 1, 0, &done);
}

static void take(const iocp_packet *packet, uint32_t *state)
{
	if ((packet->overlapped & 255) == POST) {
		atomic_fetch_add(&got, 1);
		return;
	}
	if (packet->overlapped == 0) /* a send that had to wait, for a peer that does not read at the moment */
		return;
	must((packet->overlapped & 255) == IO);
	must(packet->code == 0 || packet->code == IOCP_ECANCELED);
	atomic_fetch_add(&ended, 1);
	if (!atomic_load(&stop))
		begin_again(packet->overlapped >> 8, state);
}

static void *get(void *seed)
{
	uint32_t state = (uint32_t)(uintptr_t)seed;
	iocp_packet packets[BATCH];
	size_t count, i;
	int r;
	do {
		static const double waits[] = {0, 0.02, 0.3, 2, IOCP_INFINITE, IOCP_INFINITE};
		double ms = waits[next_random(&state) % 6];
		r = iocp_port_dequeue_many(port, packets, 1 + next_random(&state) % BATCH, &count, ms);
		for (i = 0; r == IOCP_OK && i < count; i++)
			take(&packets[i], &state);
	} while (r == IOCP_OK || r == IOCP_TIMEOUT);
	must(r == IOCP_ABANDONED || r == IOCP_CLOSED);
	return NULL;
}

/* One of the module's own, which is cancelled again and again. */
static int get_cancelled(iocp_thread *thread, void *data)
{
	uint32_t state = 99;
	iocp_packet packet;
	int r;
	(void)data;
	do {
		r = iocp_port_dequeue(port, &packet, IOCP_INFINITE);
		if (r == IOCP_OK)
			take(&packet, &state);
		if (r == IOCP_CANCELLED)
			iocp_thread_cancel_work(thread, 0);
	} while (r == IOCP_OK || r == IOCP_CANCELLED);
	return IOCP_OK;
}

static void *post(void *seed)
{
	uint32_t state = (uint32_t)(uintptr_t)seed;
	while (!atomic_load(&stop)) {
		uint32_t i, many = next_random(&state) % 4 ? 1 : next_random(&state) % 600;
		for (i = 0; i < many; i++) {
			atomic_fetch_add(&posted, 1);
			must(iocp_port_enqueue(port, 0, 0, POST) == IOCP_OK);
		}
		iocp_sleep((double)(next_random(&state) % 100) / 100);
	}
	return NULL;
}

static void wait_for_all(void)
{
	double until = iocp_clock() + HANG;
	while (atomic_load(&got) != atomic_load(&posted) || atomic_load(&ended) != atomic_load(&started)) {
		must(iocp_clock() < until);
		iocp_sleep(1);
	}
}

static void everything_at_once(uint32_t limit)
{
	pthread_t getters[GETTERS], poster;
	iocp_thread *cancelled;
	iocp_thread_options options = {.size = sizeof(options), .main = get_cancelled};
	uint32_t seed = 7;
	uintptr_t i;
	double until;
	stop = posted = got = started = ended = 0;
	assert_int_equal(iocp_port_create(limit, &port), IOCP_OK);
	assert_int_equal(iocp_heap_create(0, 0, &heap), IOCP_OK);
	for (i = 0; i < PAIRS * 2; i++)
		assert_int_equal(iocp_heap_alloc(heap, 64, 0, &blocks[i]), IOCP_OK);
	for (i = 0; i < PAIRS; i++) {
		assert_int_equal(iocp_socket_pair(ends[i]), IOCP_OK);
		assert_int_equal(iocp_socket_associate(ends[i][0], port, i), IOCP_OK);
		assert_int_equal(iocp_socket_associate(ends[i][1], port, i), IOCP_OK);
	}
	for (i = 0; i < GETTERS; i++)
		pthread_create(&getters[i], NULL, get, (void *)(i + 1));
	assert_int_equal(iocp_thread_create(&options, &cancelled), IOCP_OK);
	pthread_create(&poster, NULL, post, (void *)5);
	for (i = 0; i < PAIRS * 2; i++)
		begin_again(i, &seed);
	for (until = iocp_clock() + seconds() * 1000; iocp_clock() < until;) {
		iocp_sleep((double)(next_random(&seed) % 30) / 10);
		iocp_thread_cancel_work(cancelled, 1);
	}
	stop = 1;
	pthread_join(poster, NULL);
	for (i = 0; i < PAIRS; i++) {
		iocp_socket_close(ends[i][0]);
		iocp_socket_close(ends[i][1]);
	}
	wait_for_all();
	iocp_port_close(port);
	for (i = 0; i < GETTERS; i++)
		pthread_join(getters[i], NULL);
	assert_int_equal(iocp_thread_join(cancelled, HANG), IOCP_OK);
	iocp_thread_release(cancelled);
	for (i = 0; i < PAIRS; i++) {
		iocp_socket_release(ends[i][0]);
		iocp_socket_release(ends[i][1]);
	}
	iocp_port_release(port);
	for (i = 0; i < PAIRS * 2; i++)
		assert_int_equal(iocp_heap_free(heap, blocks[i]), IOCP_OK);
	iocp_heap_release(heap);
}

static void with_one_slot(void **state)
{
	everything_at_once(1);
	(void)state;
}

static void with_two_slots(void **state)
{
	everything_at_once(2);
	(void)state;
}

static void with_many_slots(void **state)
{
	everything_at_once(16);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_one_slot),
		cmocka_unit_test(with_two_slots),
		cmocka_unit_test(with_many_slots),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
