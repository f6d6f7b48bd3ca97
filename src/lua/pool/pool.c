/*
** pool/pool.c - the methods of pools that Lua cannot have. What users call besides, and all that checks options, is in
** lua/iocp/pool.lua.
*/

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lua/pool/pool.h"

static iocp_pool *check_pool(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_POOL, "self");
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

static int refuse(lua_State *L, iocp_pool *pool, int r)
{
	if (r == IOCP_CLOSED && iocp_pool_is_broken(pool))
		return iocp_failure(L, r, "the pool is closed: it has no workers left; pool:last_error() says why");
	return iocp_failure(L, r,
		r == IOCP_CLOSED    ? "the pool is closed"
		: r == IOCP_TIMEOUT ? "the pool's queue is full"
		: r == IOCP_INVALID ? "affinity: one of these processors does not exist, or this process may run on none"
							: NULL);
}

static int is_limited(const iocp_pool *pool)
{
	return ((const iocp_pool_plan *)iocp_pool_owner(pool))->limited;
}

static int take_place(void *task, void *argument, double ms)
{
	(void)argument;
	return iocp_task_take_place(task, ms);
}

enum waiting { WAITS, WAITS_NOT }; /* for a place in the queue */

/* Takes a place for a task, or NULL, and submits it; `notices`, or NULL: with a notice there when it has ended. A
** result code; where the queue has a limit it may raise. */
static int queue_task(
	lua_State *L, iocp_pool *pool, iocp_task *task, enum waiting waiting, iocp_notices *notices, uintptr_t key)
{
	const iocp_pool_plan *plan = iocp_pool_owner(pool);
	int r = task ? IOCP_OK : IOCP_NOMEM;
	if (task && plan->limited)
		r = iocp_wait_in_lua(L, take_place, task, NULL, waiting == WAITS ? plan->queue_wait : 0);
	if (r != IOCP_OK)
		return r;
	if (notices)
		r = iocp_task_watch(task, notices, key);
	if (r == IOCP_OK)
		r = iocp_task_submit(task, 0, 0);
	if (r != IOCP_OK)
		iocp_task_give_place(task);
	return r;
}

static int submit(lua_State *L, enum waiting waiting)
{
	iocp_pool *pool = check_pool(L);
	int r;
	iocp_pool_raise(L, pool);
	r = queue_task(L, pool, iocp_task_create(L, pool, 2), waiting, NULL, 0);
	return r == IOCP_OK ? 1 : refuse(L, pool, r);
}

static int pool_submit(lua_State *L)
{
	return submit(L, WAITS);
}

/* Nobody gets the task, so it needs no userdata; but where it may have to wait for a place, or is to say where it was
** made, that may raise. */
static int post(lua_State *L, enum waiting waiting)
{
	iocp_pool *pool = check_pool(L);
	int may_raise = is_limited(pool) || iocp_debugs(), r;
	iocp_task *task;
	iocp_pool_raise(L, pool);
	task = may_raise ? iocp_task_create(L, pool, 2) : iocp_task_make(L, pool, 2);
	if (task)
		iocp_task_set_posted(task);
	r = queue_task(L, pool, task, waiting, NULL, 0);
	if (!may_raise)
		iocp_task_release(task);
	if (r != IOCP_OK)
		return refuse(L, pool, r);
	lua_pushboolean(L, 1);
	return 1;
}

