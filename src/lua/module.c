/*
** module.c - iocp.core: the module table. Opening it twice in a state gives a second table over the same classes.
*/

#include "lua/value/format.h"
#include "work/work.h"

static int module_processors(lua_State *L)
{
	iocp_push_count(L, iocp_processors());
	return 1;
}

static int wait_sleep(void *object, void *argument, double ms)
{
	(void)object;
	(void)argument;
	return iocp_sleep(ms);
}

static int module_sleep(lua_State *L)
{
	int r = iocp_wait_in_lua(L, wait_sleep, NULL, NULL, iocp_check_ms(L, 1));
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int module_yield(lua_State *L)
{
	iocp_yield();
	lua_pushboolean(L, 1);
	return 1;
}

static int module_cancelled(lua_State *L)
{
	lua_pushboolean(L, iocp_thread_cancelled());
	return 1;
}

static int module_clock(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)iocp_clock());
	return 1;
}

/* Calls f(...), during which the thread counts at no port. */
static int module_blocking(lua_State *L)
{
	int r;
	if (!lua_isfunction(L, 1))
		return iocp_bad_argument(L, 1, "f", "a function");
	iocp_give_back(L);
	r = iocp_block_enter();
	if (r != IOCP_OK)
		return luaL_error(L, "blocking: %s", (iocp_failure(L, r, NULL), lua_tostring(L, -2)));
	r = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
	iocp_block_leave();
	return r == 0 ? lua_gettop(L) : lua_error(L);
}

static int require_all(lua_State *L)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "iocp");
	lua_call(L, 1, 0);
	return 0;
}

static int private_debugs(lua_State *L)
{
	lua_pushboolean(L, iocp_debugs());
	return 1;
}

static int private_wall_time(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)iocp_wall_time());
	return 1;
}

static int private_host_name(lua_State *L)
{
	char name[256];
	lua_pushstring(L, iocp_own_host_name(name, sizeof(name)) ? name : NULL);
	return 1;
}

/* package.loaded["iocp.private"]: what the files in lua/iocp need of C, and scripts do not. */
static void open_private(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"open_pool", iocp_lua_open_pool},
		{"open_fast", iocp_lua_open_fast},
		{"open_shared", iocp_lua_open_shared},
		{"io_error", iocp_lua_io_error},
		{"io_errors", iocp_lua_io_errors},
		{"next_line", iocp_lua_next_line},
		{"load_when_used", iocp_lua_load_when_used},
		{"debugs", private_debugs},
		{"wall_time", private_wall_time},
		{"host_name", private_host_name},
		{NULL, NULL},
	};
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	iocp_new_table(L, functions, 0);
	lua_setfield(L, -2, "iocp.private");
	lua_pop(L, 1);
}

/* open(what). What pools and tasks need is Lua's in part. */
static int open_late(lua_State *L)
{
	enum iocp_opens what = (enum iocp_opens)lua_tointeger(L, 1);
	if (what == IOCP_OPENS_SHARED)
		return iocp_lua_open_shared(L);
	if (what == IOCP_OPENS_LIMITED) {
		iocp_lua_open_limited(L);
		return 0;
	}
	if (what == IOCP_OPENS_POOL) {
		lua_getglobal(L, "require");
		lua_pushliteral(L, "iocp");
		lua_call(L, 1, 1);
		lua_getfield(L, -1, "Pool"); /* see lua/iocp/init.lua */
		return 0;
	}
	(void)luaopen_iocp_core(L);
	lua_getglobal(L, "jit");
	if (lua_istable(L, -1)) {
		lua_pushcfunction(L, require_all);
		iocp_load_after(L, IOCP_LOOKS_ENOUGH);
	}
	return 0;
}

/* What a state has before it requires the module, and passes on to those that it makes. */
static int prepare(lua_State *L)
{
	lua_pushcfunction(L, prepare);
	lua_setfield(L, LUA_REGISTRYINDEX, IOCP_PREPARE);
	lua_pushcfunction(L, open_late);
	lua_setfield(L, LUA_REGISTRYINDEX, IOCP_OPEN);
	iocp_methods_push(L);
	lua_pop(L, 1);
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "preload");
	if (lua_istable(L, -1)) {
		lua_pushcfunction(L, luaopen_iocp_core); /* this very library, wherever package.cpath leads */
		lua_setfield(L, -2, "iocp.core");
	}
	return 0;
}

IOCP_API int luaopen_iocp_core(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"processors", module_processors},
		{"sleep", module_sleep},
		{"yield", module_yield},
		{"blocking", module_blocking},
		{"current", iocp_lua_current},
		{"threads", iocp_lua_threads},
		{"pools", iocp_lua_pools},
		{"cancelled", module_cancelled},
		{"clock", module_clock},
		{"describe", iocp_lua_describe},
		{"resolve", iocp_lua_resolve},
		{"Process", iocp_lua_process},
		{"signal", iocp_lua_signal},
		{"register", iocp_lua_register},
		{"on_unobserved", iocp_lua_on_unobserved},
		{NULL, NULL},
	};
	int r = iocp_pin(); /* threads may be inside this library when the state that loaded it is closed */
	if (r != IOCP_OK)
		return luaL_error(L, "iocp: cannot keep the library loaded (system error %d)", r);
	iocp_debug_open();
	iocp_unobserved_open(L);
	iocp_parts_remember(L);
	lua_pushcfunction(L, prepare);
	lua_call(L, 0, 0);
	open_private(L);
	iocp_new_table(L, functions, 8);
	lua_pushstring(L, iocp_version());
	lua_setfield(L, -2, "_VERSION");
	iocp_dotted_add(L);
	iocp_lua_open_port(L);
	iocp_lua_open_heap(L);
	iocp_lua_open_thread(L);
	iocp_lua_open_timer(L);
	iocp_lua_open_socket(L);
	iocp_lua_open_addresses(L);
	iocp_lua_open_lookup(L);
	iocp_lua_open_file(L);
	iocp_lua_open_process(L);
	return 1;
}
