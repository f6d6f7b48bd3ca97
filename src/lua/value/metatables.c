/*
** value/metatables.c - metatables that cross by the name under which scripts have registered them: in the registry, a
** state's own, from name to metatable and back. And those of our own tables that do not cross at all.
*/

#include "lua/value/format.h"

#define METATABLES "iocp.metatables" /* registry key */

/* Replaces the metatable at the top by the text that it has in one of the two tables, and returns 1; or pops it and
** returns 0. */
static int find_text(lua_State *L, const char *where)
{
	lua_getfield(L, LUA_REGISTRYINDEX, where);
	lua_insert(L, -2);
	if (lua_istable(L, -2))
		lua_rawget(L, -2);
	lua_remove(L, -2);
	if (lua_type(L, -1) == LUA_TSTRING)
		return 1;
	lua_pop(L, 1);
	return 0;
}

/* Pushes the table of those that are registered, which is made if there is none yet. */
static void push_registered(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, METATABLES);
	if (lua_istable(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, METATABLES);
}

/* At 1 the name, at 2 the metatable, at 3 all of them: what either stood for before is forgotten. */
static void forget(lua_State *L)
{
	int i;
	for (i = 1; i <= 2; i++) {
		lua_pushvalue(L, i);
		lua_rawget(L, 3);
		if (!lua_isnil(L, -1)) {
			lua_pushnil(L);
			lua_rawset(L, 3);
		} else {
			lua_pop(L, 1);
		}
	}
}

int iocp_lua_register(lua_State *L)
{
	if (lua_type(L, 1) != LUA_TSTRING)
		return iocp_bad_argument(L, 1, "name", "a string");
	if (!lua_istable(L, 2))
		return iocp_bad_argument(L, 2, "metatable", "a table");
	lua_settop(L, 2);
	push_registered(L);
	forget(L);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawset(L, 3);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, 1);
	lua_rawset(L, 3);
	lua_settop(L, 2);
	return 1;
}

int iocp_metatable_name(lua_State *L)
{
	return find_text(L, METATABLES);
}

void iocp_metatable_push(lua_State *L, const char *name, size_t length)
{
	lua_getfield(L, LUA_REGISTRYINDEX, METATABLES);
	if (!lua_istable(L, -1))
		return; /* nil */
	lua_pushlstring(L, name, length);
	lua_rawget(L, -2);
	lua_remove(L, -2);
}

int iocp_lua_stays(lua_State *L)
{
	lua_settop(L, 2);
	iocp_weak_push(L, IOCP_STAYING, "k");
	lua_insert(L, 1);
	lua_rawset(L, 1);
	return 0;
}

int iocp_metatable_stays(lua_State *L)
{
	return lua_getmetatable(L, -1) && find_text(L, IOCP_STAYING);
}
