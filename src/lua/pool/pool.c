/*
** pool/pool.c - the methods of pools that Lua cannot have. What users call besides, and all that checks options, is in
** lua/iocp/pool.lua.
*/

#include <stdio.h>
#include <string.h>

#include "lua/pool.h"

#define RESOLVE "iocp.resolve" /* registry key: what lua/iocp/pool.lua makes of work that is no function */

static iocp_pool *check_pool(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_POOL, "self");
}

/* ---- failures that are raised --------------------------------------------------------------------------------------------- */

/* Pushes the text of the last failure, or nil. It is copied twice, since Lua may not be called under the lock. */
void iocp_pool_push_error(lua_State *L, iocp_pool *pool)
{
	size_t size = 0, found;
	do {
		char *copy = size ? lua_newuserdata(L, size) : NULL;
		iocp_lock_acquire(&pool->lock);
		found = pool->last_error ? strlen(pool->last_error) + 1 : 0;
		if (found && found <= size)
			memcpy(copy, pool->last_error, found);
		iocp_lock_release(&pool->lock);
		if (found && found <= size) {
			lua_pushstring(L, copy);
			return;
		}
		size = found;
	} while (found);
	lua_pushnil(L);
}

/* In a pool that is to do so: raises what failed since the last call, but not in its own workers, which it would fail. */
void iocp_pool_raise(lua_State *L, iocp_pool *pool)
{
	const iocp_worker *worker = iocp_worker_current();
	uint64_t count;
	if (!pool->raise || (worker && worker->pool == pool))
		return;
	iocp_lock_acquire(&pool->lock);
	count = pool->unraised;
	pool->unraised = 0;
	iocp_lock_release(&pool->lock);
	if (count == 0)
		return;
	iocp_pool_push_error(L, pool);
	if (count > 1)
		lua_pushfstring(L, "%d tasks failed, the last one: %s", (int)count, lua_tostring(L, -1));
	lua_error(L);
}

/* ---- submitting ------------------------------------------------------------------------------------------------------------- */

/* Makes what stands for a function at `index` a work object. */
static void resolve(lua_State *L, int index)
{
	int type = lua_type(L, index);
	if (type == LUA_TFUNCTION || type == LUA_TUSERDATA)
		return;
	lua_getfield(L, LUA_REGISTRYINDEX, RESOLVE);
	lua_pushvalue(L, index);
	lua_call(L, 1, 1);
	lua_replace(L, index);
}

iocp_task *iocp_task_create(lua_State *L, iocp_pool *pool, int function)
{
	iocp_encoding encoding = {.first = function + 1, .count = lua_gettop(L) - function, .what = "arg"};
	iocp_values arguments = {NULL, 0, NULL};
	iocp_task *task;
	iocp_work *work;
	if (encoding.count < 0)
		iocp_bad_argument(L, function, "f", "a function");
	iocp_object_push(L, IOCP_CLASS_TASK);
	resolve(L, function);
	work = iocp_work_check(L, function);
	if (encoding.count > 0 && iocp_values_copy(L, &encoding, &arguments) != IOCP_OK)
		return NULL;
	task = iocp_task_new(pool, work, &arguments);
	if (task)
		iocp_object_set(L, task);
	else
		iocp_values_free(&arguments);
	return task;
}

static int wait_semaphore(void *semaphore, void *argument, double ms)
{
	(void)argument;
	return iocp_semaphore_wait(semaphore, ms);
}

/* Waits until there is room in the queue. A worker of the pool does not: it would wait for itself. */
static int take_room(lua_State *L, iocp_pool *pool, iocp_task *task)
{
	const iocp_worker *worker = iocp_worker_current();
	int r;
	if (!pool->limited || (worker && worker->pool == pool))
		return IOCP_OK;
	r = iocp_wait_in_lua(L, wait_semaphore, &pool->room, NULL, pool->room_ms);
	if (r == IOCP_OK)
		iocp_task_take_permit(task);
	return r == IOCP_ABANDONED ? IOCP_CLOSED : r;
}

static int refuse(lua_State *L, iocp_pool *pool, int r)
{
	if (r == IOCP_CLOSED && iocp_pool_is_broken(pool))
		return iocp_failure(L, r, "the pool is closed: it has no workers left; pool:last_error() says why");
	return iocp_failure(L, r,
		r == IOCP_CLOSED    ? "the pool is closed"
		: r == IOCP_TIMEOUT ? "the pool's queue is full"
							: NULL);
}

