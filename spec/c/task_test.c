/*
** task_test.c - a task's life when memory fails, and graphs of tasks.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "work/task.h"

static _Thread_local int fails; /* the so manieth call of calloc from now on; 0: none */

/* Instead of the C library's. */
void *calloc(size_t count, size_t size)
{
	void *memory;
	if (fails && --fails == 0)
		return NULL;
	/* Not malloc, of which the compiler would make this very function. */
	memory = size && count > SIZE_MAX / 2 / size ? NULL : aligned_alloc(16, (count * size + 15) / 16 * 16);
	return memory ? memset(memory, 0, count * size) : NULL;
}

static iocp_body body = {.references = 1000, .name = "body"};

static iocp_task *new_task(iocp_pool *pool)
{
	iocp_payload none = {.block = NULL};
	iocp_task *task = iocp_task_new(pool, &body, &none);
	assert_non_null(task);
	return task;
}

static void free_nothing(void *owner)
{
	(void)owner;
}

static iocp_pool *new_pool(void)
{
	static const iocp_pool_calls calls = {.worker_size = sizeof(iocp_worker), .free_owner = free_nothing};
	iocp_pool_options options = {.calls = &calls, .name = "pool"};
	iocp_pool *pool;
	assert_int_equal(iocp_pool_create(&options, &pool), IOCP_OK);
	return pool;
}

static void assert_closed_and_drop(iocp_pool *pool)
{
	assert_int_equal(atomic_load(&pool->submitted), atomic_load(&pool->cancelled_early));
	assert_int_equal(atomic_load(&pool->phase), IOCP_POOL_CLOSED);
	iocp_pool_release(pool);
}

static void what_memory_fails_for_was_not_submitted(void **state)
{
	iocp_pool *pool = new_pool();
	iocp_task *later = new_task(pool), *first = new_task(pool), *second = new_task(pool);
	fails = 1;
	assert_int_equal(iocp_task_submit(later, 1e6, 0), IOCP_NOMEM);
	assert_int_equal(iocp_task_state(later), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_after(second, first, 0), IOCP_OK);
	fails = 1;
	assert_int_equal(iocp_task_submit(second, 0, 0), IOCP_NOMEM);
	assert_int_equal(atomic_load(&pool->submitted), 0);
	iocp_task_release(later);
	iocp_task_release(second);
	iocp_task_release(first);
	iocp_pool_shutdown(pool); /* there is nothing to wait for */
	assert_closed_and_drop(pool);
	(void)state;
}

/* Fails each allocation of `after` in turn, until it succeeds: what it leaves behind is nothing. */
static void after_fails_whole(void **state)
{
	iocp_pool *pool = new_pool();
	iocp_task *first = new_task(pool), *second = new_task(pool);
	int n = 0, r;
	do {
		fails = ++n;
		r = iocp_task_after(second, first, 1);
		assert_true(r == IOCP_OK || r == IOCP_NOMEM);
	} while (r != IOCP_OK);
	fails = 0;
	assert_true(n > 1);
	assert_int_equal(second->extra->unmet, 1);
	assert_int_equal(iocp_task_after(first, second, 0), IOCP_ERROR);
	assert_int_equal(iocp_task_submit(second, 0, 0), IOCP_OK);
	assert_int_equal(iocp_task_cancel(first, IOCP_BY_CALL), IOCP_OK);
	assert_int_equal(iocp_task_state(second), IOCP_TASK_CANCELLED);
	iocp_task_release(second);
	iocp_task_release(first);
	iocp_pool_shutdown(pool);
	assert_closed_and_drop(pool);
	(void)state;
}

/* A task that is cancelled is told, later, that one which it was to run after is cancelled because of itself. */
static void a_task_is_not_its_own_cause(void **state)
{
	iocp_pool *pool = new_pool();
	iocp_task *first = new_task(pool), *second = new_task(pool), *third = new_task(pool);
	uint32_t before = atomic_load(&body.references);
	assert_int_equal(iocp_task_after(third, second, 0), IOCP_OK);
	assert_int_equal(iocp_task_cancel(third, IOCP_BY_CALL), IOCP_OK);
	assert_int_equal(iocp_task_after(first, third, 0), IOCP_OK);
	assert_int_equal(iocp_task_state(first), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_after(second, first, 0), IOCP_OK);
	assert_int_equal(iocp_task_state(second), IOCP_TASK_CANCELLED);
	assert_ptr_equal(iocp_task_input(second), third);
	iocp_task_release(first);
	iocp_task_release(second);
	iocp_task_release(third);
	assert_int_equal(atomic_load(&body.references), before - 3); /* all three are freed */
	iocp_pool_shutdown(pool);
	assert_closed_and_drop(pool);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_memory_fails_for_was_not_submitted),
		cmocka_unit_test(after_fails_whole),
		cmocka_unit_test(a_task_is_not_its_own_cause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
