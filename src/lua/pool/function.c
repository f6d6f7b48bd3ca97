/*
** pool/function.c - a function on its way to the workers.
**
** A function is encoded when it is first submitted, and decoded once in each worker that meets it. One that holds nothing but
** what never changes (no upvalues, but the globals) is known by its identity from then on. Any other is encoded again for each
** task, and if the bytes are the same it is the same work, so a worker does not decode it again; if an upvalue has changed,
** or what is in it, they differ, and the workers get the new one.
**
** In the registry, a state's own: WORKS, weak by its keys, from function to its work object; DECODED, from a work's number to
** the function. What was decoded is kept in two generations, so that a script which never submits the same function
** twice does not fill the workers' memory.
*/

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/pool.h"

#define WORK "iocp.work"
#define WORKS "iocp.works"
#define DECODED "iocp.decoded"

enum { GENERATION = 512 }; /* functions that a worker keeps, at least */

iocp_work *iocp_work_retain(iocp_work *work)
{
	/* Relaxed: whoever retains holds a reference already. */
	atomic_fetch_add_explicit(&work->references, 1, memory_order_relaxed);
	return work;
}

static void free_work(iocp_mortal *mortal)
{
	iocp_work *work = (iocp_work *)mortal; /* its first member */
	iocp_values_free(&work->function);
	free(work);
}

void iocp_work_release(iocp_work *work)
{
	/* As in core/object.c. */
	if (work && atomic_fetch_sub_explicit(&work->references, 1, memory_order_acq_rel) == 1) {
		if (iocp_values_hold(&work->function))
			iocp_free_in_turn(&work->mortal);
		else
			free_work(&work->mortal);
	}
}

/* ---- encoding --------------------------------------------------------------------------------------------------------- */

static int collect_work(lua_State *L)
{
	iocp_work **box = lua_touserdata(L, 1);
	iocp_work_release(*box);
	*box = NULL;
	return 0;
}

/* Pushes a work object without a work. */
static iocp_work **push_box(lua_State *L)
{
	iocp_work **box = lua_newuserdata(L, sizeof(*box));
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

/* Where the function at `index` was written: the file's last name, and the line. */
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
	snprintf(name, IOCP_WORK_NAME, "%s%.48s:%d", length > LONGEST ? "..." : "",
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

static iocp_work *new_work(void)
{
	static _Atomic uint64_t last_id;
	iocp_work *work = calloc(1, sizeof(*work));
	if (work) {
		work->mortal.free = free_work;
		/* Relaxed: they only have to differ; the work reaches other threads with its task. */
		work->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
		atomic_store_explicit(&work->references, 1, memory_order_relaxed);
	}
	return work;
}

/* Pushes a work object for the function at `index`. `like`, or NULL: a work that it may turn out to be. */
static iocp_work *push_work(lua_State *L, int index, iocp_work *like)
{
	iocp_encoding encoding = {.first = index, .count = 1, .head = "the function"};
	iocp_work **box = push_box(L);
	*box = new_work();
	if (!*box)
		luaL_error(L, "out of memory");
	iocp_outcome_keep(L, &encoding, &(*box)->function);
	if (like && like->function.size == (*box)->function.size
		&& memcmp(like->function.block, (*box)->function.block, like->function.size) == 0) {
		iocp_work_release(*box);
		*box = iocp_work_retain(like);
	} else {
		(*box)->constant = is_constant(L, index);
		name_function(L, index, (*box)->name);
	}
	return *box;
}

/* Pushes the weak table of work objects by function. */
static void push_works(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, WORKS);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushliteral(L, "k");
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, WORKS);
}

iocp_work *iocp_work_check(lua_State *L, int index)
{
	iocp_work **box, *work;
	int top = lua_gettop(L);
	if (!lua_isfunction(L, index))
		return *(iocp_work **)luaL_checkudata(L, index, WORK);
	push_works(L);
	lua_pushvalue(L, index);
	lua_rawget(L, -2);
	box = lua_touserdata(L, -1);
	work = box ? *box : NULL;
	if (!work || !work->constant) {
		iocp_work *now = push_work(L, index, work);
		if (now != work) {
			lua_pushvalue(L, index);
			lua_pushvalue(L, -2);
			lua_rawset(L, top + 1);
			work = now;
		}
	}
	lua_settop(L, top);
	return work;
}

int iocp_lua_work(lua_State *L)
{
	const char *name = luaL_optstring(L, 2, NULL);
	iocp_work **like, *work;
	if (!lua_isfunction(L, 1))
		return iocp_bad_argument(L, 1, "f", "a function");
	lua_settop(L, 4);
	like = lua_touserdata(L, 4);
	if (like && (*like)->constant)
		return 1;
	work = push_work(L, 1, like ? *like : NULL);
	if (like && work == *like)
		return 1;
	work->wants_state = lua_toboolean(L, 3);
	if (name)
		snprintf(work->name, sizeof(work->name), "%s", name);
	return 1;
}

/* ---- decoding --------------------------------------------------------------------------------------------------------- */

/* Pushes generation 1, the younger, or 2, at first empty. */
static void push_generation(lua_State *L, int which)
{
	lua_getfield(L, LUA_REGISTRYINDEX, DECODED);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_createtable(L, 3, 0);
		lua_newtable(L);
		lua_rawseti(L, -2, 1);
		lua_newtable(L);
		lua_rawseti(L, -2, 2);
		lua_pushinteger(L, 0);
		lua_rawseti(L, -2, 3); /* how many the younger has */
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, DECODED);
	}
	lua_rawgeti(L, -1, which);
	lua_remove(L, -2);
}

static void push_id(lua_State *L, const iocp_work *work)
{
	lua_pushnumber(L, (lua_Number)work->id); /* exact: nobody submits 2^53 functions */
}

/* Keeps the function at the top in the younger generation, which becomes the older one when it is full. */
static void keep_decoded(lua_State *L, const iocp_work *work)
{
	int function = lua_gettop(L);
	lua_Integer count;
	push_generation(L, 1);
	lua_getfield(L, LUA_REGISTRYINDEX, DECODED);
	lua_rawgeti(L, -1, 3);
	count = lua_tointeger(L, -1);
	if (count >= GENERATION) {
		lua_pushvalue(L, function + 1);
		lua_rawseti(L, function + 2, 2);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_rawseti(L, function + 2, 1);
		lua_replace(L, function + 1);
		count = 0;
	}
	lua_pushinteger(L, count + 1);
	lua_rawseti(L, function + 2, 3);
	push_id(L, work);
	lua_pushvalue(L, function);
	lua_rawset(L, function + 1);
	lua_settop(L, function);
}

/* Pushes it from a generation, or nil. */
static int find_decoded(lua_State *L, const iocp_work *work, int generation)
{
	push_generation(L, generation);
	push_id(L, work);
	lua_rawget(L, -2);
	lua_remove(L, -2);
	return lua_isfunction(L, -1);
}

void iocp_work_push(lua_State *L, const iocp_work *work)
{
	if (find_decoded(L, work, 1))
		return;
	lua_pop(L, 1);
	if (!find_decoded(L, work, 2)) {
		lua_pop(L, 1);
		if (iocp_values_push(L, &work->function) < 0)
			lua_error(L);
	}
	keep_decoded(L, work);
}
