/*
** shared_test.c - atomics and dictionaries as a C host uses them, without Lua.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "iocp.h"

enum { LONG = 60000 /* ms */, THREADS = 4, ROUNDS = 20000 };

static void start(iocp_thread_main body, void *data, iocp_thread **thread)
{
	iocp_thread_options options = {.size = sizeof(options), .main = body, .data = data, .name = "shared"};
	assert_int_equal(iocp_thread_create(&options, thread), IOCP_OK);
}

static void join(iocp_thread *thread)
{
	assert_int_equal(iocp_thread_join(thread, LONG), IOCP_OK);
	assert_int_equal(iocp_thread_status(thread), IOCP_FINISHED);
	iocp_thread_release(thread);
}

static void an_atomic_does_what_it_says(void **state)
{
	iocp_atomic *a, *opened;
	iocp_handle handle;
	int64_t expected = 7;
	assert_int_equal(iocp_atomic_create(5, &a), IOCP_OK);
	handle = iocp_atomic_handle(a);
	assert_int_equal(iocp_atomic_open(handle, &opened), IOCP_OK);
	assert_ptr_equal(opened, a);
	iocp_atomic_release(opened);
	iocp_atomic_set(a, 6);
	assert_int_equal(iocp_atomic_exchange(a, 7), 6);
	assert_int_equal(iocp_atomic_compare_exchange(a, &expected, 8), 1);
	assert_int_equal(iocp_atomic_compare_exchange(a, &expected, 9), 0);
	assert_int_equal(expected, 8);
	assert_int_equal(iocp_atomic_add(a, -3), 5);
	assert_int_equal(iocp_atomic_max(a, 9), 9);
	assert_int_equal(iocp_atomic_max(a, 3), 9);
	assert_int_equal(iocp_atomic_min(a, 2), 2);
	assert_int_equal(iocp_atomic_min(a, 3), 2);
	iocp_atomic_set(a, INT64_MAX);
	assert_int_equal(iocp_atomic_add(a, 1), INT64_MIN);
	assert_int_equal(iocp_atomic_add(a, INT64_MIN), 0);
	iocp_atomic_release(a);
	assert_int_equal(iocp_atomic_open(handle, &opened), IOCP_INVALID);
	iocp_atomic_release(NULL);
	(void)state;
}

static void a_sum_stays_within_its_limit(void **state)
{
	const int64_t limit = (INT64_C(1) << 53) - 1;
	iocp_atomic *a;
	assert_int_equal(iocp_atomic_create(limit - 1, &a), IOCP_OK);
	assert_int_equal(iocp_atomic_add_within(a, 1, limit), limit);
	assert_int_equal(iocp_atomic_add_within(a, 1, limit), INT64_MIN);
	assert_int_equal(iocp_atomic_add_within(a, INT64_MAX, limit), INT64_MIN);
	assert_int_equal(iocp_atomic_add_within(a, INT64_MIN, limit), INT64_MIN);
	assert_int_equal(iocp_atomic_get(a), limit);
	assert_int_equal(iocp_atomic_add_within(a, -2 * limit, limit), -limit);
	assert_int_equal(iocp_atomic_add_within(a, -1, limit), INT64_MIN);
	iocp_atomic_set(a, INT64_MAX); /* which a host put there */
	assert_int_equal(iocp_atomic_add_within(a, 1, limit), INT64_MIN);
	assert_int_equal(iocp_atomic_add_within(a, 1, INT64_MAX), INT64_MIN);
	assert_int_equal(iocp_atomic_get(a), INT64_MAX);
	iocp_atomic_release(a);
	(void)state;
}

static void atomic_waits_end(void **state)
{
	iocp_atomic *a;
	iocp_port *port;
	iocp_timer timer;
	iocp_packet packet;
	double began;
	assert_int_equal(iocp_atomic_create(0, &a), IOCP_OK);
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	assert_int_equal(iocp_atomic_wait(a, 1, IOCP_INFINITE), IOCP_OK);
	assert_int_equal(iocp_atomic_wait(a, 0, 0), IOCP_TIMEOUT);
	began = iocp_clock();
	assert_int_equal(iocp_atomic_wait(a, 0, 20), IOCP_TIMEOUT);
	assert_true(iocp_clock() - began >= 20);
	assert_int_equal(iocp_atomic_wake(a, 1), 0);
	assert_int_equal(iocp_atomic_notify(a, 0, port, 1, 2, &timer), IOCP_OK);
	assert_int_equal(iocp_port_dequeue(port, &packet, 0), IOCP_TIMEOUT);
	iocp_atomic_release(a); /* tells who asked */
	assert_int_equal(iocp_port_dequeue(port, &packet, 0), IOCP_OK);
	assert_int_equal(packet.key, 1);
	assert_int_equal(packet.overlapped, 2);
	iocp_port_release(port);
	(void)state;
}

