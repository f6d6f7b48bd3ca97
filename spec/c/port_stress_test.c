/*
** port_stress_test.c - ports under everything at once: threads that move between ports with limits, get with and
** without a time, block, put packets back, post them on, are cancelled and made anew, while others post. Each packet
** is one of a kind, and is used up exactly once.
**
** An argument is for how many seconds: rounds are repeated that long. Without one there is a single round, for the
** sanitizers.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "iocp.h"

enum { PORTS = 3, WORKERS = 6, POSTERS = 2, EACH = 10000, KEYS = POSTERS * EACH, MOST = 8, PATIENCE = 60000 /* ms */ };

static double seconds;
static iocp_port *ports[PORTS];
static _Atomic uint8_t used[KEYS];
static _Atomic uint32_t used_count, wrong;

static unsigned some(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void use(const iocp_packet *packet)
{
	if (packet->key >= KEYS || packet->bytes != (uint32_t)packet->key || atomic_exchange(&used[packet->key], 1) != 0)
		wrong++;
	else
		used_count++;
}

/* Uses up, posts on or puts back what was taken: of each packet one of the three. */
static void deal_with(iocp_port *port, const iocp_packet *packets, size_t count, unsigned *seed)
{
	size_t i, kept = some(seed, 4) == 0 ? some(seed, (unsigned)count + 1) : count;
	for (i = 0; i < kept; i++)
		if (some(seed, 8) != 0
			|| iocp_port_enqueue(ports[some(seed, PORTS)], packets[i].key, packets[i].bytes, 0) != IOCP_OK)
			use(&packets[i]);
	if (kept < count && iocp_port_putback(port, packets + kept, count - kept) != IOCP_OK)
		wrong++;
}

/* With the packets still in hand: what a handler does. */
static void block_somehow(unsigned *seed)
{
	switch (some(seed, 16)) {
	case 0:
		iocp_sleep(0.05);
		break;
	case 1:
		usleep(some(seed, 32) ? 50 : 12000); /* which only the watcher sees, if it is long */
		break;
	case 2:
		if (iocp_block_enter() == IOCP_OK) {
			iocp_yield();
			iocp_block_leave();
		}
		break;
	case 3:
		iocp_yield();
		break;
	default:
		break;
	}
}

/* Until it is cancelled, or all is done. */
static int work(iocp_thread *thread, void *number)
{
	static const double times[] = {0, 0.02, 1, IOCP_INFINITE};
	unsigned seed = (unsigned)(uintptr_t)number;
	iocp_port *port = ports[some(&seed, PORTS)];
	(void)thread;
	for (;;) {
		iocp_packet packets[MOST];
		size_t count = 0;
		int r;
		if (some(&seed, 4) == 0)
			port = ports[some(&seed, PORTS)];
		r = iocp_port_dequeue_many(port, packets, some(&seed, MOST) + 1, &count, times[some(&seed, 4)]);
		if (r == IOCP_OK) {
			block_somehow(&seed);
			deal_with(port, packets, count, &seed);
		} else if (r == IOCP_CLOSED || r == IOCP_ABANDONED) {
			return IOCP_OK;
		} else if (r == IOCP_CANCELLED && some(&seed, 2)) {
			return r; /* else it asks again: it may have been its work alone */
		} else if (r != IOCP_TIMEOUT && r != IOCP_CANCELLED) {
			wrong++;
			return r;
		}
	}
}

static iocp_thread *new_worker(unsigned number)
{
	const iocp_thread_options options = {.main = work, .data = (void *)(uintptr_t)number, .stack_size = 1};
	iocp_thread *thread = NULL;
	assert_int_equal(iocp_thread_create(&options, &thread), IOCP_OK);
	return thread;
}

/* ---- posters ----------------------------------------------------------------------------------------------------- */

static int post(iocp_thread *thread, void *number)
{
	uintptr_t first = (uintptr_t)number * EACH, i = 0;
	unsigned seed = (unsigned)(uintptr_t)number + 77;
	(void)thread;
	while (i < EACH) {
		iocp_packet packets[MOST];
		size_t n = some(&seed, MOST) + 1, j;
		iocp_port *port = ports[some(&seed, PORTS)];
		if (n > EACH - i)
			n = EACH - i;
		for (j = 0; j < n; j++)
			packets[j] = (iocp_packet){.key = first + i + j, .bytes = (uint32_t)(first + i + j)};
		if (some(&seed, 2)) {
			wrong += iocp_port_enqueue_many(port, packets, n) != IOCP_OK;
		} else {
			for (j = 0; j < n; j++)
				wrong += iocp_port_enqueue(port, packets[j].key, packets[j].bytes, 0) != IOCP_OK;
		}
		i += n;
		if (some(&seed, 64) == 0)
			iocp_sleep(0.1); /* now and then all of them wait */
	}
	return IOCP_OK;
}

/* ---- a round ----------------------------------------------------------------------------------------------------- */

static void look_at_figures(void)
{
	int i;
	for (i = 0; i < PORTS; i++) {
		iocp_port_info info = {.size = sizeof(info)};
		iocp_port_stats(ports[i], &info);
		assert_true(info.active <= WORKERS && info.released <= WORKERS && info.waiting <= WORKERS);
		assert_true(info.queued <= KEYS && info.dequeued <= info.posted);
	}
}

/* Cancels a worker, for good or for what it does, and has another in its place if it ends. */
static void disturb(iocp_thread **workers, unsigned *seed, unsigned *made)
{
	iocp_thread **worker = &workers[some(seed, WORKERS)];
	if (some(seed, 2)) {
		iocp_thread_cancel_work(*worker, 1);
		iocp_sleep(0.01);
		iocp_thread_cancel_work(*worker, 0);
	} else {
		iocp_thread_cancel(*worker);
		assert_int_equal(iocp_thread_join(*worker, PATIENCE), IOCP_OK);
	}
	if (iocp_thread_join(*worker, 0) == IOCP_OK) {
		iocp_thread_release(*worker);
		*worker = new_worker(++*made);
	}
}

static void end_all(iocp_thread **workers, iocp_thread **posters)
{
	int i;
	for (i = 0; i < POSTERS; i++) {
		assert_int_equal(iocp_thread_join(posters[i], PATIENCE), IOCP_OK);
		iocp_thread_release(posters[i]);
	}
	for (i = 0; i < PORTS; i++)
		iocp_port_close(ports[i]);
	for (i = 0; i < WORKERS; i++) {
		assert_int_equal(iocp_thread_join(workers[i], PATIENCE), IOCP_OK);
		iocp_thread_release(workers[i]);
	}
	for (i = 0; i < PORTS; i++)
		iocp_port_release(ports[i]);
}

static void play_a_round(unsigned *seed)
{
	iocp_thread *workers[WORKERS], *posters[POSTERS];
	double deadline = iocp_clock() + PATIENCE;
	unsigned made = some(seed, 1u << 20);
	unsigned i;
	memset((void *)used, 0, sizeof(used));
	used_count = 0;
	for (i = 0; i < PORTS; i++)
		assert_int_equal(iocp_port_create(i + 1, &ports[i]), IOCP_OK);
	for (i = 0; i < WORKERS; i++)
		workers[i] = new_worker(++made);
	for (i = 0; i < POSTERS; i++) {
		const iocp_thread_options options = {.main = post, .data = (void *)(uintptr_t)i, .stack_size = 1};
		assert_int_equal(iocp_thread_create(&options, &posters[i]), IOCP_OK);
	}
	while (used_count < KEYS && wrong == 0 && iocp_clock() < deadline) {
		look_at_figures();
		disturb(workers, seed, &made);
		iocp_sleep(0.5);
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(used_count, KEYS);
	end_all(workers, posters);
}

static void every_packet_is_used_once(void **state)
{
	unsigned seed = (unsigned)(iocp_clock() * 1000);
	double end = iocp_clock() + seconds * 1000;
	int rounds = 0;
	do {
		unsigned start = seed;
		printf("round %d, seed %u\n", ++rounds, start);
		play_a_round(&seed);
	} while (iocp_clock() < end);
	(void)state;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_packet_is_used_once)};
	seconds = argc > 1 ? atof(argv[1]) : 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
