/*
** pool_test.c - pools and tasks without Lua: workers in C, for the sanitizers too.
**
** A payload is an int from malloc; what is made and not freed is counted.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "work/work.h"

enum { SOON = 30000 /* ms: by then, or never */ };

/* ---- an owner of pools ------------------------------------------------------------------------------------------- */

static _Atomic int payloads, bodies, owners, cannot_begin;
static _Atomic(iocp_task *) shared; /* for the bodies */
static _Atomic int at, go;          /* where a body is, and may go on */

typedef enum iocp_task_state function(iocp_worker *worker, iocp_run *run);

typedef struct c_body {
	iocp_body body;
	function *call;
} c_body;

static iocp_payload new_payload(int value)
{
	iocp_payload payload = {.block = malloc(sizeof(int)), .size = sizeof(int)};
	*(int *)payload.block = value;
	atomic_fetch_add(&payloads, 1);
	return payload;
}

static int value_of(const iocp_payload *payload)
{
	return payload->block ? *(const int *)payload->block : 0;
}

static void free_payload(iocp_payload *payload)
{
	free(payload->block);
	payload->block = NULL;
	atomic_fetch_sub(&payloads, 1);
}

static int payload_holds(const iocp_payload *payload)
{
	return value_of(payload) % 2; /* some in turn, though these hold nothing */
}

static void free_body(iocp_deferred *body)
{
	free(body);
	atomic_fetch_sub(&bodies, 1);
}

static void free_owner(void *owner)
{
	free(owner);
	atomic_fetch_sub(&owners, 1);
}

static void work(iocp_worker *worker)
{
	worker->initialised = !atomic_load(&cannot_begin);
	while (worker->initialised && iocp_worker_step(worker, NULL))
		;
}

static enum iocp_task_state run(iocp_worker *worker, iocp_run *innermost, void *context)
{
	const c_body *body = (const c_body *)iocp_task_body(innermost->task);
	(void)context;
	return body->call(worker, innermost);
}

static int cancel(iocp_worker *worker)
{
	iocp_thread_cancel(worker->thread);
	atomic_store(&go, 1);
	return IOCP_OK;
}

static const iocp_pool_calls calls = {
	.worker_size = sizeof(iocp_worker),
	.work = work,
	.run = run,
	.cancel = cancel,
	.free_payload = free_payload,
	.payload_holds = payload_holds,
	.free_owner = free_owner,
};

static iocp_pool *new_pool(uint32_t workers, uint64_t queue_limit)
{
	iocp_pool_options options = {.calls = &calls,
		.owner = malloc(1),
		.name = "pool",
		.concurrency = workers,
		.replace = 1,
		.queue_limit = queue_limit};
	iocp_pool *pool;
	atomic_fetch_add(&owners, 1);
	assert_int_equal(iocp_pool_create(&options, &pool), IOCP_OK);
	assert_int_equal(iocp_pool_set_workers(pool, workers), IOCP_OK);
	return pool;
}

static iocp_task *new_treated(iocp_pool *pool, function *call, int argument, const iocp_terms *terms)
{
	c_body *body = calloc(1, sizeof(*body));
	iocp_payload payload = new_payload(argument);
	iocp_task *task;
	atomic_fetch_add(&bodies, 1);
	iocp_body_begin(&body->body, free_body);
	body->body.holds = argument % 3 == 0;
	body->body.terms = *terms;
	body->call = call;
	task = iocp_task_new(pool, &body->body, &payload);
	iocp_body_release(&body->body);
	return task;
}

static iocp_task *new_task(iocp_pool *pool, function *call, int argument)
{
	static const iocp_terms none;
	return new_treated(pool, call, argument, &none);
}

static iocp_task *submit(iocp_pool *pool, function *call, int argument)
{
	iocp_task *task = new_task(pool, call, argument);
	assert_int_equal(iocp_task_submit(task, 0, 0), IOCP_OK);
	return task;
}

/* Waits for its end. */
static enum iocp_task_state end_of(iocp_task *task)
{
	iocp_notices *notices = iocp_notices_new();
	uintptr_t key = 0;
	assert_int_equal(iocp_task_watch(task, notices, 7), IOCP_OK);
	assert_int_equal(iocp_notices_wait(notices, &key, SOON), IOCP_OK);
	assert_int_equal(key, 7);
	iocp_notices_release(notices);
	return iocp_task_state(task);
}