static int take_turns(iocp_thread *thread, void *data)
{
	iocp_atomic *a = data;
	int i;
	(void)thread;
	for (i = 0; i < ROUNDS; i++) {
		while (iocp_atomic_get(a) != 1)
			if (iocp_atomic_wait(a, 0, LONG) != IOCP_OK)
				return IOCP_TIMEOUT;
		iocp_atomic_set(a, 0);
		(void)iocp_atomic_wake(a, 1);
	}
	return IOCP_OK;
}

static void no_wake_up_is_lost(void **state)
{
	iocp_atomic *a;
	iocp_thread *thread;
	int i;
	assert_int_equal(iocp_atomic_create(0, &a), IOCP_OK);
	start(take_turns, a, &thread);
	for (i = 0; i < ROUNDS; i++) {
		while (iocp_atomic_get(a) != 0)
			assert_int_equal(iocp_atomic_wait(a, 1, LONG), IOCP_OK);
		iocp_atomic_set(a, 1);
		(void)iocp_atomic_wake(a, 1);
	}
	join(thread);
	iocp_atomic_release(a);
	(void)state;
}

static void a_dict_does_what_it_says(void **state)
{
	iocp_dict *d, *opened;
	iocp_dict_info info = {.size = sizeof(info)};
	char buffer[4] = "";
	size_t size;
	assert_int_equal(iocp_dict_create(0, &d), IOCP_OK);
	assert_int_equal(iocp_dict_open(iocp_dict_handle(d), &opened), IOCP_OK);
	iocp_dict_release(opened);
	assert_int_equal(iocp_dict_get(d, "k", 1, buffer, sizeof(buffer), &size), IOCP_INVALID);
	assert_int_equal(iocp_dict_set(d, "k", 1, "v", 1, IOCP_INFINITE, IOCP_DICT_REPLACE), IOCP_INVALID);
	assert_int_equal(iocp_dict_set(d, "k", 1, "value", 5, IOCP_INFINITE, IOCP_DICT_ADD), IOCP_OK);
	assert_int_equal(iocp_dict_set(d, "k", 1, "v", 1, IOCP_INFINITE, IOCP_DICT_ADD), IOCP_INVALID);
	assert_int_equal(iocp_dict_get(d, "k", 1, buffer, sizeof(buffer), &size), IOCP_OK);
	assert_int_equal(size, 5);
	assert_memory_equal(buffer, "valu", 4);
	assert_int_equal(iocp_dict_set(d, "", 0, NULL, 0, IOCP_INFINITE, IOCP_DICT_SET), IOCP_OK);
	assert_int_equal(iocp_dict_get(d, "", 0, NULL, 0, &size), IOCP_OK);
	assert_int_equal(size, 0);
	assert_int_equal(iocp_dict_set(d, "short", 5, "v", 1, 0, IOCP_DICT_SET), IOCP_OK);
	assert_int_equal(iocp_dict_get(d, "short", 5, NULL, 0, &size), IOCP_INVALID);
	iocp_dict_stats(d, &info);
	assert_int_equal(info.count, 2);
	assert_int_equal(info.expired, 1);
	assert_int_equal(iocp_dict_delete(d, "k", 1), IOCP_OK);
	assert_int_equal(iocp_dict_delete(d, "k", 1), IOCP_INVALID);
	iocp_dict_flush(d);
	info = (iocp_dict_info){.size = offsetof(iocp_dict_info, bytes), .bytes = 77};
	iocp_dict_stats(d, &info);
	assert_int_equal(info.count, 0);
	assert_int_equal(info.bytes, 77); /* an older caller's, which knows no more */
	iocp_dict_release(d);
	iocp_dict_release(NULL);
	(void)state;
}

/* One of THREADS, with keys of its own and some that all have. */
typedef struct worker {
	iocp_dict *dict;
	int number;
} worker;

static int fill(iocp_thread *thread, void *data)
{
	const worker *w = data;
	char key[32], found[64];
	size_t size;
	int i;
	(void)thread;
	for (i = 0; i < ROUNDS; i++) {
		int length = snprintf(key, sizeof(key), "%d", i % 3 ? i % 100 : i * THREADS + w->number);
		double ms = i % 5 ? IOCP_INFINITE : 1;
		if (iocp_dict_set(w->dict, key, (size_t)length, key, (size_t)length, ms, IOCP_DICT_SET) != IOCP_OK)
			return IOCP_ERROR;
		if (i % 7 == 0)
			(void)iocp_dict_delete(w->dict, key, (size_t)length);
		else if (iocp_dict_get(w->dict, key, (size_t)length, found, sizeof(found), &size) == IOCP_OK
				 && (size != (size_t)length || memcmp(found, key, size) != 0))
			return IOCP_ERROR;
	}
	return IOCP_OK;
}

