/*
** pool/numbers.c - blocks of numbers, for lua/iocp/numbers.lua: where Lua has no FFI, the quickest way for many numbers
** to cross.
**
** A block has the numbers, 8 bytes each, and where Lua has integers a byte for each that says whether it is one. Which
** heap it lies in, and who frees it, is the caller's affair; the addresses come from numbers.lua and are not checked.
*/

#include "lua/pool/pool.h"

enum { AT_ONCE = 16 /* values left on the stack */ };

#if LUA_VERSION_NUM >= 503
typedef lua_Integer list_index;
typedef lua_Integer packed_integer;
#define is_integer lua_isinteger
enum { FLAGS = 1 };
#else
typedef int list_index;
typedef int64_t packed_integer;
#define is_integer(L, index) 0
enum { FLAGS = 0 }; /* so blocks are as large as numbers.lua makes them with the FFI */
#endif

typedef union slot {
	packed_integer integer;
	double number;
} slot;

static slot *check_block(lua_State *L, int index)
{
	return (slot *)iocp_check_address(L, index, "address");
}

/* Whether number i is an integer stands there; NULL where there are none. */
static unsigned char *flags_of(slot *block, size_t n)
{
	return FLAGS ? (unsigned char *)&block[n] : NULL;
}

/* Writes the value at the top to slot i; 0: it is no number. */
static int write_slot(lua_State *L, slot *block, unsigned char *flags, size_t i)
{
	int integer = is_integer(L, -1);
	if (flags)
		flags[i] = (unsigned char)integer;
	if (integer)
		block[i].integer = lua_tointeger(L, -1);
	else if (lua_type(L, -1) == LUA_TNUMBER)
		block[i].number = lua_tonumber(L, -1);
	else
		return 0;
	return 1;
}

static void push_slot(lua_State *L, const slot *block, const unsigned char *flags, size_t i)
{
	if (flags && flags[i])
		lua_pushinteger(L, (lua_Integer)block[i].integer);
	else
		lua_pushnumber(L, block[i].number);
}

/* bytes(n): how large a block of n numbers is. */
static int numbers_bytes(lua_State *L)
{
	lua_pushnumber(L, lua_tonumber(L, 1) * (sizeof(slot) + FLAGS));
	return 1;
}

/* fill(address, list, first, n): whether list[first .. first + n - 1] are numbers, which are in the block then. Reads
** without metamethods. */
static int numbers_fill(lua_State *L)
{
	slot *block = check_block(L, 1);
	list_index first = (list_index)lua_tointeger(L, 3);
	size_t n = (size_t)lua_tointeger(L, 4), i;
	unsigned char *flags = flags_of(block, n);
	int good = 1;
	for (i = 0; i < n && good; i++) {
		lua_rawgeti(L, 2, first + (list_index)i);
		good = write_slot(L, block, flags, i);
		if (i % AT_ONCE == AT_ONCE - 1)
			lua_settop(L, 4);
	}
	lua_pushboolean(L, good);
	return 1;
}

/* read(address, size, n, list, first): writes the first n of a block of `size` numbers to list[first] and so on. */
static int numbers_read(lua_State *L)
{
	slot *block = check_block(L, 1);
	const unsigned char *flags = flags_of(block, (size_t)lua_tointeger(L, 2));
	size_t n = (size_t)lua_tointeger(L, 3), i;
	list_index first = (list_index)lua_tointeger(L, 5);
	for (i = 0; i < n; i++) {
		push_slot(L, block, flags, i);
		lua_rawseti(L, 4, first + (list_index)i);
	}
	return 0;
}

/* map(f, address, n, first): for a runner; replaces each number by f(number, its index in the list). Returns at which
** of them f gave something else, and what; or nothing. */
static int numbers_map(lua_State *L)
{
	iocp_call *call = iocp_lua_worker_current()->call;
	slot *block = check_block(L, 2);
	size_t n = (size_t)lua_tointeger(L, 3), i;
	lua_Number first = lua_tonumber(L, 4);
	unsigned char *flags = flags_of(block, n);
	for (i = 0; i < n; i++) {
		iocp_chunk_reach(L, call, (int32_t)i + 1);
		lua_pushvalue(L, 1);
		push_slot(L, block, flags, i);
		lua_pushinteger(L, (lua_Integer)(first + (lua_Number)i));
		lua_call(L, 2, 1);
		if (!write_slot(L, block, flags, i)) {
			lua_pushinteger(L, (lua_Integer)i + 1);
			lua_insert(L, -2);
			return 2;
		}
		lua_settop(L, 4);
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
		{"bytes", numbers_bytes}, {"fill", numbers_fill}, {"read", numbers_read}, {"map", numbers_map}, {NULL, NULL}};
	lua_pushcfunction(L, new_list);
	lua_setfield(L, -2, "new_list");
	lua_newtable(L);
	iocp_set_functions(L, functions, 0);
	lua_setfield(L, -2, "numbers");
}
