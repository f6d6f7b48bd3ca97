/*
** frozen_view.c - what is read through a part of a frozen value: its metamethods, and iocp.pairs and iocp.ipairs.
*/

#include <inttypes.h>
#include <string.h>

#include "lua/frozen.h"

enum {
	SHORT = 40,               /* longer strings are remembered; of others Lua itself has one each */
	MOST_BYTES = 1024 * 1024, /* that strings take; then they are forgotten, all of them */
	STRING_BYTES = 64,        /* that one takes besides its own */
	ENOUGH = 32               /* reads: fewer than those after which LuaJIT takes a loop */
};

static const iocp_frozen_part *check_part(lua_State *L)
{
	const iocp_frozen_part *part = iocp_frozen_test(L, 1);
	if (!part) {
		iocp_frozen_refuse_gone(L, 1, "self");
		iocp_bad_argument(L, 1, "self", "an iocp.Frozen");
	}
	return part;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Below the top is a memory: it has the string of that number at the top from now on, which stays. */
static void remember_string(lua_State *L, uint64_t number)
{
	lua_Integer bytes;
	lua_rawgeti(L, -2, IOCP_MEMORY_BYTES);
	bytes = lua_tointeger(L, -1) + (lua_Integer)lua_rawlen(L, -2) + STRING_BYTES;
	lua_pop(L, 1);
	if (bytes > MOST_BYTES) {
		lua_newtable(L);
		lua_rawseti(L, -3, IOCP_MEMORY_STRINGS);
		bytes = 0;
	}
	lua_pushinteger(L, bytes);
	lua_rawseti(L, -3, IOCP_MEMORY_BYTES);
	lua_rawgeti(L, -2, IOCP_MEMORY_STRINGS);
	lua_pushvalue(L, -2);
	lua_rawseti(L, -2, (int)number + 1);
	lua_pop(L, 1);
}

/* A string that Lua would make anew each time is remembered. */
static void push_string(lua_State *L, const iocp_frozen_part *part, int index, uint64_t number)
{
	const iocp_frozen_string *s = &part->view->strings[number];
	if (s->length <= SHORT) {
		lua_pushlstring(L, part->view->bytes + s->at, s->length);
		return;
	}
	lua_getuservalue(L, index);
	lua_rawgeti(L, -1, IOCP_MEMORY_STRINGS);
	lua_rawgeti(L, -1, (int)number + 1);
	lua_remove(L, -2);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushlstring(L, part->view->bytes + s->at, s->length);
		remember_string(L, number);
	}
	lua_remove(L, -2);
}

static void push_other(lua_State *L, const iocp_frozen_part *part, int index, uint64_t number)
{
	lua_getuservalue(L, index);
	lua_rawgeti(L, -1, IOCP_MEMORY_OTHERS);
	lua_replace(L, -2);
	lua_rawgeti(L, -1, (int)number + 1);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		if (iocp_values_push(L, iocp_frozen_other(iocp_frozen_of(part), number)) < 0)
			iocp_raise(L, "cannot read a part of the frozen value: %s", lua_tostring(L, -1));
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, (int)number + 1);
		lua_pushvalue(L, -1);
		lua_pushinteger(L, (lua_Integer)number + 1);
		lua_rawset(L, -4);
	}
	lua_remove(L, -2);
}

void iocp_frozen_push_value(lua_State *L, int index, iocp_frozen_value value)
{
	const iocp_frozen_part *part = lua_touserdata(L, index);
	switch (value.tag) {
	case IOCP_FROZEN_FALSE:
	case IOCP_FROZEN_TRUE:
		lua_pushboolean(L, value.tag == IOCP_FROZEN_TRUE);
		break;
	case IOCP_FROZEN_INTEGER:
		lua_pushinteger(L, (lua_Integer)value.value.integer);
		break;
	case IOCP_FROZEN_FLOAT:
		lua_pushnumber(L, (lua_Number)value.value.number);
		break;
	case IOCP_FROZEN_STRING:
		push_string(L, part, index, value.value.index);
		break;
	case IOCP_FROZEN_TABLE:
		lua_getuservalue(L, index);
		iocp_frozen_find_part(L, (uint32_t)value.value.index);
		lua_remove(L, -2);
		break;
	case IOCP_FROZEN_POINTER:
		if (!iocp_push_lightuserdata(L, (void *)(uintptr_t)value.value.bits))
			lua_error(L);
		break;
	case IOCP_FROZEN_OTHER:
		push_other(L, part, index, value.value.index);
		break;
	default:
		lua_pushnil(L);
	}
}

