/*
** thread_test.c - threads without Lua, for a C host.
*/

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backend.h"
#include "iocp.h"

static iocp_thread *start(iocp_thread_main body, void *data)
{
	iocp_thread_options options = {.main = body, .data = data, .name = "test"};
	iocp_thread *thread;
	assert_int_equal(iocp_thread_create(&options, &thread), IOCP_OK);
	return thread;
}

static int answer(iocp_thread *thread, void *data)
{
	*(int *)data = thread == iocp_thread_current() ? 42 : 0;
	return IOCP_OK;
}

static int end_badly(iocp_thread *thread, void *data)
{
	(void)thread;
	(void)data;
	return IOCP_ERROR;
}

static void a_thread_runs_and_is_joined(void **state)
{
	int result = 0, i;
	iocp_thread *thread = start(answer, &result);
	for (i = 0; i < 3; i++)
		assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
	assert_int_equal(result, 42);
	assert_int_equal(iocp_thread_status(thread), IOCP_FINISHED);
	assert_string_equal(iocp_thread_name(thread), "test");
	assert_true(iocp_thread_id(thread) > 0);
	assert_true(iocp_thread_body(thread) == answer && iocp_thread_data(thread) == &result);
	iocp_thread_release(thread);
	assert_null(iocp_thread_current());
	thread = start(end_badly, NULL);
	assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
	assert_int_equal(iocp_thread_status(thread), IOCP_FAILED);
	iocp_thread_release(thread);
	(void)state;
}

static _Atomic int destroyed;

static void count_destroyed(void *data)
{
	(void)data;
	destroyed++;
}

static void data_is_destroyed_once(void **state)
{
	int result, i;
	destroyed = 0;
	for (i = 0; i < 200; i++) {
		iocp_thread_options options = {.main = answer, .data = &result, .destroy = count_destroyed, .suspended = i % 2};
		iocp_thread *thread;
		assert_int_equal(iocp_thread_create(&options, &thread), IOCP_OK);
		if (!options.suspended)
			assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
		iocp_thread_release(thread);
	}
	for (i = 0; i < 5000 && destroyed < 200; i++)
		iocp_sleep(1); /* a thread drops its own reference after it was joined */
	assert_int_equal(destroyed, 200);
	(void)state;
}

static int wait_cancelled(iocp_thread *thread, void *data)
{
	iocp_packet packet;
	const _Atomic uint32_t *word = iocp_thread_cancel_word();
	int r = iocp_port_dequeue(data, &packet, IOCP_INFINITE);
	(void)thread;
	return r == IOCP_CANCELLED && *word && iocp_thread_cancelled() && iocp_sleep(1e6) == IOCP_CANCELLED ? r
																										: IOCP_ERROR;
}

static void cancelling_reaches_a_wait_at_any_moment(void **state)
{
	iocp_port *port;
	int i;
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	for (i = 0; i < 500; i++) {
		iocp_thread *thread = start(wait_cancelled, port);
		if (i % 3)
			iocp_sleep(i % 3 * 0.05);
		iocp_thread_cancel(thread);
		assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
		assert_int_equal(iocp_thread_status(thread), IOCP_STOPPED);
		iocp_thread_release(thread);
	}
	iocp_port_release(port);
	(void)state;
}

static _Atomic int interrupted;

static void note_interrupt(iocp_thread *thread)
{
	interrupted = thread == iocp_thread_current();
}

static int spin_until_interrupted(iocp_thread *thread, void *data)
{
	(void)thread;
	*(_Atomic int *)data = 1;
	while (!interrupted)
		;
	return IOCP_OK;
}

static void an_interrupt_runs_in_the_thread(void **state)
{
	_Atomic int started = 0;
	iocp_thread *thread = start(spin_until_interrupted, &started);
	while (!started)
		iocp_yield();
	assert_int_equal(iocp_thread_interrupt(thread, note_interrupt), IOCP_OK);
	assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
	assert_int_equal(interrupted, 1);
	assert_int_equal(iocp_thread_interrupt(thread, note_interrupt), IOCP_INVALID);
	iocp_thread_release(thread);
	(void)state;
}

