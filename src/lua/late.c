/*
** late.c - objects that reach a new state, as arguments of its thread, before its script required the module.
**
** What such a state has is iocp.core. What lua/iocp adds to it for LuaJIT, the methods that compile, takes some 0.6 ms to load,
** twice as long as the thread takes to make. So it is left until the script has looked for methods of ports and heaps
** ENOUGH times, or for `packets`, which is looked for once and then loops. By then the script has also had its chance to
** switch the compiler off on top (jit.off()), which keeps the methods that there are.
*/

#include <string.h>

#include "lua/binding.h"

enum { ENOUGH = 32, CLASS = 1, PORT_METHODS, HEAP_METHODS, REQUIRE, LOOKS }; /* from CLASS on upvalues of `look` */

static void push_methods(lua_State *L, enum iocp_class c)
{
	luaL_getmetatable(L, iocp_class_name(c));
	lua_getfield(L, -1, "__index");
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

/* Puts the tables of methods back, and requires iocp, which replaces them. */
static void load_all(lua_State *L)
{
	set_index(L, IOCP_CLASS_PORT, lua_upvalueindex(PORT_METHODS));
	set_index(L, IOCP_CLASS_HEAP, lua_upvalueindex(HEAP_METHODS));
	lua_pushvalue(L, lua_upvalueindex(REQUIRE));
	lua_pushliteral(L, "iocp");
	(void)lua_pcall(L, 1, 0, 0); /* where there is only iocp.core, the methods stay what they are */
}

static int is_packets(lua_State *L, int index)
{
	return lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), "packets") == 0;
}

/* __index(object, name) of the class, until it has been called often enough. */
static int look(lua_State *L)
{
	enum iocp_class c = (enum iocp_class)lua_tointeger(L, lua_upvalueindex(CLASS));
	lua_Integer looks = lua_tointeger(L, lua_upvalueindex(LOOKS)) + 1;
	lua_settop(L, 2);
	lua_pushinteger(L, looks);
	lua_replace(L, lua_upvalueindex(LOOKS));
	if (looks == ENOUGH || is_packets(L, 2)) {
		load_all(L);
		push_methods(L, c);
	} else {
		lua_pushvalue(L, lua_upvalueindex(c == IOCP_CLASS_PORT ? PORT_METHODS : HEAP_METHODS));
	}
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	return 1;
}

static void look_first(lua_State *L, enum iocp_class c, int port_methods, int heap_methods)
{
	lua_pushinteger(L, (lua_Integer)c);
	lua_pushvalue(L, port_methods);
	lua_pushvalue(L, heap_methods);
	lua_getglobal(L, "require");
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, look, LOOKS);
	set_index(L, c, lua_gettop(L));
}

void iocp_lua_open_late(lua_State *L)
{
	int top = lua_gettop(L);
	lua_pushcfunction(L, luaopen_iocp_core);
	lua_call(L, 0, 0);
	lua_getglobal(L, "jit");
	if (lua_istable(L, -1)) {
		push_methods(L, IOCP_CLASS_PORT);
		push_methods(L, IOCP_CLASS_HEAP);
		look_first(L, IOCP_CLASS_PORT, top + 2, top + 3);
		look_first(L, IOCP_CLASS_HEAP, top + 2, top + 3);
	}
	lua_settop(L, top);
}
