/*
** thaw.c - iocp.thaw(value): from a block onto the stack. Tables that are reached are made at once and wait in a
** list until they are filled, so that nothing here nests, and shared parts and cycles are as they were.
*/

#include "lua/frozen.h"

enum { /* on the stack */
	PART = 1,
	MADE, /* tables by their numbers + 1 */
	LIST, /* numbers of those that wait */
	TOP = LIST
};

typedef struct thawer {
	const iocp_frozen *frozen;
	lua_Integer waiting, done; /* in the list */
} thawer;

static int capacity(uint32_t count)
{
	return count > 0x7fffffff ? 0x7fffffff : (int)count;
}

/* Pushes the copy of a table, which is made if it is not there, and then is to be filled. */
static void push_table(lua_State *L, thawer *t, uint64_t number)
{
	const iocp_frozen_table *table = iocp_frozen_table_at(t->frozen, number);
	lua_rawgeti(L, MADE, (int)number + 1);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_createtable(L, capacity(table->elements), capacity(table->entries));
	lua_pushvalue(L, -1);
	lua_rawseti(L, MADE, (int)number + 1);
	lua_pushinteger(L, (lua_Integer)number);
	lua_rawseti(L, LIST, (int)++t->waiting);
}

static void push_value(lua_State *L, thawer *t, iocp_frozen_value value)
{
	if (value.tag == IOCP_FROZEN_TABLE)
		push_table(L, t, value.value.index);
	else
		iocp_frozen_push_value(L, PART, value);
}

/* The metatable of the table at the top. */
static void set_metatable(lua_State *L, const iocp_frozen *frozen, const iocp_frozen_table *table)
{
	const iocp_frozen_string *s;
	if (!table->metatable)
		return;
	s = &frozen->strings[table->metatable - 1];
	iocp_metatable_push(L, frozen->bytes + s->at, s->length);
	if (!lua_istable(L, -1)) {
		lua_pushlstring(L, frozen->bytes + s->at, s->length);
		luaL_error(L, IOCP_METATABLE_UNKNOWN, lua_tostring(L, -1));
	}
	lua_setmetatable(L, -2);
}

static void fill_table(lua_State *L, thawer *t, uint64_t number)
{
	const iocp_frozen_table *table = iocp_frozen_table_at(t->frozen, number);
	const iocp_frozen_entry *entries = iocp_frozen_entries(table);
	uint32_t i;
	lua_rawgeti(L, MADE, (int)number + 1);
	for (i = 0; i < table->elements; i++) {
		push_value(L, t, iocp_frozen_value_at(table, i));
		lua_rawseti(L, -2, (int)i + 1);
	}
	for (i = 0; i < table->entries; i++) {
		push_value(L, t, (iocp_frozen_value){entries[i].key, (enum iocp_frozen_tag)entries[i].key_tag});
		push_value(L, t, (iocp_frozen_value){entries[i].value, (enum iocp_frozen_tag)entries[i].value_tag});
		lua_rawset(L, -3);
	}
	set_metatable(L, t->frozen, table);
	lua_pop(L, 1);
}

/* iocp.thaw(value) */
int iocp_lua_thaw(lua_State *L)
{
	const iocp_frozen_part *part = iocp_frozen_test(L, PART);
	thawer t = {0};
	if (lua_gettop(L) == 0)
		return iocp_bad_argument(L, 1, "value", "a value");
	lua_settop(L, 1);
	if (!part) {
		iocp_frozen_refuse_gone(L, 1, "value");
		return 1;
	}
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	t.frozen = iocp_frozen_of(part);
	lua_newtable(L);
	lua_newtable(L);
	push_table(L, &t, part->number);
	lua_pop(L, 1);
	while (t.done < t.waiting) {
		lua_rawgeti(L, LIST, (int)++t.done);
		fill_table(L, &t, (uint64_t)lua_tointeger(L, -1));
		lua_settop(L, TOP);
	}
	lua_rawgeti(L, MADE, (int)part->number + 1);
	return 1;
}
