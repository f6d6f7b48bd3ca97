/*
** failing_lua.c - the whole, while allocations fail: the script spec/c/failing.lua, on Lua 5.4, and the states of its
** threads. The interpreters' allocations fail too: those of the script's own state while the script wants it, and those
** of any other state, which are the library's to survive.
*/

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "failing.h"

int luaopen_iocp_core(lua_State *L);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
lua_State *__wrap_luaL_newstate(void);

static int script_fails; /* 1: the script wants it: while its state is made nothing is to fail */

static int script(void);

/* The places that their allocations come from, named by what makes the state. */
static void *in_script(void)
{
	return (char *)(uintptr_t)script + 1;
}

static void *in_others(void)
{
	return (char *)(uintptr_t)__wrap_luaL_newstate + 1;
}

/* A block always shrinks: Lua counts on that. If it has none it collects garbage and tries again, which then fails too.
** */
static void *allocate(void *place, void *block, size_t old_size, size_t size)
{
	static _Thread_local int again;
	if (size == 0) {
		__real_free(block);
		return NULL;
	}
	if ((!block || size > old_size) && (place != in_script() || script_fails)) {
		if (again) {
			again = 0;
			return NULL;
		}
		if (failing_now(place)) {
			again = 1;
			return NULL;
		}
	}
	return __real_realloc(block, size);
}

/* What the library makes of the states that it needs. */
lua_State *__wrap_luaL_newstate(void)
{
	return lua_newstate(allocate, in_others());
}

static int lua_on(lua_State *L)
{
	(void)L;
	script_fails = 1;
	failing_on();
	return 0;
}

static int lua_off(lua_State *L)
{
	(void)L;
	failing_off();
	script_fails = 0;
	return 0;
}

static int script(void)
{
	lua_State *L = lua_newstate(allocate, in_script());
	int bad;
	luaL_openlibs(L);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_pushcfunction(L, luaopen_iocp_core);
	lua_setfield(L, -2, "iocp.core");
	lua_settop(L, 0);
	bad = luaL_loadfile(L, "spec/c/failing.lua");
	lua_pushcfunction(L, lua_on);
	lua_pushcfunction(L, lua_off);
	bad = bad || lua_pcall(L, 2, 0, 0);
	failing_off();
	if (bad)
		fprintf(stderr, "%s\n", luaL_tolstring(L, 1, NULL));
	lua_close(L);
	return bad;
}

int main(int count, char **arguments)
{
	setenv("LUA_PATH", "lua/?.lua;lua/?/init.lua", 1);
	return failing_main(script, count, arguments);
}