static iocp_frozen_value plain(enum iocp_frozen_tag tag, uint64_t bits)
{
	return (iocp_frozen_value){{bits}, tag};
}

/* A key that is an integer is one, and 0 is never -0, as in a table. */
static iocp_frozen_value number_at(lua_State *L, int index, int is_key)
{
	iocp_frozen_value value = plain(IOCP_FROZEN_FLOAT, 0);
#if LUA_VERSION_NUM >= 503
	int is_integer;
	value.value.integer = lua_tointegerx(L, index, &is_integer);
	if (is_integer && (is_key || lua_isinteger(L, index))) {
		value.tag = IOCP_FROZEN_INTEGER;
		return value;
	}
#endif
	value.value.number = (double)lua_tonumber(L, index) + (is_key ? 0.0 : -0.0);
	return value;
}

/* At `index` is what may be one of the block's others, or a part. */
static int to_known(lua_State *L, int index, const iocp_frozen_part *part, iocp_frozen_value *value)
{
	const iocp_frozen_part *other = iocp_frozen_test(L, index);
	lua_Integer number;
	if (other && other->holder->object == part->holder->object) {
		*value = plain(IOCP_FROZEN_TABLE, other->number);
		return 1;
	}
	lua_getuservalue(L, 1);
	lua_rawgeti(L, -1, IOCP_MEMORY_OTHERS);
	lua_pushvalue(L, index);
	lua_rawget(L, -2);
	number = lua_tointeger(L, -1);
	lua_pop(L, 3);
	*value = plain(IOCP_FROZEN_OTHER, (uint64_t)number - 1);
	return number != 0;
}

int iocp_frozen_to_plain(lua_State *L, int index, int is_key, const iocp_frozen *frozen, iocp_frozen_value *value)
{
	int64_t number;
	const char *bytes;
	size_t length;
	switch (lua_type(L, index)) {
	case LUA_TNUMBER:
		*value = number_at(L, index, is_key);
		return 1;
	case LUA_TBOOLEAN:
		*value = plain(lua_toboolean(L, index) ? IOCP_FROZEN_TRUE : IOCP_FROZEN_FALSE, 0);
		return 1;
	case LUA_TLIGHTUSERDATA:
		*value = plain(IOCP_FROZEN_POINTER, (uint64_t)(uintptr_t)lua_touserdata(L, index));
		return 1;
	case LUA_TSTRING:
		bytes = lua_tolstring(L, index, &length);
		number = iocp_frozen_find_string(frozen, bytes, length);
		*value = plain(IOCP_FROZEN_STRING, (uint64_t)number);
		return number >= 0;
	default:
		return 0;
	}
}

/* Where the key at 2 is in the part at 1; IOCP_FROZEN_NONE. */
static int64_t find_key(lua_State *L, const iocp_frozen_part *part)
{
	iocp_frozen_value key;
	int type = lua_type(L, 2);
	if (!iocp_frozen_to_plain(L, 2, 1, iocp_frozen_of(part), &key)
		&& (type == LUA_TSTRING || type == LUA_TTABLE || type == LUA_TNIL || !to_known(L, 2, part, &key)))
		return IOCP_FROZEN_NONE;
	return iocp_frozen_find(iocp_frozen_of(part), part->table, key);
}

/* ---- metamethods ------------------------------------------------------------------------------------------------- */

static int part_index(lua_State *L)
{
	const iocp_frozen_part *part = check_part(L);
	int64_t place;
	lua_settop(L, 2);
	place = find_key(L, part);
	if (place < 0)
		lua_pushnil(L);
	else
		iocp_frozen_push_value(L, 1, iocp_frozen_value_at(part->table, (uint64_t)place));
	return 1;
}

static int part_new_index(lua_State *L)
{
	(void)check_part(L);
	return iocp_raise(L, "a frozen value cannot be changed: iocp.thaw gives a copy that can be");
}

static int part_length(lua_State *L)
{
	iocp_push_count(L, check_part(L)->table->length);
	return 1;
}

