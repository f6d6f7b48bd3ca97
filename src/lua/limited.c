/*
** limited.c - ports with a capacity: what posts to one waits for room, or is refused.
**
** Their userdata have a metatable of their own, with methods that reserve room, call the port's method and take the
** reservation back, whatever comes of it; lua/iocp/limited.lua has them. So other ports, whose methods know nothing of
** this, cost what they did. All else is looked up in the methods of ports, where others may put something at any time
** (late.c, the scheduler).
*/

#include "lua/binding.h"
#include "work/work.h"

static iocp_port *check_port(lua_State *L, int index)
{
	return iocp_object_check(L, index, IOCP_CLASS_PORT, "self");
}

static int wait_room(void *port, void *argument, double ms)
{
	(void)argument;
	return iocp_port_reserve(port, ms);
}

/* post(ms, method, port, ...): what method(port, ...), a C function, returns, once there is room; nil, message, code.
** ms: nil for what the port was made with. */
static int part_post(lua_State *L)
{
	iocp_port *port = check_port(L, 3);
	double ms = IOCP_INFINITE;
	int status, r;
	if (lua_isnil(L, 1))
		(void)iocp_port_capacity(port, &ms);
	else
		ms = lua_tonumber(L, 1);
	r = iocp_wait_in_lua(L, wait_room, port, NULL, ms);
	if (r == IOCP_TIMEOUT) {
		lua_pushnil(L);
		lua_pushliteral(L, "the port is full: as many packets are queued as it has capacity for");
		lua_pushliteral(L, "FULL");
		return 3;
	}
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0); /* encoding may raise */
	iocp_port_unreserve(port);
	return status == 0 ? lua_gettop(L) - 1 : lua_error(L);
}

/* patience(port): for how many milliseconds it has those wait who post; nil: for ever. */
static int part_patience(lua_State *L)
{
	double ms = IOCP_INFINITE;
	(void)iocp_port_capacity(check_port(L, 1), &ms);
	if (ms < 0)
		return 0;
	lua_pushnumber(L, ms);
	return 1;
}

/* await(port, target, key, overlapped): a timer for a packet when there may be room. */
static int part_await(lua_State *L)
{
	iocp_port *port = check_port(L, 1), *target;
	iocp_packet packet;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_port_room_notify(port, target, &packet, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

/* __index of the methods: those of all ports, as they are now. */
static int find_method(lua_State *L)
{
	lua_settop(L, 2);
	iocp_class_push(L, IOCP_CLASS_PORT);
	lua_getfield(L, -1, "__index");
	if (lua_isfunction(L, -1)) { /* late.c's, which counts looks for a name, of whatever port */
		lua_pushnil(L);
		lua_pushvalue(L, 2);
		lua_call(L, 2, 1);
	} else {
		lua_pushvalue(L, 2);
		lua_gettable(L, -2);
	}
	return 1;
}

/* Pushes a table of methods that has those of all ports besides. */
static void push_methods(lua_State *L)
{
	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, find_method);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}

void iocp_lua_open_limited(lua_State *L)
{
	static const luaL_Reg parts[] = {
		{"post", part_post}, {"patience", part_patience}, {"await", part_await}, {NULL, NULL}};
	lua_newtable(L); /* the metatable: a copy, but for __index */
	iocp_class_push(L, IOCP_CLASS_PORT);
	for (lua_pushnil(L); lua_next(L, -2);) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -5);
	}
	lua_pop(L, 1);
	push_methods(L);
	iocp_methods_push(L);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, IOCP_LIMITED);
	lua_pop(L, 1);
	iocp_class_complete(L, "iocp.limited", parts);
	lua_setfield(L, -2, "__index");
	lua_setfield(L, LUA_REGISTRYINDEX, IOCP_LIMITED);
}
