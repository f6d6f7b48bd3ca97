/*
** pool/function.c - a function on its way to the workers.
**
** A function is encoded when it is first submitted, and decoded once in each worker that meets it. One that holds
** nothing but what never changes (no upvalues, but the globals) is known by its identity from then on. Any other is
** encoded again for each task, and if the bytes are the same it is the same work, so a worker does not decode it again;
** if an upvalue has changed, or what is in it, they differ, and the workers get the new one.
**
** A state has a table, weak by its keys, from function to its work object; a worker's also two tables, from a work's
** number to the function. What was decoded is kept in two generations, so that a script which never submits the same
** function twice does not fill the workers' memory.
*/

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/pool/pool.h"

#define WORK "iocp.work"

enum { GENERATION = 512 }; /* functions that a worker keeps, at least */

#define WORKS "iocp.works" /* registry key */

static void free_function(iocp_deferred *body)
{
	iocp_function *function = (iocp_function *)body; /* its first member's first */
	iocp_values_free(&function->code);
	free(function);
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

static void release(iocp_function *function)
{
	iocp_body_release(function ? &function->body : NULL);
}

static int collect_work(lua_State *L)
{
	iocp_function **box = lua_touserdata(L, 1);
	release(*box);
	*box = NULL;
	return 0;
}

/* Pushes a work object without a work. */
static iocp_function **push_box(lua_State *L)
{
	iocp_function **box = lua_newuserdata(L, sizeof(*box));
	*box = NULL;
	if (luaL_newmetatable(L, WORK)) {
		lua_pushcfunction(L, collect_work);
		lua_setfield(L, -2, "__gc");
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable"); /* nobody else calls it */
	}
	lua_setmetatable(L, -2);
	return box;
}

/* Where the function at `index` was written: the file's last name, and the line; of one in C nobody knows. */
static void name_function(lua_State *L, int index, char *name)
{
	enum { LONGEST = 48, SHOWN = 45 };
	lua_Debug about;
	const char *file, *part;
	size_t length;
	lua_pushvalue(L, index);
	lua_getinfo(L, ">S", &about);
	file = about.short_src;
	for (part = file; *part; part++)
		if ((*part == '/' || *part == '\\') && part[1])
			file = part + 1;
	length = strlen(file);
	if (about.linedefined < 0)
		snprintf(name, IOCP_BODY_NAME, "a C function");
	else
		snprintf(name, IOCP_BODY_NAME, "%s%.48s:%d", length > LONGEST ? "..." : "",
			length > LONGEST ? file + length - SHOWN : file, about.linedefined);
}

/* Whether the function at `index` has no upvalue but the globals. */
static int is_constant(lua_State *L, int index)
{
	int i, constant = 1;
	for (i = 1; constant && lua_getupvalue(L, index, i); i++) {
		iocp_push_globals(L);
		constant = lua_rawequal(L, -1, -2);
		lua_pop(L, 2);
	}
	return constant;
}

static iocp_function *new_function(void)
{
	static _Atomic uint64_t last_id;
	iocp_function *function = calloc(1, sizeof(*function));
	if (function) {
		iocp_body_begin(&function->body, free_function);
		/* Relaxed: they only have to differ; the function reaches other threads with its task. */
		function->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	}
	return function;
}

/* Pushes a work object for the function at `index`. `like`, or NULL: one that it may turn out to be. */
static iocp_function *push_work(lua_State *L, int index, iocp_function *like)
{
	iocp_encoding encoding = {.first = index, .count = 1, .head = "the function"};
	iocp_function **box = push_box(L);
	iocp_function *function = *box = new_function();
	if (!function)
		luaL_error(L, "out of memory");
	iocp_outcome_keep(L, &encoding, &function->code);
	function->body.holds = iocp_values_hold(&function->code);
	if (like && like->code.size == function->code.size
		&& memcmp(like->code.block, function->code.block, like->code.size) == 0) {
		release(function);
		(void)iocp_body_retain(&like->body);
		*box = like;
	} else {
		function->constant = is_constant(L, index);
		name_function(L, index, function->body.name);
	}
	return *box;
}

void iocp_works_push(lua_State *L)
{
	iocp_weak_push(L, WORKS, "k");
}

/* The work object at the top is that of the function at `index`, whatever comes. */
static void keep_latest(lua_State *L, int index)
{
	lua_pushvalue(L, index);
	lua_replace(L, lua_upvalueindex(IOCP_LATEST));
	lua_pushvalue(L, -1);
	lua_replace(L, lua_upvalueindex(IOCP_LATEST_WORK));
}

iocp_function *iocp_function_check(lua_State *L, int index)
{
	iocp_function **box, *work;
	int top = lua_gettop(L);
	if (lua_rawequal(L, index, lua_upvalueindex(IOCP_LATEST)))
		return *(iocp_function **)lua_touserdata(L, lua_upvalueindex(IOCP_LATEST_WORK));
	if (!lua_isfunction(L, index))
		return *(iocp_function **)luaL_checkudata(L, index, WORK);
	lua_pushvalue(L, index);
	lua_rawget(L, lua_upvalueindex(IOCP_WORKS));
	box = lua_touserdata(L, -1);
	work = box ? *box : NULL;
	if (!work || !work->constant) {
		iocp_function *now = push_work(L, index, work);
		if (now != work) {
			lua_pushvalue(L, index);
			lua_pushvalue(L, -2);
			lua_rawset(L, lua_upvalueindex(IOCP_WORKS));
			work = now;
		}
	}
	if (work->constant)
		keep_latest(L, index);
	else
		lua_replace(L, index); /* a finalizer may submit the function with another upvalue, which is another work */
	lua_settop(L, top);
	return work;
}

static double term(lua_State *L, const char *name)
{
	double value;
	lua_getfield(L, 5, name);
	value = (double)lua_tonumber(L, -1);
	lua_pop(L, 1);
	return value;
}

/* The terms of the table at 5, if there is one. */
static void read_terms(lua_State *L, iocp_function *function)
{
	iocp_terms *terms = &function->body.terms;
	if (!lua_istable(L, 5))
		return;
	terms->timeout = term(L, "timeout");
	terms->hard = term(L, "hard") != 0;
	terms->retries = (uint32_t)term(L, "retries");
	terms->backoff = term(L, "backoff");
	terms->priority = (enum iocp_priority)term(L, "priority");
	function->interpreted = term(L, "interpreted") != 0;
}

int iocp_lua_work(lua_State *L)
{
	const char *name = luaL_optstring(L, 2, NULL);
	iocp_function **like, *work;
	if (!lua_isfunction(L, 1))
		return iocp_bad_argument(L, 1, "f", "a function");
	lua_settop(L, 5);
	like = lua_touserdata(L, 4);
	if (like && (*like)->constant) {
		lua_pushvalue(L, 4);
		return 1;
	}
	work = push_work(L, 1, like ? *like : NULL);
	if (like && work == *like)
		return 1;
	work->wants_state = lua_toboolean(L, 3);
	read_terms(L, work);
	if (name)
		snprintf(work->body.name, sizeof(work->body.name), "%s", name);
	return 1;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* Makes a new table the younger generation, and what was that the older one. */
static void begin_generation(lua_State *L, iocp_decoded *decoded)
{
	int older = decoded->younger;
	lua_newtable(L);
	decoded->younger = luaL_ref(L, LUA_REGISTRYINDEX);
	if (decoded->older)
		luaL_unref(L, LUA_REGISTRYINDEX, decoded->older);
	decoded->older = older;
	decoded->count = 0;
}

/* Keeps the function at the top in the younger generation. */
static void keep_decoded(lua_State *L, iocp_decoded *decoded, const iocp_function *function)
{
	if (!decoded->younger || decoded->count >= GENERATION)
		begin_generation(L, decoded);
	lua_rawgeti(L, LUA_REGISTRYINDEX, decoded->younger);
	lua_pushnumber(L, (lua_Number)function->id); /* exact: nobody submits 2^53 functions */
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	decoded->count++;
}

/* Pushes it from a generation, and returns 1; 0, and nothing pushed: it is not there. */
static int find_decoded(lua_State *L, int generation, const iocp_function *function)
{
	if (!generation)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, generation);
	if (function->id <= INT_MAX) { /* which is quicker */
		lua_rawgeti(L, -1, (int)function->id);
	} else {
		lua_pushnumber(L, (lua_Number)function->id);
		lua_rawget(L, -2);
	}
	if (lua_isnil(L, -1)) {
		lua_pop(L, 2);
		return 0;
	}
	lua_replace(L, -2);
	return 1;
}

/* Has LuaJIT leave the function at the top, and what is in it, to its interpreter. */
static void interpret(lua_State *L)
{
	int function = lua_gettop(L);
	lua_getglobal(L, "jit");
	if (lua_istable(L, -1)) {
		lua_getfield(L, -1, "off");
		lua_pushvalue(L, function);
		lua_pushboolean(L, 1);
		lua_call(L, 2, 0);
	}
	lua_settop(L, function);
}

static void decode(lua_State *L, const iocp_function *function)
{
	if (iocp_values_push(L, &function->code) < 0)
		lua_error(L);
	if (function->interpreted)
		interpret(L);
}

void iocp_function_push(lua_State *L, iocp_decoded *decoded, const iocp_function *function)
{
	if (decoded->latest == function->id) {
		lua_pushvalue(L, lua_upvalueindex(1));
		return;
	}
	if (!find_decoded(L, decoded->younger, function)) {
		if (!find_decoded(L, decoded->older, function))
			decode(L, function);
		keep_decoded(L, decoded, function);
	}
	lua_pushvalue(L, -1);
	lua_replace(L, lua_upvalueindex(1));
	decoded->latest = function->id;
}
