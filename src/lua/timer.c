/*
** timer.c - port:enqueue_after and the Timer it gives, as the notify methods do: a number in a userdata, which owns
** nothing: a timer that is collected stays pending.
*/

#include <inttypes.h>
#include <stdio.h>

#include "lua/binding.h"
#include "work/work.h"

#define TIMER "iocp.Timer"

static iocp_timer check_timer(lua_State *L)
{
	const iocp_timer *timer = lua_touserdata(L, 1);
	int is_timer = timer && lua_getmetatable(L, 1);
	if (is_timer) {
		luaL_getmetatable(L, TIMER);
		is_timer = lua_rawequal(L, -1, -2);
		lua_pop(L, 2);
	}
	if (!is_timer)
		iocp_bad_argument(L, 1, "self", TIMER);
	return *timer;
}

static int timer_to_string(lua_State *L)
{
	char text[64];
	iocp_timer timer = check_timer(L);
	snprintf(text, sizeof(text), TIMER ": %" PRIu64 " (%s)", (uint64_t)timer,
		iocp_timer_is_pending(timer) ? "pending" : "posted or cancelled");
	lua_pushstring(L, text);
	return 1;
}

static int timer_cancel(lua_State *L)
{
	lua_pushboolean(L, iocp_timer_cancel(check_timer(L)) == IOCP_OK);
	return 1;
}

static void push_metatable(lua_State *L)
{
	static const luaL_Reg methods[] = {{"cancel", timer_cancel}, {NULL, NULL}};
	static const luaL_Reg metamethods[] = {
		{"__close", timer_cancel}, /* from Lua 5.4 on: local timer <close> */
		{"__tostring", timer_to_string},
		{NULL, NULL},
	};
	luaL_getmetatable(L, TIMER);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	iocp_new_table(L, metamethods, 2);
	lua_pushliteral(L, TIMER);
	lua_setfield(L, -2, "__name"); /* as Lua does from 5.3 on: see iocp_type_name */
	iocp_new_table(L, methods, 0);
	lua_setfield(L, -2, "__index");
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, TIMER); /* last: it is found when it has everything */
}

/* Pushes one that names nothing yet. */
static iocp_timer *push_timer(lua_State *L)
{
	iocp_timer *timer = lua_newuserdata(L, sizeof(*timer));
	*timer = 0;
	push_metatable(L);
	lua_setmetatable(L, -2);
	return timer;
}

iocp_timer *iocp_notify_arguments(lua_State *L, iocp_port **target, iocp_packet *packet)
{
	*target = iocp_object_check(L, 2, IOCP_CLASS_PORT, "target");
	*packet = (iocp_packet){.key = 0};
	packet->key = iocp_check_address(L, 3, "key");
	packet->overlapped = iocp_check_overlapped(L, 4);
	return push_timer(L);
}

static int port_enqueue_after(lua_State *L)
{
	iocp_port *port = iocp_object_check(L, 1, IOCP_CLASS_PORT, "self");
	double ms = iocp_check_ms(L, 2);
	iocp_packet packet = {.key = 0};
	iocp_timer *timer;
	int r;
	packet.key = iocp_check_address(L, 3, "key");
	packet.bytes = (uint32_t)iocp_opt_integer(L, 4, "bytes", UINT32_MAX, 0);
	packet.overlapped = iocp_check_overlapped(L, 5);
	timer = push_timer(L);
	r = iocp_port_enqueue_after(port, &packet, ms, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static int port_notify(lua_State *L)
{
	iocp_port *port = iocp_object_check(L, 1, IOCP_CLASS_PORT, "self"), *target;
	iocp_packet packet;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_port_notify(port, target, packet.key, packet.overlapped, timer);
	if (r == IOCP_INVALID)
		return iocp_failure(L, r, "the target is to be told already: its packet comes first, or cancel() of its timer");
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

void iocp_timer_add_methods(lua_State *L)
{
	static const luaL_Reg methods[] = {{"enqueue_after", port_enqueue_after}, {"notify", port_notify}, {NULL, NULL}};
	iocp_set_functions(L, methods, 0);
}
