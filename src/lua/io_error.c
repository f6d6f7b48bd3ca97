/*
** io_error.c - what an I/O failed with, as values: iocp.E, iocp.describe, and a packet's bytes with an error in them.
*/

#include <math.h>

#include "lua/binding.h"

#define NUMBERS 65536 /* more than any error's number: what an error multiplies the bytes by */

static void push_code(lua_State *L, int number)
{
	const char *name = iocp_io_error_name(number);
	if (name)
		lua_pushstring(L, name);
	else
		lua_pushinteger(L, number > IOCP_IO_OTHER ? number - IOCP_IO_OTHER : number);
}

static void push_text(lua_State *L, int number)
{
	char text[256];
	iocp_io_error_text(number, text, sizeof(text));
	lua_pushstring(L, text);
}

int iocp_push_io_error(lua_State *L, int number)
{
	lua_pushnil(L);
	push_text(L, number);
	push_code(L, number);
	return 3;
}

void iocp_push_bytes(lua_State *L, const iocp_packet *packet)
{
	if (packet->code == IOCP_OK) {
		iocp_push_count(L, packet->bytes);
	} else { /* below 2^48: exact in every Lua's number */
		int64_t both = -(int64_t)((uint64_t)packet->bytes * NUMBERS + (uint64_t)packet->code);
#if LUA_VERSION_NUM >= 503
		lua_pushinteger(L, (lua_Integer)both);
#else
		lua_pushnumber(L, (lua_Number)both);
#endif
	}
}

int iocp_lua_io_error(lua_State *L)
{
	return iocp_push_io_error(L, (int)luaL_checkinteger(L, 1));
}

int iocp_lua_describe(lua_State *L)
{
	lua_Number bytes = lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : NAN;
	int64_t both = fabs(bytes) < (lua_Number)((uint64_t)NUMBERS << 32) ? (int64_t)bytes : -NUMBERS;
	int number = both < 0 ? (int)(-both % NUMBERS) : 0;
	if (bytes != (lua_Number)both || both > UINT32_MAX || (both < 0 && number == 0))
		return iocp_bad_argument(L, 1, "bytes", "the bytes of a packet, negative for an I/O that failed");
	if (both >= 0) {
		lua_pushnil(L);
		lua_pushnil(L);
		iocp_push_count(L, (uint64_t)both);
		return 3;
	}
	push_code(L, number);
	push_text(L, number);
	iocp_push_count(L, (uint64_t)-both / NUMBERS);
	return 3;
}

int iocp_lua_io_errors(lua_State *L)
{
	int number;
	lua_createtable(L, 0, 128);
	for (number = 1; number < IOCP_IO_NAMED; number++)
		if (iocp_io_error_name(number))
			iocp_set_count(L, iocp_io_error_name(number), (uint64_t)number);
	return 1;
}
