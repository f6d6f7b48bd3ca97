/*
** value/cdata.c - LuaJIT's cdata as values. C cannot look into one, so lua/iocp/cdata.lua does, and is called here.
*/

#include "lua/value/format.h"

#define CODEC "iocp.cdata.codec" /* registry: { type_of, pack, unpack } */

enum { TYPE_OF = 1, PACK, UNPACK };

int iocp_lua_set_cdata_codec(lua_State *L)
{
	int i;
	lua_createtable(L, UNPACK, 0);
	for (i = TYPE_OF; i <= UNPACK; i++) {
		luaL_checktype(L, i, LUA_TFUNCTION);
		lua_pushvalue(L, i);
		lua_rawseti(L, -2, i);
	}
	lua_setfield(L, LUA_REGISTRYINDEX, CODEC);
	return 0;
}

/* Pushes one of the functions and returns 1; 0: a state that does not know the module yet, or no LuaJIT. */
static int push_function(lua_State *L, int which)
{
	lua_getfield(L, LUA_REGISTRYINDEX, CODEC);
	if (!lua_istable(L, -1)) {
		lua_pop(L, 1);
		return 0;
	}
	lua_rawgeti(L, -1, which);
	lua_remove(L, -2);
	return 1;
}

int iocp_cdata_pack(lua_State *L)
{
	if (!push_function(L, PACK))
		return 0;
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
	if (push_function(L, TYPE_OF)) {
		lua_pushvalue(L, -2);
		lua_call(L, 1, 1);
	} else {
		lua_pushliteral(L, "unknown");
	}
}

int iocp_cdata_unpack(lua_State *L)
{
	if (!push_function(L, UNPACK)) {
		if (!iocp_names_resolve(L, "iocp", 4)) /* opening the module brings them */
			return 0;
		lua_pop(L, 1);
		if (!push_function(L, UNPACK)) {
			lua_pushliteral(L, "cannot receive cdata: the ffi is not there");
			return 0;
		}
	}
	lua_insert(L, -3);
	if (lua_pcall(L, 2, 1, 0) == 0)
		return 1;
	lua_pushfstring(L, "cannot receive cdata: %s", lua_tostring(L, -1));
	lua_remove(L, -2);
	return 0;
}
