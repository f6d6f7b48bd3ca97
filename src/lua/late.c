/*
** late.c - what a new state gets only once it pays.
**
** What lua/iocp adds to iocp.core for LuaJIT, the methods that compile, takes some 0.1 ms to load, most of what a
** thread takes to make. So a thread's state that requires the module gets them with the first look for a method that
** has such a twin, whether the script goes on to call it once or keeps it in a local for a loop.
**
** A state that has not required the module, where objects came as arguments of its thread, gets them when it has looked
** for such methods IOCP_LOOKS_ENOUGH times, or for `packets`, which is looked for once and then loops. By then the
** script has also had its chance to switch the compiler off on top (jit.off()), which keeps the methods that there are.
*/

#include <string.h>

#include "lua/binding.h"

#define LOAD "iocp.load" /* registry: what is to be called, in the end */

enum { CLASS = 1, PORT_METHODS, HEAP_METHODS, LEFT }; /* from CLASS on upvalues of `look` */

/* Pushes the table of methods of the class. */
static void push_methods(lua_State *L, enum iocp_class c)
{
	luaL_getmetatable(L, iocp_class_name(c));
	lua_getfield(L, -1, "__index");
	if (lua_isfunction(L, -1)) { /* look, which has it */
		lua_getupvalue(L, -1, c == IOCP_CLASS_PORT ? PORT_METHODS : HEAP_METHODS);
		lua_remove(L, -2);
	}
	lua_remove(L, -2);
}

/* Makes the value at `index` the class's __index. */
static void set_index(lua_State *L, enum iocp_class c, int index)
{
	lua_pushvalue(L, index);
	luaL_getmetatable(L, iocp_class_name(c));
	lua_insert(L, -2);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

/* Pushes what is to be called, and forgets it; 0: there is nothing. */
static int take_load(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, LOAD);
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, LOAD);
	if (!lua_isnil(L, -1))
		return 1;
	lua_pop(L, 1);
	return 0;
}

/* Puts the tables of methods back, and has them replaced. To require the module is to put the rest off once more. */
static void load_all(lua_State *L)
{
	while (take_load(L)) {
		set_index(L, IOCP_CLASS_PORT, lua_upvalueindex(PORT_METHODS));
		set_index(L, IOCP_CLASS_HEAP, lua_upvalueindex(HEAP_METHODS));
		if (lua_pcall(L, 0, 0, 0) != 0) /* where there is only iocp.core, the methods stay what they are */
			lua_pop(L, 1);
	}
}

/* How much a look for the name at `index` counts. */
static int weight(lua_State *L, int index)
{
	static const char *const hot[] = {
		"enqueue", "dequeue", "enqueue_many", "dequeue_many", "alloc", "free", "size", "read", "write", NULL};
	const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
	int i;
	if (strcmp(name, "packets") == 0)
		return IOCP_LOOKS_ENOUGH;
	for (i = 0; hot[i]; i++)
		if (strcmp(name, hot[i]) == 0)
			return 1;
	return 0;
}

/* __index(object, name) of the class, until it has been called often enough. */
static int look(lua_State *L)
{
	enum iocp_class c = (enum iocp_class)lua_tointeger(L, lua_upvalueindex(CLASS));
	lua_Integer left = lua_tointeger(L, lua_upvalueindex(LEFT)) - weight(L, 2);
	lua_settop(L, 2);
	lua_pushinteger(L, left);
	lua_replace(L, lua_upvalueindex(LEFT));
	if (left <= 0) {
		load_all(L);
		push_methods(L, c);
	} else {
		lua_pushvalue(L, lua_upvalueindex(c == IOCP_CLASS_PORT ? PORT_METHODS : HEAP_METHODS));
	}
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	return 1;
}

static void look_first(lua_State *L, enum iocp_class c, int looks, int port_methods, int heap_methods)
{
	lua_pushinteger(L, (lua_Integer)c);
	lua_pushvalue(L, port_methods);
	lua_pushvalue(L, heap_methods);
	lua_pushinteger(L, looks);
	lua_pushcclosure(L, look, LEFT);
	set_index(L, c, lua_gettop(L));
}

void iocp_load_after(lua_State *L, int looks)
{
	int top;
	lua_setfield(L, LUA_REGISTRYINDEX, LOAD);
	top = lua_gettop(L);
	push_methods(L, IOCP_CLASS_PORT);
	push_methods(L, IOCP_CLASS_HEAP);
	look_first(L, IOCP_CLASS_PORT, looks, top + 1, top + 2);
	look_first(L, IOCP_CLASS_HEAP, looks, top + 1, top + 2);
	lua_settop(L, top);
}

int iocp_lua_load_when_used(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	iocp_load_after(L, 1);
	return 0;
}
