/*
** resolve_test.c - lookups without Lua, over a system that hangs at will (resolver.c). The last test leaves calls that
** hang: the process is to end all the same.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "work/work.h"

void resolver_release(int on);
int resolver_hanging(void);

enum { SOON = 20000 /* ms: by then, or never */, THREADS = 4 };

static iocp_lookup *begin(const char *host, const char *service)
{
	iocp_lookup *lookup;
	assert_int_equal(iocp_resolve(host, service, &lookup), IOCP_OK);
	return lookup;
}

/* Whether it ends as expected: the number of its addresses, or a failure. */
static void ends(iocp_lookup *lookup, int result, size_t expected)
{
	const iocp_host_address *addresses;
	size_t count;
	assert_int_equal(iocp_lookup_wait(lookup, SOON), IOCP_OK);
	assert_int_equal(iocp_lookup_result(lookup, &addresses, &count), result);
	assert_int_equal(count, expected);
	iocp_any_release(lookup);
}

static void names_are_found(void **state)
{
	const iocp_host_address *addresses;
	size_t count;
	iocp_lookup *lookup = begin("a.quick", "80");
	(void)state;
	assert_string_equal(iocp_lookup_host(lookup), "a.quick");
	assert_int_equal(iocp_lookup_wait(lookup, SOON), IOCP_OK);
	assert_int_equal(iocp_lookup_result(lookup, &addresses, &count), IOCP_OK);
	assert_int_equal(count, 2);
	assert_string_equal(addresses[0].host, "192.0.2.1");
	assert_string_equal(addresses[1].host, "2001:db8::1");
	assert_true(addresses[0].port == 80 && addresses[1].port == 80);
	assert_true(!addresses[0].inet6 && addresses[1].inet6);
	iocp_any_release(lookup);
}

static void name_is(const char *host, int required, int result, const char *name)
{
	const iocp_host_address *addresses;
	size_t count;
	iocp_lookup *lookup;
	assert_int_equal(iocp_resolve_name(host, "80", required, &lookup), IOCP_OK);
	assert_int_equal(iocp_lookup_wait(lookup, SOON), IOCP_OK);
	assert_int_equal(iocp_lookup_result(lookup, &addresses, &count), result);
	if (result == IOCP_OK) {
		assert_string_equal(iocp_lookup_name(lookup)->host, name);
		assert_string_equal(iocp_lookup_name(lookup)->service, "80");
	}
	iocp_any_release(lookup);
}

static void addresses_have_names(void **state)
{
	(void)state;
	name_is("192.0.2.1", 1, IOCP_OK, "a.quick");
	name_is("192.0.2.2", 0, IOCP_OK, "192.0.2.2");
	name_is("192.0.2.2", 1, IOCP_EAI_NONAME, NULL);
	name_is("no.digits", 0, IOCP_EAI_NONAME, NULL);
}

static void failures_have_names(void **state)
{
	static const struct {
		const char *host;
		int result;
		const char *name;
	} rows[] = {
		{"a.again", IOCP_EAI_AGAIN, "EAI_AGAIN"},
		{"a.fails", IOCP_EAI_FAIL, "EAI_FAIL"},
		{"a.nobody", IOCP_EAI_NONAME, "EAI_NONAME"},
		{"1.2.3.4.5", IOCP_EAI_NONAME, "EAI_NONAME"},
	};
	size_t i;
	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *text;
		ends(begin(rows[i].host, NULL), rows[i].result, 0);
		assert_string_equal(iocp_lookup_failure(rows[i].result, &text), rows[i].name);
		assert_true(strlen(text) > 0);
	}
	assert_null(iocp_lookup_failure(IOCP_NOMEM, NULL));
	assert_null(iocp_lookup_failure(IOCP_OK, NULL));
}

static void ends_are_packets(void **state)
{
	iocp_port *port;
	iocp_packet packet;
	iocp_timer first, second;
	iocp_lookup *lookup;
	const iocp_packet one = {.key = 1}, two = {.key = 2};
	(void)state;
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	lookup = begin("a.slow", NULL);
	assert_int_equal(iocp_lookup_notify(lookup, port, &one, &first), IOCP_OK);
	assert_int_equal(iocp_lookup_notify(lookup, port, &two, &second), IOCP_OK);
	assert_int_equal(iocp_timer_cancel(first), IOCP_OK);
	assert_int_equal(iocp_port_dequeue(port, &packet, SOON), IOCP_OK);
	assert_int_equal(packet.key, 2);
	assert_int_equal(iocp_lookup_wait(lookup, 0), IOCP_OK);
	assert_int_equal(iocp_lookup_notify(lookup, port, &one, &first), IOCP_OK);
	assert_int_equal(iocp_port_dequeue(port, &packet, 0), IOCP_OK);
	assert_int_equal(packet.key, 1);
	iocp_any_release(lookup);
	iocp_port_release(port);
}

