/*
** socket.c - iocp.Socket: making and finding them, and their operations. socket_address.c has addresses and options.
**
** A state has one userdata for each socket (iocp_object_enlist): a packet's key is a handle, and open finds what it
** stands for without making anything.
*/

#include <string.h>

#include "lua/binding.h"
#include "work/work.h"

#define NOT_ASSOCIATED "the socket is not associated with a port: socket:associate(port)"
#define NOT_A_BLOCK                                                                                                    \
	NOT_ASSOCIATED ", or no block that can be used for this begins at that address: it is not live (of any heap), "    \
				   "is in use by another operation, or is smaller than what is asked for"

enum { LARGEST_DATAGRAM = 65535 };

iocp_socket *iocp_check_socket(lua_State *L, int index, const char *name)
{
	return iocp_object_check(L, index, IOCP_CLASS_SOCKET, name);
}

static iocp_socket *check_self(lua_State *L)
{
	return iocp_check_socket(L, 1, "self");
}

int iocp_socket_failure(lua_State *L, iocp_socket *socket, int r, const char *invalid)
{
	return iocp_io_failure(L, r, socket && !iocp_socket_is_open(socket) ? "the socket is closed" : invalid);
}

int iocp_socket_push_result(lua_State *L, iocp_socket *socket, int r, const char *invalid)
{
	if (r != IOCP_OK)
		return iocp_socket_failure(L, socket, r, invalid);
	lua_pushboolean(L, 1);
	return 1;
}

const char *iocp_check_host(lua_State *L, int index, int may_be_any)
{
	const char *host;
	size_t length;
	if (may_be_any && lua_isnoneornil(L, index))
		return NULL;
	host = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
	if (!host || strlen(host) != length)
		iocp_bad_argument(L, index, "host",
			may_be_any ? "digits as \"127.0.0.1\", \"*\" or nil for any; of a unix socket a path, without zero bytes"
					   : "digits as \"127.0.0.1\"; of a unix socket a path, without zero bytes");
	return may_be_any && strcmp(host, "*") == 0 ? NULL : host;
}

uint16_t iocp_check_inet_port(lua_State *L, int index)
{
	return (uint16_t)iocp_opt_integer(L, index, "port", UINT16_MAX, 0);
}

/* ---- making and finding ------------------------------------------------------------------------------------------ */

static int check_name(lua_State *L, int index, const char *name, const char *const names[], const char *expected)
{
	int i;
	if (lua_isnoneornil(L, index))
		return 1; /* both enumerations begin with what is usual */
	for (i = 0; names[i]; i++) {
		if (lua_type(L, index) == LUA_TSTRING && strcmp(lua_tostring(L, index), names[i]) == 0)
			return i + 1;
	}
	return iocp_bad_argument(L, index, name, expected);
}

static int socket_create(lua_State *L)
{
	static const char *const families[] = {"inet", "inet6", "unix", NULL}; /* IOCP_INET and so on, which begin with 1 */
	static const char *const types[] = {"stream", "datagram", NULL};
	int family = check_name(L, 1, "family", families, "\"inet\", \"inet6\", \"unix\" or nil");
	int type = check_name(L, 2, "type", types, "\"stream\", \"datagram\" or nil");
	iocp_socket *socket = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_SOCKET);
	r = iocp_socket_create(family, type, &socket);
	if (r != IOCP_OK)
		return iocp_socket_failure(L, NULL, r, NULL);
	iocp_object_set(L, socket);
	iocp_object_enlist(L);
	return 1;
}

static int socket_pair(lua_State *L)
{
	iocp_socket *pair[2];
	int r;
	lua_settop(L, 0);
	iocp_object_push(L, IOCP_CLASS_SOCKET);
	iocp_object_push(L, IOCP_CLASS_SOCKET);
	r = iocp_socket_pair(pair);
	if (r != IOCP_OK)
		return iocp_socket_failure(L, NULL, r, NULL);
	iocp_object_set(L, pair[1]);
	lua_insert(L, 1);
	iocp_object_set(L, pair[0]);
	iocp_object_enlist(L);
	lua_insert(L, 1);
	iocp_object_enlist(L);
	return 2;
}

static int is_open(const void *socket)
{
	return iocp_socket_is_open(socket);
}

/* Upvalue: what the state has. */
static int socket_open(lua_State *L)
{
	return iocp_listed_open(L, IOCP_CLASS_SOCKET, is_open);
}

