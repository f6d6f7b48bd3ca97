/*
** line.c - what lies in a string, for lua/iocp/reader.lua and lua/iocp/luasocket/buffer.lua where no compiler takes
** Lua's own functions: one call instead of many.
*/

#include <stdint.h>
#include <string.h>

#include "lua/binding.h"

/* private.next_line(data, at): the line that begins there, without its end, "\n" or "\r\n", and where its "\n" is;
** nothing: there is no "\n". */
int iocp_lua_next_line(lua_State *L)
{
	size_t size, length;
	const char *data = luaL_checklstring(L, 1, &size), *newline;
	size_t at = (size_t)luaL_checkinteger(L, 2) - 1;
	if (at >= size)
		return 0;
	newline = memchr(data + at, '\n', size - at);
	if (!newline)
		return 0;
	length = (size_t)(newline - (data + at));
	if (length > 0 && newline[-1] == '\r')
		length--;
	lua_pushlstring(L, data + at, length);
	lua_pushinteger(L, (lua_Integer)(newline - data) + 1);
	return 2;
}

/* How long the text is that the pattern at 2 asks for, and where it ends; SIZE_MAX: it is not there, or is to have
** something done to it. */
static size_t find_text(lua_State *L, const char *data, size_t size, size_t *length)
{
	const char *newline, *pattern = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
	if (lua_type(L, 2) == LUA_TNUMBER) {
		lua_Number n = lua_tonumber(L, 2);
		*length = n >= 1 && n <= (lua_Number)size ? (size_t)n : 0;
		return *length > 0 && (lua_Number)*length == n ? *length : SIZE_MAX;
	}
	newline = lua_isnoneornil(L, 2) || (pattern && strcmp(pattern, "*l") == 0) ? memchr(data, '\n', size) : NULL;
	if (!newline)
		return SIZE_MAX;
	*length = (size_t)(newline - data);
	if (*length > 0 && data[*length - 1] == '\r')
		--*length;
	return memchr(data, '\r', *length) ? SIZE_MAX : (size_t)(newline - data) + 1;
}

enum { DATA = 1, AT, RECEIVED }; /* upvalues of take: its fields' names */

/* Pushes a field of the first argument. */
static void push_field(lua_State *L, int field)
{
	lua_pushvalue(L, lua_upvalueindex(field));
	lua_gettable(L, 1); /* which may be its class's */
}

static void set_field(lua_State *L, int field)
{
	lua_pushvalue(L, lua_upvalueindex(field));
	lua_insert(L, -2);
	lua_rawset(L, 1);
}

/* private.take(self, pattern): see lua/iocp/luasocket/buffer.lua. `self` has data, at and received. */
static int take(lua_State *L)
{
	size_t size, at, length = 0, taken;
	const char *data;
	lua_settop(L, 2);
	push_field(L, DATA);
	push_field(L, AT);
	data = luaL_checklstring(L, 3, &size);
	at = (size_t)luaL_checkinteger(L, 4) - 1;
	taken = at < size ? find_text(L, data + at, size - at, &length) : SIZE_MAX;
	if (taken == SIZE_MAX)
		return 0;
	push_field(L, RECEIVED);
	lua_pushnumber(L, lua_tonumber(L, -1) + (lua_Number)taken);
	set_field(L, RECEIVED);
	lua_pushlstring(L, data + at, length);
	if (at + taken == size) {
		lua_pushliteral(L, "");
		set_field(L, DATA);
		taken = 0, at = 0;
	}
	lua_pushinteger(L, (lua_Integer)(at + taken) + 1);
	set_field(L, AT);
	return 1;
}

void iocp_lua_push_take(lua_State *L)
{
	lua_pushliteral(L, "data");
	lua_pushliteral(L, "at");
	lua_pushliteral(L, "received");
	lua_pushcclosure(L, take, RECEIVED);
}
