/*
** value/cdata.c - LuaJIT's cdata, which C cannot look into: lua/iocp/cdata.lua does, and is called here. It is required
** when a state first meets a cdata, since most states never do.
*/

#include "lua/value/format.h"

#define CDATA "iocp.cdata" /* the module, and the registry key of what it gives */

/* Pushes one of the functions of lua/iocp/cdata.lua and returns 1; 0: a message is pushed. */
static int push_function(lua_State *L, const char *name)
{
	lua_getfield(L, LUA_REGISTRYINDEX, CDATA);
	if (!lua_istable(L, -1)) {
		lua_pop(L, 1);
		if (!iocp_names_resolve(L, CDATA, sizeof(CDATA) - 1))
			return 0;
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, CDATA);
	}
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	return 1;
}

void iocp_cdata_convert(lua_State *L, int index)
{
	if (push_function(L, "number_of")) {
		lua_pushvalue(L, index);
		lua_call(L, 1, 1);
		if (!lua_isnil(L, -1)) {
			lua_replace(L, index);
			return;
		}
	}
	lua_pop(L, 1); /* it stays a cdata, which the error will say */
}

int iocp_cdata_pack(lua_State *L)
{
	if (!push_function(L, "pack")) {
		lua_pop(L, 1);
		return 0;
	}
	lua_pushvalue(L, -2);
	lua_call(L, 1, 2);
	if (lua_isnil(L, -2)) {
		lua_pop(L, 2);
		return 0;
	}
	return 1;
}

void iocp_cdata_push_type(lua_State *L)
{
	if (push_function(L, "type_of")) {
		lua_pushvalue(L, -2);
		lua_call(L, 1, 1);
	} else {
		lua_pop(L, 1);
		lua_pushliteral(L, "unknown");
	}
}

int iocp_cdata_unpack(lua_State *L)
{
	if (!push_function(L, "unpack"))
		return 0;
	lua_insert(L, -3);
	if (lua_pcall(L, 2, 1, 0) == 0)
		return 1;
	lua_pushfstring(L, "cannot receive cdata: %s", lua_tostring(L, -1));
	lua_remove(L, -2);
	return 0;
}
