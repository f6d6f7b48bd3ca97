/*
** freeze.c - iocp.Frozen(value): from the stack into a block.
**
** Tables wait in a list for their turn, so that nothing here nests. No metamethod is called: tables are read with
** lua_next, and the pairs of one are together before it is laid out, since a finalizer may run meanwhile and change
** what it likes.
**
** The block belongs to the holder from the beginning, which frees it if Lua raises; nobody else knows it by then.
*/

#include "lua/frozen.h"

enum { /* on the stack */
	VALUE = 1,
	HOLDER,
	NUMBERS, /* by tables, functions, objects, cdata */
	WAITING, /* tables by their numbers + 1 */
	TOP = WAITING
};

typedef struct freezer {
	iocp_frozen *frozen;
	lua_Integer tables; /* that have a number */
} freezer;

static void must(lua_State *L, int r)
{
	if (r != IOCP_OK)
		luaL_error(L, "not enough memory for the frozen value");
}

/* The number of the value at `index`, if it has one. */
static int find_number(lua_State *L, int index, iocp_frozen_bits *number)
{
	int has;
	lua_pushvalue(L, index);
	lua_rawget(L, NUMBERS);
	has = !lua_isnil(L, -1);
	number->index = (uint64_t)lua_tonumber(L, -1);
	lua_pop(L, 1);
	return has;
}

static void set_number(lua_State *L, int index, uint64_t number)
{
	lua_pushvalue(L, index);
	lua_pushnumber(L, (lua_Number)number);
	lua_rawset(L, NUMBERS);
}

static iocp_frozen_value table_at(lua_State *L, freezer *f, int index)
{
	iocp_frozen_value value = {.tag = IOCP_FROZEN_TABLE};
	if (!find_number(L, index, &value.value)) {
		value.value.index = (uint64_t)f->tables++;
		if (f->tables > 0x7ffffff0)
			must(L, IOCP_NOMEM);
		set_number(L, index, value.value.index);
		lua_pushvalue(L, index);
		lua_rawseti(L, WAITING, (int)f->tables);
	}
	return value;
}

static void discard_other(void *other)
{
	iocp_values_free(other);
}

/* Called with a place and the value: the value as a parcel goes there. */
static int copy_other(lua_State *L)
{
	const iocp_encoding encoding = {.first = 2, .count = 1, .what = "value", .head = "value"};
	must(L, iocp_values_copy(L, &encoding, lua_touserdata(L, 1)));
	return 0;
}

/* A part of the value cannot cross; the error that says so is at the top. The encoder, given the whole, says where. */
static int refuse(lua_State *L)
{
	iocp_values whole = {0};
	lua_pushcfunction(L, copy_other);
	lua_pushlightuserdata(L, &whole);
	lua_pushvalue(L, VALUE);
	if (lua_pcall(L, 2, 0, 0) == 0) /* it may cross by name, as a module does: as a block it cannot */
		iocp_values_free(&whole);
	return lua_error(L);
}

static iocp_frozen_value other_at(lua_State *L, freezer *f, int index)
{
	iocp_frozen_value value = {.tag = IOCP_FROZEN_OTHER};
	void *place;
	int status;
	if (find_number(L, index, &value.value))
		return value;
	value.value.index = f->frozen->other_count;
	must(L, iocp_frozen_add_other(f->frozen, &place));
	lua_pushcfunction(L, copy_other);
	lua_pushlightuserdata(L, place);
	lua_pushvalue(L, index);
	status = lua_pcall(L, 2, 0, 0);
	if (status == LUA_ERRMEM)
		lua_error(L);
	if (status != 0)
		refuse(L);
	set_number(L, index, value.value.index);
	return value;
}

static uint32_t string_at(lua_State *L, freezer *f, int index)
{
	uint32_t number = 0;
	size_t length;
	const char *bytes = lua_tolstring(L, index, &length);
	must(L, iocp_frozen_add_string(f->frozen, bytes, length, &number));
	return number;
}

/* Any value at the absolute index. */
static iocp_frozen_value value_at(lua_State *L, freezer *f, int index, int is_key)
{
	iocp_frozen_value value;
	int type = lua_type(L, index);
	if (type == LUA_TSTRING)
		return (iocp_frozen_value){{string_at(L, f, index)}, IOCP_FROZEN_STRING};
	if (type == LUA_TTABLE)
		return table_at(L, f, index);
	return iocp_frozen_to_plain(L, index, is_key, f->frozen, &value) ? value : other_at(L, f, index);
}

/* Whether a key is the element that comes next. */
static int is_element(iocp_frozen_value key, uint32_t next)
{
	return key.tag == IOCP_FROZEN_INTEGER ? key.value.integer == (int64_t)next
										  : key.tag == IOCP_FROZEN_FLOAT && key.value.number == (double)next;
}

/* The number of the name of the metatable of the table at the top, from 1 on; 0: it has none that is registered. */
static uint32_t metatable_of(lua_State *L, freezer *f)
{
	uint32_t number = 0;
	if (!lua_getmetatable(L, -1))
		return 0;
	if (iocp_metatable_name(L)) {
		number = string_at(L, f, lua_gettop(L)) + 1;
		lua_pop(L, 1);
	} else if (iocp_metatable_stays(L)) {
		refuse(L);
	} else if (iocp_debugs()) {
		iocp_debug_lost(L, "value", 1);
	}
	return number;
}

/* The table at the top becomes the block's next one. */
static void freeze_table(lua_State *L, freezer *f)
{
	int at = lua_gettop(L);
	uint32_t elements = 0, metatable = metatable_of(L, f);
	lua_pushnil(L);
	while (lua_next(L, at)) {
		iocp_frozen_value key = value_at(L, f, at + 1, 1), value = value_at(L, f, at + 2, 0);
		if (elements == f->frozen->found_count && is_element(key, elements + 1))
			elements++;
		must(L, iocp_frozen_add_pair(f->frozen, key, value));
		lua_pop(L, 1);
	}
	must(L, iocp_frozen_add_table(f->frozen, elements, (uint32_t)lua_rawlen(L, at), metatable));
}

/* The block of the value, whose holder is at HOLDER. */
static void freeze(lua_State *L, iocp_frozen *frozen)
{
	freezer f = {frozen, 0};
	lua_Integer i;
	lua_newtable(L);
	lua_newtable(L);
	(void)table_at(L, &f, VALUE);
	for (i = 1; i <= f.tables; i++) {
		lua_rawgeti(L, WAITING, (int)i);
		freeze_table(L, &f);
		lua_settop(L, TOP);
	}
	iocp_frozen_finish(frozen);
}

/* iocp.Frozen(value) */
int iocp_lua_frozen(lua_State *L)
{
	iocp_frozen *frozen = NULL;
	lua_settop(L, 1);
	if (iocp_frozen_test(L, VALUE))
		return 1;
	if (!lua_istable(L, VALUE))
		return iocp_bad_argument(L, 1, "value", "a table: anything else is copied whole, or cannot be changed");
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	iocp_object_push(L, IOCP_CLASS_FROZEN);
	must(L, iocp_frozen_create(sizeof(iocp_values), discard_other, &frozen));
	iocp_object_set(L, frozen);
	freeze(L, frozen);
	lua_settop(L, HOLDER);
	(void)iocp_frozen_push_part(L, 0);
	return 1;
}
