/*
** lookup.c - iocp.resolve: the addresses of a host, and the Lookup that finds them, or the name of an address.
*/

#include <stdio.h>
#include <string.h>

#include "lua/binding.h"
#include "work/work.h"

static iocp_lookup *check_lookup(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_LOOKUP, "self");
}

/* A string at `index`, not empty, that C takes as it is; NULL: it is none. */
static const char *to_name(lua_State *L, int index)
{
	size_t length;
	const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
	return name && length && strlen(name) == length ? name : NULL;
}

enum { DIGITS = 8 };

static const char *check_host(lua_State *L)
{
	const char *host = to_name(L, 1);
	if (!host)
		(void)iocp_bad_argument(L, 1, "host", "a host's name or address, a string");
	return host;
}

/* A service's name, or its port, in `digits`; NULL for nil. */
static const char *check_service(lua_State *L, char digits[DIGITS])
{
	uint64_t port;
	const char *service;
	if (iocp_to_integer(L, 2, UINT16_MAX, &port)) {
		snprintf(digits, DIGITS, "%u", (unsigned)port);
		return digits;
	}
	service = to_name(L, 2);
	if (!service && !lua_isnoneornil(L, 2))
		(void)iocp_bad_argument(L, 2, "service", "a service's name, or a port from 0 to 65535, or nil");
	return service;
}

static int push_lookup(lua_State *L, int of_name)
{
	char digits[DIGITS];
	const char *host = check_host(L), *service = check_service(L, digits);
	iocp_lookup *lookup = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_LOOKUP);
	if (of_name)
		r = iocp_resolve_name(host, service, lua_toboolean(L, 3), &lookup);
	else
		r = iocp_resolve(host, service, &lookup);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, lookup);
	return 1;
}

int iocp_lua_resolve(lua_State *L)
{
	return push_lookup(L, 0);
}

int iocp_lua_resolve_name(lua_State *L)
{
	return push_lookup(L, 1);
}

static int wait_lookup(void *lookup, void *argument, double ms)
{
	(void)argument;
	return iocp_lookup_wait(lookup, ms);
}

/* nil, message, code */
static int push_failure(lua_State *L, const iocp_lookup *lookup, int result)
{
	const char *text, *name = iocp_lookup_failure(result, &text);
	if (!name)
		return iocp_failure(L, result, result == IOCP_CANCELLED ? "the lookup was cancelled" : NULL);
	lua_pushnil(L);
	lua_pushfstring(L, "cannot resolve %s: %s", iocp_lookup_host(lookup), text);
	lua_pushstring(L, name);
	if (iocp_debugs())
		iocp_debug_refused(L, lua_tostring(L, -2), result);
	return 3;
}

static int push_addresses(lua_State *L, const iocp_host_address *addresses, size_t count)
{
	size_t i;
	lua_createtable(L, (int)count, 0);
	for (i = 0; i < count; i++) {
		lua_createtable(L, 0, 3);
		lua_pushstring(L, addresses[i].host);
		lua_setfield(L, -2, "host");
		iocp_set_count(L, "port", addresses[i].port);
		lua_pushstring(L, addresses[i].inet6 ? "inet6" : "inet");
		lua_setfield(L, -2, "family");
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

static int push_name(lua_State *L, const iocp_host_name *name)
{
	lua_pushstring(L, name->host);
	lua_pushstring(L, name->service);
	return 2;
}

static int lookup_wait(lua_State *L)
{
	iocp_lookup *lookup = check_lookup(L);
	const iocp_host_address *addresses;
	size_t count;
	int r = iocp_wait_in_lua(L, wait_lookup, lookup, NULL, iocp_check_timeout(L, 2));
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	r = iocp_lookup_result(lookup, &addresses, &count);
	if (r != IOCP_OK)
		return push_failure(L, lookup, r);
	return iocp_lookup_name(lookup) ? push_name(L, iocp_lookup_name(lookup)) : push_addresses(L, addresses, count);
}

static int lookup_notify(lua_State *L)
{
	iocp_lookup *lookup = check_lookup(L);
	iocp_packet packet;
	iocp_port *target;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_lookup_notify(lookup, target, &packet, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static int lookup_cancel(lua_State *L)
{
	lua_pushboolean(L, iocp_lookup_cancel(check_lookup(L)));
	return 1;
}

void iocp_lua_open_lookup(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__close", lookup_cancel}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"wait", lookup_wait},
		{"notify", lookup_notify},
		{"cancel", lookup_cancel},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_LOOKUP, methods, metamethods);
}
