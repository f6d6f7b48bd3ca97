/*
** system.c - what the specs need of lua-system, which is busted's own clock, for interpreters that have no package of
** it.
*/

#define _GNU_SOURCE

#include <lauxlib.h>
#include <lua.h>
#include <time.h>

static int push_time(lua_State *L, clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
	return 1;
}

static int gettime(lua_State *L)
{
	return push_time(L, CLOCK_REALTIME);
}

static int monotime(lua_State *L)
{
	return push_time(L, CLOCK_MONOTONIC);
}

static int sleep_for(lua_State *L)
{
	const double seconds = luaL_checknumber(L, 1);
	struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	nanosleep(&left, NULL);
	return 0;
}

int luaopen_system_core(lua_State *L);
int luaopen_system_core(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, gettime);
	lua_setfield(L, -2, "gettime");
	lua_pushcfunction(L, monotime);
	lua_setfield(L, -2, "monotime");
	lua_pushcfunction(L, sleep_for);
	lua_setfield(L, -2, "sleep");
	return 1;
}
