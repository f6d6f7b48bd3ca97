/*
** worker.c - a worker: its thread, and a step of its loop over the pool's port.
**
** The second article's worker: a loop around one get. A packet says in its bytes what it is: a task to run, or that
** this worker is to end. Whatever a task does, the worker lives on; it dies if its owner cannot make it ready, or if
** its thread is cancelled.
**
** Ownership: the worker belongs to its thread object. Its pool's list has it from its beginning to its end.
*/

#include <stdio.h>
#include <stdlib.h>

#include "work/task.h"

/* ---- a task ------------------------------------------------------------------------------------------------------ */

static void record(const iocp_worker *worker, uint64_t began, uint64_t ended, int state)
{
	iocp_span span = {.begin = began, .end = ended, .worker = worker->index, .state = state};
	snprintf(span.name, sizeof(span.name), "%s", iocp_task_body(worker->run->task)->name);
	iocp_pool_record(worker->pool, &span);
}

/* Relaxed, both: figures. */
static void count_active(iocp_pool *pool)
{
	uint32_t active = atomic_fetch_add_explicit(&pool->active, 1, memory_order_relaxed) + 1;
	uint32_t peak = atomic_load_explicit(&pool->peak_active, memory_order_relaxed);
	while (active > peak
		   && !atomic_compare_exchange_weak_explicit(
			   &pool->peak_active, &peak, active, memory_order_relaxed, memory_order_relaxed))
		;
}

/* Runs a task that the worker has claimed. */
static void run_task(iocp_worker *worker, iocp_task *task, void *context)
{
	iocp_pool *pool = worker->pool;
	iocp_run run = {.task = task, .outer = worker->run};
	uint64_t since = iocp_task_since(task), began = iocp_now(), ended;
	enum iocp_task_state state;
	count_active(pool);
	worker->run = &run;
	worker->depth++;
	iocp_task_enter(&run, worker);
	state = pool->calls->run(worker, &run, context);
	ended = iocp_now();
	if (atomic_load_explicit(&pool->tracing, memory_order_relaxed)) /* a switch: late is good enough */
		record(worker, began, ended, (int)state);
	worker->depth--;
	worker->run = run.outer;
	iocp_times_add(&worker->counts.waited, began > since ? began - since : 0);
	iocp_times_add(&worker->counts.ran, ended - began);
	atomic_fetch_sub_explicit(&pool->active, 1, memory_order_relaxed);
	if (!iocp_task_finish(task, worker, run.outer, state, &run.outcome))
		return;
	/* Sequentially consistent: see take_packet. This thread alone writes it. */
	atomic_store_explicit(&worker->counts.ended, atomic_load_explicit(&worker->counts.ended, memory_order_relaxed) + 1,
		memory_order_seq_cst);
}

int iocp_worker_run_in_place(iocp_worker *worker, iocp_task *task, void *context)
{
	if (!worker->initialised || worker->pool != iocp_task_pool(task) || worker->depth >= IOCP_WORKER_DEPTH
		|| iocp_thread_cancelled() || !iocp_task_claim(task, 1))
		return 0;
	run_task(worker, task, context);
	return 1;
}

/* ---- a step of the loop ------------------------------------------------------------------------------------------ */

/* As iocp_port_dequeue. In a pool that shuts down, who finds nothing looks whether it was the last: that need not be
** done for each task, where it costs a lock and the lines that all the workers count in. Sequentially consistent: what
** this worker has ended is counted by now, so either it sees here that the pool shuts down, and then the last of those
** who look sees all counts, or who shut it down saw this one's. */
static int take_packet(iocp_pool *pool, iocp_packet *packet)
{
	/* Relaxed: whoever waits for ever when it changes is one of the least. */
	int elastic = atomic_load_explicit(&pool->elastic, memory_order_relaxed);
	if (atomic_load_explicit(&pool->phase, memory_order_seq_cst) == IOCP_POOL_DRAINING) {
		int r = iocp_port_dequeue(pool->port, packet, 0);
		if (r != IOCP_TIMEOUT)
			return r;
		iocp_pool_ended(pool);
	}
	return iocp_port_dequeue(pool->port, packet, elastic ? pool->idle : IOCP_INFINITE);
}

int iocp_worker_step(iocp_worker *worker, void *context)
{
	iocp_pool *pool = worker->pool;
	iocp_packet packet;
	iocp_task *task;
	int r = take_packet(pool, &packet);
	if (r == IOCP_TIMEOUT) {
		if (!iocp_pool_shrink(pool))
			return 1;
		worker->end = IOCP_WORKER_TOLD;
		return 0;
	}
	if (r == IOCP_INTERRUPTED || r == IOCP_NOMEM) { /* it has no memory to wait with: the next time, perhaps */
		iocp_yield();
		return 1;
	}
	if (r != IOCP_OK || packet.bytes == IOCP_QUIT) {
		if (r == IOCP_OK && !iocp_pool_quit(pool, packet.key))
			return 1;
		worker->end = r == IOCP_OK ? IOCP_WORKER_TOLD : r == IOCP_CANCELLED ? IOCP_WORKER_DIED : IOCP_WORKER_CLOSED;
		return 0;
	}
	task = iocp_turn_take(pool, &packet);
	if (!task)
		return 1;
	iocp_task_give_place(task);
	if (iocp_task_claim(task, 0)) {
		worker->tasks++;
		run_task(worker, task, context);
	}
	iocp_task_release(task);
	if (pool->tasks_per_worker == 0 || worker->tasks < pool->tasks_per_worker || iocp_thread_cancelled())
		return 1;
	worker->end = IOCP_WORKER_RETIRED;
	return 0;
}

/* ---- its thread -------------------------------------------------------------------------------------------------- */

static int worker_main(iocp_thread *thread, void *data)
{
	iocp_worker *worker = data;
	iocp_pool *pool = worker->pool;
	worker->thread = thread;
	worker->end = IOCP_WORKER_DIED;
	iocp_pool_enter(pool, worker);
	pool->calls->work(worker);
	iocp_pool_leave(pool, worker, pool->replace && worker->initialised);
	iocp_pool_drop(pool);
	return worker->end == IOCP_WORKER_DIED ? IOCP_CANCELLED : IOCP_OK;
}

int iocp_is_worker(const iocp_thread *thread)
{
	return iocp_thread_body(thread) == worker_main;
}

iocp_worker *iocp_worker_current(void)
{
	iocp_thread *thread = iocp_thread_current();
	return thread && iocp_is_worker(thread) ? iocp_thread_data(thread) : NULL;
}

int iocp_pool_create(const iocp_pool_options *options, iocp_pool **pool)
{
	static const iocp_pool_ways ways = {
		worker_main, iocp_task_discard, iocp_tasks_cancel_parked, iocp_tasks_cancel_listed};
	return iocp_pool_new(options, &ways, pool);
}
