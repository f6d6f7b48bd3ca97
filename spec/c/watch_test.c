/*
** watch_test.c - the watcher where it cannot be had at once: without a free descriptor, and without a thread.
*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "iocp.h"

static _Atomic int refuses;

/* The library's calls come here. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	if (refuses)
		return EAGAIN;
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
	return next(thread, attributes, start, argument);
}

static int sees_blocking(iocp_port *port)
{
	iocp_port_info info = {.size = sizeof(info)};
	iocp_port_stats(port, &info);
	return (int)info.sees_blocking;
}

/* Before anything else here, since the answer is kept. */
static void a_system_that_was_asked_without_a_descriptor_is_asked_again(void **state)
{
	struct rlimit before, none;
	iocp_port *port;
	assert_int_equal(iocp_port_create(1, &port), IOCP_OK);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_false(sees_blocking(port));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(sees_blocking(port));
	iocp_port_release(port);
	(void)state;
}

static iocp_port *port;
static int ends[2]; /* of a pipe that a thread blocks on */

static void *get_and_block(void *unused)
{
	iocp_packet packet;
	char byte;
	if (iocp_port_dequeue(port, &packet, IOCP_INFINITE) != IOCP_OK || read(ends[0], &byte, 1) != 1)
		return NULL;
	return unused;
}

static void *get_one(void *unused)
{
	iocp_packet packet;
	return iocp_port_dequeue(port, &packet, 20000) == IOCP_OK ? unused : NULL;
}

static void wait_until(uint32_t waiting)
{
	iocp_port_info info = {.size = sizeof(info)};
	do {
		iocp_sleep(1);
		iocp_port_stats(port, &info);
	} while (info.waiting != waiting);
}

/* The first thread blocks with the only slot, where no watcher can be started; the second is let in after a later
** post. */
static void a_watcher_that_could_not_be_started_is_started_later(void **state)
{
	pthread_t first, second;
	iocp_port_info info = {.size = sizeof(info)};
	void *result;
	int i;
	assert_int_equal(iocp_port_create(1, &port), IOCP_OK);
	assert_int_equal(pipe(ends), 0);
	pthread_create(&first, NULL, get_and_block, &port);
	wait_until(1);
	iocp_port_enqueue(port, 1, 0, 0);
	wait_until(0);
	pthread_create(&second, NULL, get_one, &port);
	wait_until(1);
	refuses = 1;
	for (i = 0; i < 50; i++) {
		iocp_port_enqueue(port, 2, 0, 0); /* from here on it sticks */
		iocp_sleep(1);
	}
	iocp_port_stats(port, &info);
	assert_int_equal(info.waiting, 1);
	refuses = 0;
	iocp_sleep(10);
	iocp_port_enqueue(port, 2, 0, 0);
	pthread_join(second, &result);
	assert_ptr_equal(result, &port);
	assert_int_equal(write(ends[1], "x", 1), 1);
	pthread_join(first, &result);
	assert_ptr_equal(result, &port);
	close(ends[0]);
	close(ends[1]);
	iocp_port_release(port);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_system_that_was_asked_without_a_descriptor_is_asked_again),
		cmocka_unit_test(a_watcher_that_could_not_be_started_is_started_later),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
