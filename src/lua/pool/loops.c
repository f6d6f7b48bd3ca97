/*
** loops.c - what calls a function for each item of a chunk, for lua/iocp/runners.lua.
**
** A runner comes to each item in turn: it writes which one to the worker's `call`, where an error finds it, and looks
** whether it is to stop. So a cancel takes effect after the item under way, and an error says which item it was. Both
** cost a store and a load; the loops are in C for that, since PUC Lua could not do it without a call an item, and since
** they are quicker so. Where LuaJIT compiles, the loops of runners.lua do the same with the two addresses that
** begin_chunk gives.
*/

#include <stdio.h>

#include "lua/pool/pool.h"

#if LUA_VERSION_NUM >= 503
typedef lua_Integer list_index;
#else
typedef int list_index;
#endif

static iocp_call *current_call(void)
{
	return iocp_lua_worker_current()->call;
}

void iocp_chunk_stop(lua_State *L, iocp_call *call)
{
	call->at = 0;
	lua_pushliteral(L, "the task was cancelled");
	(void)lua_error(L);
}

void iocp_chunk_name_item(lua_State *L, const iocp_call *call)
{
	char item[48];
	if (call->at == 0)
		return;
	snprintf(item, sizeof(item), "item %.14g: ", call->first + (call->at - 1) * call->step);
	lua_pushstring(L, item);
	lua_insert(L, -2);
	lua_concat(L, 2);
}

/* parts.begin_chunk(first, step): a chunk whose items the caller knows as first, first + step ... Returns the addresses
** of which one it is at and of what says that it is to stop, 32 bits each. */
static int begin_chunk(lua_State *L)
{
	iocp_call *call = current_call();
	call->first = (double)lua_tonumber(L, 1);
	call->step = (double)lua_tonumber(L, 2);
	call->stop = iocp_thread_cancel_word(); /* which a worker's thread has */
	(void)iocp_push_address(L, (uintptr_t)&call->at);
	(void)iocp_push_address(L, (uintptr_t)call->stop);
	return 2;
}

/* ---- the loops --------------------------------------------------------------------------------------------------- */

/* map(f, items, results, first, from, n): results[i] = f(items[i], first + i - 1) for i = from .. n. */
static int loop_map(lua_State *L)
{
	iocp_call *call = current_call();
	lua_Number before = lua_tonumber(L, 4) - 1;
	int32_t i = (int32_t)lua_tointeger(L, 5), n = (int32_t)lua_tointeger(L, 6);
	for (; i <= n; i++) {
		iocp_chunk_reach(L, call, i);
		lua_pushvalue(L, 1);
		lua_rawgeti(L, 2, (list_index)i);
		lua_pushinteger(L, (lua_Integer)(before + (lua_Number)i));
		lua_call(L, 2, 1);
		lua_rawseti(L, 3, (list_index)i);
	}
	call->at = 0;
	return 0;
}

/* Pushes from + i * step for numbers at those indices, an integer if both are. */
static void push_counted(lua_State *L, int from, int step, lua_Number i)
{
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, from) && lua_isinteger(L, step)) {
		lua_Unsigned offset =
			(lua_Unsigned)(lua_Integer)i * (lua_Unsigned)lua_tointeger(L, step); /* which wraps, as Lua does */
		lua_pushinteger(L, (lua_Integer)((lua_Unsigned)lua_tointeger(L, from) + offset));
		return;
	}
#endif
	lua_pushnumber(L, lua_tonumber(L, from) + i * lua_tonumber(L, step));
}

/* each(f, from, step, first, n): f(from + (first + i - 2) * step) for i = 1 .. n. */
static int loop_each(lua_State *L)
{
	iocp_call *call = current_call();
	lua_Number before = lua_tonumber(L, 4) - 2;
	int32_t i, n = (int32_t)lua_tointeger(L, 5);
	for (i = 1; i <= n; i++) {
		iocp_chunk_reach(L, call, i);
		lua_pushvalue(L, 1);
		push_counted(L, 2, 3, before + (lua_Number)i);
		lua_call(L, 1, 0);
	}
	call->at = 0;
	return 0;
}

/* fold(f, items, n): f(... f(f(items[1], items[2]), items[3]) ..., items[n]). */
static int loop_fold(lua_State *L)
{
	iocp_call *call = current_call();
	int32_t i, n = (int32_t)lua_tointeger(L, 3);
	lua_rawgeti(L, 2, 1);
	for (i = 2; i <= n; i++) {
		iocp_chunk_reach(L, call, i);
		lua_pushvalue(L, 1);
		lua_insert(L, -2);
		lua_rawgeti(L, 2, (list_index)i);
		lua_call(L, 2, 1);
	}
	call->at = 0;
	return 1;
}