static void options_of_a_newer_version_are_refused(void **state)
{
	int result = 0;
	iocp_thread_options options = {.size = sizeof(options) + 8, .main = answer, .data = &result};
	iocp_thread *thread;
	assert_int_equal(iocp_thread_create(&options, &thread), IOCP_INVALID);
	options.size = sizeof(options);
	assert_int_equal(iocp_thread_create(&options, &thread), IOCP_OK);
	assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
	assert_int_equal(result, 42);
	iocp_thread_release(thread);
	(void)state;
}

static void shorter_options_are_read_as_far_as_they_go(void **state)
{
	const uint32_t none = UINT32_MAX;
	const int refused = on_posix() ? ENOTSUP : IOCP_INVALID; /* POSIX has no say in where threads run */
	int result = 0;
	size_t sizes[] = {0, offsetof(iocp_thread_options, processors), offsetof(iocp_thread_options, priority)}, i;
	for (i = 0; i < 3; i++) {
		iocp_thread_options options = {.size = sizes[i], .main = answer, .data = &result, .priority = 7};
		iocp_thread *thread;
		options.processors = i < 2 ? &none : NULL;
		options.processor_count = 1;
		assert_int_equal(iocp_thread_create(&options, &thread), IOCP_OK);
		assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
		iocp_thread_release(thread);
		options.size = sizeof(options);
		assert_int_equal(iocp_thread_create(&options, &thread), IOCP_INVALID);
		options.priority = 0;
		assert_int_equal(iocp_thread_create(&options, &thread), i < 2 ? refused : IOCP_OK);
		if (i == 2) {
			assert_int_equal(iocp_thread_join(thread, IOCP_INFINITE), IOCP_OK);
			iocp_thread_release(thread);
		}
	}
	(void)state;
}

/* ---- a packet for its end ---------------------------------------------------------------------------------------- */

static int wait_for_packet(iocp_thread *thread, void *data)
{
	iocp_packet packet;
	(void)thread;
	return iocp_port_dequeue(data, &packet, IOCP_INFINITE);
}

static void its_end_is_a_packet(void **state)
{
	iocp_port *gate, *port;
	iocp_thread *thread;
	iocp_thread_options options = {.size = sizeof(options), .main = wait_for_packet};
	iocp_timer first, second, late;
	iocp_packet packet;
	(void)state;
	assert_int_equal(iocp_port_create(0, &gate), IOCP_OK);
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	options.data = gate;
	assert_int_equal(iocp_thread_create(&options, &thread), IOCP_OK);
	assert_int_equal(iocp_thread_notify(thread, port, 1, 10, &first), IOCP_OK);
	assert_int_equal(iocp_thread_notify(thread, port, 2, 20, &second), IOCP_OK);
	assert_int_equal(iocp_timer_cancel(first), IOCP_OK);
	assert_int_equal(iocp_timer_cancel(first), IOCP_INVALID);
	assert_int_equal(iocp_port_enqueue(gate, 0, 0, 0), IOCP_OK);
	assert_int_equal(iocp_port_dequeue(port, &packet, IOCP_INFINITE), IOCP_OK);
	assert_true(packet.key == 2 && packet.overlapped == 20 && packet.bytes == 0 && packet.code == 0);
	assert_int_equal(iocp_thread_status(thread), IOCP_FINISHED);
	assert_int_equal(iocp_timer_cancel(second), IOCP_INVALID);
	assert_int_equal(iocp_thread_notify(thread, port, 3, 0, &late), IOCP_OK);
	assert_int_equal(iocp_timer_cancel(late), IOCP_INVALID);
	assert_int_equal(iocp_port_dequeue(port, &packet, 0), IOCP_OK);
	assert_int_equal(packet.key, 3);
	iocp_thread_release(thread);
	iocp_port_release(gate);
	iocp_port_release(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_runs_and_is_joined),
		cmocka_unit_test(its_end_is_a_packet),
		cmocka_unit_test(data_is_destroyed_once),
		cmocka_unit_test(cancelling_reaches_a_wait_at_any_moment),
		cmocka_unit_test(an_interrupt_runs_in_the_thread),
		cmocka_unit_test(shorter_options_are_read_as_far_as_they_go),
		cmocka_unit_test(options_of_a_newer_version_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