/* Takes room for a task and submits it; `notices`, or NULL: with a notice there when it has ended. */
static int queue_task(lua_State *L, iocp_pool *pool, iocp_task *task, iocp_notices *notices, uintptr_t key)
{
	int r = task ? take_room(L, pool, task) : IOCP_NOMEM;
	if (r != IOCP_OK)
		return refuse(L, pool, r);
	if (notices)
		r = iocp_task_watch(task, notices, key);
	if (r == IOCP_OK)
		r = iocp_task_submit(task, 0, 0);
	if (r == IOCP_OK)
		return 1;
	iocp_task_give_permit(task);
	return refuse(L, pool, r);
}

static int pool_submit(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	iocp_pool_raise(L, pool);
	return queue_task(L, pool, iocp_task_create(L, pool, 2), NULL, 0);
}

/* The function at 3, its arguments behind; for which nobody waits, so the queue's limit does not count it. */
static int submit_later(lua_State *L, double least, int again)
{
	iocp_pool *pool = check_pool(L); /* first: without a colon the delay is wrong too */
	double delay = iocp_check_delay(L, 2, least);
	iocp_task *task;
	int r;
	iocp_pool_raise(L, pool);
	task = iocp_task_create(L, pool, 3);
	r = task ? iocp_task_submit(task, delay, again ? delay : 0) : IOCP_NOMEM;
	return r == IOCP_OK ? 1 : refuse(L, pool, r);
}

double iocp_check_delay(lua_State *L, int index, double least)
{
	char expected[64];
	double ms = lua_type(L, index) == LUA_TNUMBER ? (double)lua_tonumber(L, index) : -1;
	if (!(ms >= least && ms <= 1e15)) {
		snprintf(expected, sizeof(expected), "milliseconds, a number from %g to 1e15", least);
		iocp_bad_argument(L, index, "ms", expected);
	}
	return ms;
}

static int pool_submit_after(lua_State *L)
{
	return submit_later(L, 0, 0);
}

static int pool_submit_every(lua_State *L)
{
	return submit_later(L, 0.001, 1);
}

/* parts.submit_chunk(pool, runner, notices, key, f, ...): a task that calls the runner of that number with f and the
** arguments; a notice with the key when it has ended, be it because it could not be queued. */
static int submit_chunk(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	int runner = (int)luaL_checkinteger(L, 2);
	iocp_notices *notices = iocp_notices_check(L, 3);
	uintptr_t key = iocp_check_address(L, 4, "key");
	iocp_task *task;
	iocp_pool_raise(L, pool);
	task = iocp_task_create(L, pool, 5);
	if (task)
		iocp_task_set_runner(task, runner);
	return queue_task(L, pool, task, notices, key);
}

/* parts.set_runners(functions) */
static int set_runners(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_setfield(L, LUA_REGISTRYINDEX, IOCP_RUNNERS);
	return 0;
}

static int pool_task(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	iocp_pool_raise(L, pool);
	return iocp_task_create(L, pool, 2) ? 1 : iocp_failure(L, IOCP_NOMEM, NULL);
}

/* ---- workers and the end ------------------------------------------------------------------------------------------------------- */

enum { MOST_WORKERS = 100000 };

static int pool_workers(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	uint32_t target;
	int r;
	iocp_pool_raise(L, pool);
	if (!lua_isnoneornil(L, 2)) {
		r = iocp_pool_workers(pool, (uint32_t)iocp_check_integer(L, 2, "n", MOST_WORKERS));
		if (r != IOCP_OK)
			return refuse(L, pool, r);
	}
	iocp_lock_acquire(&pool->lock);
	target = pool->target;
	iocp_lock_release(&pool->lock);
	iocp_push_count(L, target);
	return 1;
}

/* parts.finish_pool(pool, ms): no more tasks; true once the pool and its workers have ended. */
static int finish_pool(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	double ms = iocp_check_timeout(L, 2);
	int r;
	iocp_pool_shutdown(pool);
	r = iocp_wait_in_lua(L, wait_semaphore, &pool->end, NULL, ms);
	if (r != IOCP_ABANDONED && r != IOCP_CLOSED) /* which is how it ends */
		return iocp_failure(L, r, r == IOCP_TIMEOUT ? "the pool has not finished in time" : NULL);
	iocp_pool_raise(L, pool);
	lua_pushboolean(L, 1);
	return 1;
}

static int pool_close(lua_State *L)
{
	iocp_pool_close(check_pool(L));
	lua_pushboolean(L, 1);
	return 1;
}