static int part_equal(lua_State *L)
{
	const iocp_frozen_part *a = iocp_frozen_test(L, 1), *b = iocp_frozen_test(L, 2);
	lua_pushboolean(L, a && b && a->holder->object == b->holder->object && a->number == b->number);
	return 1;
}

static int part_to_string(lua_State *L)
{
	const iocp_frozen_part *part = check_part(L);
	const iocp_frozen *frozen = iocp_frozen_of(part);
	char text[128];
	snprintf(text, sizeof(text), "iocp.Frozen: 0x%016" PRIx64 " (table %u of %u, in %zu bytes)",
		iocp_object_handle(frozen), part->number + 1, frozen->table_count, iocp_frozen_size(frozen));
	lua_pushstring(L, text);
	return 1;
}

/* Pushes the key and the value at a place of the part at 1. */
static void push_pair(lua_State *L, const iocp_frozen_part *part, uint64_t place)
{
	const iocp_frozen_entry *entry;
	if (place < part->table->elements) {
		lua_pushinteger(L, (lua_Integer)place + 1);
	} else {
		entry = &iocp_frozen_entries(part->table)[place - part->table->elements];
		iocp_frozen_push_value(L, 1, (iocp_frozen_value){entry->key, (enum iocp_frozen_tag)entry->key_tag});
	}
	iocp_frozen_push_value(L, 1, iocp_frozen_value_at(part->table, place));
}

/* The next pair of the part; upvalues: it, and the place of the next pair. */
static int next_pair(lua_State *L)
{
	const iocp_frozen_part *part = iocp_frozen_test(L, lua_upvalueindex(1));
	uint64_t place = (uint64_t)lua_tointeger(L, lua_upvalueindex(2));
	if (!part || place >= (uint64_t)part->table->elements + part->table->entries) {
		lua_pushnil(L);
		return 1;
	}
	lua_settop(L, 0);
	lua_pushinteger(L, (lua_Integer)place + 1);
	lua_replace(L, lua_upvalueindex(2));
	lua_pushvalue(L, lua_upvalueindex(1));
	push_pair(L, part, place);
	return 2;
}

static int part_pairs(lua_State *L)
{
	(void)check_part(L);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, next_pair, 2);
	lua_pushvalue(L, 1);
	return 2;
}

static int next_element(lua_State *L)
{
	lua_Integer i = lua_tointeger(L, 2) + 1;
	lua_settop(L, 1);
	lua_pushinteger(L, i);
	(void)part_index(L);
	if (lua_isnil(L, -1))
		return 1;
	lua_pushinteger(L, i);
	lua_insert(L, -2);
	return 2;
}

static int part_ipairs(lua_State *L)
{
	(void)check_part(L);
	lua_pushcfunction(L, next_element);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	return 3;
}

/* iocp.pairs and iocp.ipairs: by the metamethod of a part, else by the global function. */
static int iterate(lua_State *L, const char *metamethod, const char *name)
{
	int type = lua_type(L, 1);
	if (type != LUA_TTABLE && type != LUA_TUSERDATA && type != IOCP_TCDATA)
		return iocp_bad_argument(L, 1, "value", "a table or a frozen value");
	lua_settop(L, 1);
	if (!iocp_frozen_test(L, 1) || !luaL_getmetafield(L, 1, metamethod))
		lua_getglobal(L, name);
	lua_insert(L, 1);
	lua_call(L, 1, 3);
	return 3;
}

int iocp_lua_pairs(lua_State *L)
{
	return iterate(L, "__pairs", "pairs");
}

int iocp_lua_ipairs(lua_State *L)
{
	return iterate(L, "__ipairs", "ipairs");
}

/* ---- the class --------------------------------------------------------------------------------------------------- */

/* Has lua/iocp/jit.lua put the compiled metamethods in the place of these, if they are wanted. */
static void load_compiled(lua_State *L)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "iocp.jit");
	if (lua_pcall(L, 1, 1, 0) == 0) {
		lua_pushliteral(L, "Frozen");
		if (lua_pcall(L, 1, 0, 0) == 0)
			return;
	}
	lua_pop(L, 1);
}

