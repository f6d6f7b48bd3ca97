/*
** module.c - iocp.core: the module table, and the classes. Opening it twice in a state gives a second table over the
** same classes.
**
** Most threads use few of the classes, and one takes as long to make as anything else of the module: so a state has
** those that its script looks for in the module table, which get there then, and those of which it has met objects.
*/

#include <string.h>

#include "lua/frozen.h"
#include "work/work.h"

/* ---- functions --------------------------------------------------------------------------------------------------- */

static int module_processors(lua_State *L)
{
	iocp_push_count(L, iocp_processors());
	return 1;
}

/* IOCP_TIMEOUT, as any wait, when the time has passed: a long one is done in parts. */
static int wait_sleep(void *object, void *argument, double ms)
{
	int r = iocp_sleep(ms);
	(void)object;
	(void)argument;
	return r == IOCP_OK ? IOCP_TIMEOUT : r;
}

static int module_sleep(lua_State *L)
{
	int r = iocp_wait_in_lua(L, wait_sleep, NULL, NULL, iocp_check_ms(L, 1));
	if (r != IOCP_TIMEOUT)
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
		return iocp_raise(L, "blocking: %s", (iocp_failure(L, r, NULL), lua_tostring(L, -2)));
	r = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
	iocp_block_leave();
	return r == 0 ? lua_gettop(L) : lua_error(L);
}

/* ---- the classes ------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;               /* in the module table; NULL: it is not there */
	void (*push)(lua_State *L);     /* what is there */
	void (*parts[3])(lua_State *L); /* begin the class, and add to it; none: in part it is Lua's */
} classes[IOCP_CLASS_COUNT] = {
	[IOCP_CLASS_PORT] = {"IOCompletionPort", iocp_lua_push_port,
		{iocp_lua_open_port, iocp_message_add_methods, iocp_timer_add_methods}},
	[IOCP_CLASS_HEAP] = {"Heap", iocp_lua_push_heap, {iocp_lua_open_heap, iocp_peer_add_method}},
	[IOCP_CLASS_THREAD] = {"Thread", iocp_lua_push_thread, {iocp_lua_open_thread}},
	[IOCP_CLASS_SOCKET] = {"Socket", iocp_lua_push_socket, {iocp_lua_open_socket, iocp_address_add_methods}},
	[IOCP_CLASS_LOOKUP] = {NULL, NULL, {iocp_lua_open_lookup}},
	[IOCP_CLASS_FILE] = {"File", iocp_lua_push_file, {iocp_lua_open_file}},
	[IOCP_CLASS_PROCESS] = {NULL, NULL, {iocp_lua_open_process}},
	[IOCP_CLASS_ATOMIC] = {"Atomic", iocp_lua_push_atomic, {iocp_lua_open_atomic}},
	[IOCP_CLASS_DICT] = {"Dict", iocp_lua_push_dict, {iocp_lua_open_dict, iocp_calls_add_methods}},
	[IOCP_CLASS_ARRAY] = {"Array", iocp_lua_push_array, {iocp_lua_open_array, iocp_view_add_method}},
	[IOCP_CLASS_FROZEN] = {NULL, NULL, {iocp_lua_open_frozen_class}},
};

/* open(class): registers it. */
static int open_class(lua_State *L)
{
	enum iocp_class c = (enum iocp_class)lua_tointeger(L, 1);
	size_t i;
	if (c == IOCP_LIMITED_PORTS) {
		iocp_lua_open_limited(L);
		return 0;
	}
	if (!classes[c].parts[0]) {
		lua_getglobal(L, "require");
		lua_pushliteral(L, "iocp");
		lua_call(L, 1, 1);
		lua_getfield(L, -1, "Pool"); /* see lua/iocp/later.lua */
		return 0;
	}
	for (i = 0; i < sizeof(classes->parts) / sizeof(*classes->parts) && classes[c].parts[i]; i++)
		classes[c].parts[i](L);
	iocp_class_end(L, c);
	iocp_late_watch(L, c);
	return 0;
}