/* So many that hang. */
static void occupy(iocp_lookup **lookups)
{
	int i;
	for (i = 0; i < THREADS; i++)
		lookups[i] = begin("a.hangs", NULL);
	for (i = 0; i < SOON && resolver_hanging() < THREADS; i++)
		(void)iocp_sleep(1);
	assert_int_equal(resolver_hanging(), THREADS);
}

static void a_system_that_hangs_holds_nobody(void **state)
{
	iocp_lookup *hanging[THREADS], *queued, *dropped;
	iocp_port *port;
	iocp_packet packet = {.key = 1};
	iocp_timer timer;
	(void)state;
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	occupy(hanging);
	queued = begin("a.quick", NULL);
	dropped = begin("a.quick", NULL);
	assert_int_equal(iocp_lookup_wait(queued, 20), IOCP_TIMEOUT);
	assert_int_equal(iocp_lookup_wait(hanging[0], 20), IOCP_TIMEOUT);
	ends(begin("192.0.2.7", "1"), IOCP_OK, 1);
	ends(begin("::1", NULL), IOCP_OK, 1);
	ends(begin("LocalHost", NULL), IOCP_OK, 2);
	assert_int_equal(iocp_lookup_notify(dropped, port, &packet, &timer), IOCP_OK);
	assert_int_equal(iocp_lookup_cancel(dropped), 1);
	assert_int_equal(iocp_lookup_cancel(dropped), 0);
	assert_int_equal(iocp_port_dequeue(port, &packet, 0), IOCP_OK);
	ends(dropped, IOCP_CANCELLED, 0);
	assert_int_equal(iocp_lookup_cancel(hanging[0]), 1);
	ends(hanging[0], IOCP_CANCELLED, 0);
	resolver_release(1);
	ends(queued, IOCP_OK, 2);
	ends(hanging[1], IOCP_OK, 1);
	ends(hanging[2], IOCP_OK, 1);
	ends(hanging[3], IOCP_OK, 1);
	iocp_port_release(port);
}

static void many_may_be_queued_and_cancelled(void **state)
{
	enum { MANY = 300 };
	iocp_lookup *lookups[MANY];
	int i, cancelled = 0;
	(void)state;
	for (i = 0; i < MANY; i++)
		lookups[i] = begin("a.quick", NULL);
	for (i = 0; i < MANY; i += 3)
		cancelled += iocp_lookup_cancel(lookups[i]);
	for (i = 0; i < MANY; i++) {
		const iocp_host_address *addresses;
		size_t count;
		assert_int_equal(iocp_lookup_wait(lookups[i], SOON), IOCP_OK);
		cancelled -= iocp_lookup_result(lookups[i], &addresses, &count) == IOCP_CANCELLED;
		iocp_any_release(lookups[i]);
	}
	assert_int_equal(cancelled, 0);
}

static int wait_for_ever(iocp_thread *thread, void *data)
{
	(void)thread;
	return iocp_lookup_wait(data, IOCP_INFINITE);
}

static void a_waiting_thread_can_be_cancelled(void **state)
{
	iocp_lookup *lookup = begin("a.slow", NULL);
	const iocp_thread_options options = {.size = sizeof(options), .main = wait_for_ever, .data = lookup};
	iocp_thread *thread;
	(void)state;
	assert_int_equal(iocp_thread_create(&options, &thread), IOCP_OK);
	iocp_thread_cancel(thread);
	assert_int_equal(iocp_thread_join(thread, SOON), IOCP_OK);
	assert_int_equal(iocp_thread_status(thread), IOCP_STOPPED);
	iocp_thread_release(thread);
	ends(lookup, IOCP_OK, 1);
}

static void the_process_ends_while_calls_hang(void **state)
{
	iocp_lookup *hanging[THREADS];
	int i;
	(void)state;
	resolver_release(0);
	occupy(hanging);
	iocp_any_release(begin("a.quick", NULL)); /* queued */
	for (i = 0; i < THREADS; i++)
		iocp_any_release(hanging[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found),
		cmocka_unit_test(addresses_have_names),
		cmocka_unit_test(failures_have_names),
		cmocka_unit_test(ends_are_packets),
		cmocka_unit_test(many_may_be_queued_and_cancelled),
		cmocka_unit_test(a_waiting_thread_can_be_cancelled),
		cmocka_unit_test(a_system_that_hangs_holds_nobody),
		cmocka_unit_test(the_process_ends_while_calls_hang),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
