/*
** signal.c - iocp.signal(name): what a user or the system asks of the process, as packets. A Signal is a number in a
** userdata, and owns nothing.
*/

#include <string.h>

#include "lua/binding.h"
#include "work/work.h"

#define SIGNAL "iocp.Signal"

static const char *const names[] = {NULL, "INT", "TERM", "HUP", "BREAK"};

static int check_signal(lua_State *L)
{
	const int *signal = lua_touserdata(L, 1);
	int is_signal;
	if (!signal || !lua_getmetatable(L, 1))
		return iocp_bad_argument(L, 1, "self", SIGNAL);
	luaL_getmetatable(L, SIGNAL);
	is_signal = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return is_signal ? *signal : iocp_bad_argument(L, 1, "self", SIGNAL);
}

static int signal_to_string(lua_State *L)
{
	lua_pushfstring(L, SIGNAL ": %s", names[check_signal(L)]);
	return 1;
}

static int signal_notify(lua_State *L)
{
	int signal = check_signal(L), r;
	iocp_packet packet;
	iocp_port *target;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	r = iocp_signal_notify(signal, target, packet.key, packet.overlapped, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static void push_metatable(lua_State *L)
{
	static const luaL_Reg methods[] = {{"notify", signal_notify}, {NULL, NULL}};
	if (!luaL_newmetatable(L, SIGNAL)) /* it is there */
		return;
	lua_pushliteral(L, SIGNAL);
	lua_setfield(L, -2, "__name"); /* as Lua does from 5.3 on: see iocp_type_name */
	lua_pushcfunction(L, signal_to_string);
	lua_setfield(L, -2, "__tostring");
	iocp_new_table(L, methods, 0);
	lua_setfield(L, -2, "__index");
}

int iocp_lua_signal(lua_State *L)
{
	const char *name = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
	int *signal, i;
	for (i = IOCP_SIGNAL_INT; i <= IOCP_SIGNAL_BREAK && strcmp(name, names[i]) != 0; i++)
		;
	if (i > IOCP_SIGNAL_BREAK)
		return iocp_bad_argument(L, 1, "name", "\"INT\", \"TERM\", \"HUP\" or \"BREAK\"");
	signal = lua_newuserdata(L, sizeof(*signal));
	*signal = i;
	push_metatable(L);
	lua_setmetatable(L, -2);
	return 1;
}

/* ---- SIGPIPE ----------------------------------------------------------------------------------------------------- */

typedef struct call_in_lua {
	lua_State *L;
	int status;
} call_in_lua;

static void call(void *data)
{
	call_in_lua *c = data;
	c->status = lua_pcall(c->L, lua_gettop(c->L) - 1, LUA_MULTRET, 0);
}

int iocp_lua_quietly(lua_State *L)
{
	call_in_lua c = {L, 0};
	luaL_checkany(L, 1);
	iocp_any_quietly(call, &c);
	return c.status == 0 ? lua_gettop(L) : lua_error(L);
}
