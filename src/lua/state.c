/*
** state.c - new Lua states, made like their parent.
**
** A description has package.path, package.cpath and the names of the Lua functions in package.preload, and apart from
** them the functions, each with its upvalues. A new state decodes a function when it is first required: what its
** upvalues need can be required itself by then. The description belongs to the thread's job, which outlives the state.
*/

#include <stdlib.h>

#include "lua/value/format.h"
#include "lualib.h"

/* ---- describing the parent --------------------------------------------------------------------------------------- */

/* Pushes package[name], or nil. */
static void push_package_field(lua_State *L, const char *name)
{
	lua_getglobal(L, "package");
	if (lua_istable(L, -1))
		lua_getfield(L, -1, name);
	else
		lua_pushnil(L);
	lua_remove(L, -2);
}

/* Fills the table at `list` with name, function, name ... of package.preload; returns how many it has. A C function
** is there because of who made the state, and is there in the child for the same reason. */
static int list_preload(lua_State *L, int list)
{
	int count = 0, preload = list + 1;
	push_package_field(L, "preload");
	if (lua_istable(L, preload)) {
		lua_pushnil(L);
		while (lua_next(L, preload)) {
			if (lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1) && !lua_iscfunction(L, -1)) {
				lua_pushvalue(L, -2);
				lua_rawseti(L, list, 2 * count + 1);
				lua_rawseti(L, list, 2 * ++count);
			} else {
				lua_pop(L, 1);
			}
		}
	}
	lua_settop(L, list);
	return count;
}

/* At 1 the function, at 2 where to copy it to. Raises if it cannot cross. */
static int copy_function(lua_State *L)
{
	iocp_encoding encoding = {.first = 1, .count = 1, .head = "the function"};
	if (iocp_values_copy(L, &encoding, *(iocp_values **)lua_touserdata(L, 2)) != IOCP_OK)
		return luaL_error(L, "out of memory");
	return 0;
}

/* Copies the function at the top, which is popped; or in its place the reason why it
** cannot cross, which requiring it in the new state raises. */
static int copy_entry(lua_State *L, iocp_values *entry)
{
	iocp_encoding reason = {.first = lua_gettop(L), .count = 1, .what = "reason"};
	int r = IOCP_OK;
	lua_pushcfunction(L, copy_function);
	lua_insert(L, -2);
	*(iocp_values **)lua_newuserdata(L, sizeof(entry)) = entry;
	if (lua_pcall(L, 2, 0, 0) != 0) {
		r = iocp_values_copy(L, &reason, entry); /* the message stands where the function stood */
		lua_pop(L, 1);
	}
	return r;
}

int iocp_state_describe(lua_State *L, iocp_description *description)
{
	iocp_encoding encoding = {.what = "package field"};
	int list, count, i, r = IOCP_OK;
	luaL_checkstack(L, 16, "describing the state");
	lua_newtable(L);
	list = lua_gettop(L);
	count = list_preload(L, list);
	luaL_checkstack(L, count + 4, "too many entries in package.preload");
	description->entries = calloc((size_t)count + 1, sizeof(*description->entries));
	if (!description->entries)
		return IOCP_NOMEM;
	for (i = 0; i < count && r == IOCP_OK; i++) {
		lua_rawgeti(L, list, 2 * i + 2);
		r = copy_entry(L, &description->entries[i]);
		description->count++;
	}
	push_package_field(L, "path");
	push_package_field(L, "cpath");
	for (i = 0; i < count; i++)
		lua_rawgeti(L, list, 2 * i + 1);
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_PREPARE);
	description->prepare = lua_tocfunction(L, -1);
	lua_pop(L, 1);
	encoding.first = list + 1;
	encoding.count = count + 2;
	if (r == IOCP_OK)
		r = iocp_values_copy(L, &encoding, &description->fields);
	lua_settop(L, list - 1);
	return r;
}