/* ---- errors and values that do not cross ------------------------------------------------------------------------- */

/* probe(value, name): raises "cannot send", with the name, if the value cannot cross. */
static int probe(lua_State *L)
{
	iocp_encoding encoding = {.first = 1, .count = 1, .what = "value", .head = lua_tostring(L, 2)};
	iocp_values copy = {NULL, 0, NULL};
	iocp_outcome_keep(L, &encoding, &copy);
	iocp_values_free(&copy);
	return 0;
}

/* Whether the value at the top, which stays, can cross. */
static int crosses(lua_State *L)
{
	int top = lua_gettop(L), status;
	lua_pushcfunction(L, probe);
	lua_pushvalue(L, top);
	lua_pushliteral(L, "the error value");
	status = lua_pcall(L, 2, 0, 0);
	lua_settop(L, top);
	return status == 0;
}

/* Calls what is at the top with `count` arguments. 1: its result is there instead; 0: the error value and above it the
** message. Both functions that use it have a handler as upvalue. */
static int attempt(lua_State *L, int handler, int count)
{
	int status = lua_pcall(L, count, 1, handler);
	if (status != 0)
		iocp_outcome_push_message(L, handler, status);
	return status == 0;
}

/* parts.attempt(f, ...): true, a result; or false, the message with its traceback, the error value. */
static int lua_attempt(lua_State *L)
{
	int ok;
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	ok = attempt(L, 1, lua_gettop(L) - 2);
	lua_pushboolean(L, ok);
	lua_replace(L, 1);
	if (!ok)
		lua_insert(L, 2);
	return ok ? 2 : 3;
}

/* collect(f, items, first, n, errors, values, indexed): as map, with an index if `indexed`; but where f fails,
** errors[i] is the message, and values[i] the error value if that crosses. Leaves out items that have an error already.
** Returns the results. */
static int loop_collect(lua_State *L)
{
	enum { ERRORS = 5, VALUES, INDEXED, HANDLER, RESULTS };
	iocp_call *call = current_call();
	lua_Number before = lua_tonumber(L, 3) - 1;
	int32_t i, n = (int32_t)lua_tointeger(L, 4);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_createtable(L, n, 0);
	for (i = 1; i <= n; i++, lua_settop(L, RESULTS)) {
		lua_rawgeti(L, ERRORS, (list_index)i);
		if (!lua_isnil(L, -1))
			continue;
		iocp_chunk_reach(L, call, i);
		lua_pushvalue(L, 1);
		lua_rawgeti(L, 2, (list_index)i);
		lua_pushinteger(L, (lua_Integer)(before + (lua_Number)i));
		if (!lua_toboolean(L, INDEXED))
			lua_pop(L, 1);
		if (attempt(L, HANDLER, lua_gettop(L) - RESULTS - 2)) {
			lua_rawseti(L, RESULTS, (list_index)i);
			continue;
		}
		lua_rawseti(L, ERRORS, (list_index)i);
		if (crosses(L))
			lua_rawseti(L, VALUES, (list_index)i);
	}
	call->at = 0;
	return 1;
}

/* parts.keep_results(...): makes them what the task returns, instead of what its function does. Raises if they cannot
** cross. */
static int keep_results(lua_State *L)
{
	iocp_run *run = current_call()->run;
	iocp_encoding encoding = {
		.first = 1, .count = lua_gettop(L), .what = "result", .head = "the result", .owner = run->task};
	iocp_payload_free(&run->outcome);
	iocp_payload_keep(L, &encoding, &run->outcome);
	return 0;
}

/* parts.fail_item(i, message): raises it, as item i's. */
static int fail_item(lua_State *L)
{
	current_call()->at = (int32_t)lua_tointeger(L, 1);
	return lua_error(L);
}

void iocp_lua_open_loops(lua_State *L)
{
	static const luaL_Reg functions[] = {{"begin_chunk", begin_chunk}, {"probe", probe}, {"keep_results", keep_results},
		{"fail_item", fail_item}, {NULL, NULL}};
	static const luaL_Reg loops[] = {{"map", loop_map}, {"each", loop_each}, {"fold", loop_fold}, {NULL, NULL}};
	iocp_set_functions(L, functions, 0);
	iocp_outcome_push_handler(L);
	lua_pushcclosure(L, lua_attempt, 1);
	lua_setfield(L, -2, "attempt");
	lua_newtable(L);
	iocp_set_functions(L, loops, 0);
	iocp_outcome_push_handler(L);
	lua_pushcclosure(L, loop_collect, 1);
	lua_setfield(L, -2, "collect");
	lua_setfield(L, -2, "loops");
}
