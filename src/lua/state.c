/*
** state.c - new Lua states, made like their parent.
**
** A description is a list of values: package.path, package.cpath, then three for each Lua function of package.preload:
** name, bytecode, and where the function cannot cross nil and the reason, which requiring it in the new state raises.
*/

#include <string.h>

#include "lua/binding.h"
#include "lualib.h"

/* ---- functions that cross ------------------------------------------------------------------------------------------ */

/* Whether upvalue `n`, of that name, is the globals, which from Lua 5.2 on are an upvalue that the new state fills in. In
** a function without debug information it has no name, but the value tells. */
static int is_globals(lua_State *L, int index, int n, const char *name)
{
#if LUA_VERSION_NUM >= 502
	int same;
	if (strcmp(name, "_ENV") == 0)
		return 1;
	(void)lua_getupvalue(L, index, n);
	lua_pushglobaltable(L);
	same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
#else
	(void)L, (void)index, (void)n, (void)name;
	return 0;
#endif
}

/* The name of upvalue `n` of the function at `index`, NULL if there is none. */
static const char *upvalue_name(lua_State *L, int index, int n)
{
	const char *name = lua_getupvalue(L, index, n);
	if (name)
		lua_pop(L, 1);
	return name;
}

int iocp_push_obstacle(lua_State *L, int index)
{
	const char *name;
	if (lua_iscfunction(L, index)) {
		lua_pushliteral(L, "it is a C function");
		return 1;
	}
	name = upvalue_name(L, index, 1);
	if (name && is_globals(L, index, 1, name))
		name = upvalue_name(L, index, 2);
	if (name)
		lua_pushfstring(L, "it has an upvalue, '%s': pass it as an argument, or make it in the function", name);
	return name != NULL;
}

/* ---- describing the parent ----------------------------------------------------------------------------------------- */

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

/* Stores the value at the top as list[++*count]. */
static void append(lua_State *L, int list, int *count)
{
	lua_rawseti(L, list, ++*count);
}

static void append_function(lua_State *L, int name, int list, int *count)
{
	int function = name + 1;
	lua_pushvalue(L, name);
	append(L, list, count);
	if (iocp_push_obstacle(L, function)) {
		lua_pushfstring(L, "module '%s' stands in package.preload of the parent but cannot cross: %s",
			lua_tostring(L, name), lua_tostring(L, -1));
		++*count; /* no code */
		append(L, list, count);
	} else {
		lua_settop(L, function);
		iocp_push_dump(L);
		append(L, list, count);
		++*count; /* no reason */
	}
}

/* Fills the table at `list`; returns how many values it has. */
static int list_preload(lua_State *L, int list)
{
	int count = 0, preload;
	push_package_field(L, "preload");
	preload = lua_gettop(L);
	if (lua_istable(L, preload)) {
		lua_pushnil(L);
		while (lua_next(L, preload)) {
			int name = lua_gettop(L) - 1;
			/* A C function is there because of who made the state, and is there in the child for the same reason. */
			if (lua_type(L, name) == LUA_TSTRING && lua_isfunction(L, name + 1) && !lua_iscfunction(L, name + 1))
				append_function(L, name, list, &count);
			lua_settop(L, name);
		}
	}
	lua_settop(L, list);
	return count;
}

iocp_values *iocp_state_describe(lua_State *L)
{
	iocp_values *description;
	int list, count, i, first;
	luaL_checkstack(L, 16, "describing the state");
	lua_newtable(L);
	list = lua_gettop(L);
	count = list_preload(L, list);
	luaL_checkstack(L, count + 4, "too many entries in package.preload");
	first = list + 1;
	push_package_field(L, "path");
	push_package_field(L, "cpath");
	for (i = 1; i <= count; i++)
		lua_rawgeti(L, list, i);
	description = iocp_values_copy(L, first, count + 2, "package field", NULL);
	if (description) {
		lua_settop(L, list - 1);
	} else {
		lua_replace(L, list); /* the message */
		lua_settop(L, list);
	}
	return description;
}

/* ---- making the child ---------------------------------------------------------------------------------------------- */

static int raise_reason(lua_State *L)
{
	return luaL_error(L, "%s", lua_tostring(L, lua_upvalueindex(1)));
}

void iocp_state_prepare(lua_State *L, const iocp_values *description)
{
	int first = lua_gettop(L) + 1, count, i, package;
	luaL_openlibs(L);
	count = iocp_values_push(L, description);
	lua_getglobal(L, "package");
	package = lua_gettop(L);
	lua_pushvalue(L, first);
	lua_setfield(L, package, "path");
	lua_pushvalue(L, first + 1);
	lua_setfield(L, package, "cpath");
	lua_getfield(L, package, "preload");
	lua_pushcfunction(L, luaopen_iocp_core); /* this very library, wherever package.cpath leads */
	lua_setfield(L, -2, "iocp.core");
	for (i = first + 2; i < first + count; i += 3) {
		size_t length;
		const char *name = lua_tostring(L, i), *code = lua_tolstring(L, i + 1, &length);
		if (!code) {
			lua_pushvalue(L, i + 2);
			lua_pushcclosure(L, raise_reason, 1);
		} else if (luaL_loadbuffer(L, code, length, name) != 0) {
			lua_error(L);
		}
		lua_setfield(L, -2, name);
	}
	lua_settop(L, first - 1);
}
