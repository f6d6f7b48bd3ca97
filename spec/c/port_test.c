/*
** port_test.c - the port without Lua: what only C can say, and stress of the waiting protocol for the sanitizers.
*/

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "iocp.h"
#include "native/native.h"
#include "native/port.h"

enum { MANY = 20000, THREADS = 4 };

static iocp_port *port;

static int new_port(void **state)
{
	(void)state;
	return iocp_port_create(0, &port);
}

static int drop_port(void **state)
{
	(void)state;
	iocp_port_close(port);
	iocp_port_release(port);
	return 0;
}

static void keys_use_every_bit(void **state)
{
	iocp_packet packet;
	assert_int_equal(iocp_port_enqueue(port, UINTPTR_MAX, UINT32_MAX, UINTPTR_MAX), IOCP_OK);
	assert_int_equal(iocp_port_dequeue(port, &packet, 0), IOCP_OK);
	assert_true(packet.key == UINTPTR_MAX && packet.bytes == UINT32_MAX && packet.overlapped == UINTPTR_MAX);
	(void)state;
}

static void a_failed_get_leaves_the_packet_alone(void **state)
{
	iocp_packet packet = {.key = 1, .overlapped = 2, .bytes = 3};
	assert_int_equal(iocp_port_dequeue(port, &packet, 0), IOCP_TIMEOUT);
	assert_int_equal(iocp_port_dequeue(port, &packet, 0.01), IOCP_TIMEOUT);
	assert_true(packet.key == 1 && packet.overlapped == 2 && packet.bytes == 3);
	(void)state;
}

static void picking_takes_no_slot(void **state)
{
	iocp_port *own;
	iocp_packet packet;
	iocp_port_info info = {.size = sizeof(info)};
	assert_int_equal(iocp_port_create(1, &own), IOCP_OK);
	iocp_port_enqueue(own, 1, 0, 0);
	assert_int_equal(iocp_port_dequeue(own, &packet, 0), IOCP_OK);
	assert_int_equal(iocp_port_pick(port, &packet), IOCP_TIMEOUT);
	iocp_port_enqueue(port, 2, 3, 4);
	iocp_port_enqueue(port, 5, 0, 0);
	assert_int_equal(iocp_port_pick(port, &packet), IOCP_OK);
	assert_true(packet.key == 2 && packet.bytes == 3 && packet.overlapped == 4);
	iocp_port_stats(port, &info);
	assert_true(info.active == 0 && info.dequeued == 1 && info.queued == 1);
	iocp_port_stats(own, &info);
	assert_int_equal(info.active, 1);
	iocp_port_close(port);
	assert_int_equal(iocp_port_pick(port, &packet), IOCP_CLOSED);
	iocp_port_release(own);
	(void)state;
}

static void packets_put_back_come_first(void **state)
{
	iocp_packet packets[600];
	size_t count, i;
	iocp_port_info info = {.size = sizeof(info)};
	for (i = 0; i < 1000; i++)
		iocp_port_enqueue(port, i, 0, 0);
	assert_int_equal(iocp_port_dequeue_many(port, packets, 600, &count, 0), IOCP_OK);
	assert_int_equal(count, 600);
	assert_int_equal(iocp_port_putback(port, packets + 100, 500), IOCP_OK);
	for (i = 100; i < 1000; i++) {
		assert_int_equal(iocp_port_dequeue(port, packets, 0), IOCP_OK);
		assert_int_equal(packets[0].key, i);
	}
	assert_int_equal(iocp_port_putback(port, packets, 1), IOCP_OK); /* into an empty queue */
	assert_int_equal(iocp_port_dequeue(port, packets, 0), IOCP_OK);
	assert_int_equal(packets[0].key, 999);
	iocp_port_stats(port, &info);
	assert_true(info.posted == 1000 && info.dequeued == 1000 && info.queued == 0);
	(void)state;
}

