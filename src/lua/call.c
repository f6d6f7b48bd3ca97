/*
** call.c - who is told of wrong use: the line of the script that called the module, and by the name of what it called
** there, however many of the module's own functions in Lua lie between that and where the fault is found.
**
** Nothing is done for it before an error: the stack has it all. A frame is the module's if its file is.
*/

#include <stdarg.h>
#include <string.h>

#include "lua/value/format.h"

enum { SLOTS = 12 }; /* of the stack, that this takes at most */

static int is_lua(const lua_Debug *frame)
{
	return strcmp(frame->what, "C") != 0 && strcmp(frame->what, "tail") != 0; /* of Lua 5.1: a frame that is gone */
}

/* The level of the script's function that called the module, past C functions between the two, as pcall; pushes its
** place. */
static int push_place(lua_State *L)
{
	lua_Debug frame;
	int level;
	luaL_checkstack(L, SLOTS, NULL);
	for (level = 1; lua_getstack(L, level, &frame); level++) {
		lua_getinfo(L, "Sl", &frame);
		if (is_lua(&frame) && !iocp_parts_include(frame.source)) {
			if (frame.currentline > 0)
				lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
			else
				lua_pushliteral(L, "");
			return level;
		}
	}
	lua_pushliteral(L, "");
	return level;
}

void iocp_push_where(lua_State *L)
{
	(void)push_place(L);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* What is looked for: the function at `function`. What was found stands at `name`; `likely` is preferred, as a method
** may have two names. */
typedef struct search {
	int function, name;
	const char *likely;
} search;

/* Whether the value at the top is the function, or a class that is called. */
static int is_it(lua_State *L, const search *s)
{
	int is;
	if (!lua_istable(L, -1))
		return lua_rawequal(L, -1, s->function);
	if (!luaL_getmetafield(L, -1, "__call"))
		return 0;
	is = lua_rawequal(L, -1, s->function);
	lua_pop(L, 1);
	return is;
}

static int is_found(lua_State *L, const search *s)
{
	const char *name = lua_tostring(L, s->name);
	return name && s->likely && strcmp(name, s->likely) == 0;
}

/* Looks through the table at the top, which is popped, or whatever is there instead. */
static void look_in(lua_State *L, const search *s)
{
	int table = lua_gettop(L);
	lua_pushnil(L);
	while (lua_istable(L, table) && lua_next(L, table)) {
		if (lua_type(L, -2) == LUA_TSTRING && is_it(L, s) && !is_found(L, s)) {
			lua_pushvalue(L, -2);
			lua_replace(L, s->name);
		}
		lua_pop(L, 1);
	}
	lua_settop(L, table - 1);
}

/* Looks through what is in the table at the top, which is popped: tables by a name, and the methods of metatables. */
static void look_in_each(lua_State *L, const search *s)
{
	int table = lua_gettop(L);
	lua_pushnil(L);
	while (lua_istable(L, table) && lua_next(L, table)) {
		if (lua_istable(L, -2)) {
			lua_pushliteral(L, "__index");
			lua_rawget(L, -3);
			lua_replace(L, -2);
		}
		look_in(L, s);
	}
	lua_settop(L, table - 1);
}

/* Looks among the functions that lua/iocp has put in others' places, and those others: see iocp_lua_put. */
static void look_in_own(lua_State *L, const search *s, int outer)
{
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_OWN);
	if (lua_istable(L, -1)) {
		size_t length;
		const char *path;
		lua_pushvalue(L, s->function);
		lua_rawget(L, -2);
		path = lua_tolstring(L, -1, &length); /* with zero bytes between its parts */
		if (path && outer && strcmp(path, IOCP_METHODS) != 0)
			path = NULL;
		while (path && strlen(path) < length) {
			length -= strlen(path) + 1;
			path += strlen(path) + 1;
		}
		if (path) {
			lua_pushstring(L, path);
			lua_replace(L, s->name);
		}
	}
	lua_settop(L, s->name);
}