static int socket_adopt(lua_State *L)
{
	uintptr_t native = iocp_check_address(L, 1, "native");
	iocp_socket *adopted = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_SOCKET);
	r = iocp_socket_adopt(native, &adopted);
	if (r != IOCP_OK)
		return iocp_socket_failure(
			L, NULL, r, "no socket has that number, or (on Windows) it completes elsewhere, or is not overlapped");
	iocp_object_set(L, adopted);
	iocp_object_enlist(L);
	return 1;
}

static int socket_native(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	uintptr_t native = iocp_socket_native(socket);
	if (native == UINTPTR_MAX) /* it might be somebody else's by now */
		return iocp_socket_failure(L, socket, IOCP_INVALID, NULL);
	return iocp_push_address(L, native) ? 1 : iocp_failure(L, IOCP_INVALID, "no number of this Lua is exact");
}

int iocp_lua_detach_socket(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	uintptr_t native;
	int r = iocp_socket_detach(socket, &native);
	if (r != IOCP_OK)
		return iocp_socket_failure(L, socket, r, "on Windows a socket belongs to its port for life");
	return iocp_push_address(L, native);
}

static int socket_associate(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	iocp_port *port = iocp_object_check(L, 2, IOCP_CLASS_PORT, "port");
	uintptr_t key = lua_isnoneornil(L, 3) ? (uintptr_t)iocp_socket_handle(socket) : iocp_check_address(L, 3, "key");
	int r = iocp_socket_associate(socket, port, key);
	return iocp_socket_push_result(L, socket, r, "the socket is associated already: that is for life");
}

