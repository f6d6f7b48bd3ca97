/*
** handle_test.c - the live-object table: handles name one object ever, whatever threads do.
*/

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "iocp.h"

static iocp_port *new_port(void)
{
	iocp_port *port;
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	return port;
}

static void a_handle_opens_its_object(void **state)
{
	iocp_port *port = new_port(), *again;
	iocp_heap *heap;
	assert_true(iocp_port_handle(port) > 0 && iocp_port_handle(port) < UINT64_C(1) << 52);
	assert_int_equal(iocp_port_open(iocp_port_handle(port), &again), IOCP_OK);
	assert_ptr_equal(again, port);
	iocp_port_release(again);
	assert_int_equal(iocp_port_adopt(iocp_port_native(port), &again), IOCP_OK);
	iocp_port_release(again);
	assert_int_equal(iocp_heap_open(iocp_port_handle(port), &heap), IOCP_INVALID);
	assert_int_equal(iocp_heap_adopt(port, &heap), IOCP_INVALID);
	iocp_port_release(port);
	(void)state;
}

static void a_dead_handle_opens_nothing(void **state)
{
	iocp_port *port = new_port(), *other;
	iocp_handle closed = iocp_port_handle(port), released;
	int i;
	iocp_port_close(port);
	assert_int_equal(iocp_port_open(closed, &other), IOCP_INVALID);
	assert_int_equal(iocp_port_adopt(port, &other), IOCP_INVALID);
	iocp_port_release(port);
	port = new_port();
	released = iocp_port_handle(port);
	iocp_port_release(port);
	for (i = 0; i < 100000; i++) {
		port = new_port();
		assert_true(iocp_port_handle(port) != closed && iocp_port_handle(port) != released);
		assert_int_equal(iocp_port_open(closed, &other), IOCP_INVALID);
		assert_int_equal(iocp_port_open(released, &other), IOCP_INVALID);
		iocp_port_release(port);
	}
	(void)state;
}

static void nonsense_opens_nothing(void **state)
{
	static const iocp_handle handles[] = {0, 1, 0xffffffff, UINT64_C(1) << 22, UINT64_C(1) << 52, UINT64_MAX};
	iocp_port *port;
	iocp_heap *heap;
	iocp_thread *thread;
	size_t i;
	for (i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
		assert_int_equal(iocp_port_open(handles[i], &port), IOCP_INVALID);
		assert_int_equal(iocp_heap_open(handles[i], &heap), IOCP_INVALID);
		assert_int_equal(iocp_thread_open(handles[i], &thread), IOCP_INVALID);
		assert_int_equal(iocp_port_adopt((void *)(uintptr_t)handles[i], &port), IOCP_INVALID);
	}
	(void)state;
}

/* Opens whatever handle is current, while the main thread makes and closes ports. */
static _Atomic iocp_handle current;
static _Atomic int done;

static void *open_current(void *unused)
{
	while (!done) {
		iocp_port *port;
		iocp_packet packet;
		iocp_handle handle = current;
		if (iocp_port_open(handle, &port) == IOCP_OK) {
			if (iocp_port_handle(port) != handle)
				abort();
			iocp_port_enqueue(port, 1, 2, 3);
			iocp_port_dequeue(port, &packet, 0);
			iocp_port_release(port);
		}
	}
	return unused;
}

static void opening_races_with_closing(void **state)
{
	pthread_t threads[3];
	int i;
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, open_current, NULL);
	for (i = 0; i < 20000; i++) {
		iocp_port *port = new_port();
		current = iocp_port_handle(port);
		if (i % 2)
			iocp_port_close(port);
		iocp_port_release(port);
	}
	done = 1;
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	(void)state;
}

static void codes_have_names_and_texts(void **state)
{
	char text[64];
	int code;
	for (code = IOCP_INTERRUPTED; code < IOCP_OK; code++) {
		assert_non_null(iocp_error_name(code));
		iocp_error_text(code, text, sizeof(text));
		assert_true(text[0]);
	}
	assert_string_equal(iocp_error_name(IOCP_TIMEOUT), "TIMEOUT");
	assert_string_equal(iocp_error_name(IOCP_ERROR), "ERROR");
	assert_null(iocp_error_name(1));
	assert_null(iocp_error_name(-1000));
	iocp_error_text(12, text, sizeof(text));
	assert_true(text[0]);
	iocp_error_text(-1000, text, 3);
	assert_int_equal(text[2], 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handle_opens_its_object),
		cmocka_unit_test(a_dead_handle_opens_nothing),
		cmocka_unit_test(nonsense_opens_nothing),
		cmocka_unit_test(opening_races_with_closing),
		cmocka_unit_test(codes_have_names_and_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