/* parts.pool_threads(pool): a table of the threads of its workers. */
static int pool_threads(lua_State *L)
{
	enum { SPARE = 16 };
	iocp_pool *pool = check_pool(L);
	uint32_t capacity = iocp_pool_threads(pool, NULL, 0) + SPARE, count, i;
	iocp_thread **threads = lua_newuserdata(L, capacity * sizeof(*threads));
	lua_createtable(L, (int)capacity, 0);
	for (i = 0; i < capacity; i++) { /* empty ones first: once there are references, nothing may raise */
		iocp_object_push(L, IOCP_CLASS_THREAD);
		lua_rawseti(L, -2, (int)i + 1);
	}
	count = iocp_pool_threads(pool, threads, capacity);
	for (i = 0; i < count && i < capacity; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		iocp_object_set(L, threads[i]);
		lua_pop(L, 1);
	}
	for (; i < capacity; i++) {
		lua_pushnil(L);
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

static int pool_name(lua_State *L)
{
	lua_pushstring(L, check_pool(L)->name);
	return 1;
}

/* ---- making one -------------------------------------------------------------------------------------------------------------------- */

/* parts.new_pool(workers, concurrency, name, stack, replace, raise, queue_limit, queue_wait, setup): lua/iocp/pool.lua has
** checked them. queue_limit 0: none; queue_wait nil: for ever. setup: see lua/iocp/worker.lua. */
static int new_pool(lua_State *L)
{
	iocp_encoding setup = {.first = 9, .count = 1, .head = "the pool's options"};
	uint64_t limit = iocp_check_integer(L, 7, "queue_limit", UINT32_MAX);
	iocp_pool *pool;
	int r;
	lua_settop(L, 9);
	iocp_object_push(L, IOCP_CLASS_POOL);
	r = iocp_pool_new((uint32_t)lua_tonumber(L, 2), &pool);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, pool);
	iocp_pool_set_name(pool, lua_tostring(L, 3));
	pool->stack = (size_t)lua_tonumber(L, 4);
	pool->replace = lua_toboolean(L, 5);
	pool->raise = lua_toboolean(L, 6);
	pool->room_ms = iocp_check_timeout(L, 8);
	r = iocp_state_describe(L, &pool->description);
	if (r == IOCP_OK)
		r = iocp_values_copy(L, &setup, &pool->setup);
	pool->limited = limit > 0;
	pool->room.count = limit; /* nobody else knows the pool yet */
	if (r == IOCP_OK)
		r = iocp_pool_workers(pool, (uint32_t)iocp_check_integer(L, 1, "workers", MOST_WORKERS));
	lua_settop(L, 10);
	if (r != IOCP_OK) {
		iocp_pool_close(pool);
		return iocp_failure(L, r, NULL);
	}
	return 1;
}

/* parts.current_worker(): its number in its pool, the pool, and whether it has been initialised; nothing where no worker runs. */
static int current_worker(lua_State *L)
{
	const iocp_worker *worker = iocp_worker_current();
	if (!worker)
		return 0;
	lua_pushinteger(L, (lua_Integer)worker->index);
	iocp_object_push(L, IOCP_CLASS_POOL);
	iocp_object_set(L, iocp_pool_retain(worker->pool));
	lua_pushboolean(L, worker->initialised);
	return 3;
}

/* parts.terminal_columns(): how many the terminal has that the error output is, or 0. */
static int terminal_columns(lua_State *L)
{
	lua_pushinteger(L, iocp_terminal_columns(2));
	return 1;
}

static int set_resolver(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	lua_setfield(L, LUA_REGISTRYINDEX, RESOLVE);
	return 0;
}

int iocp_lua_open_pool(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"submit", pool_submit},
		{"submit_after", pool_submit_after},
		{"submit_every", pool_submit_every},
		{"task", pool_task},
		{"workers", pool_workers},
		{"close", pool_close},
		{"name", pool_name},
		{NULL, NULL},
	};
	static const luaL_Reg functions[] = {
		{"new_pool", new_pool},
		{"submit_chunk", submit_chunk},
		{"set_runners", set_runners},
		{"finish_pool", finish_pool},
		{"pool_threads", pool_threads},
		{"current_worker", current_worker},
		{"set_resolver", set_resolver},
		{"terminal_columns", terminal_columns},
		{"work", iocp_lua_work},
		{NULL, NULL},
	};
	iocp_class_register(L, IOCP_CLASS_POOL, methods, metamethods);
	lua_newtable(L);
	iocp_set_functions(L, functions, 0);
	iocp_lua_open_numbers(L);
	iocp_lua_open_loops(L);
	iocp_lua_open_figures(L);
	luaL_getmetatable(L, iocp_class_name(IOCP_CLASS_POOL));
	lua_getfield(L, -1, "__index");
	lua_setfield(L, -3, "methods"); /* which lua/iocp/pool.lua adds to */
	lua_pop(L, 1);
	iocp_lua_open_task(L);
	return 1;
}
