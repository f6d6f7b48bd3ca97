/*
** late.c - what a thread's state of LuaJIT gets only once it pays: the methods that compile.
**
** All of them together take as long to load as a thread takes to be made, and twice its memory. So a class of such a
** state begins with the classic methods alone. Once the script has required the module and looks for a method that has
** a compiled twin, lua/iocp/jit.lua puts small functions in the place of these methods: so it does not matter whether
** the script goes on to call one or keeps it in a local for a loop. They load the class's part of lua/iocp/jit when
** they have been called often.
**
** A state that has not required the module, where objects came as arguments of its thread, comes to that when it has
** looked for such methods LOOKS_ENOUGH times, or for `packets` or `view`, which are looked for once, before a loop. By
** then the script has also had its chance to switch the compiler off on top (jit.off()), which keeps the methods that
** there are.
*/

#include <string.h>

#include "lua/value/format.h"

#define LOOKS "iocp.looks" /* registry: how many there were, of any class */

enum { LOOKS_ENOUGH = 32, MOST_HOT = 5 };

enum { CLASS = 1, METHODS }; /* upvalues of `look` */

static const char *const hot[IOCP_CLASS_COUNT][MOST_HOT + 1] = {
	[IOCP_CLASS_PORT] = {"packets", "enqueue", "dequeue", "enqueue_many", "dequeue_many"},
	[IOCP_CLASS_HEAP] = {"alloc", "free", "size", "read", "write"},
	[IOCP_CLASS_SOCKET] = {"receive", "send", "ready"},
	[IOCP_CLASS_FILE] = {"read", "write"},
	[IOCP_CLASS_ATOMIC] = {"get", "set", "add", "sub", "compare_exchange"},
	[IOCP_CLASS_ARRAY] = {"view"},
};

/* Calls the function that is at the top, which is popped, with the name of the class and those of its hot methods. */
static int call_with_hot(lua_State *L, enum iocp_class c)
{
	int i;
	lua_pushstring(L, iocp_class_name(c) + sizeof("iocp.") - 1);
	for (i = 0; hot[c][i]; i++)
		lua_pushstring(L, hot[c][i]);
	return lua_pcall(L, 1 + i, 0, 0);
}

/* Runs with the class's methods back in their place. Where there is only iocp.core they stay. */
static void load(lua_State *L, enum iocp_class c)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "iocp.jit");
	if (lua_pcall(L, 1, 1, 0) != 0 || call_with_hot(L, c) != 0)
		lua_pop(L, 1);
	iocp_names_forget(L);
}

/* How much a look for the name at `index` counts. */
static int weight(lua_State *L, enum iocp_class c, int index)
{
	const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
	int i;
	for (i = 0; hot[c][i] && (hot[c][i][0] != name[0] || strcmp(hot[c][i], name) != 0); i++)
		; /* a loop over receive comes by each time */
	return !hot[c][i] ? 0 : strcmp(name, "packets") == 0 || strcmp(name, "view") == 0 ? LOOKS_ENOUGH : 1;
}

static int has_required(lua_State *L)
{
	int has;
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, "iocp");
	has = lua_toboolean(L, -1);
	lua_pop(L, 2);
	return has;
}

/* Whether with so many looks more there have been enough. */
static int is_enough(lua_State *L, int looks)
{
	if (looks == 0 || has_required(L))
		return looks > 0;
	lua_getfield(L, LUA_REGISTRYINDEX, LOOKS);
	looks += (int)lua_tointeger(L, -1);
	lua_pushinteger(L, looks);
	lua_setfield(L, LUA_REGISTRYINDEX, LOOKS);
	lua_pop(L, 1);
	return looks >= LOOKS_ENOUGH;
}

/* Makes what is at `index` the class's __index. */
static void set_index(lua_State *L, enum iocp_class c, int index)
{
	lua_pushvalue(L, index);
	luaL_getmetatable(L, iocp_class_name(c));
	lua_insert(L, -2);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

/* __index(object, name) of the class, until there have been enough looks. */
static int look(lua_State *L)
{
	enum iocp_class c = (enum iocp_class)lua_tointeger(L, lua_upvalueindex(CLASS));
	lua_settop(L, 2);
	if (is_enough(L, weight(L, c, 2))) {
		set_index(L, c, lua_upvalueindex(METHODS));
		load(L, c);
	}
	lua_pushvalue(L, 2);
	lua_gettable(L, lua_upvalueindex(METHODS));
	return 1;
}

int iocp_has_compiler(lua_State *L)
{
	int has;
	lua_getglobal(L, "jit");
	has = lua_istable(L, -1);
	lua_pop(L, 1);
	return has;
}

/* In a main state all classes have their compiled methods with the module, but for those that most scripts have nothing
** to do with: these get the small functions. */
static void watch_in_main(lua_State *L, enum iocp_class c)
{
	if ((c == IOCP_CLASS_ATOMIC || c == IOCP_CLASS_ARRAY) && has_required(L))
		load(L, c);
}

void iocp_late_watch(lua_State *L, enum iocp_class c)
{
	if (!hot[c][0] || !iocp_has_compiler(L))
		return;
	if (!iocp_thread_current()) {
		watch_in_main(L, c);
		return;
	}
	lua_pushinteger(L, (lua_Integer)c);
	iocp_class_push(L, c);
	lua_getfield(L, -1, "__index");
	lua_remove(L, -2);
	lua_pushcclosure(L, look, METHODS);
	set_index(L, c, lua_gettop(L));
	lua_pop(L, 1);
}
