/*
** numbers.c - slices of lists of numbers as strings, for lua/iocp/numbers.lua: where Lua has no FFI, the quickest way for
** many numbers to cross.
**
** A packed slice is a byte that says the kind, 'i' or 'd', and 8 bytes a number in the machine's order.
*/

#include <string.h>

#include "lua/pool.h"

enum { SIZE = 8, AT_ONCE = 16 /* numbers left on the stack */ };

#if LUA_VERSION_NUM >= 503
typedef lua_Integer packed_integer;
#define is_integer lua_isinteger
#else
typedef int64_t packed_integer;
#define is_integer(L, index) 0
#endif

/* Writes the number at the top; 0: it is none of that kind. */
static int write_number(lua_State *L, char *to, char kind)
{
	double number;
	packed_integer integer;
	if (is_integer(L, -1) ? kind != 'i' : kind == 'i' || lua_type(L, -1) != LUA_TNUMBER)
		return 0;
	if (kind == 'i') {
		integer = lua_tointeger(L, -1);
		memcpy(to, &integer, SIZE);
	} else {
		number = lua_tonumber(L, -1);
		memcpy(to, &number, SIZE);
	}
	return 1;
}

/* parts.pack_numbers(list, first, n): list[first .. first + n - 1] as a string, n >= 1; nil if these are not all integers or all
** floats. Reads without metamethods. */
static int pack_numbers(lua_State *L)
{
	int first = (int)lua_tointeger(L, 2), n = (int)lua_tointeger(L, 3), i;
	char *packed = lua_newuserdata(L, 1 + (size_t)n * SIZE);
	lua_rawgeti(L, 1, first);
	packed[0] = is_integer(L, -1) ? 'i' : 'd';
	lua_pop(L, 1);
	for (i = 0; i < n; i++) {
		lua_rawgeti(L, 1, first + i);
		if (!write_number(L, packed + 1 + (size_t)i * SIZE, packed[0]))
			return 0;
		if (i % AT_ONCE == AT_ONCE - 1)
			lua_pop(L, AT_ONCE);
	}
	lua_pushlstring(L, packed, 1 + (size_t)n * SIZE);
	return 1;
}

/* parts.unpack_numbers(packed, list, first): writes them to list[first] and so on. */
static int unpack_numbers(lua_State *L)
{
	size_t size;
	const char *packed = luaL_checklstring(L, 1, &size);
	int first = (int)lua_tointeger(L, 3), n = (int)(size / SIZE), i;
	luaL_checktype(L, 2, LUA_TTABLE);
	for (i = 0; i < n; i++) {
		if (packed[0] == 'i') {
			packed_integer integer;
			memcpy(&integer, packed + 1 + (size_t)i * SIZE, SIZE);
			lua_pushinteger(L, (lua_Integer)integer);
		} else {
			double number;
			memcpy(&number, packed + 1 + (size_t)i * SIZE, SIZE);
			lua_pushnumber(L, number);
		}
		lua_rawseti(L, 2, first + i);
	}
	return 0;
}

/* parts.new_list(n): an empty table with room for n items. */
static int new_list(lua_State *L)
{
	lua_createtable(L, (int)lua_tointeger(L, 1), 0);
	return 1;
}

void iocp_lua_open_numbers(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"pack_numbers", pack_numbers}, {"unpack_numbers", unpack_numbers}, {"new_list", new_list}, {NULL, NULL}};
	iocp_set_functions(L, functions, 0);
}
