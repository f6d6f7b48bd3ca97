/*
** debug.c - IOCP_DEBUG=1: on the error output, what begins and ends, what waits for long and where, what is refused,
** and which metatables do not cross. Nothing else changes: who is not asked for costs a load and a branch.
**
** The switch is read with the environment when the module is opened. Relaxed: it is written with the same value by all.
*/

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

void iocp_debug_refused(lua_State *L, const char *message, int code)
{
	if (code == IOCP_TIMEOUT || code == IOCP_ERROR) /* time has passed; a failure is told where it happens */
		return;
	iocp_debug_say("%s: refused: %s", push_caller(L), message);
	lua_pop(L, 1);
}

void iocp_debug_waits(lua_State *L)
{
	iocp_debug_say("%s: waits for more than %d s", push_caller(L), IOCP_DEBUG_PATIENCE / 1000);
	lua_pop(L, 1);
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