static void a_queue_of_any_shape_keeps_order(void **state)
{
	static iocp_packet packets[40000];
	size_t next_in = 0, next_out = 0, count, i;
	unsigned seed = 1;
	while (next_out < 2000000) {
		size_t n = (size_t)rand_r(&seed) % (rand_r(&seed) % 50 == 0 ? 40000 : 300);
		for (i = 0; i < n; i++)
			packets[i] = (iocp_packet){.key = next_in + i};
		assert_int_equal(iocp_port_enqueue_many(port, packets, n), IOCP_OK);
		next_in += n;
		n = (size_t)rand_r(&seed) % (rand_r(&seed) % 50 == 0 ? 40000 : 300) + 1;
		count = 0;
		if (iocp_port_dequeue_many(port, packets, n, &count, 0) == IOCP_OK)
			assert_true(count >= 1 && count <= n);
		for (i = 0; i < count; i++)
			assert_int_equal(packets[i].key, next_out + i);
		next_out += count;
	}
	(void)state;
}

static void *get_up_to_three(void *count)
{
	iocp_packet packets[3];
	size_t i, sum = 0;
	if (iocp_port_dequeue_many(port, packets, 3, count, IOCP_INFINITE) != IOCP_OK)
		abort();
	for (i = 0; i < *(size_t *)count; i++)
		sum = sum * 10 + packets[i].key;
	return (void *)sum;
}

/* The one that waits since last is filled first, and the next is left alone if nothing remains. */
static void a_batch_wakes_no_more_threads_than_it_fills(void **state)
{
	static const size_t sizes[] = {2, 3, 4, 6}, sums[][2] = {{0, 12}, {0, 123}, {4, 123}, {456, 123}};
	size_t i, j;
	for (i = 0; i < 4; i++) {
		iocp_packet packets[6];
		iocp_port_info info = {.size = sizeof(info)};
		pthread_t threads[2];
		size_t counts[2];
		for (j = 0; j < 6; j++)
			packets[j] = (iocp_packet){.key = j + 1};
		for (j = 0; j < 2; j++) {
			assert_int_equal(pthread_create(&threads[j], NULL, get_up_to_three, &counts[j]), 0);
			for (; info.waiting <= j; iocp_port_stats(port, &info))
				iocp_sleep(1);
		}
		assert_int_equal(iocp_port_enqueue_many(port, packets, sizes[i]), IOCP_OK);
		iocp_port_stats(port, &info);
		assert_int_equal(info.waiting, sizes[i] <= 3);
		assert_int_equal(info.queued, 0);
		if (info.waiting)
			assert_int_equal(iocp_port_enqueue(port, 0, 0, 0), IOCP_OK);
		for (j = 0; j < 2; j++) {
			void *sum;
			pthread_join(threads[j], &sum);
			assert_int_equal((size_t)sum, sums[i][j]);
		}
	}
	(void)state;
}

/* ---- stress: posts, batches, gets with and without timeouts, closes ---------------------------------------------- */

static _Atomic uint64_t taken, sum;

static void *get_all(void *which)
{
	iocp_packet packets[8];
	uint64_t n = 0, s = 0;
	size_t count, i;
	unsigned seed = (unsigned)(uintptr_t)which;
	for (;;) {
		double ms = seed % 3 == 0 ? IOCP_INFINITE : seed % 3 == 1 ? 0.01 : 0;
		int r = iocp_port_dequeue_many(port, packets, seed % 8 + 1, &count, ms);
		rand_r(&seed);
		if (r == IOCP_CLOSED || r == IOCP_ABANDONED)
			break;
		if (r != IOCP_OK && r != IOCP_TIMEOUT)
			abort();
		for (i = 0; r == IOCP_OK && i < count; i++, n++)
			s += packets[i].key;
	}
	taken += n;
	sum += s;
	return NULL;
}

