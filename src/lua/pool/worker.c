/*
** pool/worker.c - a worker: its thread, its state, the loop over the pool's port.
**
** The second article's worker: a loop around one get. A packet says in its bytes what it is: a task to run, or that this worker is
** to end. Whatever a task does, the worker lives on; it dies if its state cannot be made, if `init` fails, or if its thread is
** cancelled.
**
** Ownership: the worker belongs to its thread object. Its pool's list has it from its beginning to its end. The state is made,
** used and closed by the thread alone.
*/

#include <stdio.h>
#include <stdlib.h>

#include "lua/pool.h"

/* ---- a task --------------------------------------------------------------------------------------------------------------- */

static int push_values(lua_State *L, const iocp_values *values)
{
	int count = values->block ? iocp_values_push(L, values) : 0;
	if (count < 0)
		lua_error(L);
	return count;
}

static void push_runners(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_RUNNERS);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		iocp_state_open(L, 1);
		lua_getfield(L, LUA_REGISTRYINDEX, IOCP_RUNNERS);
	}
}

/* Runs protected: calls the innermost task's function and keeps the results. */
static int perform(lua_State *L)
{
	iocp_worker *worker = iocp_worker_current();
	iocp_run *run = worker->run;
	const iocp_work *work = iocp_task_work(run->task);
	const iocp_task *input = iocp_task_input(run->task);
	iocp_encoding encoding = {.first = 1, .what = "result", .owner = run->task};
	int count = 0;
	if (iocp_task_runner(run->task)) {
		push_runners(L);
		lua_rawgeti(L, 1, iocp_task_runner(run->task));
		lua_remove(L, 1);
		count++; /* the function */
	}
	iocp_work_push(L, work);
	if (work->wants_state) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, worker->state);
		count++;
	}
	if (input)
		count += push_values(L, iocp_task_values(input));
	count += push_values(L, iocp_task_values(run->task));
	lua_call(L, count, LUA_MULTRET);
	encoding.count = lua_gettop(L);
	if (encoding.count > 0)
		iocp_outcome_keep(L, &encoding, &run->outcome);
	return 0;
}

/* Lets a failure of the pool's be known: the message is at the top, which stays. */
static void report(lua_State *L, iocp_worker *worker, const char *name)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->report);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	lua_pushvalue(L, -2);
	lua_pushstring(L, name);
	lua_pushinteger(L, (lua_Integer)worker->index);
	lua_call(L, 3, 0);
}

/* Runs protected. At 1 the error value, at 2 what lua_pcall returned; keeps it, and lets failures be known. */
static int keep_error(lua_State *L)
{
	iocp_worker *worker = iocp_worker_current();
	iocp_run *run = worker->run;
	const char *name = iocp_task_work(run->task)->name;
	int status = (int)lua_tointeger(L, 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler);
	lua_replace(L, 2);
	lua_pushvalue(L, 1);
	iocp_outcome_push_message(L, 2, status);
	iocp_chunk_name_item(L, run);
	iocp_outcome_keep_failure(L, &run->outcome, run->task);
	if (iocp_thread_cancelled())
		return 0;
	lua_pushfstring(
		L, "%s: %s failed in worker %d: %s", worker->pool->name, name, (int)worker->index, lua_tostring(L, -1));
	iocp_pool_failed(worker->pool, lua_tostring(L, -1), !iocp_task_runner(run->task)); /* a loop raises its own */
	lua_pop(L, 1);
	report(L, worker, name);
	return 0;
}