static int socket_close(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	return iocp_socket_push_result(L, socket, iocp_socket_close(socket), NULL);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

typedef struct operation {
	iocp_socket *socket;
	iocp_ending ending;
} operation;

static void check_ending(lua_State *L, int index, uintptr_t usual, operation *o)
{
	iocp_check_ending(L, index, usual, &o->ending);
}

static int push_started(lua_State *L, const operation *o, int r, const char *invalid)
{
	return r == IOCP_OK ? iocp_push_ending(L, &o->ending) : iocp_socket_failure(L, o->socket, r, invalid);
}

static int socket_accept(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	iocp_socket *client = iocp_check_socket(L, 2, "client");
	iocp_port *port = NULL;
	int flags = 0;
	check_ending(L, 3, (uintptr_t)iocp_socket_handle(client), &o);
	if (lua_isboolean(L, 4) && !lua_toboolean(L, 4))
		flags = IOCP_UNASSOCIATED;
	else if (!lua_isnoneornil(L, 4))
		port = iocp_object_check(L, 4, IOCP_CLASS_PORT, "port");
	return push_started(L, &o, iocp_socket_accept(o.socket, client, port, flags, o.ending.overlapped, o.ending.done),
		"the socket is not associated with a port, or the client is not fresh: a new, unbound iocp.Socket of the same "
		"family, that no operation has");
}

static int socket_connect(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	const char *host = iocp_check_host(L, 2, 0);
	uint16_t port = iocp_check_inet_port(L, 3);
	check_ending(L, 4, 0, &o);
	return push_started(
		L, &o, iocp_socket_connect(o.socket, host, port, o.ending.overlapped, o.ending.done), NOT_ASSOCIATED);
}

static int socket_receive(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	uintptr_t address = iocp_check_address(L, 2, "address");
	size_t size = iocp_check_size(L, 3, 1, IOCP_LARGEST_TRANSFER), at;
	int r;
	check_ending(L, 4, address, &o);
	at = (size_t)iocp_opt_integer(L, 5, "at", SIZE_MAX, 0);
	IOCP_RETRY(L, r, iocp_socket_receive(o.socket, (void *)address, at, size, o.ending.overlapped, o.ending.done));
	return push_started(L, &o, r, NOT_A_BLOCK);
}

/* send(string, overlapped) */
static int send_copy(lua_State *L, operation *o)
{
	size_t size;
	const char *data = lua_tolstring(L, 2, &size);
	if (size > IOCP_LARGEST_TRANSFER)
		return iocp_bad_argument(L, 2, "string", "2147483646 bytes at most");
	check_ending(L, 3, 0, o);
	return push_started(
		L, o, iocp_socket_send_copy(o->socket, data, size, o->ending.overlapped, o->ending.done), NOT_ASSOCIATED);
}

static int socket_send(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	uintptr_t address;
	size_t size, at;
	int r;
	if (lua_type(L, 2) == LUA_TSTRING)
		return send_copy(L, &o);
	if (!iocp_to_address(L, 2, &address))
		return iocp_bad_argument(L, 2, "data", "a string, or the address of a block");
	size = iocp_check_size(L, 3, 1, IOCP_LARGEST_TRANSFER);
	check_ending(L, 4, address, &o);
	at = (size_t)iocp_opt_integer(L, 5, "at", SIZE_MAX, 0);
	IOCP_RETRY(L, r, iocp_socket_send(o.socket, (const void *)address, at, size, o.ending.overlapped, o.ending.done));
	return push_started(L, &o, r, NOT_A_BLOCK);
}

static int socket_receive_from(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	uintptr_t address = iocp_check_address(L, 2, "address");
	size_t size = iocp_check_size(L, 3, 0, LARGEST_DATAGRAM);
	int r;
	check_ending(L, 4, address, &o);
	IOCP_RETRY(L, r, iocp_socket_receive_from(o.socket, (void *)address, size, o.ending.overlapped, o.ending.done));
	return push_started(L, &o, r, NOT_A_BLOCK);
}

static int socket_send_to(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	uintptr_t address = iocp_check_address(L, 2, "address");
	size_t size = iocp_check_size(L, 3, 0, LARGEST_DATAGRAM);
	int r;
	check_ending(L, 4, address, &o);
	IOCP_RETRY(L, r, iocp_socket_send_to(o.socket, (const void *)address, size, o.ending.overlapped, o.ending.done));
	return push_started(L, &o, r, NOT_A_BLOCK);
}

static int socket_send_file(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	uintptr_t file = iocp_check_native_file(L, 2, "file");
	uint64_t offset = iocp_check_integer(L, 3, "offset", INT64_MAX), size;
	if (!iocp_to_integer(L, 4, IOCP_LARGEST_TRANSFER, &size) || size == 0)
		return iocp_bad_argument(L, 4, "size", "bytes, an integer from 1 to 2147483646");
	check_ending(L, 5, 0, &o);
	return push_started(L, &o,
		iocp_socket_send_file(o.socket, file, offset, (size_t)size, o.ending.overlapped, o.ending.done),
		NOT_ASSOCIATED);
}

/* IOCP_SIDE_*; 0: nil, where that is allowed. */
static int check_side(lua_State *L, int index, int may_be_nil)
{
	const char *side = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
	if (strcmp(side, "read") == 0)
		return IOCP_SIDE_READ;
	if (strcmp(side, "write") == 0)
		return IOCP_SIDE_WRITE;
	if (!may_be_nil || !lua_isnoneornil(L, index))
		iocp_bad_argument(
			L, index, "side", may_be_nil ? "\"read\", \"write\", or nil for both" : "\"read\" or \"write\"");
	return 0;
}

static int socket_ready(lua_State *L)
{
	operation o = {.socket = check_self(L)};
	int side = check_side(L, 2, 0);
	check_ending(L, 3, 0, &o);
	return push_started(L, &o, iocp_socket_ready(o.socket, side, o.ending.overlapped, o.ending.done), NOT_ASSOCIATED);
}

static int socket_cancel(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	uintptr_t overlapped = iocp_opt_address(L, 2, "overlapped");
	iocp_push_count(L, iocp_socket_cancel(socket, lua_isnoneornil(L, 2) ? NULL : &overlapped));
	return 1;
}

static int socket_shutdown(lua_State *L)
{
	iocp_socket *socket = check_self(L);
	int side = check_side(L, 2, 1);
	int r = iocp_socket_shutdown(socket, side ? side : IOCP_SIDE_READ | IOCP_SIDE_WRITE);
	return iocp_socket_push_result(L, socket, r, NULL);
}

/* ---- the class --------------------------------------------------------------------------------------------------- */

void iocp_lua_open_socket(lua_State *L)
{
	static const luaL_Reg metamethods[] = {
		{"__close", socket_close}, /* from Lua 5.4 on: local socket <close> */
		{NULL, NULL},
	};
	static const luaL_Reg methods[] = {
		{"native", socket_native},
		{"associate", socket_associate},
		{"accept", socket_accept},
		{"connect", socket_connect},
		{"receive", socket_receive},
		{"send", socket_send},
		{"receive_from", socket_receive_from},
		{"send_to", socket_send_to},
		{"send_file", socket_send_file},
		{"ready", socket_ready},
		{"cancel", socket_cancel},
		{"shutdown", socket_shutdown},
		{"close", socket_close},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_SOCKET, methods, metamethods);
}

void iocp_lua_push_socket(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_SOCKET, "Socket", socket_create, socket_adopt);
	iocp_listed_push(L);
	lua_pushcclosure(L, socket_open, 1);
	lua_setfield(L, -2, "open");
	lua_pushcfunction(L, socket_pair);
	lua_setfield(L, -2, "pair");
}