static void *post_some(void *which)
{
	iocp_packet packets[5];
	uintptr_t i, first = (uintptr_t)which * MANY;
	unsigned seed = (unsigned)(uintptr_t)which;
	for (i = 0; i < MANY; i += 5) {
		int j;
		for (j = 0; j < 5; j++)
			packets[j] = (iocp_packet){.key = first + i + (uintptr_t)j};
		if (rand_r(&seed) % 2) {
			iocp_port_enqueue_many(port, packets, 5);
		} else {
			for (j = 0; j < 5; j++)
				iocp_port_enqueue(port, packets[j].key, 0, 0);
		}
	}
	return NULL;
}

static void nothing_is_lost_or_delivered_twice(void **state)
{
	pthread_t getters[THREADS], posters[THREADS];
	uintptr_t i;
	const uint64_t n = THREADS * MANY;
	iocp_port_info info = {.size = sizeof(info)};
	taken = sum = 0;
	for (i = 0; i < THREADS; i++) {
		pthread_create(&getters[i], NULL, get_all, (void *)(i + 1));
		pthread_create(&posters[i], NULL, post_some, (void *)i);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(posters[i], NULL);
	do {
		iocp_sleep(1);
		iocp_port_stats(port, &info);
	} while (info.queued > 0);
	iocp_port_close(port);
	for (i = 0; i < THREADS; i++)
		pthread_join(getters[i], NULL);
	assert_int_equal(taken, n);
	assert_int_equal(sum, n * (n - 1) / 2);
	(void)state;
}

static void *get_until_closed(void *result)
{
	iocp_packet packet;
	int r;
	while ((r = iocp_port_dequeue(port, &packet, IOCP_INFINITE)) == IOCP_OK)
		;
	*(int *)result = r;
	return NULL;
}

static void closing_at_any_moment_wakes_everyone(void **state)
{
	int round, i, results[THREADS];
	for (round = 0; round < 300; round++) {
		pthread_t threads[THREADS];
		for (i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, get_until_closed, &results[i]);
		for (i = 0; i < round % 7; i++)
			iocp_port_enqueue(port, 1, 0, 0);
		iocp_port_close(port);
		for (i = 0; i < THREADS; i++) {
			pthread_join(threads[i], NULL);
			assert_true(results[i] == IOCP_ABANDONED || results[i] == IOCP_CLOSED);
		}
		iocp_port_release(port);
		assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	}
	(void)state;
}

static void *ping(void *other)
{
	iocp_packet packet;
	while (iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_OK)
		iocp_port_enqueue(other, packet.key + 1, 0, 0);
	return NULL;
}

static void ping_pong_never_hangs(void **state)
{
	iocp_port *other;
	iocp_packet packet = {.key = 0};
	pthread_t thread;
	int i;
	assert_int_equal(iocp_port_create(0, &other), IOCP_OK);
	pthread_create(&thread, NULL, ping, other);
	for (i = 0; i < MANY; i++) {
		iocp_port_enqueue(port, packet.key, 0, 0);
		assert_int_equal(iocp_port_dequeue(other, &packet, IOCP_INFINITE), IOCP_OK);
	}
	assert_int_equal(packet.key, MANY);
	iocp_port_close(port);
	pthread_join(thread, NULL);
	iocp_port_release(other);
	(void)state;
}

/* ---- what a port drops ------------------------------------------------------------------------------------------- */

static size_t dropped;

static void release_key(iocp_port *unused, const iocp_packet *packet, void *count)
{
	(void)unused;
	++*(size_t *)count;
	iocp_port_release((iocp_port *)packet->key);
}

static void dropped_packets_are_told(void **state)
{
	iocp_packet packets[3] = {{.key = 0}, {.key = 0}, {.key = 0}};
	size_t count;
	dropped = 0;
	iocp_port_enqueue_many(port, packets, 3);
	iocp_port_set_discard(port, release_key, &dropped);
	assert_int_equal(iocp_port_dequeue_many(port, packets, 2, &count, 0), IOCP_OK);
	iocp_port_close(port);
	assert_int_equal(dropped, 1);
	assert_int_equal(iocp_port_putback(port, packets, 2), IOCP_OK);
	assert_int_equal(dropped, 3);
	(void)state;
}

static void packets_of_a_kind_have_a_discard_of_their_own(void **state)
{
	size_t of_the_kind = 0, other_kind = 0;
	iocp_packet packets[3] = {{.overlapped = 64}, {.overlapped = 65}, {.overlapped = 64}};
	dropped = 0;
	iocp_port_set_discard(port, release_key, &dropped);
	assert_int_equal(iocp_port_set_discard_of(port, 64, release_key, &of_the_kind), IOCP_OK);
	assert_int_equal(iocp_port_set_discard_of(port, 65, release_key, &other_kind), IOCP_INVALID);
	assert_int_equal(iocp_port_set_discard_of(port, 64, release_key, &of_the_kind), IOCP_OK);
	iocp_port_enqueue_many(port, packets, 3);
	iocp_port_close(port);
	assert_int_equal(dropped, 1);
	assert_int_equal(of_the_kind, 2);
	assert_int_equal(other_kind, 0);
	(void)state;
}

/* A program compiled against a header whose structs were shorter, or are longer. */
static void the_library_fills_what_the_caller_knows_of(void **state)
{
	iocp_port_info info = {.size = sizeof(info)};
	struct {
		iocp_port_info known;
		uint64_t of_a_later_version;
	} longer;
	memset(&info, 0x55, sizeof(info));
	info.size = offsetof(iocp_port_info, peak);
	iocp_port_enqueue(port, 1, 0, 0);
	iocp_port_stats(port, &info);
	assert_int_equal(info.size, offsetof(iocp_port_info, peak));
	assert_int_equal(info.queued, 1);
	assert_int_equal(info.peak, UINT64_C(0x5555555555555555));
	memset(&longer, 0x55, sizeof(longer));
	longer.known.size = sizeof(longer);
	iocp_port_stats(port, &longer.known);
	assert_int_equal(longer.known.peak, 1);
	assert_int_equal(longer.of_a_later_version, UINT64_C(0x5555555555555555));
	(void)state;
}

static void a_chain_of_ports_is_freed_without_recursion(void **state)
{
	iocp_port *last;
	int i;
	dropped = 0;
	assert_int_equal(iocp_port_create(0, &last), IOCP_OK);
	for (i = 0; i < 200000; i++) {
		iocp_port *next;
		assert_int_equal(iocp_port_create(0, &next), IOCP_OK);
		iocp_port_set_discard(next, release_key, &dropped);
		iocp_port_enqueue(next, (uintptr_t)last, 0, 0);
		last = next;
	}
	iocp_port_release(last);
	assert_int_equal(dropped, 200000);
	(void)state;
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static void ignore(int number)
{
	(void)number;
}

static void *get_interrupted(void *unused)
{
	iocp_packet packet;
	return iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_INTERRUPTED ? unused : NULL;
}

static void a_signal_interrupts_a_host_s_wait(void **state)
{
	int flags;
	for (flags = 0; flags < 2; flags++) {
		struct sigaction action;
		pthread_t thread;
		iocp_port_info info = {.size = sizeof(info)};
		void *result;
		memset(&action, 0, sizeof(action));
		action.sa_handler = ignore;
		action.sa_flags = flags ? SA_RESTART : 0;
		sigaction(SIGUSR1, &action, NULL);
		pthread_create(&thread, NULL, get_interrupted, &port);
		do {
			iocp_sleep(1);
			iocp_port_stats(port, &info);
		} while (info.waiting == 0);
		/* It may be spinning still: then the signal comes too early, and another is due. */
		do {
			pthread_kill(thread, SIGUSR1);
			iocp_sleep(5);
			iocp_port_stats(port, &info);
		} while (info.waiting > 0);
		pthread_join(thread, &result);
		assert_ptr_equal(result, &port);
	}
	(void)state;
}

static int somebody_spins(void)
{
	return (int)atomic_load_explicit(&port->spinner, memory_order_relaxed);
}

/* One that sleeps at the bottom of the stack, for ever it may be, does not keep the others from it. */
static void who_falls_asleep_lets_another_spin(void **state)
{
	pthread_t sleeper;
	iocp_port_info info = {.size = sizeof(info)};
	iocp_packet packet;
	size_t count;
	int looks = 0;
	pthread_create(&sleeper, NULL, get_up_to_three, &count);
	do {
		iocp_sleep(1);
		iocp_port_stats(port, &info);
	} while (info.waiting == 0);
	while (somebody_spins() && looks++ < 2000) /* it may have to wait for a processor */
		iocp_sleep(1);
	assert_false(somebody_spins());
	assert_int_equal(iocp_port_dequeue(port, &packet, 1), IOCP_TIMEOUT);
	assert_false(somebody_spins());
	iocp_port_enqueue(port, 1, 0, 0);
	pthread_join(sleeper, NULL);
	assert_int_equal(count, 1);
	(void)state;
}

static void the_time_of_a_wake_follows_the_median(void **state)
{
	int32_t before;
	int i;
	for (i = 0; i < 200; i++)
		iocp_wake_took(i % 4 ? 30000 : 5000000);
	before = iocp_wake_time();
	assert_in_range(before, 24000, 36000);
	iocp_wake_took(INT64_MAX);
	assert_in_range(iocp_wake_time(), before, before + before / 10);
	(void)state;
}

/* How many sleeps that were served so late it takes until spins begin anew; 0: more than `most`. */
static int sleeps_until_a_spin(int64_t served_after, int most)
{
	iocp_spinning spinning = {.owed = 4 * iocp_wake_time(), .off = 1};
	int sleeps;
	for (sleeps = 1; sleeps <= most; sleeps++) {
		iocp_spin_slept(&spinning, served_after);
		if (!iocp_spin_is_off(&spinning))
			return sleeps;
	}
	return 0;
}

static void spins_begin_anew_by_how_soon_sleepers_are_served(void **state)
{
	enum { MOST = 100000 };
	int soonest = sleeps_until_a_spin(0, MOST), soon = sleeps_until_a_spin(iocp_wake_time(), MOST);
	assert_true(0 < soonest && soonest < soon);
	assert_int_equal(sleeps_until_a_spin(3 * iocp_wake_time(), MOST), 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keys_use_every_bit, new_port, drop_port),
		cmocka_unit_test_setup_teardown(a_failed_get_leaves_the_packet_alone, new_port, drop_port),
		cmocka_unit_test_setup_teardown(picking_takes_no_slot, new_port, drop_port),
		cmocka_unit_test_setup_teardown(packets_put_back_come_first, new_port, drop_port),
		cmocka_unit_test_setup_teardown(a_batch_wakes_no_more_threads_than_it_fills, new_port, drop_port),
		cmocka_unit_test_setup_teardown(a_queue_of_any_shape_keeps_order, new_port, drop_port),
		cmocka_unit_test_setup_teardown(nothing_is_lost_or_delivered_twice, new_port, drop_port),
		cmocka_unit_test_setup_teardown(closing_at_any_moment_wakes_everyone, new_port, drop_port),
		cmocka_unit_test_setup_teardown(ping_pong_never_hangs, new_port, drop_port),
		cmocka_unit_test_setup_teardown(dropped_packets_are_told, new_port, drop_port),
		cmocka_unit_test_setup_teardown(packets_of_a_kind_have_a_discard_of_their_own, new_port, drop_port),
		cmocka_unit_test_setup_teardown(the_library_fills_what_the_caller_knows_of, new_port, drop_port),
		cmocka_unit_test(a_chain_of_ports_is_freed_without_recursion),
		cmocka_unit_test_setup_teardown(a_signal_interrupts_a_host_s_wait, new_port, drop_port),
		cmocka_unit_test_setup_teardown(who_falls_asleep_lets_another_spin, new_port, drop_port),
		cmocka_unit_test(the_time_of_a_wake_follows_the_median),
		cmocka_unit_test(spins_begin_anew_by_how_soon_sleepers_are_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