/* Looks through what stands where it is not found by its class: methods of ports with a capacity, and those that LuaJIT
** has compiled ones of. */
static void look_in_private(lua_State *L, const search *s)
{
	luaL_getmetatable(L, IOCP_LIMITED);
	if (lua_istable(L, -1))
		lua_getfield(L, -1, "__index");
	look_in(L, s);
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, "iocp.private");
	if (lua_istable(L, -1))
		lua_getfield(L, -1, "classic"); /* lua/iocp/jit.lua */
	look_in_each(L, s);
	lua_settop(L, s->name);
}

/* Looks through all that is public; of what only lies between, `outer`, through methods, since iocp.pcall is Lua's. */
static void look_everywhere(lua_State *L, const search *s, int outer)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, IOCP_METHODS);
	look_in_each(L, s);
	lua_pop(L, 1);
	look_in_own(L, s, outer);
	if (outer)
		return;
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_STAYING);
	look_in_each(L, s);
	look_in_private(L, s);
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, "iocp.core");
	lua_remove(L, -2);
	lua_pushvalue(L, -1);
	look_in(L, s);
	look_in_each(L, s);
}

/* Pushes the public name of what the frame runs, or nil. Returns whether it is the module's. */
static int push_public_name(lua_State *L, int level, lua_Debug *frame)
{
	search s;
	int is_own;
	lua_getinfo(L, "Snf", frame);
	is_own = level == 0 || iocp_parts_include(frame->source);
	s.function = lua_gettop(L);
	s.likely = frame->name;
	lua_pushnil(L);
	s.name = lua_gettop(L);
	look_everywhere(L, &s, !is_own);
	lua_remove(L, s.function);
	return is_own;
}

static int is_method(const lua_Debug *frame)
{
	return strcmp(frame->namewhat, "method") == 0;
}

static int is_named(const lua_Debug *frame)
{
	return frame->name && strcmp(frame->name, "?") != 0 && strcmp(frame->namewhat, "metamethod") != 0;
}

/* Pushes the name of what the script's function at `level` has called: the public one, else the one by which it is
** called there; nil: neither is known. Returns whether it was called as a method. */
static int push_name(lua_State *L, int level)
{
	lua_Debug frame, own = {.name = NULL}; /* the outermost one of the module */
	int found = 0;
	while (level-- > 0 && lua_getstack(L, level, &frame)) {
		int is_own = push_public_name(L, level, &frame);
		if (!lua_isnil(L, -1))
			return is_method(&frame);
		lua_pop(L, 1);
		if (is_own && !found++)
			own = frame;
	}
	if (!is_named(&own)) {
		lua_pushnil(L);
		return 0;
	}
	lua_pushstring(L, own.name);
	return is_method(&own);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

int iocp_argument_error(lua_State *L, int index, const char *text)
{
	const char *where, *name;
	int level = push_place(L);
	where = lua_tostring(L, -1);
	index -= push_name(L, level);
	name = lua_isnil(L, -1) ? "?" : lua_tostring(L, -1);
	if (index == 0)
		lua_pushfstring(L, "%scalling '%s' on bad self (%s)", where, name, text);
	else
		lua_pushfstring(L, "%sbad argument #%d to '%s' (%s)", where, index, name, text);
	return lua_error(L);
}

int iocp_raise(lua_State *L, const char *format, ...)
{
	va_list arguments;
	iocp_push_where(L);
	va_start(arguments, format);
	lua_pushvfstring(L, format, arguments);
	va_end(arguments);
	lua_concat(L, 2);
	return lua_error(L);
}

int iocp_lua_raise(lua_State *L)
{
	return iocp_raise(L, "%s", luaL_checkstring(L, 1));
}

int iocp_lua_called(lua_State *L)
{
	(void)push_name(L, push_place(L));
	return 1;
}
