/*
** debug.c - IOCP_DEBUG=1: on the error output, what begins and ends, what waits for long and where, what is refused,
** which metatables do not cross, and which upvalues are assigned to where that changes a copy. Who is not asked for
** costs a load and a branch. Nothing else changes, but that LuaJIT has no compiled methods (lua/iocp/jit/library.lua).
**
** The switch is read with the environment when the module is opened. Relaxed: it is written with the same value by all.
*/

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/value/format.h"

_Atomic int iocp_debugging;

void iocp_debug_open(void)
{
	const char *value = getenv("IOCP_DEBUG");
	atomic_store_explicit(&iocp_debugging, value && *value && !(value[0] == '0' && !value[1]), memory_order_relaxed);
}

void iocp_debug_say(const char *format, ...)
{
	char text[1024];
	iocp_thread *thread = iocp_thread_current();
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (thread)
		iocp_write_error("iocp: thread %s: %s\n", iocp_thread_name(thread), text);
	else
		iocp_write_error("iocp: main script: %s\n", text);
}

/* The name of the function that runs, and where it was called. */
static const char *push_caller(lua_State *L)
{
	lua_Debug about;
	int known = lua_getstack(L, 0, &about) && lua_getinfo(L, "n", &about) && about.name;
	luaL_where(L, 1);
	lua_pushfstring(L, "%s%s", lua_tostring(L, -1), known ? about.name : "a call");
	lua_remove(L, -2);
	return lua_tostring(L, -1);
}

const char *iocp_debug_push_maker(lua_State *L)
{
	lua_Debug own, about;
	const char *end;
	int level, known = lua_getstack(L, 1, &own) && lua_getinfo(L, "S", &own);
	end = known ? strrchr(own.source, LUA_DIRSEP[0]) : NULL;
	for (level = 2; known && lua_getstack(L, level, &about); level++) {
		lua_getinfo(L, "Sl", &about);
		if (about.currentline > 0 && !(end && strncmp(about.source, own.source, (size_t)(end - own.source)) == 0))
			return lua_pushfstring(L, "%s:%d", about.short_src, about.currentline);
	}
	lua_pushliteral(L, "?");
	return lua_tostring(L, -1);
}

void iocp_debug_refused(lua_State *L, const char *message, int code)
{
	if (code == IOCP_TIMEOUT || code == IOCP_ERROR) /* time has passed; a failure is told where it happens */
		return;
	iocp_debug_say("%s: refused: %s", push_caller(L), message);
	lua_pop(L, 1);
}

/* Of the innermost function with a name. Allocates nothing: who waits may have something that is not to be lost if Lua
** raises. */
void iocp_debug_waits(lua_State *L)
{
	lua_Debug about, caller;
	int level, known = 0;
	for (level = 0; !known && lua_getstack(L, level, &about); level++)
		known = lua_getinfo(L, "n", &about) && about.name;
	if (known && lua_getstack(L, level, &caller) && lua_getinfo(L, "Sl", &caller) && caller.currentline > 0)
		iocp_debug_say("%s:%d: %s: waits for more than %d s", caller.short_src, caller.currentline, about.name,
			IOCP_DEBUG_PATIENCE / 1000);
	else
		iocp_debug_say("%s: waits for more than %d s", known ? about.name : "a call", IOCP_DEBUG_PATIENCE / 1000);
}

void iocp_debug_lost(lua_State *L, const char *what, int n)
{
	const char *name = NULL;
	if (!lua_checkstack(L, 8) || !lua_getmetatable(L, -1))
		return;
	lua_pushliteral(L, "__name");
	lua_rawget(L, -2);
	if (lua_type(L, -1) == LUA_TSTRING)
		name = lua_tostring(L, -1);
	luaL_where(L, 1);
	iocp_debug_say("%s%s %d: metatable%s%s is not registered: iocp.register", lua_tostring(L, -1), what, n,
		name ? " of class " : "", name ? name : "");
	lua_pop(L, 3);
}

/* ---- upvalues ---------------------------------------------------------------------------------------------------- */

/* Pushes what the table at the top has; nil if it is no plain table, but a module, or one with a metatable. */
static void push_copy(lua_State *L)
{
	int table = lua_gettop(L), is_plain = lua_istable(L, table) && !lua_getmetatable(L, table);
	lua_settop(L, table);
	if (is_plain) {
		iocp_names_push(L);
		lua_pushvalue(L, table);
		lua_rawget(L, -2);
		is_plain = lua_isnil(L, -1);
		lua_settop(L, table);
	}
	if (!is_plain) {
		lua_pushnil(L);
		return;
	}
	lua_newtable(L);
	for (lua_pushnil(L); lua_next(L, table);) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, table + 1);
	}
}

/* Pushes a table of the upvalues of the function at `index`, and of copies of their tables at -1, -2 and so on. */
static void push_upvalues(lua_State *L, int index)
{
	int i;
	lua_newtable(L);
	for (i = 1; lua_getupvalue(L, index, i); i++) {
		push_copy(L);
		lua_rawseti(L, -3, -i);
		lua_rawseti(L, -2, i);
	}
}

/* Whether one of the two tables has something that the other has not. */
static int differ(lua_State *L, int table, int other)
{
	int same = 1, top = lua_gettop(L);
	for (lua_pushnil(L); same && lua_next(L, table); lua_settop(L, top + 1)) {
		lua_pushvalue(L, -2);
		lua_rawget(L, other);
		same = lua_rawequal(L, -1, -2);
	}
	lua_settop(L, top);
	return !same;
}

/* Where the function at `index` was written. */
static const char *push_place(lua_State *L, int index)
{
	lua_Debug about;
	lua_pushvalue(L, index);
	lua_getinfo(L, ">S", &about);
	return lua_pushfstring(L, "%s:%d", about.short_src, about.linedefined);
}

/* The function at `index` had those in the table at `before`. */
static void tell_assigned(lua_State *L, int index, int before)
{
	const char *name;
	int i, value = lua_gettop(L) + 1;
	for (i = 1; (name = lua_getupvalue(L, index, i)); i++) {
		const char *what = NULL;
		lua_rawgeti(L, before, i);
		lua_rawgeti(L, before, -i);
		if (!lua_rawequal(L, value, value + 1))
			what = "assigned to";
		else if (lua_istable(L, value + 2) && (differ(L, value, value + 2) || differ(L, value + 2, value)))
			what = "changed the table in";
		if (what)
			iocp_debug_say("the function at %s has %s its upvalue '%s', which is a copy: return it, or send it",
				push_place(L, index), what, *name ? name : "?");
		lua_settop(L, value - 1);
	}
}

/* call(which, function, ...) */
static int call_watched(lua_State *L)
{
	int which = (int)lua_tointeger(L, 1), count = lua_gettop(L) - 2;
	int is_lua = lua_isfunction(L, which + 1) && !lua_iscfunction(L, which + 1);
	if (!is_lua || !lua_checkstack(L, 2 * LUA_MINSTACK)) {
		lua_call(L, count, LUA_MULTRET);
		return lua_gettop(L) - 1;
	}
	lua_pushvalue(L, which + 1); /* comes to 2, behind it what it has at 3 */
	push_upvalues(L, lua_gettop(L));
	lua_insert(L, 2);
	lua_insert(L, 2);
	lua_call(L, count, LUA_MULTRET);
	tell_assigned(L, 2, 3);
	return lua_gettop(L) - 3;
}

int iocp_debug_watch(lua_State *L, int which)
{
	lua_pushinteger(L, which);
	lua_insert(L, 1);
	lua_pushcfunction(L, call_watched);
	lua_insert(L, 1);
	return 2;
}
