/*
** socket_address.c - what a socket is called and how it is set: bind, listen, address, peer, option; and the peer's
** address that a datagram's block begins with, heap:peer.
*/

#include <string.h>

#include "lua/binding.h"

enum { HOST_ROOM = 128 /* for the longest path of a unix socket */ };

static iocp_socket *check_self(lua_State *L)
{
	return iocp_check_socket(L, 1, "self");
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static int socket_bind(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	const char *host = iocp_check_host(L, 2, 1);
	uint16_t port = iocp_check_inet_port(L, 3);
	return iocp_socket_push_result(L, socket, iocp_socket_bind(socket, host, port), NULL);
}

static int socket_listen(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	int backlog = (int)iocp_opt_integer(L, 2, "backlog", INT32_MAX, 0);
	return iocp_socket_push_result(L, socket, iocp_socket_listen(socket, backlog), NULL);
}

static int push_address(lua_State *L, int peer)
{
	iocp_socket *socket = check_self(L);
	char host[HOST_ROOM];
	uint16_t port;
	int r = iocp_socket_address(socket, peer, host, sizeof(host), &port);
	if (r != IOCP_OK)
		return iocp_socket_failure(L, socket, r, NULL);
	lua_pushstring(L, host);
	lua_pushinteger(L, port);
	return 2;
}

static int socket_address(lua_State *L)
{
	return push_address(L, 0);
}

static int socket_peer(lua_State *L)
{
	return push_address(L, 1);
}

/* heap:peer(address): host, port of the peer that the block begins with; heap:peer(address, host, port) sets it. */
static int heap_peer(lua_State *L)
{
	iocp_heap *heap = iocp_object_check(L, 1, IOCP_CLASS_HEAP, "self");
	uintptr_t address = iocp_check_address(L, 2, "address");
	char host[HOST_ROOM];
	uint8_t peer[IOCP_PEER];
	uint16_t port;
	int r, sets = !lua_isnone(L, 3);
	if (sets)
		r = iocp_peer_write(peer, iocp_check_host(L, 3, 0), (uint16_t)iocp_check_integer(L, 4, "port", UINT16_MAX));
	else
		IOCP_RETRY(L, r, iocp_heap_read(heap, (const void *)address, 0, peer, sizeof(peer)));
	if (sets && r == IOCP_OK)
		IOCP_RETRY(L, r, iocp_heap_write(heap, (void *)address, 0, peer, sizeof(peer)));
	else if (r == IOCP_OK)
		r = iocp_peer_read(peer, host, sizeof(host), &port);
	if (r != IOCP_OK || sets)
		return iocp_socket_push_result(
			L, NULL, r, "no live block of this heap with room for a peer (iocp.PEER bytes) begins at that address");
	lua_pushstring(L, host);
	lua_pushinteger(L, port);
	return 2;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static const struct option_row {
	const char *name;
	enum iocp_socket_option option;
	enum { YES_NO, SECONDS, BYTES } unit;
	int off, most; /* SECONDS: what stands for false, and the largest */
} rows[] = {
	{"nodelay", IOCP_OPTION_NODELAY, YES_NO, 0, 1},
	{"keepalive", IOCP_OPTION_KEEPALIVE, SECONDS, 0, 32767},
	{"reuseaddr", IOCP_OPTION_REUSEADDR, YES_NO, 0, 1},
	{"reuseport", IOCP_OPTION_REUSEPORT, YES_NO, 0, 1},
	{"broadcast", IOCP_OPTION_BROADCAST, YES_NO, 0, 1},
	{"linger", IOCP_OPTION_LINGER, SECONDS, -1, 65535},
	{"sndbuf", IOCP_OPTION_SNDBUF, BYTES, 0, INT32_MAX},
	{"rcvbuf", IOCP_OPTION_RCVBUF, BYTES, 0, INT32_MAX},
	{"v6only", IOCP_OPTION_V6ONLY, YES_NO, 0, 1},
	{NULL, 0, YES_NO, 0, 0},
};

/* The value at 3, for the row. */
static int check_value(lua_State *L, const struct option_row *row)
{
	char expected[80];
	uint64_t number = 0;
	int least = row->off < 0 ? 0 : 1;
	if (row->unit == YES_NO) {
		if (!lua_isboolean(L, 3))
			iocp_bad_argument(L, 3, row->name, "true or false");
		return lua_toboolean(L, 3);
	}
	if (row->unit == SECONDS && lua_isboolean(L, 3) && !lua_toboolean(L, 3))
		return row->off;
	if (!iocp_to_integer(L, 3, (uint64_t)row->most, &number) || (int)number < least) {
		snprintf(expected, sizeof(expected), "%s, an integer from %d to %d%s", row->unit == BYTES ? "bytes" : "seconds",
			least, row->most, row->unit == BYTES ? "" : ", or false");
		iocp_bad_argument(L, 3, row->name, expected);
	}
	return (int)number;
}

static int push_value(lua_State *L, iocp_socket *socket, const struct option_row *row)
{
	int value = 0, r = iocp_socket_get_option(socket, row->option, &value);
	if (r != IOCP_OK)
		return iocp_socket_failure(L, socket, r, NULL);
	if (row->unit == YES_NO || (row->unit == SECONDS && value == row->off))
		lua_pushboolean(L, row->unit == YES_NO && value);
	else
		lua_pushinteger(L, value);
	return 1;
}

/* option("join" or "leave", group [, through]) */
static int take_part(lua_State *L, iocp_socket *socket, int join)
{
	const char *through = NULL;
	if (lua_type(L, 3) != LUA_TSTRING)
		return iocp_bad_argument(L, 3, "group", "a multicast group's address, as \"239.1.2.3\"");
	if (lua_type(L, 4) == LUA_TNUMBER)
		through = lua_pushfstring(L, "%d", (int)iocp_check_integer(L, 4, "through", INT32_MAX));
	else if (lua_type(L, 4) == LUA_TSTRING)
		through = lua_tostring(L, 4);
	else if (!lua_isnoneornil(L, 4))
		iocp_bad_argument(L, 4, "through", "an interface: its address (inet) or number (inet6), or nil");
	return iocp_socket_push_result(L, socket, iocp_socket_multicast(socket, lua_tostring(L, 3), through, join), NULL);
}

static int socket_option(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	const struct option_row *row = rows;
	if (strcmp(name, "join") == 0 || strcmp(name, "leave") == 0)
		return take_part(L, socket, *name == 'j');
	while (row->name && strcmp(row->name, name) != 0)
		row++;
	if (!row->name)
		return iocp_bad_argument(L, 2, "name",
			"nodelay, keepalive, reuseaddr, reuseport, broadcast, linger, sndbuf, rcvbuf, v6only, join or leave");
	if (lua_isnoneornil(L, 3))
		return push_value(L, socket, row);
	return iocp_socket_push_result(L, socket, iocp_socket_set_option(socket, row->option, check_value(L, row)), NULL);
}

/* ---- tostring ---------------------------------------------------------------------------------------------------- */

/* Writes "127.0.0.1:80", "[::1]:80", or a path; 0: there is no such address, or no name in it. */
static int write_address(iocp_socket *socket, int peer, char *text, size_t size)
{
	char host[HOST_ROOM];
	uint16_t port;
	if (iocp_socket_address(socket, peer, host, sizeof(host), &port) != IOCP_OK)
		return 0;
	if (port)
		snprintf(text, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
	else
		snprintf(text, size, "%s", strchr(host, '/') ? host : "");
	return 1;
}

static int socket_to_string(lua_State *L)
{
	char address[HOST_ROOM + 16] = "", peer[HOST_ROOM + 16] = "", detail[2 * sizeof(address) + 32] = "closed";
	enum iocp_class c;
	iocp_socket *socket = iocp_object_test(L, 1, &c);
	int is_bound;
	if (!socket || c != IOCP_CLASS_SOCKET)
		return iocp_object_to_string(L, NULL);
	is_bound = write_address(socket, 0, address, sizeof(address)) && *address;
	if (write_address(socket, 1, peer, sizeof(peer)))
		snprintf(
			detail, sizeof(detail), "connected%s%s%s%s", is_bound ? " from " : "", address, *peer ? " to " : "", peer);
	else if (iocp_socket_is_open(socket))
		snprintf(detail, sizeof(detail), "%s%s", is_bound ? "bound to " : "unbound", address);
	return iocp_object_to_string(L, detail);
}

/* ---- the classes ------------------------------------------------------------------------------------------------- */

void iocp_address_add_methods(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{"bind", socket_bind},
		{"listen", socket_listen},
		{"address", socket_address},
		{"peer", socket_peer},
		{"option", socket_option},
		{NULL, NULL},
	};
	iocp_set_functions(L, methods, 0);
	lua_pushcfunction(L, socket_to_string);
	lua_setfield(L, -3, "__tostring");
}

void iocp_peer_add_method(lua_State *L)
{
	lua_pushcfunction(L, heap_peer);
	lua_setfield(L, -2, "peer");
}