static enum iocp_task_state call_task(lua_State *L, iocp_worker *worker)
{
	int top = lua_gettop(L), status;
	enum iocp_task_state state = IOCP_TASK_COMPLETED;
	iocp_hook hook; /* of the task that waits for this one and runs it in place */
	iocp_hook_save(&worker->running, L, &hook);
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler);
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->perform);
	status = lua_pcall(L, 0, 0, top + 1);
	if (iocp_hook_drop(L))
		hook.f = NULL; /* debug.sethook has another function for it now */
	if (status != 0) {
		state = iocp_thread_cancelled() ? IOCP_TASK_CANCELLED : IOCP_TASK_FAILED;
		iocp_values_free(&worker->run->outcome); /* its results, if a cancel came behind them */
		lua_rawgeti(
			L, LUA_REGISTRYINDEX, worker->keep_error); /* which takes no memory, where an error would not be caught */
		lua_insert(L, -2);
		lua_pushinteger(L, status);
		(void)lua_pcall(L, 2, 0, 0); /* without memory for the message there is none */
	}
	iocp_hook_restore(&worker->running, L, &hook);
	lua_settop(L, top);
	return state;
}

static void record(iocp_worker *worker, uint64_t began, uint64_t ended, int state)
{
	iocp_span span = {.begin = began, .end = ended, .worker = worker->index, .state = state};
	snprintf(span.name, sizeof(span.name), "%s", iocp_task_work(worker->run->task)->name);
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

void iocp_worker_run(lua_State *L, iocp_worker *worker, iocp_task *task)
{
	iocp_pool *pool = worker->pool;
	iocp_run run = {.task = task, .outer = worker->run};
	uint64_t since = iocp_task_since(task), began = iocp_now(), ended;
	enum iocp_task_state state;
	count_active(pool);
	worker->run = &run;
	worker->depth++;
	iocp_task_enter(task, worker);
	state = call_task(L, worker);
	ended = iocp_now();
	if (atomic_load_explicit(&pool->tracing, memory_order_relaxed)) /* a switch: late is good enough */
		record(worker, began, ended, (int)state);
	worker->depth--;
	worker->run = run.outer;
	iocp_times_add(&worker->counts.waited, began > since ? began - since : 0);
	iocp_times_add(&worker->counts.ran, ended - began);
	atomic_fetch_sub_explicit(&pool->active, 1, memory_order_relaxed);
	iocp_task_finish(task, worker, run.outer ? run.outer->task : NULL, state, &run.outcome);
	/* Sequentially consistent: see pool.c. This thread alone writes it. */
	atomic_store_explicit(&worker->counts.ended, atomic_load_explicit(&worker->counts.ended, memory_order_relaxed) + 1,
		memory_order_seq_cst);
	iocp_pool_ended(pool);
}

/* ---- the loop ------------------------------------------------------------------------------------------------------------- */

static void serve(lua_State *L, iocp_worker *worker)
{
	iocp_pool *pool = worker->pool;
	iocp_packet packet;
	int r;
	for (;;) {
		iocp_give_back(L);
		r = iocp_port_dequeue(pool->port, &packet, IOCP_INFINITE);
		if (r == IOCP_INTERRUPTED || r == IOCP_NOMEM) { /* it has no memory to wait with: the next time, perhaps */
			iocp_yield();
			continue;
		}
		if (r != IOCP_OK || (packet.bytes == IOCP_QUIT && iocp_pool_quit(pool, packet.key)))
			break;
		if (packet.bytes == IOCP_QUIT)
			continue;
		iocp_task_give_permit((iocp_task *)packet.key);
		if (iocp_task_claim((iocp_task *)packet.key, 0))
			iocp_worker_run(L, worker, (iocp_task *)packet.key);
		iocp_task_release((iocp_task *)packet.key);
	}
	worker->end = r == IOCP_OK ? IOCP_WORKER_TOLD : r == IOCP_CANCELLED ? IOCP_WORKER_DIED : IOCP_WORKER_CLOSED;
}

/* Calls init, at the top, in whose place it leaves the state that tasks may ask for. Raises its message, which was
** reported. */
static void call_init(lua_State *L, iocp_worker *worker)
{
	int handler = lua_gettop(L), status;
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler);
	lua_insert(L, handler);
	status = lua_pcall(L, 0, 1, handler);
	(void)iocp_hook_drop(L);
	if (status != 0) {
		iocp_outcome_push_message(L, handler, status);
		report(L, worker, "init");
		(void)lua_error(L);
	}
	lua_remove(L, handler);
}