static int pool_post(lua_State *L)
{
	return post(L, WAITS);
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

static int pool_submit_after(lua_State *L)
{
	return submit_later(L, 0, 0);
}

static int pool_submit_every(lua_State *L)
{
	return submit_later(L, 0.001, 1);
}

static int make_chunk(lua_State *L, enum waiting waiting)
{
	iocp_pool *pool = check_pool(L);
	int runner = (int)luaL_checkinteger(L, 2);
	iocp_notices *notices = lua_isnil(L, 3) ? NULL : iocp_notices_check(L, 3);
	uintptr_t key = iocp_check_address(L, 4, "key");
	iocp_task *task;
	int r;
	iocp_pool_raise(L, pool);
	task = iocp_task_create(L, pool, 5);
	if (task)
		iocp_task_set_runner(task, runner);
	r = queue_task(L, pool, task, waiting, notices, key);
	return r == IOCP_OK ? 1 : refuse(L, pool, r);
}

/* parts.submit_chunk(pool, runner, notices, key, f, ...): a task that calls the runner of that number with f and the
** arguments; a notice with the key when it has ended, be it because it could not be queued. Without notices (nil) the
** task tells otherwise. */
static int submit_chunk(lua_State *L)
{
	return make_chunk(L, WAITS);
}

/* ---- submitting without a wait, for fibers ----------------------------------------------------------------------- */

/* parts.try_submit, parts.try_post, parts.try_submit_chunk: as those without try_, and TIMEOUT where they would wait
** for a place. */
static int try_submit(lua_State *L)
{
	return submit(L, WAITS_NOT);
}

static int try_post(lua_State *L)
{
	return post(L, WAITS_NOT);
}

static int try_submit_chunk(lua_State *L)
{
	return make_chunk(L, WAITS_NOT);
}

/* parts.queue_wait(pool): how many ms submitting waits for a place; nil: for ever. */
static int queue_wait(lua_State *L)
{
	const iocp_pool_plan *plan = iocp_pool_owner(check_pool(L));
	if (plan->queue_wait < 0)
		return 0;
	lua_pushnumber(L, (lua_Number)plan->queue_wait);
	return 1;
}

/* parts.notify_room(pool, port, key, overlapped), parts.notify_end: a packet when submitting, or finish_pool, may not
** have to wait any more. */
static int notify(
	lua_State *L, int (*ask)(iocp_pool *pool, iocp_port *port, const iocp_packet *packet, iocp_timer *timer))
{
	iocp_pool *pool = check_pool(L);
	iocp_packet packet;
	iocp_port *target;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = ask(pool, target, &packet, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static int notify_room(lua_State *L)
{
	return notify(L, iocp_pool_notify_room);
}

static int notify_end(lua_State *L)
{
	return notify(L, iocp_pool_notify_end);
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

/* ---- workers and the end ----------------------------------------------------------------------------------------- */

enum { MOST_WORKERS = 100000 };

static int pool_workers(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	int r;
	iocp_pool_raise(L, pool);
	if (!lua_isnoneornil(L, 2)) {
		r = iocp_pool_set_workers(pool, (uint32_t)iocp_check_integer(L, 2, "n", MOST_WORKERS));
		if (r != IOCP_OK)
			return refuse(L, pool, r);
	}
	iocp_push_count(L, iocp_pool_workers(pool));
	return 1;
}

static int wait_end(void *pool, void *argument, double ms)
{
	(void)argument;
	return iocp_pool_wait_end(pool, ms);
}

/* parts.finish_pool(pool, ms): no more tasks; true once the pool and its workers have ended. */
static int finish_pool(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	double ms = iocp_check_timeout(L, 2);
	int r;
	iocp_pool_shutdown(pool);
	r = iocp_wait_in_lua(L, wait_end, pool, NULL, ms);
	if (r != IOCP_OK)
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

/* Pushes a pool with the reference; nil for NULL. */
static int push_pool(lua_State *L, iocp_pool *(*find)(void *), void *argument)
{
	iocp_pool *pool;
	iocp_object_push(L, IOCP_CLASS_POOL); /* first: once there is a reference, nothing may raise */
	pool = find(argument);
	if (pool)
		iocp_object_set(L, pool);
	else
		lua_pushnil(L);
	return 1;
}

static iocp_pool *find_named(void *name)
{
	return iocp_pool_named(name);
}

static iocp_pool *enter_named(void *pool)
{
	return iocp_pool_enter_named(pool);
}

/* parts.find_named(name): the pool that has that name in the process, or nil. */
static int lua_find_named(lua_State *L)
{
	return push_pool(L, find_named, (void *)(uintptr_t)luaL_checkstring(L, 1));
}

/* parts.enter_named(pool): nil, it has its name in the process now; or the pool that has it already. */
static int lua_enter_named(lua_State *L)
{
	return push_pool(L, enter_named, check_pool(L));
}

/* parts.set_range(pool, least, most): true; or nil, message, code. */
static int set_range(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	int r = iocp_pool_set_range(pool, (uint32_t)luaL_checknumber(L, 2), (uint32_t)luaL_checknumber(L, 3));
	if (r != IOCP_OK)
		return refuse(L, pool, r);
	lua_pushboolean(L, 1);
	return 1;
}

/* parts.named_pools(): a table of them. */
static int named_pools(lua_State *L)
{
	enum { SPARE = 16 };
	uint32_t capacity = iocp_pool_list_named(NULL, 0) + SPARE, count, i;
	iocp_pool **pools = lua_newuserdata(L, capacity * sizeof(*pools));
	lua_createtable(L, (int)capacity, 0);
	for (i = 0; i < capacity; i++) { /* as in pool_threads */
		iocp_object_push(L, IOCP_CLASS_POOL);
		lua_rawseti(L, -2, (int)i + 1);
	}
	count = iocp_pool_list_named(pools, capacity);
	for (i = 0; i < count && i < capacity; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		iocp_object_set(L, pools[i]);
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
	lua_pushstring(L, iocp_pool_name(check_pool(L)));
	return 1;
}

static int pool_to_string(lua_State *L)
{
	enum iocp_class c;
	iocp_pool *pool = iocp_object_test(L, 1, &c);
	char detail[160];
	const char *name;
	iocp_pool_info info;
	if (!pool || c != IOCP_CLASS_POOL)
		return iocp_object_to_string(L, NULL);
	name = iocp_pool_name(pool);
	iocp_pool_stats(pool, &info);
	if (iocp_pool_has_ended(pool))
		snprintf(detail, sizeof(detail), "%s%sclosed", name, *name ? ", " : "");
	else
		snprintf(detail, sizeof(detail), "%s%sworkers %" PRIu32 ", queued %" PRIu64 ", active %" PRIu32 "%s", name,
			*name ? ", " : "", info.workers, info.queued, info.active, info.closed ? ", closed" : "");
	return iocp_object_to_string(L, detail);
}

/* What somebody refers to: else it has left the table. */
static int lives(void *pool)
{
	return !iocp_pool_has_ended(pool);
}

int iocp_lua_pools(lua_State *L)
{
	iocp_living_push(L, IOCP_CLASS_POOL, lives);
	return 1;
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

/* The number t[name] of the table at 1. */
static double number(lua_State *L, const char *name)
{
	double value;
	lua_getfield(L, 1, name);
	value = (double)lua_tonumber(L, -1);
	lua_pop(L, 1);
	return value;
}

static int is_set(lua_State *L, const char *name)
{
	int set;
	lua_getfield(L, 1, name);
	set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

enum { MOST_PROCESSORS = 1024 };

/* The numbers of the list t.affinity of the table at 1; returns how many. Its metatable may have lied to who checked
** it. */
static size_t read_processors(lua_State *L, uint32_t *processors)
{
	size_t i, count = 0;
	lua_getfield(L, 1, "affinity");
	if (lua_istable(L, -1))
		count = lua_rawlen(L, -1);
	if (count > MOST_PROCESSORS)
		count = MOST_PROCESSORS;
	for (i = 0; i < count; i++) {
		uint64_t number = UINT32_MAX; /* which there is none of */
		lua_rawgeti(L, -1, (int)i + 1);
		(void)iocp_to_integer(L, lua_gettop(L), UINT32_MAX, &number);
		processors[i] = (uint32_t)number;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return count;
}

/* Makes the pool of the options at 1, in the object at 2, with an empty plan. */
static int create(lua_State *L, iocp_pool **pool)
{
	uint32_t processors[MOST_PROCESSORS];
	iocp_pool_options options = {
		.calls = &iocp_lua_pool_calls,
		.owner = calloc(1, sizeof(iocp_pool_plan)),
		.concurrency = (uint32_t)number(L, "concurrency"),
		.stack_size = (size_t)number(L, "stack"),
		.replace = is_set(L, "replace"),
		.queue_limit = (uint64_t)number(L, "queue_limit"),
		.tasks_per_worker = (uint64_t)number(L, "tasks_per_worker"),
		.idle = number(L, "idle"),
		.processors = processors,
		.processor_count = read_processors(L, processors),
		.spread = is_set(L, "spread"),
		.priority = (int)number(L, "thread_priority"),
	};
	int r = IOCP_NOMEM;
	lua_getfield(L, 1, "name");
	options.name = lua_tostring(L, -1); /* which stays as long as the options */
	lua_pop(L, 1);
	if (options.owner)
		r = iocp_pool_create(&options, pool);
	if (r == IOCP_OK)
		iocp_object_set(L, *pool);
	else
		free(options.owner);
	return r;
}

/* Fills the plan, and starts the workers. */
static int start(lua_State *L, iocp_pool *pool)
{
	iocp_pool_plan *plan = iocp_pool_owner(pool);
	iocp_encoding setup = {.first = 3, .count = 1, .head = "the pool's options"};
	int r;
	iocp_unobserved_where(L, 2, plan->made, sizeof(plan->made)); /* who called lua/iocp/pool.lua */
	plan->raises = is_set(L, "raises");
	plan->fresh = is_set(L, "fresh");
	plan->grace = number(L, "grace");
	plan->limited = number(L, "queue_limit") > 0;
	lua_getfield(L, 1, "queue_wait");
	plan->queue_wait = iocp_check_timeout(L, 3);
	lua_pop(L, 1);
	r = iocp_state_describe(L, &plan->description);
	lua_getfield(L, 1, "setup");
	if (r == IOCP_OK)
		r = iocp_values_copy(L, &setup, &plan->setup);
	lua_pop(L, 1);
	if (r != IOCP_OK)
		return r;
	iocp_any_announce(pool); /* others may find it: its plan does not change any more */
	return iocp_pool_set_range(pool, (uint32_t)number(L, "workers"), (uint32_t)number(L, "most"));
}

/* parts.new_pool{workers =, most =, idle =, concurrency =, name =, stack =, affinity =, spread =, thread_priority =,
** replace =, raises =, queue_limit =, queue_wait =, tasks_per_worker =, fresh =, grace =, setup =}: lua/iocp/pool.lua
** has checked them. workers to most: how many there are. affinity: a list, or nil. queue_limit, tasks_per_worker 0:
** none; queue_wait nil: for ever. setup: see lua/iocp/worker.lua. */
static int new_pool(lua_State *L)
{
	iocp_pool *pool;
	int r;
	lua_settop(L, 1);
	iocp_object_push(L, IOCP_CLASS_POOL);
	r = create(L, &pool);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	r = start(L, pool);
	if (r != IOCP_OK) {
		iocp_pool_close(pool);
		return refuse(L, pool, r);
	}
	return 1;
}

/* parts.current_worker(): its number in its pool, the pool, and whether it has been initialised; nothing where no
** worker runs. */
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
	lua_pushinteger(L, iocp_progress_columns());
	return 1;
}

int iocp_lua_open_pool(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__tostring", pool_to_string}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"workers", pool_workers},
		{"close", pool_close},
		{"name", pool_name},
		{NULL, NULL},
	};
	static const luaL_Reg makers[] = {
		{"submit", pool_submit},
		{"post", pool_post},
		{"submit_after", pool_submit_after},
		{"submit_every", pool_submit_every},
		{"task", pool_task},
		{NULL, NULL},
	};
	static const luaL_Reg chunk_makers[] = {
		{"submit_chunk", submit_chunk},
		{"try_submit", try_submit},
		{"try_post", try_post},
		{"try_submit_chunk", try_submit_chunk},
		{NULL, NULL},
	};
	static const luaL_Reg functions[] = {
		{"new_pool", new_pool},
		{"set_runners", set_runners},
		{"finish_pool", finish_pool},
		{"pool_threads", pool_threads},
		{"find_named", lua_find_named},
		{"enter_named", lua_enter_named},
		{"set_range", set_range},
		{"named_pools", named_pools},
		{"current_worker", current_worker},
		{"terminal_columns", terminal_columns},
		{"work", iocp_lua_work},
		{"queue_wait", queue_wait},
		{"notify_room", notify_room},
		{"notify_end", notify_end},
		{NULL, NULL},
	};
	iocp_class_register(L, IOCP_CLASS_POOL, methods, metamethods);
	lua_newtable(L);
	iocp_set_functions(L, functions, 0);
	iocp_lua_open_numbers(L);
	iocp_lua_open_loops(L);
	iocp_lua_open_stats(L);
	iocp_lua_open_task(L);
	luaL_getmetatable(L, iocp_class_name(IOCP_CLASS_POOL)); /* lua/iocp/pool.lua adds to both */
	lua_getfield(L, -1, "__index");
	iocp_task_set_makers(L, makers);
	lua_setfield(L, -3, "methods");
	lua_setfield(L, -2, "class");
	iocp_task_set_makers(L, chunk_makers);
	iocp_class_push_open(L, IOCP_CLASS_POOL);
	lua_setfield(L, -2, "open");
	return 1;
}
