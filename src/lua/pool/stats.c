/*
** pool/stats.c - the methods of pools that tell what they do and did: stats, traces, the last error.
*/

#include "lua/pool.h"

static iocp_pool *check_pool(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_POOL, "self");
}

static int pool_idle(lua_State *L)
{
	lua_pushboolean(L, iocp_pool_idle(check_pool(L)));
	return 1;
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_seq_cst); /* see iocp_pool_ended */
}

/* t[name] = { mean =, p50 =, p90 =, p99 = } in milliseconds. */
static void set_times(lua_State *L, const char *name, const iocp_times *times)
{
	uint64_t number = get(&times->count);
	lua_createtable(L, 0, 4);
	lua_pushnumber(L, number ? (lua_Number)get(&times->sum) / (lua_Number)number / 1e6 : 0);
	lua_setfield(L, -2, "mean");
	lua_pushnumber(L, iocp_times_percentile(times, 0.5) / 1e6);
	lua_setfield(L, -2, "p50");
	lua_pushnumber(L, iocp_times_percentile(times, 0.9) / 1e6);
	lua_setfield(L, -2, "p90");
	lua_pushnumber(L, iocp_times_percentile(times, 0.99) / 1e6);
	lua_setfield(L, -2, "p99");
	lua_setfield(L, -2, name);
}

static void set_tasks(lua_State *L, iocp_pool *pool)
{
	iocp_counts sum;
	iocp_port_info info = {.size = sizeof(info)};
	uint64_t early, ended, active, delayed, waiting, submitted, busy;
	/* Read one after the other while tasks go on: exact once they have come to rest, else to within those that just change. */
	iocp_pool_counts(pool, &sum);
	early = get(&pool->cancelled_early);
	ended = get(&sum.completed) + get(&sum.failed) + get(&sum.cancelled) + early;
	active = atomic_load_explicit(&pool->active, memory_order_relaxed);
	delayed = get(&pool->delayed);
	waiting = get(&pool->waiting);
	submitted = get(&pool->submitted);
	busy = ended + active + delayed + waiting;
	iocp_port_stats(pool->port, &info);
	iocp_set_count(L, "queued", submitted > busy ? submitted - busy : 0);
	iocp_set_count(L, "peak_queued", info.peak);
	iocp_set_count(L, "active", active);
	iocp_set_count(L, "peak_active", atomic_load_explicit(&pool->peak_active, memory_order_relaxed));
	iocp_set_count(L, "delayed", delayed);
	iocp_set_count(L, "waiting", waiting);
	iocp_set_count(L, "submitted", submitted);
	iocp_set_count(L, "completed", get(&sum.completed));
	iocp_set_count(L, "failed", get(&sum.failed));
	iocp_set_count(L, "cancelled", get(&sum.cancelled) + early);
	set_times(L, "wait_ms", &sum.waited);
	set_times(L, "run_ms", &sum.ran);
}

static int pool_stats(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	uint32_t target, live, blocked, dead;
	iocp_pool_raise(L, pool);
	iocp_lock_acquire(&pool->lock);
	target = pool->target;
	live = pool->live;
	blocked = pool->blocked;
	dead = pool->dead;
	iocp_lock_release(&pool->lock);
	lua_createtable(L, 0, 20);
	iocp_set_count(L, "workers", target);
	iocp_set_count(L, "live", live);
	iocp_set_count(L, "blocked", blocked);
	iocp_set_count(L, "dead", dead);
	set_tasks(L, pool);
	lua_pushboolean(L, atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_OPEN);
	lua_setfield(L, -2, "closed");
	return 1;
}

static int pool_reset_peaks(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	iocp_port_reset_peak(pool->port);
	/* Relaxed: a figure. */
	atomic_store_explicit(
		&pool->peak_active, atomic_load_explicit(&pool->active, memory_order_relaxed), memory_order_relaxed);
	lua_pushboolean(L, 1);
	return 1;
}

static int pool_last_error(lua_State *L)
{
	iocp_pool_push_error(L, check_pool(L));
	return 1;
}

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

/* parts.trace_pool(pool, on): switches recording; what was recorded until now, as an array of worker, name, state, begin, end ...
** in milliseconds on one clock. */
static int trace_pool(lua_State *L)
{
	iocp_pool *pool = check_pool(L);
	iocp_spans *copy = lua_newuserdata(L, sizeof(*copy)); /* Lua may raise while there is something to free */
	int n = 0;
	atomic_store_explicit(&pool->tracing, lua_toboolean(L, 2), memory_order_relaxed);
	lua_newtable(L);
	while (iocp_pool_take_spans(pool, copy))
		n = push_spans(L, copy, n);
	return 1;
}

void iocp_lua_open_figures(lua_State *L)
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