/* Runs protected: makes the state what its pool wants. lua/iocp/worker.lua gives a function that reports failures, or nil, and
** init. */
static int initialise(lua_State *L)
{
	iocp_worker *worker = iocp_worker_current();
	int count;
	iocp_state_prepare(L, &worker->pool->description);
	lua_pushcfunction(L, perform);
	worker->perform = luaL_ref(L, LUA_REGISTRYINDEX);
	iocp_outcome_push_handler(L);
	worker->handler = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushcfunction(L, keep_error);
	worker->keep_error = luaL_ref(L, LUA_REGISTRYINDEX);
	iocp_running_begin(&worker->running, L);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "iocp.worker");
	lua_call(L, 1, 1);
	count = push_values(L, &worker->pool->setup);
	lua_call(L, count, 2);
	lua_insert(L, -2);
	worker->report = luaL_ref(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		call_init(L, worker);
	worker->state = luaL_ref(L, LUA_REGISTRYINDEX);
	(void)iocp_hook_drop(L); /* a module's */
	return 0;
}

/* Runs protected. At 1 why the worker died: a failure of its pool. */
static int report_death(lua_State *L)
{
	iocp_worker *worker = iocp_worker_current();
	iocp_push_text(L, 1);
	lua_pushfstring(L, "%s: worker %d died: %s", worker->pool->name, (int)worker->index, lua_tostring(L, -1));
	iocp_pool_failed(worker->pool, lua_tostring(L, -1), 1);
	lua_pop(L, 1);
	if (worker->initialised) /* else it has been reported */
		report(L, worker, "the worker itself");
	return 0;
}

static int supervise(lua_State *L)
{
	iocp_worker *worker = iocp_worker_current();
	lua_pushcfunction(L, report_death);
	lua_pushcfunction(L, initialise);
	worker->initialised = lua_pcall(L, 0, 0, 0) == 0;
	if (worker->initialised)
		serve(L, worker);
	iocp_running_end(&worker->running, L);
	if (worker->initialised)
		lua_pushliteral(L, "its thread was cancelled");
	if (worker->end == IOCP_WORKER_DIED)
		(void)lua_pcall(L, 1, 0, 0); /* without memory for the message there is none */
	return 0;
}

static int worker_main(iocp_thread *thread, void *data)
{
	iocp_worker *worker = data;
	iocp_pool *pool = worker->pool;
	lua_State *L = luaL_newstate();
	worker->thread = thread;
	worker->end = IOCP_WORKER_DIED;
	iocp_pool_enter(pool, worker);
	if (L) {
		(void)iocp_protect(L, supervise); /* how it went is in the worker */
		lua_close(L);
	} else {
		iocp_pool_failed(pool, "a worker died: out of memory for its Lua state", 1);
	}
	iocp_pool_leave(pool, worker, pool->replace && worker->initialised);
	iocp_pool_drop(pool);
	return worker->end == IOCP_WORKER_DIED ? IOCP_CANCELLED : IOCP_OK;
}

static void free_worker(void *data)
{
	free(data);
}

int iocp_worker_start(iocp_pool *pool)
{
	iocp_thread_options options = {
		.main = worker_main, .destroy = free_worker, .name = pool->name, .stack_size = pool->stack};
	iocp_worker *worker = calloc(1, sizeof(*worker));
	iocp_thread *thread;
	int r;
	if (!worker)
		return IOCP_NOMEM;
	worker->pool = iocp_pool_keep(pool);
	options.data = worker;
	r = iocp_thread_create(&options, &thread);
	if (r == IOCP_OK) {
		iocp_thread_release(thread); /* it keeps itself */
	} else {
		iocp_pool_drop(pool);
		free(worker);
	}
	return r;
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