/* The class of that name; or IOCP_CLASS_COUNT. */
static int find(const char *name)
{
	int c;
	for (c = 0; c < IOCP_CLASS_COUNT && !(classes[c].name && strcmp(classes[c].name, name) == 0); c++)
		;
	return c;
}

/* __index of the module table. */
static int find_class(lua_State *L)
{
	int c = lua_type(L, 2) == LUA_TSTRING ? find(lua_tostring(L, 2)) : IOCP_CLASS_COUNT;
	if (c == IOCP_CLASS_COUNT)
		return 0;
	classes[c].push(L);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -2);
	lua_rawset(L, 1);
	iocp_names_forget(L);
	return 1;
}

/* private.class(name): the metatable of the class that has this name in the module table. */
static int private_class(lua_State *L)
{
	int c = find(luaL_checkstring(L, 1));
	if (c == IOCP_CLASS_COUNT)
		return iocp_bad_argument(L, 1, "name", "the name of a class");
	iocp_class_push(L, (enum iocp_class)c);
	return 1;
}

/* ---- the module -------------------------------------------------------------------------------------------------- */

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

/* private.in_thread(): whether this is the state of a thread of the module's. */
static int private_in_thread(lua_State *L)
{
	lua_pushboolean(L, iocp_thread_current() != NULL);
	return 1;
}

static const luaL_Reg private_functions[] = {
	{"open_pool", iocp_lua_open_pool},
	{"open_fast", iocp_lua_open_fast},
	{"open_frozen", iocp_lua_open_frozen},
	{"io_error", iocp_lua_io_error},
	{"io_errors", iocp_lua_io_errors},
	{"next_line", iocp_lua_next_line},
	{"text_at", iocp_lua_text_at},
	{"class", private_class},
	{"pick", iocp_lua_pick},
	{"take_shielded", iocp_lua_take_shielded},
	{"detach_socket", iocp_lua_detach_socket},
	{"quietly", iocp_lua_quietly},
	{"debugs", private_debugs},
	{"wall_time", private_wall_time},
	{"host_name", private_host_name},
	{"resolve_name", iocp_lua_resolve_name},
	{"in_thread", private_in_thread},
	{"stays", iocp_lua_stays},
	{"own", iocp_lua_own},
	{"put", iocp_lua_put},
	{"raise", iocp_lua_raise},
	{"called", iocp_lua_called},
	{NULL, NULL},
};

/* __index of package.loaded["iocp.private"]: most threads use one of these. */
static int find_private(lua_State *L)
{
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	const luaL_Reg *f = private_functions;
	while (f->name && strcmp(f->name, name) != 0)
		f++;
	if (!f->name)
		return 0;
	lua_pushvalue(L, 2);
	lua_pushcfunction(L, f->func);
	lua_rawset(L, 1);
	iocp_names_forget(L);
	lua_rawget(L, 1);
	return 1;
}

/* Gives the table at the top this __index. */
static void find_by(lua_State *L, lua_CFunction index)
{
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, index);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}

/* package.loaded["iocp.private"]: what the files in lua/iocp need of C, and scripts do not. */
static void open_private(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_createtable(L, 0, 2);
	iocp_lua_push_take(L);
	lua_setfield(L, -2, "take");
	find_by(L, find_private);
	lua_setfield(L, -2, "iocp.private");
	lua_pop(L, 1);
}

/* What a state has before it requires the module, and passes on to those that it makes. */
static int prepare(lua_State *L)
{
	lua_pushcfunction(L, prepare);
	lua_setfield(L, LUA_REGISTRYINDEX, IOCP_PREPARE);
	lua_pushcfunction(L, open_class);
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
		{"Frozen", iocp_lua_frozen},
		{"pairs", iocp_lua_pairs},
		{"ipairs", iocp_lua_ipairs},
		{"thaw", iocp_lua_thaw},
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
	(void)iocp_push_address(L, iocp_message_mark());
	lua_setfield(L, -2, "MESSAGE");
	iocp_set_count(L, "PEER", IOCP_PEER);
	iocp_dotted_add(L);
	find_by(L, find_class);
	return 1;
}
