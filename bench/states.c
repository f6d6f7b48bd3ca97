/*
** states.c - the yardstick of iocp.Thread: a pthread that makes a Lua state with the libraries and closes it. Built for
** LuaJIT and for Lua 5.4.
**
** Usage: states COUNT prints the seconds that COUNT of them took, one after the other.
*/

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "iocp.h"

static void *open_state(void *unused)
{
	lua_State *L = luaL_newstate();
	if (!L)
		abort();
	luaL_openlibs(L);
	lua_close(L);
	return unused;
}

int main(int argc, char **argv)
{
	unsigned long i, count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	double started = iocp_clock();
	pthread_t thread;
	for (i = 0; i < count; i++)
		if (pthread_create(&thread, NULL, open_state, NULL) != 0 || pthread_join(thread, NULL) != 0)
			abort();
	printf("%.9f\n", (iocp_clock() - started) / 1000);
	return 0;
}