/* __index where there is a compiler; upvalue: how many reads there were. */
static int part_index_counted(lua_State *L)
{
	lua_Integer reads = lua_tointeger(L, lua_upvalueindex(1)) + 1;
	if (reads <= ENOUGH) {
		lua_pushinteger(L, reads);
		lua_replace(L, lua_upvalueindex(1));
		if (reads == ENOUGH)
			load_compiled(L);
	}
	return part_index(L);
}

/* The key and the value at a place of the part at 1. */
static int pair_at(lua_State *L)
{
	const iocp_frozen_part *part = check_part(L);
	uint64_t place = iocp_check_integer(L, 2, "place", (uint64_t)part->table->elements + part->table->entries - 1);
	push_pair(L, part, place);
	return 2;
}

static void set_address(lua_State *L, const char *name, void (*function)(void))
{
	(void)iocp_push_address(L, (uintptr_t)function);
	lua_setfield(L, -2, name);
}

/* Pushes a table with the sizes and offsets that lua/iocp/jit/frozen.lua assumes. */
static void push_layout(lua_State *L)
{
	static const struct {
		const char *name;
		size_t is;
	} layout[] = {
		{"string", sizeof(iocp_frozen_string)},
		{"string.length", offsetof(iocp_frozen_string, length)},
		{"entry", sizeof(iocp_frozen_entry)},
		{"entry.value", offsetof(iocp_frozen_entry, value)},
		{"entry.value_tag", offsetof(iocp_frozen_entry, value_tag)},
		{"entry.next", offsetof(iocp_frozen_entry, next)},
		{"table", sizeof(iocp_frozen_table)},
		{"table.mask", offsetof(iocp_frozen_table, mask)},
		{"table.length", offsetof(iocp_frozen_table, length)},
		{"view.strings", offsetof(iocp_frozen_view, strings)},
		{"part", sizeof(iocp_frozen_part)},
		{"part.view", offsetof(iocp_frozen_part, view)},
		{"part.table", offsetof(iocp_frozen_part, table)},
		{"part.memory", offsetof(iocp_frozen_part, memory)},
	};
	size_t i;
	lua_newtable(L);
	for (i = 0; i < sizeof(layout) / sizeof(*layout); i++)
		iocp_set_count(L, layout[i].name, layout[i].is);
}

int iocp_lua_open_frozen(lua_State *L)
{
	static const luaL_Reg functions[] = {{"pair_at", pair_at}, {"index", part_index}, {NULL, NULL}};
	iocp_class_push(L, IOCP_CLASS_FROZEN);
	iocp_new_table(L, functions, 6);
	luaL_getmetatable(L, IOCP_FROZEN_PART);
	lua_setfield(L, -2, "metatable");
	iocp_frozen_push_memories(L);
	lua_setfield(L, -2, "memories");
	push_layout(L);
	lua_setfield(L, -2, "layout");
	set_address(L, "find_string", (void (*)(void))iocp_frozen_find_string);
	set_address(L, "find_field", (void (*)(void))iocp_frozen_find_field);
	return 1;
}

static const luaL_Reg metamethods[] = {
	{"__newindex", part_new_index},
	{"__len", part_length},
	{"__eq", part_equal},
	{"__tostring", part_to_string},
	{"__pairs", part_pairs},
	{"__ipairs", part_ipairs}, /* of Lua 5.2 */
	{NULL, NULL},
};

void iocp_lua_open_frozen_class(lua_State *L)
{
	static const luaL_Reg none[] = {{NULL, NULL}};
	iocp_new_table(L, metamethods, 3);
	if (iocp_has_compiler(L)) {
		lua_pushinteger(L, 0);
		lua_pushcclosure(L, part_index_counted, 1);
	} else {
		lua_pushcfunction(L, part_index);
	}
	lua_setfield(L, -2, "__index");
	lua_pushliteral(L, "iocp.Frozen");
	lua_setfield(L, -2, "__name"); /* as Lua does from 5.3 on: see iocp_type_name */
	lua_pushliteral(L, "iocp.Frozen");
	lua_setfield(L, -2, "__metatable"); /* so that the compiled methods, which trust them, meet parts only */
	lua_setfield(L, LUA_REGISTRYINDEX, IOCP_FROZEN_PART);
	iocp_class_begin(L, IOCP_CLASS_FROZEN, none, none);
}
