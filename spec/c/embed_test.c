/*
** embed_test.c - a C host that embeds Lua, closes the state under running threads, and goes on.
**
** Without the pin the library would be unloaded by lua_close while threads run inside it. The module is loaded as any
** script would load it; the Makefile passes where it is.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static void run(lua_State *L, const char *script)
{
	if (luaL_dostring(L, script) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
}

static lua_State *new_state(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	run(L, "package.path = 'lua/?.lua;lua/?/init.lua' package.cpath = '" MODULE_PATH "/?.so'");
	return L;
}

static void wait_ms(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&time, NULL);
}

static void a_host_goes_on_after_lua_close(void **state)
{
	int i;
	for (i = 0; i < 20; i++) {
		lua_State *L = new_state();
		run(L, "local iocp = require 'iocp' local port = iocp.IOCompletionPort()\n"
			   "for _ = 1, 3 do iocp.Thread('local port = ... port:dequeue(200)', port) end\n"
			   "iocp.Thread('local iocp = require \"iocp\" for _ = 1, 20 do iocp.sleep(1) end')\n"
			   "iocp.sleep(1)");
		lua_close(L);
		wait_ms(5);
	}
	wait_ms(300);
	(void)state;
}

static void two_states_of_a_host_share_objects(void **state)
{
	lua_State *a = new_state(), *b = new_state();
	char script[128];
	run(a, "iocp = require 'iocp' port = iocp.IOCompletionPort() handle = port:handle()");
	lua_getglobal(a, "handle");
	snprintf(script, sizeof(script), "port = require('iocp').IOCompletionPort.open('%s') port:enqueue(7, 8)",
		lua_tostring(a, -1));
	run(b, script);
	lua_close(b);
	run(a, "local key, bytes = port:dequeue(0) assert(key == 7 and bytes == 8)");
	lua_close(a);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_goes_on_after_lua_close),
		cmocka_unit_test(two_states_of_a_host_share_objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
