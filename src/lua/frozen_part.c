/*
** frozen_part.c - what a script has of a frozen value: for each table of it that it has read a userdata, a part.
**
** A state has a memory for each block that it knows, a table: the userdata of the class with the counted reference, the
** strings and other values that were made of the block's, and the parts, weakly, so that the same table read twice is
** the same part, and the newest ones strongly. Each part keeps the memory, as its uservalue, and the registry finds it,
** weakly, by the block's handle. So with the last part that others hold the memory goes, and with it the reference.
**
** When a state ends, its reference may be given back before a finalizer uses a part: which then finds no object in the
** holder, whose memory is there until all finalizers have run.
*/

#include <string.h>

#include "lua/frozen.h"

#define KNOWN "iocp.frozen.known"       /* registry: memories by the blocks' handles, weakly */
#define MEMORIES "iocp.frozen.memories" /* registry: the same by numbers, which are given once; at 0 the last one */
#define MARK UINT64_C(0x696f63706672007a)

enum { MOST_KEPT = 4096 };

/* The part at `index`, whose block may be gone; NULL: anything else. */
static const iocp_frozen_part *to_part(lua_State *L, int index)
{
	const iocp_frozen_part *part = lua_touserdata(L, index);
	return part && lua_rawlen(L, index) == sizeof(*part) && part->mark == MARK ? part : NULL;
}

const iocp_frozen_part *iocp_frozen_test(lua_State *L, int index)
{
	const iocp_frozen_part *part = to_part(L, index);
	return part && part->holder->object ? part : NULL;
}

void iocp_frozen_refuse_gone(lua_State *L, int index, const char *name)
{
	const iocp_frozen_part *part = to_part(L, index);
	if (part && !part->holder->object)
		(void)iocp_bad_argument(L, index, name, "an object that was not collected");
}

iocp_frozen *iocp_frozen_of(const iocp_frozen_part *part)
{
	return part->holder->object;
}

/* Gives the memory at the top its number. */
static void number_memory(lua_State *L)
{
	lua_Integer number;
	iocp_weak_push(L, MEMORIES, "v");
	lua_rawgeti(L, -1, 0);
	number = lua_tointeger(L, -1) + 1;
	lua_pop(L, 1);
	lua_pushinteger(L, number);
	lua_rawseti(L, -2, 0);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, (int)number);
	lua_pop(L, 1);
	lua_pushinteger(L, number);
	lua_rawseti(L, -2, IOCP_MEMORY_NUMBER);
}

/* Pushes a new memory for the holder at its absolute index. */
static void make_memory(lua_State *L, int holder)
{
	lua_createtable(L, IOCP_MEMORY_SLOTS, 0);
	lua_pushvalue(L, holder);
	lua_rawseti(L, -2, IOCP_MEMORY_HOLDER);
	lua_newtable(L);
	lua_rawseti(L, -2, IOCP_MEMORY_STRINGS);
	lua_newtable(L);
	lua_rawseti(L, -2, IOCP_MEMORY_IDS);
	lua_pushinteger(L, 0);
	lua_rawseti(L, -2, IOCP_MEMORY_BYTES);
	lua_newtable(L);
	lua_rawseti(L, -2, IOCP_MEMORY_KEPT);
	lua_pushinteger(L, 0);
	lua_rawseti(L, -2, IOCP_MEMORY_MADE);
	lua_newtable(L);
	iocp_weak_push(L, KNOWN, "v"); /* its metatable serves */
	lua_getmetatable(L, -1);
	lua_setmetatable(L, -3);
	lua_pop(L, 1);
	lua_rawseti(L, -2, IOCP_MEMORY_PARTS);
	lua_newtable(L);
	lua_rawseti(L, -2, IOCP_MEMORY_OTHERS);
	number_memory(L);
}

/* Pushes the memory for the block of the holder at that absolute index. */
static void push_memory(lua_State *L, int holder)
{
	const iocp_box *box = lua_touserdata(L, holder);
	iocp_weak_push(L, KNOWN, "v");
	iocp_push_handle(L, iocp_object_handle(box->object));
	lua_pushvalue(L, -1);
	lua_rawget(L, -3);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		make_memory(L, holder);
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, -5);
	}
	lua_replace(L, -3);
	lua_pop(L, 1);
}

/* Pushes a new part for the table of that number, of the memory at that absolute index. */
static void make_part(lua_State *L, int memory, uint32_t number)
{
	iocp_frozen_part *part = lua_newuserdata(L, sizeof(*part));
	memset(part, 0, sizeof(*part));
	lua_rawgeti(L, memory, IOCP_MEMORY_HOLDER);
	part->holder = lua_touserdata(L, -1);
	lua_rawgeti(L, memory, IOCP_MEMORY_NUMBER);
	part->memory = (uint32_t)lua_tointeger(L, -1);
	lua_pop(L, 2);
	part->view = &((const iocp_frozen *)part->holder->object)->view;
	part->table = iocp_frozen_table_at(part->holder->object, number);
	part->number = number;
	lua_pushvalue(L, memory);
	lua_setuservalue(L, -2);
	part->mark = MARK;
	luaL_getmetatable(L, IOCP_FROZEN_PART);
	lua_setmetatable(L, -2);
}

/* The part at the top is kept by its memory until so many others have come. */
static void keep_part(lua_State *L, int memory)
{
	int made;
	lua_rawgeti(L, memory, IOCP_MEMORY_MADE);
	made = (int)lua_tointeger(L, -1) % MOST_KEPT + 1;
	lua_pop(L, 1);
	lua_pushinteger(L, made);
	lua_rawseti(L, memory, IOCP_MEMORY_MADE);
	lua_rawgeti(L, memory, IOCP_MEMORY_KEPT);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, made);
	lua_pop(L, 1);
}

void iocp_frozen_find_part(lua_State *L, uint32_t number)
{
	int memory = lua_gettop(L);
	lua_rawgeti(L, memory, IOCP_MEMORY_PARTS);
	lua_rawgeti(L, -1, (int)number + 1);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		make_part(L, memory, number);
		keep_part(L, memory);
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, (int)number + 1);
	}
	lua_remove(L, -2);
}

int iocp_frozen_push_part(lua_State *L, uint64_t number)
{
	const iocp_box *box = lua_touserdata(L, -1);
	if (number >= ((const iocp_frozen *)box->object)->table_count)
		return 0;
	push_memory(L, lua_gettop(L));
	iocp_frozen_find_part(L, (uint32_t)number);
	lua_replace(L, -3);
	lua_pop(L, 1);
	return 1;
}

void iocp_frozen_push_memories(lua_State *L)
{
	iocp_weak_push(L, MEMORIES, "v");
}
