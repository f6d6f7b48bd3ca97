/*
** line.c - lines of a string, for lua/iocp/reader.lua where no compiler takes Lua's own functions: one call instead of
** three.
*/

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
