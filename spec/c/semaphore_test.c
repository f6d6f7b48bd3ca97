/*
** semaphore_test.c - the counter that the pool and the timers wait for, without Lua.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/atomic.h"
#include "core/semaphore.h"
#include "iocp.h"

enum { LONG = 20000 /* ms */, THREADS = 8 };

/* A thread that waits once. */
typedef struct waiter {
	iocp_semaphore *semaphore;
	double ms;
	int result;
	_Atomic int ended; /* `result` is there */
	_Atomic int *turn; /* counts who is through */
	int came;          /* as which of them, from 1 on */
	iocp_thread *thread;
} waiter;

static int wait_once(iocp_thread *thread, void *data)
{
	waiter *w = data;
	(void)thread;
	w->result = iocp_semaphore_wait(w->semaphore, w->ms);
	w->ended = 1;
	if (w->turn)
		w->came = ++*w->turn;
	return IOCP_OK;
}

static uint32_t waiting(iocp_semaphore *semaphore)
{
	uint32_t count;
	iocp_lock_acquire(&semaphore->lock);
	count = semaphore->waiters.count;
	iocp_lock_release(&semaphore->lock);
	return count;
}

static void start(waiter *w, iocp_semaphore *semaphore, double ms, _Atomic int *turn)
{
	iocp_thread_options options = {.main = wait_once, .data = w, .name = "waiter"};
	uint32_t before = waiting(semaphore);
	*w = (waiter){.semaphore = semaphore, .ms = ms, .turn = turn};
	assert_int_equal(iocp_thread_create(&options, &w->thread), IOCP_OK);
	while (waiting(semaphore) == before && !w->ended) /* a short wait may be over before it is seen here */
		iocp_yield();
}

static void join(waiter *w)
{
	assert_int_equal(iocp_thread_join(w->thread, LONG), IOCP_OK);
	iocp_thread_release(w->thread);
}

static void it_counts(void **state)
{
	iocp_semaphore s = {.count = 2};
	double began;
	assert_int_equal(iocp_semaphore_wait(&s, 0), IOCP_OK);
	assert_int_equal(iocp_semaphore_wait(&s, IOCP_INFINITE), IOCP_OK);
	assert_int_equal(iocp_semaphore_wait(&s, 0), IOCP_TIMEOUT);
	began = iocp_clock();
	assert_int_equal(iocp_semaphore_wait(&s, 20), IOCP_TIMEOUT);
	assert_true(iocp_clock() - began >= 20);
	iocp_semaphore_post(&s);
	assert_int_equal(iocp_semaphore_wait(&s, 20), IOCP_OK);
	iocp_semaphore_close(&s);
	iocp_semaphore_post(&s);
	assert_int_equal(iocp_semaphore_wait(&s, 0), IOCP_CLOSED);
	assert_int_equal(iocp_semaphore_wait(&s, IOCP_INFINITE), IOCP_CLOSED);
	(void)state;
}

static void who_waits_is_served_in_turn(void **state)
{
	iocp_semaphore s = {.count = 0};
	_Atomic int turn = 0;
	waiter w[THREADS];
	int i;
	for (i = 0; i < THREADS; i++)
		start(&w[i], &s, IOCP_INFINITE, &turn);
	for (i = 0; i < THREADS; i++) {
		iocp_semaphore_post(&s);
		assert_int_equal(iocp_semaphore_wait(&s, 0), IOCP_TIMEOUT); /* nobody takes it from who waits */
		join(&w[i]);
		assert_int_equal(w[i].result, IOCP_OK);
		assert_int_equal(w[i].came, i + 1);
	}
	(void)state;
}

static void waits_end_otherwise(void **state)
{
	iocp_semaphore s = {.count = 0};
	waiter timed, cancelled, closed, served;
	start(&timed, &s, 1, NULL);
	join(&timed);
	assert_int_equal(timed.result, IOCP_TIMEOUT);
	start(&cancelled, &s, IOCP_INFINITE, NULL);
	start(&served, &s, LONG, NULL);
	start(&closed, &s, LONG, NULL);
	iocp_thread_cancel(cancelled.thread);
	join(&cancelled);
	assert_int_equal(cancelled.result, IOCP_CANCELLED);
	iocp_semaphore_post(&s);
	join(&served);
	assert_int_equal(served.result, IOCP_OK);
	iocp_semaphore_close(&s);
	join(&closed);
	assert_int_equal(closed.result, IOCP_ABANDONED);
	(void)state;
}

/* ---- under stress ------------------------------------------------------------------------------------------------ */

enum { ROUNDS = 20000 };

typedef struct circle {
	iocp_semaphore permits;
	_Atomic int inside, most, taken, late;
} circle;

/* Takes permits, some of them with little patience, and gives them back. */
static int go_round(iocp_thread *thread, void *data)
{
	circle *c = data;
	int i;
	(void)thread;
	for (i = 0; i < ROUNDS; i++) {
		int r = iocp_semaphore_wait(&c->permits, i % 3 == 0 ? 0.001 : i % 3 == 1 ? 0 : IOCP_INFINITE);
		if (r == IOCP_OK) {
			int inside = ++c->inside;
			if (inside > c->most)
				c->most = inside; /* a lost update is found the next time */
			++c->taken;
			if (i % 64 == 0)
				iocp_yield();
			--c->inside;
			iocp_semaphore_post(&c->permits);
		} else if (r == IOCP_TIMEOUT) {
			++c->late;
		} else {
			return r;
		}
	}
	return IOCP_OK;
}

static void no_permit_is_lost_or_made(void **state)
{
	enum { PERMITS = 2 };
	circle c = {.permits = {.count = PERMITS}};
	iocp_thread_options options = {.main = go_round, .data = &c, .name = "circle"};
	iocp_thread *threads[THREADS];
	int i;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(iocp_thread_create(&options, &threads[i]), IOCP_OK);
	for (i = 0; i < THREADS; i++) {
		assert_int_equal(iocp_thread_join(threads[i], 10 * LONG), IOCP_OK);
		assert_int_equal(iocp_thread_status(threads[i]), IOCP_FINISHED);
		iocp_thread_release(threads[i]);
	}
	assert_int_equal(c.taken + c.late, THREADS * ROUNDS);
	assert_true(c.most <= PERMITS);
	assert_int_equal(c.permits.count, PERMITS);
	assert_int_equal(c.permits.waiters.count, 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_counts),
		cmocka_unit_test(who_waits_is_served_in_turn),
		cmocka_unit_test(waits_end_otherwise),
		cmocka_unit_test(no_permit_is_lost_or_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
