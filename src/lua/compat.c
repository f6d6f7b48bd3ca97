/*
** compat.c - what LuaJIT and Lua 5.1 to 5.4 do differently, in one place. Owns no state.
*/

#include <string.h>

#include "lua/binding.h"

void iocp_set_functions(lua_State *L, const luaL_Reg *functions, int upvalues)
{
	for (; functions->name; functions++) {
		int i;
		for (i = 0; i < upvalues; i++)
			lua_pushvalue(L, -upvalues);
		lua_pushcclosure(L, functions->func, upvalues);
		lua_setfield(L, -(upvalues + 2), functions->name);
	}
	lua_pop(L, upvalues);
}

void iocp_push_traceback(lua_State *L, const char *message, int level)
{
#if LUA_VERSION_NUM < 502
	/* A module built for 5.1 serves Lua and LuaJIT, and only one of them has luaL_traceback. */
	lua_getglobal(L, "debug");
	if (lua_istable(L, -1))
		lua_getfield(L, -1, "traceback");
	if (lua_isfunction(L, -1)) {
		lua_pushstring(L, message);
		lua_pushinteger(L, level + 1);
		lua_call(L, 2, 1);
	} else {
		lua_pushstring(L, message); /* the script took the library away */
	}
#else
	luaL_traceback(L, L, message, level);
#endif
}

void iocp_push_text(lua_State *L, int index)
{
	if (lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER) {
		lua_pushvalue(L, index);
		lua_tostring(L, -1);
	} else if (luaL_callmeta(L, index, "__tostring") && lua_isstring(L, -1)) {
		return;
	} else {
		lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
	}
}

int iocp_load_text(lua_State *L, const char *text, size_t length, const char *name)
{
#if LUA_VERSION_NUM >= 502
	return luaL_loadbufferx(L, text, length, name, "t");
#else
	if (length > 0 && text[0] == LUA_SIGNATURE[0]) {
		lua_pushliteral(L, "attempt to load a binary chunk (mode is 't')");
		return LUA_ERRSYNTAX;
	}
	return luaL_loadbuffer(L, text, length, name);
#endif
}

int iocp_protect(lua_State *L, lua_CFunction f)
{
#if LUA_VERSION_NUM < 502
	return lua_cpcall(L, f, NULL); /* pushing a C function allocates here */
#else
	lua_pushcfunction(L, f);
	return lua_pcall(L, 0, 0, 0);
#endif
}

/* Where lua_dump writes to; without `memory` it only counts. */
typedef struct dump {
	char *memory;
	size_t size;
} dump;

static int write_dump(lua_State *L, const void *data, size_t size, void *state)
{
	dump *d = state;
	(void)L;
	if (d->memory)
		memcpy(d->memory + d->size, data, size);
	d->size += size;
	return 0;
}

static void dump_function(lua_State *L, dump *d)
{
	d->size = 0;
#if LUA_VERSION_NUM >= 503
	lua_dump(L, write_dump, d, 0);
#else
	lua_dump(L, write_dump, d);
#endif
}

void iocp_push_dump(lua_State *L)
{
	/* Twice, since a luaL_Buffer and lua_dump both want the top of the stack. */
	dump d = {NULL, 0};
	int function = lua_gettop(L);
	dump_function(L, &d);
	d.memory = lua_newuserdata(L, d.size);
	lua_pushvalue(L, function);
	dump_function(L, &d);
	lua_pop(L, 1);
	lua_pushlstring(L, d.memory, d.size);
	lua_remove(L, -2);
}