static enum iocp_task_state end_and_release(iocp_task *task)
{
	enum iocp_task_state state = end_of(task);
	iocp_task_release(task);
	return state;
}

static void wait_for(_Atomic int *what, int value)
{
	double deadline = iocp_clock() + SOON;
	while (atomic_load(what) != value && iocp_clock() < deadline)
		iocp_sleep(0.1);
	assert_int_equal(atomic_load(what), value);
}

/* Ends a pool, and sees to it that nothing is left of it. */
static void finish(iocp_pool *pool)
{
	iocp_pool_shutdown(pool);
	assert_int_equal(iocp_pool_wait_end(pool, SOON), IOCP_OK);
	assert_true(iocp_pool_idle(pool));
	iocp_pool_release(pool);
	wait_for(&owners, 0); /* the last worker may just be leaving */
	assert_int_equal(atomic_load(&payloads), 0);
	assert_int_equal(atomic_load(&bodies), 0);
}

static int start(void **state)
{
	(void)state;
	atomic_store(&at, 0);
	atomic_store(&go, 0);
	atomic_store(&cannot_begin, 0);
	return 0;
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

/* Adds 1 to what the task before it left, and to its argument. */
static enum iocp_task_state add(iocp_worker *worker, iocp_run *innermost)
{
	const iocp_task *input = iocp_task_input(innermost->task);
	int before = input ? value_of(iocp_task_payload(input)) : 0;
	innermost->outcome = new_payload(value_of(iocp_task_payload(innermost->task)) + before + 1);
	(void)worker;
	return IOCP_TASK_COMPLETED;
}

static enum iocp_task_state fails(iocp_worker *worker, iocp_run *innermost)
{
	(void)innermost;
	iocp_pool_failed(worker->pool, "it failed", 1);
	return IOCP_TASK_FAILED;
}

/* Runs until it may go on, or is told to stop. */
static enum iocp_task_state hold(iocp_worker *worker, iocp_run *innermost)
{
	atomic_fetch_add(&at, 1);
	while (!atomic_load(&go) && !iocp_thread_cancelled())
		iocp_sleep(0.1);
	(void)worker, (void)innermost;
	return iocp_thread_cancelled() ? IOCP_TASK_CANCELLED : IOCP_TASK_COMPLETED;
}

/* Ends for a hard cancel only. */
static enum iocp_task_state hold_on(iocp_worker *worker, iocp_run *innermost)
{
	atomic_fetch_add(&at, 1);
	while (!atomic_load(&go))
		iocp_yield();
	(void)worker, (void)innermost;
	return IOCP_TASK_CANCELLED;
}

/* Waits for `shared`, as a worker does that does not run it itself. */
static enum iocp_task_state wait_for_shared(iocp_worker *worker, iocp_run *innermost)
{
	iocp_task *other = atomic_load(&shared);
	iocp_notices *notices = iocp_notices_new();
	uintptr_t key;
	int r = iocp_worker_await(worker, other), watched = iocp_task_watch(other, notices, 1);
	if (r == IOCP_OK && watched == IOCP_OK) {
		r = iocp_pool_block(worker->pool);
		if (r == IOCP_OK) {
			r = iocp_notices_wait(notices, &key, IOCP_INFINITE);
			iocp_pool_unblock(worker->pool);
		}
		iocp_worker_awaited(worker);
	}
	iocp_task_unwatch(other, notices);
	iocp_notices_release(notices);
	innermost->outcome = new_payload(r);
	return r == IOCP_OK ? IOCP_TASK_COMPLETED : IOCP_TASK_FAILED;
}

static enum iocp_task_state run_shared_in_place(iocp_worker *worker, iocp_run *innermost)
{
	int ran;
	wait_for(&go, 1);
	ran = iocp_worker_run_in_place(worker, atomic_load(&shared), NULL);
	innermost->outcome = new_payload(ran);
	return IOCP_TASK_COMPLETED;
}

/* Takes a reference to a pool of which nobody has one any more, and drops it. */
static enum iocp_task_state refer_to_own_pool(iocp_worker *worker, iocp_run *innermost)
{
	int i;
	atomic_store(&at, 1);
	wait_for(&go, 1);
	for (i = 0; i < 3; i++) {
		iocp_pool *pool = iocp_pool_retain(worker->pool);
		iocp_task *last = new_task(pool, add, i);
		(void)iocp_task_submit(last, 0, 0);
		iocp_task_release(last);
		iocp_pool_release(pool);
	}
	(void)innermost;
	return IOCP_TASK_COMPLETED;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void tasks_run_once_and_keep_what_came_of_them(void **state)
{
	enum { COUNT = 500 };
	static iocp_task *tasks[COUNT];
	iocp_pool *pool = new_pool(3, 0);
	iocp_pool_info info;
	int i;
	for (i = 0; i < COUNT; i++)
		tasks[i] = submit(pool, add, i);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(end_of(tasks[i]), IOCP_TASK_COMPLETED);
		assert_int_equal(value_of(iocp_task_payload(tasks[i])), i + 1);
		assert_int_equal(iocp_task_submit(tasks[i], 0, 0), IOCP_INVALID);
		iocp_task_release(tasks[i]);
	}
	assert_int_equal(end_and_release(submit(pool, fails, 0)), IOCP_TASK_FAILED);
	assert_int_equal(iocp_pool_take_failures(pool), 1);
	assert_int_equal(iocp_pool_last_error(pool, NULL, 0), sizeof("it failed"));
	iocp_pool_stats(pool, &info);
	assert_int_equal(info.submitted, COUNT + 1);
	assert_int_equal(info.completed, COUNT);
	assert_int_equal(info.failed, 1);
	finish(pool);
	(void)state;
}

static void a_task_runs_after_others(void **state)
{
	iocp_pool *pool = new_pool(2, 0);
	iocp_task *first = new_task(pool, add, 10), *middle = new_task(pool, add, 100), *last = new_task(pool, add, 1000);
	assert_int_equal(iocp_task_after(middle, first, 1), IOCP_OK);
	assert_int_equal(iocp_task_after(last, middle, 1), IOCP_OK);
	assert_int_equal(iocp_task_after(last, first, 0), IOCP_OK);
	assert_int_equal(iocp_task_after(first, last, 0), IOCP_ERROR); /* a circle */
	assert_int_equal(iocp_task_submit(last, 1, 0), IOCP_OK);
	assert_int_equal(iocp_task_submit(middle, 0, 0), IOCP_OK);
	assert_int_equal(iocp_task_state(middle), IOCP_TASK_UNSCHEDULED);
	assert_int_equal(iocp_task_submit(first, 0, 0), IOCP_OK);
	assert_int_equal(end_of(last), IOCP_TASK_COMPLETED);
	assert_int_equal(value_of(iocp_task_payload(last)), 1113);
	iocp_task_release(first);
	iocp_task_release(middle);
	iocp_task_release(last);
	finish(pool);
	(void)state;
}

static void what_runs_after_one_that_fails_is_cancelled(void **state)
{
	enum { ROW = 300 };
	static iocp_task *row[ROW];
	iocp_pool *pool = new_pool(2, 0);
	int i;
	for (i = 0; i < ROW; i++) {
		row[i] = new_task(pool, i ? add : fails, i);
		if (i)
			assert_int_equal(iocp_task_after(row[i], row[i - 1], 1), IOCP_OK);
	}
	for (i = ROW - 1; i >= 0; i--)
		assert_int_equal(iocp_task_submit(row[i], 0, 0), IOCP_OK);
	assert_int_equal(end_of(row[ROW - 1]), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_reason(row[ROW - 1]), IOCP_BY_DEPENDENCY);
	assert_ptr_equal(iocp_task_input(row[ROW - 1]), row[0]);
	for (i = 0; i < ROW; i++)
		iocp_task_release(row[i]);
	finish(pool);
	(void)state;
}

static void cancelling_before_and_while_it_runs(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *running = submit(pool, hold, 0), *queued = submit(pool, add, 1), *delayed = new_task(pool, add, 2);
	assert_int_equal(iocp_task_submit(delayed, 1e9, 0), IOCP_OK);
	wait_for(&at, 1);
	assert_int_equal(iocp_task_cancel(queued, IOCP_BY_CALL), IOCP_OK);
	assert_int_equal(iocp_task_cancel(delayed, IOCP_BY_CALL), IOCP_OK);
	assert_null(iocp_task_payload(queued)->block); /* its arguments go at once */
	assert_int_equal(iocp_task_cancel(running, IOCP_BY_CALL), IOCP_TIMEOUT);
	assert_int_equal(end_of(running), IOCP_TASK_CANCELLED);
	assert_true(iocp_task_has_run(running));
	assert_false(iocp_task_has_run(queued));
	assert_int_equal(iocp_task_cancel(running, IOCP_BY_CALL), IOCP_INVALID);
	assert_int_equal(end_and_release(submit(pool, add, 3)), IOCP_TASK_COMPLETED); /* which was not told to stop */
	iocp_task_release(running);
	iocp_task_release(queued);
	iocp_task_release(delayed);
	finish(pool);
	(void)state;
}

static void a_hard_cancel_ends_the_worker_which_is_replaced(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *running = submit(pool, hold_on, 0);
	iocp_pool_info info;
	wait_for(&at, 1);
	assert_int_equal(iocp_task_cancel_hard(running, IOCP_BY_CALL), IOCP_TIMEOUT);
	assert_int_equal(end_and_release(running), IOCP_TASK_CANCELLED);
	assert_int_equal(end_and_release(submit(pool, add, 1)), IOCP_TASK_COMPLETED);
	iocp_pool_stats(pool, &info);
	assert_int_equal(info.dead, 1);
	assert_int_equal(info.live, 1);
	finish(pool);
	(void)state;
}

static void a_hard_cancel_says_that_it_told_a_task_which_ends_at_once(void **state)
{
	enum { TIMES = 50 };
	iocp_pool *pool = new_pool(1, 0);
	int i;
	for (i = 1; i <= TIMES; i++) {
		iocp_task *running;
		atomic_store(&go, 0);
		running = submit(pool, hold, 0);
		wait_for(&at, i);
		assert_int_equal(iocp_task_cancel_hard(running, IOCP_BY_CALL), IOCP_TIMEOUT);
		assert_int_equal(end_and_release(running), IOCP_TASK_CANCELLED);
	}
	finish(pool);
	(void)state;
}

static void cancels_race_with_workers(void **state)
{
	enum { COUNT = 2000 };
	iocp_pool *pool = new_pool(2, 0);
	iocp_task *task;
	int i;
	for (i = 0; i < COUNT; i++) {
		task = submit(pool, add, i);
		if (i % 3)
			iocp_yield();
		(void)iocp_task_cancel(task, IOCP_BY_CALL);
		assert_true(end_and_release(task) >= IOCP_TASK_COMPLETED);
	}
	finish(pool);
	(void)state;
}

static void the_number_of_workers_changes_under_way(void **state)
{
	enum { ROUNDS = 60, EACH = 20 };
	iocp_pool *pool = new_pool(1, 0);
	iocp_pool_info info;
	double deadline;
	int i, k;
	for (i = 0; i < ROUNDS; i++) {
		assert_int_equal(iocp_pool_set_workers(pool, (uint32_t)(i * 7 % 5)), IOCP_OK);
		for (k = 0; k < EACH; k++)
			iocp_task_release(submit(pool, add, k));
	}
	assert_int_equal(iocp_pool_set_workers(pool, 2), IOCP_OK);
	assert_int_equal(end_and_release(submit(pool, add, 0)), IOCP_TASK_COMPLETED);
	deadline = iocp_clock() + SOON;
	do
		iocp_pool_stats(pool, &info);
	while (info.live != 2 && iocp_clock() < deadline);
	assert_int_equal(info.live, 2);
	assert_int_equal(info.dead, 0);
	finish(pool);
	(void)state;
}

static void a_blocked_worker_has_another_go_on(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *waited = new_task(pool, add, 1), *waits;
	atomic_store(&shared, waited);
	waits = submit(pool, wait_for_shared, 0);
	assert_int_equal(iocp_task_submit(waited, 0, 0), IOCP_OK);
	assert_int_equal(end_of(waits), IOCP_TASK_COMPLETED);
	assert_int_equal(iocp_task_state(waited), IOCP_TASK_COMPLETED);
	iocp_task_release(waits);
	iocp_task_release(waited);
	finish(pool);
	(void)state;
}

static void a_worker_does_not_wait_for_what_waits_for_it(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *waits = new_task(pool, wait_for_shared, 0), *later = new_task(pool, add, 0);
	atomic_store(&shared, later);
	assert_int_equal(iocp_task_after(later, waits, 0), IOCP_OK);
	assert_int_equal(iocp_task_submit(later, 0, 0), IOCP_OK);
	assert_int_equal(iocp_task_submit(waits, 0, 0), IOCP_OK);
	assert_int_equal(end_of(later), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_state(waits), IOCP_TASK_FAILED);
	assert_int_equal(value_of(iocp_task_payload(waits)), IOCP_INVALID);
	iocp_task_release(waits);
	iocp_task_release(later);
	finish(pool);
	(void)state;
}

static void a_worker_runs_in_place_what_is_queued(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *outer = submit(pool, run_shared_in_place, 0), *inner = submit(pool, add, 4);
	atomic_store(&shared, inner);
	atomic_store(&go, 1);
	assert_int_equal(end_of(outer), IOCP_TASK_COMPLETED);
	assert_int_equal(value_of(iocp_task_payload(outer)), 1);
	assert_int_equal(value_of(iocp_task_payload(inner)), 5);
	iocp_task_release(outer);
	iocp_task_release(inner);
	finish(pool);
	(void)state;
}

static void a_queue_with_a_limit_has_so_many_places(void **state)
{
	iocp_pool *pool = new_pool(1, 1);
	iocp_task *first = new_task(pool, hold, 0), *second = new_task(pool, add, 0), *third = new_task(pool, add, 0);
	assert_int_equal(iocp_task_take_place(first, 0), IOCP_OK);
	assert_int_equal(iocp_task_submit(first, 0, 0), IOCP_OK);
	wait_for(&at, 1); /* it has left the queue */
	assert_int_equal(iocp_task_take_place(second, SOON), IOCP_OK);
	assert_int_equal(iocp_task_submit(second, 0, 0), IOCP_OK);
	assert_int_equal(iocp_task_take_place(third, 1), IOCP_TIMEOUT);
	atomic_store(&go, 1);
	assert_int_equal(iocp_task_take_place(third, SOON), IOCP_OK);
	iocp_task_give_place(third);
	assert_int_equal(end_of(second), IOCP_TASK_COMPLETED);
	iocp_task_release(first);
	iocp_task_release(second);
	iocp_task_release(third);
	finish(pool);
	(void)state;
}

static void shutting_down_finishes_what_can_run(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *running = submit(pool, hold, 0), *queued = submit(pool, add, 0), *delayed = new_task(pool, add, 0);
	iocp_task *periodic = new_task(pool, add, 0), *waits = new_task(pool, add, 0), *never = new_task(pool, add, 0);
	iocp_task *late = new_task(pool, add, 0);
	assert_int_equal(iocp_task_submit(delayed, 20, 0), IOCP_OK);
	assert_int_equal(iocp_task_submit(periodic, 1e6, 1e6), IOCP_OK);
	assert_int_equal(iocp_task_after(waits, never, 0), IOCP_OK);
	assert_int_equal(iocp_task_submit(waits, 0, 0), IOCP_OK);
	wait_for(&at, 1);
	iocp_pool_shutdown(pool);
	assert_int_equal(iocp_task_submit(late, 0, 0), IOCP_CLOSED);
	assert_int_equal(iocp_pool_wait_end(pool, 0), IOCP_TIMEOUT);
	atomic_store(&go, 1);
	assert_int_equal(end_and_release(running), IOCP_TASK_COMPLETED);
	assert_int_equal(end_and_release(queued), IOCP_TASK_COMPLETED);
	assert_int_equal(end_and_release(delayed), IOCP_TASK_COMPLETED);
	assert_int_equal(end_and_release(periodic), IOCP_TASK_CANCELLED);
	assert_int_equal(end_and_release(waits), IOCP_TASK_CANCELLED);
	iocp_task_release(never);
	iocp_task_release(late);
	finish(pool);
	(void)state;
}

static void closing_drops_what_is_queued(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *running = submit(pool, hold, 0), *queued = submit(pool, add, 1), *delayed = new_task(pool, add, 0);
	assert_int_equal(iocp_task_submit(delayed, 1e6, 0), IOCP_OK);
	wait_for(&at, 1);
	iocp_pool_close(pool);
	assert_int_equal(iocp_task_state(queued), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_reason(queued), IOCP_BY_CLOSE);
	assert_int_equal(iocp_task_state(delayed), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_state(running), IOCP_TASK_RUNNING);
	assert_int_equal(iocp_pool_set_workers(pool, 2), IOCP_CLOSED);
	atomic_store(&go, 1);
	assert_int_equal(end_and_release(running), IOCP_TASK_COMPLETED);
	iocp_task_release(queued);
	iocp_task_release(delayed);
	finish(pool);
	(void)state;
}

static void a_periodic_task_runs_again_and_again(void **state)
{
	iocp_pool *pool = new_pool(2, 0);
	iocp_task *periodic = new_task(pool, hold, 0);
	atomic_store(&go, 1);
	assert_int_equal(iocp_task_submit(periodic, 0.5, 0.5), IOCP_OK);
	while (atomic_load(&at) < 5)
		iocp_sleep(0.1);
	assert_true(iocp_task_cancel(periodic, IOCP_BY_CALL) != IOCP_INVALID);
	assert_int_equal(end_and_release(periodic), IOCP_TASK_CANCELLED);
	finish(pool);
	(void)state;
}

static void a_pool_ends_that_nobody_refers_to(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_handle handle = iocp_any_handle(pool);
	void *opened;
	assert_int_equal(iocp_any_open(IOCP_KIND_POOL, handle, &opened), IOCP_OK);
	assert_ptr_equal(opened, pool);
	assert_int_equal(iocp_any_open(IOCP_KIND_PORT, handle, &opened), IOCP_INVALID);
	iocp_any_release(pool);
	iocp_task_release(submit(pool, refer_to_own_pool, 0));
	wait_for(&at, 1);
	iocp_any_release(pool);
	assert_int_equal(iocp_any_open(IOCP_KIND_POOL, handle, &opened), IOCP_INVALID);
	atomic_store(&go, 1);
	wait_for(&owners, 0);
	assert_int_equal(atomic_load(&payloads), 0);
	assert_int_equal(atomic_load(&bodies), 0);
	(void)state;
}

static void a_pool_whose_workers_cannot_begin_is_closed(void **state)
{
	iocp_pool *pool;
	atomic_store(&cannot_begin, 1);
	pool = new_pool(2, 0);
	assert_int_equal(iocp_pool_wait_end(pool, SOON), IOCP_OK);
	assert_true(iocp_pool_is_broken(pool));
	finish(pool);
	(void)state;
}

/* ---- how tasks are treated --------------------------------------------------------------------------------------- */

static iocp_task *submit_treated(iocp_pool *pool, function *call, int argument, iocp_terms terms)
{
	iocp_task *task = new_treated(pool, call, argument, &terms);
	assert_int_equal(iocp_task_submit(task, 0, 0), IOCP_OK);
	return task;
}

static int ran[8];

static enum iocp_task_state note(iocp_worker *worker, iocp_run *innermost)
{
	ran[atomic_fetch_add(&at, 1)] = value_of(iocp_task_payload(innermost->task));
	(void)worker;
	return IOCP_TASK_COMPLETED;
}

static void high_ones_overtake_and_low_ones_give_way(void **state)
{
	static const int priority[] = {IOCP_LOW, IOCP_NORMAL, IOCP_HIGH, IOCP_LOW, IOCP_NORMAL, IOCP_HIGH};
	static const int order[] = {2, 5, 1, 4, 0, 3};
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *first = submit(pool, hold, 1), *task[6];
	int i;
	wait_for(&at, 1);
	for (i = 0; i < 6; i++)
		task[i] = submit_treated(pool, note, i, (iocp_terms){.priority = (enum iocp_priority)priority[i]});
	atomic_store(&go, 1);
	for (i = 0; i < 6; i++)
		assert_int_equal(end_and_release(task[i]), IOCP_TASK_COMPLETED);
	for (i = 0; i < 6; i++)
		assert_int_equal(ran[i + 1], order[i]);
	assert_int_equal(end_and_release(first), IOCP_TASK_COMPLETED);
	finish(pool);
	(void)state;
}

static void time_that_is_over_ends_what_is_queued_and_what_runs(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *runs = submit_treated(pool, hold, 1, (iocp_terms){.timeout = 20});
	iocp_task *queued = submit_treated(pool, add, 2, (iocp_terms){.timeout = 0.001, .priority = IOCP_HIGH});
	iocp_task *keeps = submit_treated(pool, add, 3, (iocp_terms){.timeout = 1e9});
	assert_int_equal(end_of(runs), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_reason(runs), IOCP_BY_TIME);
	(void)end_of(queued); /* it may have been quicker */
	assert_int_equal(end_of(keeps), IOCP_TASK_COMPLETED);
	iocp_task_release(runs);
	iocp_task_release(queued);
	iocp_task_release(keeps);
	finish(pool);
	(void)state;
}

static void time_that_is_over_ends_the_worker_too(void **state)
{
	iocp_pool *pool = new_pool(1, 0);
	iocp_task *task = submit_treated(pool, hold_on, 1, (iocp_terms){.timeout = 5, .hard = 1});
	assert_int_equal(end_of(task), IOCP_TASK_CANCELLED);
	assert_int_equal(iocp_task_reason(task), IOCP_BY_TIME);
	iocp_task_release(task);
	finish(pool);
	(void)state;
}

/* Whatever happens to them at once, each ends once, and nothing is left. */
static void treated_tasks_end_once(void **state)
{
	enum { ROUNDS = 30, TASKS = 60 };
	iocp_pool_info info;
	int round, i;
	for (round = 0; round < ROUNDS; round++) {
		iocp_pool *pool = new_pool(3, 0);
		iocp_task *task[TASKS];
		atomic_store(&go, 1);
		atomic_store(&at, 0);
		for (i = 0; i < TASKS; i++) {
			unsigned kind = (unsigned)(round * 31 + i * 7);
			iocp_terms terms = {.timeout = kind % 3 ? 0 : 0.001 + kind % 5 * 0.05,
				.hard = kind % 24 == 0,
				.retries = kind % 4,
				.backoff = kind % 2 * 0.05,
				.priority = (enum iocp_priority)(kind / 2 % 3)};
			task[i] = submit_treated(pool, kind % 5 == 0 ? fails : kind % 5 == 1 ? hold : add, i, terms);
			if (kind % 6 == 1)
				(void)iocp_task_cancel(task[i], IOCP_BY_CALL);
		}
		if (round % 3 == 0)
			iocp_pool_close(pool);
		for (i = 0; i < TASKS; i++)
			assert_true(end_and_release(task[i]) >= IOCP_TASK_COMPLETED);
		iocp_pool_shutdown(pool);
		assert_int_equal(iocp_pool_wait_end(pool, SOON), IOCP_OK);
		iocp_pool_stats(pool, &info);
		assert_int_equal(info.submitted, TASKS);
		assert_int_equal(info.completed + info.failed + info.cancelled, TASKS);
		finish(pool);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tasks_run_once_and_keep_what_came_of_them, start),
		cmocka_unit_test_setup(a_task_runs_after_others, start),
		cmocka_unit_test_setup(what_runs_after_one_that_fails_is_cancelled, start),
		cmocka_unit_test_setup(cancelling_before_and_while_it_runs, start),
		cmocka_unit_test_setup(a_hard_cancel_ends_the_worker_which_is_replaced, start),
		cmocka_unit_test_setup(a_hard_cancel_says_that_it_told_a_task_which_ends_at_once, start),
		cmocka_unit_test_setup(cancels_race_with_workers, start),
		cmocka_unit_test_setup(the_number_of_workers_changes_under_way, start),
		cmocka_unit_test_setup(a_blocked_worker_has_another_go_on, start),
		cmocka_unit_test_setup(a_worker_does_not_wait_for_what_waits_for_it, start),
		cmocka_unit_test_setup(a_worker_runs_in_place_what_is_queued, start),
		cmocka_unit_test_setup(a_queue_with_a_limit_has_so_many_places, start),
		cmocka_unit_test_setup(shutting_down_finishes_what_can_run, start),
		cmocka_unit_test_setup(closing_drops_what_is_queued, start),
		cmocka_unit_test_setup(a_periodic_task_runs_again_and_again, start),
		cmocka_unit_test_setup(a_pool_ends_that_nobody_refers_to, start),
		cmocka_unit_test_setup(a_pool_whose_workers_cannot_begin_is_closed, start),
		cmocka_unit_test_setup(high_ones_overtake_and_low_ones_give_way, start),
		cmocka_unit_test_setup(time_that_is_over_ends_what_is_queued_and_what_runs, start),
		cmocka_unit_test_setup(time_that_is_over_ends_the_worker_too, start),
		cmocka_unit_test_setup(treated_tasks_end_once, start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
