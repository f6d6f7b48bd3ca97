/*
** pool/stats.c - the methods of pools that tell what they do and did: stats, traces, failures.
*/

#include "lua/pool/pool.h"

static iocp_pool *check_pool(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_POOL, "self");
}

static int pool_idle(lua_State *L)
{
	lua_pushboolean(L, iocp_pool_idle(check_pool(L)));
	return 1;
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

/* Pushes the text of the last failure, or nil. It is copied twice, since Lua may not be called under a lock. */
static void push_last_error(lua_State *L, iocp_pool *pool)
{
	size_t size = 0, takes;
	char *copy = NULL;
	while ((takes = iocp_pool_last_error(pool, copy, size)) > size) {
		size = takes;
		copy = lua_newuserdata(L, size);
	}
	if (takes)
		lua_pushstring(L, copy);
	else
		lua_pushnil(L);
}

void iocp_pool_see_death(iocp_pool *pool)
{
	iocp_pool_plan *plan = iocp_pool_owner(pool);
	/* Acquire: as the worker wrote it. It stays while somebody has a reference, as the caller does. */
	iocp_unobserved_see(atomic_load_explicit(&plan->death, memory_order_acquire));
}

void iocp_pool_raise(lua_State *L, iocp_pool *pool)
{
	const iocp_pool_plan *plan = iocp_pool_owner(pool);
	const iocp_worker *worker;
	uint64_t count;
	if (!plan->raises)
		return;
	worker = iocp_worker_current();
	count = worker && worker->pool == pool ? 0 : iocp_pool_take_failures(pool);
	if (count == 0)
		return;
	iocp_pool_see_death(pool);
	push_last_error(L, pool);
	if (count > 1)
		lua_pushfstring(L, "%d tasks failed, the last one: %s", (int)count, lua_tostring(L, -1));
	lua_error(L);
}

static int pool_last_error(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	iocp_pool_see_death(pool);
	push_last_error(L, pool);
	return 1;
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* t[name] = { mean =, p50 =, p90 =, p99 = } in milliseconds. */
static void set_spread(lua_State *L, const char *name, const iocp_spread *spread)
{
	lua_createtable(L, 0, 4);
	lua_pushnumber(L, spread->mean);
	lua_setfield(L, -2, "mean");
	lua_pushnumber(L, spread->p50);
	lua_setfield(L, -2, "p50");
	lua_pushnumber(L, spread->p90);
	lua_setfield(L, -2, "p90");
	lua_pushnumber(L, spread->p99);
	lua_setfield(L, -2, "p99");
	lua_setfield(L, -2, name);
}

static int pool_stats(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	iocp_pool_info info;
	iocp_pool_raise(L, pool);
	iocp_pool_stats(pool, &info);
	lua_createtable(L, 0, 20);
	iocp_set_count(L, "workers", info.workers);
	iocp_set_count(L, "live", info.live);
	iocp_set_count(L, "blocked", info.blocked);
	iocp_set_count(L, "dead", info.dead);
	iocp_set_count(L, "queued", info.queued);
	iocp_set_count(L, "peak_queued", info.peak_queued);
	iocp_set_count(L, "active", info.active);
	iocp_set_count(L, "peak_active", info.peak_active);
	iocp_set_count(L, "delayed", info.delayed);
	iocp_set_count(L, "waiting", info.waiting);
	iocp_set_count(L, "submitted", info.submitted);
	iocp_set_count(L, "completed", info.completed);
	iocp_set_count(L, "failed", info.failed);
	iocp_set_count(L, "cancelled", info.cancelled);
	set_spread(L, "wait_ms", &info.waited);
	set_spread(L, "run_ms", &info.ran);
	lua_pushboolean(L, info.closed);
	lua_setfield(L, -2, "closed");
	return 1;
}

static int pool_reset_peaks(lua_State *L)
{
	iocp_pool_reset_peaks(check_pool(L));
	lua_pushboolean(L, 1);
	return 1;
}

/* ---- traces ------------------------------------------------------------------------------------------------------ */

/* Adds worker, name, state, begin, end for each span to the array at the top. */
static int push_spans(lua_State *L, const iocp_spans *spans, int n)
{
	static const char *const states[] = {"", "", "", "completed", "failed", "cancelled"};
	uint32_t i;
	for (i = 0; i < spans->count; i++) {
		const iocp_span *span = &spans->spans[i];
		lua_pushinteger(L, (lua_Integer)span->worker);
		lua_rawseti(L, -2, ++n);
		lua_pushstring(L, span->name);
		lua_rawseti(L, -2, ++n);
		lua_pushstring(L, states[span->state]);
		lua_rawseti(L, -2, ++n);
		lua_pushnumber(L, (lua_Number)span->begin / 1e6);
		lua_rawseti(L, -2, ++n);
		lua_pushnumber(L, (lua_Number)span->end / 1e6);
		lua_rawseti(L, -2, ++n);
	}
	return n;
}

/* parts.trace_pool(pool, on): switches recording; what was recorded until now, as an array of worker, name, state,
** begin, end ... in milliseconds on one clock. */
static int trace_pool(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	iocp_spans *copy = lua_newuserdata(L, sizeof(*copy)); /* Lua may raise while there is something to free */
	int n = 0;
	iocp_pool_trace(pool, lua_toboolean(L, 2));
	lua_newtable(L);
	while (iocp_pool_take_spans(pool, copy))
		n = push_spans(L, copy, n);
	return 1;
}

void iocp_lua_open_stats(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{"idle", pool_idle},
		{"stats", pool_stats},
		{"reset_peaks", pool_reset_peaks},
		{"last_error", pool_last_error},
		{NULL, NULL},
	};
	static const luaL_Reg functions[] = {{"trace_pool", trace_pool}, {NULL, NULL}};
	iocp_set_functions(L, functions, 0);
	luaL_getmetatable(L, iocp_class_name(IOCP_CLASS_POOL));
	lua_getfield(L, -1, "__index");
	iocp_set_functions(L, methods, 0);
	lua_pop(L, 2);
}
