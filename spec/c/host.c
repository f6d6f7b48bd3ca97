/*
** host.c - the smallest interpreter that can run busted: host [-e chunk]... [script [args]]. Built with a sanitizer, it
** brings the sanitizer's runtime into the process, so that a sanitized module can be loaded. Linked with the module and
** with what busted needs it has them already, as a static program must.
*/

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int luaopen_iocp_core(lua_State *L) __attribute__((weak));
extern int luaopen_lfs(lua_State *L) __attribute__((weak));
extern int luaopen_system_core(lua_State *L) __attribute__((weak));

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "preload");
	if (open) {
		lua_pushcfunction(L, open);
		lua_setfield(L, -2, name);
	}
	lua_pop(L, 2);
}

static int traceback(lua_State *L)
{
	luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
	return 1;
}

static lua_State *interrupted;

static void raise_interrupted(lua_State *L, lua_Debug *activation)
{
	(void)activation;
	lua_sethook(L, NULL, 0, 0);
	luaL_error(L, "interrupted!");
}

/* As lua.c does. */
static void on_signal(int number)
{
	signal(number, SIG_DFL);
	lua_sethook(interrupted, raise_interrupted, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static int run(lua_State *L, int status, int arguments)
{
	if (status == LUA_OK) {
		int base = lua_gettop(L) - arguments;
		lua_pushcfunction(L, traceback);
		lua_insert(L, base);
		status = lua_pcall(L, arguments, 0, base);
	}
	if (status != LUA_OK)
		fprintf(stderr, "host: %s\n", lua_tostring(L, -1));
	return status == LUA_OK;
}

static int run_script(lua_State *L, int count, int script, char **argv)
{
	int i;
	lua_createtable(L, count - script, script + 1);
	for (i = 0; i < count; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i - script);
	}
	lua_setglobal(L, "arg");
	i = luaL_loadfile(L, argv[script]);
	for (count -= script + 1; count > 0; count--)
		lua_pushstring(L, argv[++script]);
	return run(L, i, lua_gettop(L) - 1);
}

int main(int argc, char **argv)
{
	lua_State *L = luaL_newstate();
	int i, good = L != NULL;
	luaL_openlibs(L);
	preload(L, "iocp.core", luaopen_iocp_core);
	preload(L, "lfs", luaopen_lfs);
	preload(L, "system.core", luaopen_system_core);
	interrupted = L;
	signal(SIGINT, on_signal);
	for (i = 1; good && i + 1 < argc && strcmp(argv[i], "-e") == 0; i += 2)
		good = run(L, luaL_loadstring(L, argv[i + 1]), 0);
	lua_settop(L, 0);
	if (good && i < argc)
		good = run_script(L, argc, i, argv);
	lua_close(L);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