static void a_dict_keeps_to_its_maximum(void **state)
{
	enum { MAXIMUM = 50000 };
	iocp_dict_info info = {.size = sizeof(info)};
	iocp_thread *threads[THREADS];
	worker workers[THREADS];
	iocp_dict *d;
	int i;
	assert_int_equal(iocp_dict_create(MAXIMUM, &d), IOCP_OK);
	for (i = 0; i < THREADS; i++) {
		workers[i] = (worker){d, i};
		start(fill, &workers[i], &threads[i]);
	}
	for (i = 0; i < 1000; i++) {
		iocp_dict_stats(d, &info);
		assert_true(info.bytes <= MAXIMUM);
	}
	for (i = 0; i < THREADS; i++)
		join(threads[i]);
	iocp_dict_stats(d, &info);
	assert_true(info.bytes <= MAXIMUM && info.count > 0 && info.evicted > 0);
	iocp_dict_flush(d);
	iocp_dict_stats(d, &info);
	assert_int_equal(info.bytes, 0); /* what was reserved was given back */
	assert_int_equal(info.count, 0);
	iocp_dict_release(d);
	(void)state;
}

static void a_dict_keeps_the_key_that_it_writes(void **state)
{
	enum { KEYS = 5, SIZE = 400 };
	iocp_dict_info info = {.size = sizeof(info)};
	char value[2 * SIZE] = "value", key;
	iocp_dict *d;
	size_t size;
	assert_int_equal(iocp_dict_create(3000, &d), IOCP_OK);
	for (key = 'a'; key < 'a' + KEYS; key++)
		assert_int_equal(iocp_dict_set(d, &key, 1, value, SIZE, IOCP_INFINITE, IOCP_DICT_SET), IOCP_OK);
	for (key = 'a'; key < 'a' + KEYS; key++) /* each time the oldest */
		assert_int_equal(iocp_dict_set(d, &key, 1, value, SIZE, IOCP_INFINITE, IOCP_DICT_REPLACE), IOCP_OK);
	iocp_dict_stats(d, &info);
	assert_int_equal(info.count, KEYS);
	assert_int_equal(info.evicted, 0);
	assert_int_equal(iocp_dict_set(d, "a", 1, value, sizeof(value), IOCP_INFINITE, IOCP_DICT_REPLACE), IOCP_OK);
	assert_int_equal(iocp_dict_get(d, "a", 1, NULL, 0, &size), IOCP_OK);
	assert_int_equal(size, sizeof(value));
	assert_int_equal(iocp_dict_get(d, "b", 1, NULL, 0, &size), IOCP_INVALID);
	iocp_dict_stats(d, &info);
	assert_int_equal(info.evicted, 1);
	iocp_dict_release(d);
	(void)state;
}

static int post_some(iocp_thread *thread, void *data)
{
	iocp_port *port = data;
	int i, r = IOCP_OK;
	(void)thread;
	for (i = 0; i < ROUNDS / 10 && r == IOCP_OK; i++) {
		r = iocp_port_reserve(port, LONG);
		if (r == IOCP_OK) {
			r = iocp_port_enqueue(port, 1, 0, 0);
			iocp_port_unreserve(port);
		}
	}
	return r;
}

static void a_port_keeps_to_its_capacity(void **state)
{
	enum { CAPACITY = 3 };
	iocp_thread *threads[THREADS];
	iocp_packet packet;
	iocp_port *port;
	double ms = 0;
	int i;
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	assert_int_equal(iocp_port_capacity(port, &ms), 0);
	assert_int_equal(iocp_port_reserve(port, 0), IOCP_OK); /* it has none */
	iocp_port_unreserve(port);
	assert_int_equal(iocp_port_set_capacity(port, 0, 0), IOCP_INVALID);
	assert_int_equal(iocp_port_set_capacity(port, CAPACITY, 7), IOCP_OK);
	assert_int_equal(iocp_port_set_capacity(port, CAPACITY, 7), IOCP_INVALID);
	assert_int_equal(iocp_port_capacity(port, &ms), CAPACITY);
	assert_true(ms == 7);
	for (i = 0; i < CAPACITY; i++)
		assert_int_equal(iocp_port_reserve(port, 0), IOCP_OK);
	assert_int_equal(iocp_port_reserve(port, 0), IOCP_TIMEOUT);
	assert_int_equal(iocp_port_reserve(port, 10), IOCP_TIMEOUT);
	for (i = 0; i < CAPACITY; i++)
		iocp_port_unreserve(port);
	for (i = 0; i < THREADS; i++)
		start(post_some, port, &threads[i]);
	for (i = 0; i < THREADS * (ROUNDS / 10); i++) {
		iocp_port_info info = {.size = sizeof(info)};
		assert_int_equal(iocp_port_dequeue(port, &packet, LONG), IOCP_OK);
		iocp_port_stats(port, &info);
		assert_true(info.queued <= CAPACITY);
	}
	for (i = 0; i < THREADS; i++)
		join(threads[i]);
	iocp_port_close(port);
	assert_int_equal(iocp_port_reserve(port, IOCP_INFINITE), IOCP_CLOSED);
	iocp_port_release(port);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_atomic_does_what_it_says),
		cmocka_unit_test(a_sum_stays_within_its_limit),
		cmocka_unit_test(atomic_waits_end),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(a_dict_does_what_it_says),
		cmocka_unit_test(a_dict_keeps_to_its_maximum),
		cmocka_unit_test(a_dict_keeps_the_key_that_it_writes),
		cmocka_unit_test(a_port_keeps_to_its_capacity),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