void iocp_description_free(iocp_description *description)
{
	size_t i;
	for (i = 0; i < description->count; i++)
		iocp_values_free(&description->entries[i]);
	free(description->entries);
	iocp_values_free(&description->fields);
}

/* ---- making the child -------------------------------------------------------------------------------------------- */

/* An entry of package.preload: what came is decoded, and called with the same arguments. */
static int load_entry(lua_State *L)
{
	const iocp_values *entry = *(iocp_values **)lua_touserdata(L, lua_upvalueindex(1));
	int arguments = lua_gettop(L);
	if (iocp_values_push(L, entry) < 0)
		return lua_error(L);
	if (!lua_isfunction(L, -1))
		return luaL_error(L, "module '%s' stands in package.preload of the parent but did not cross: %s",
			luaL_checkstring(L, 1), lua_tostring(L, -1));
	lua_insert(L, 1);
	lua_call(L, arguments, LUA_MULTRET);
	return lua_gettop(L);
}

/* A number for each state of the process: SplitMix64, whose steps no two states share. */
static uint64_t next_seed(void)
{
	static _Atomic uint64_t states;
	/* Relaxed: each gets another number. */
	uint64_t n = atomic_fetch_add_explicit(&states, 1, memory_order_relaxed);
	uint64_t z = iocp_process_key() + n * UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Pushes a seed for math.random, and returns 1; 0: it draws from a generator that is not this thread's alone, and which
** a script may have given a sequence. LuaJIT gives every state the same sequence, and Lua 5.4 those that begin in the
** same second at the same address. Lua before 5.4 draws from C's generator, of which on Windows each thread has its
** own, always with the same sequence, and elsewhere the process has one. */
static int push_seed(lua_State *L)
{
	uint64_t seed = next_seed();
#if LUA_VERSION_NUM >= 504
	lua_pushinteger(L, (lua_Integer)seed);
	return 1;
#else
	int is_jit;
	lua_getglobal(L, "jit");
	is_jit = !lua_isnil(L, -1);
	lua_pop(L, 1);
	if (!is_jit && LUA_DIRSEP[0] != '\\')
		return 0;
	lua_pushnumber(L, (lua_Number)(seed >> (is_jit ? 11 : 33))); /* what a double holds, and an int */
	return 1;
#endif
}

static void seed_random(lua_State *L)
{
	lua_getglobal(L, "math");
	lua_getfield(L, -1, "randomseed");
	if (push_seed(L))
		lua_call(L, 1, 0);
	else
		lua_pop(L, 1);
	lua_pop(L, 1);
}

void iocp_state_prepare(lua_State *L, const iocp_description *description, iocp_running *running)
{
	int first = lua_gettop(L) + 1, package;
	size_t i;
	(void)lua_gc(L, LUA_GCSTOP, 0);
	luaL_openlibs(L);
	if (running)
		iocp_coroutines_follow(L, running);
	seed_random(L);
	if (iocp_values_push(L, &description->fields) < 0)
		lua_error(L);
	lua_getglobal(L, "package");
	package = lua_gettop(L);
	lua_pushvalue(L, first);
	lua_setfield(L, package, "path");
	lua_pushvalue(L, first + 1);
	lua_setfield(L, package, "cpath");
	lua_pushcfunction(L, description->prepare);
	lua_call(L, 0, 0);
	lua_getfield(L, package, "preload");
	for (i = 0; i < description->count; i++) {
		*(iocp_values **)lua_newuserdata(L, sizeof(iocp_values *)) = &description->entries[i];
		lua_pushcclosure(L, load_entry, 1);
		lua_setfield(L, -2, lua_tostring(L, first + 2 + (int)i));
	}
	if (lua_isstring(L, first))
		iocp_parts_open(L, first);
	lua_settop(L, first - 1);
}

void iocp_state_begin(lua_State *L)
{
	(void)lua_gc(L, LUA_GCRESTART, -1); /* what LuaJIT's own program gives it, for a cycle after as much again */
}
