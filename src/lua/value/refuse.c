/*
** value/refuse.c - what an error says about a value that cannot cross: what it is, and the path that leads there, such
** as "cannot send arg 2.cfg.sock: userdata (FILE*)".
*/

#include <ctype.h>
#include <string.h>

#include "lua/value/encoder.h"

/* Pushes the name that the metatable of the userdata at the top has in the registry, or nil. */
static void push_registered_name(lua_State *L)
{
	if (!lua_getmetatable(L, -1)) {
		lua_pushnil(L);
		return;
	}
	lua_pushnil(L);
	while (lua_next(L, LUA_REGISTRYINDEX)) {
		if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, -3)) {
			lua_pop(L, 1);
			lua_remove(L, -2);
			return;
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	lua_pushnil(L);
}

/* Of ours only what has no object any more cannot cross. */
static void push_userdata(lua_State *L, const char *name)
{
	static const char advice[] = "; make it where it is used";
	if (!name)
		lua_pushfstring(L, "userdata%s", advice);
	else
		lua_pushfstring(L, "userdata (%s)%s", name, strncmp(name, "iocp.", 5) == 0 ? "" : advice);
}

/* Replaces the value at the top by what it is. */
static void describe(lua_State *L, const char *why)
{
	const char *type = luaL_typename(L, -1);
	switch (lua_type(L, -1)) {
	case LUA_TUSERDATA:
		push_registered_name(L);
		push_userdata(L, lua_tostring(L, -1));
		lua_remove(L, -2);
		break;
	case IOCP_TCDATA:
		iocp_cdata_push_type(L);
		lua_pushfstring(L, "cdata (%s)", lua_tostring(L, -1));
		lua_remove(L, -2);
		break;
	case LUA_TTHREAD:
		lua_pushliteral(L, "thread (a coroutine); send the function that it runs");
		break;
	default:
		lua_pushfstring(L, why ? "%s (%s)" : "%s", type, why);
		break;
	}
	lua_remove(L, -2);
}

static int is_identifier(const char *text, size_t length)
{
	size_t i;
	if (length == 0 || length > 64 || isdigit((unsigned char)text[0]))
		return 0;
	for (i = 0; i < length; i++) {
		if (!isalnum((unsigned char)text[i]) && text[i] != '_')
			return 0;
	}
	return 1;
}

/* Pushes how the key at the top continues a path; the key stays. */
static void push_key_text(lua_State *L)
{
	size_t length;
	const char *text;
	switch (lua_type(L, -1)) {
	case LUA_TSTRING:
		text = lua_tolstring(L, -1, &length);
		lua_pushfstring(L, is_identifier(text, length) ? ".%s" : "[\"%s\"]", text);
		break;
	case LUA_TNUMBER:
		lua_pushvalue(L, -1); /* not converted in place */
		lua_pushfstring(L, "[%s]", lua_tostring(L, -1));
		lua_remove(L, -2);
		break;
	case LUA_TBOOLEAN:
		lua_pushfstring(L, "[%s]", lua_toboolean(L, -1) ? "true" : "false");
		break;
	default:
		lua_pushfstring(L, "[%s]", luaL_typename(L, -1));
		break;
	}
}

/* Pushes slot 0 or 1 of frame `i`. */
static void push_slot(iocp_encoder *e, uint32_t i, int slot)
{
	int first = e->first_slot;
	if (e->depth > IOCP_NESTING && i == e->depth - 1) {
		lua_pushvalue(e->L, first + 2 * (IOCP_NESTING - 1) + slot);
	} else if (e->depth > IOCP_NESTING && i >= IOCP_NESTING - 1) {
		lua_rawgeti(e->L, e->base + IOCP_SLOT_MEMORY, (int)(2 * i + 1) + slot);
	} else {
		lua_pushvalue(e->L, first + 2 * (int)i + slot);
	}
}

/* Pushes how frame `i` continues the path. */
static void push_part(iocp_encoder *e, uint32_t i)
{
	lua_State *L = e->L;
	const iocp_frame *f = &e->frames[i];
	if (f->part == IOCP_PART_UPVALUE) {
		const char *name;
		push_slot(e, i, 0);
		name = lua_getupvalue(L, -1, (int)f->index);
		lua_pushfstring(L, ".upvalue '%s'", name);
		lua_replace(L, -3);
		lua_pop(L, 1);
		return;
	}
	push_slot(e, i, 1);
	if (f->part == IOCP_PART_VALUE) /* the key itself is being written */
		lua_pushliteral(L, ", a key");
	else
		push_key_text(L);
	lua_remove(L, -2);
}

enum { PARTS_AT_AN_END = 8 };

/* Pushes the path to what is being written. Of a long one the middle is left out. */
static void push_path(iocp_encoder *e)
{
	lua_State *L = e->L;
	const iocp_encoding *encoding = e->encoding;
	uint32_t i;
	if (encoding->head && e->value == 1)
		lua_pushstring(L, encoding->head);
	else
		lua_pushfstring(L, "%s %d", encoding->what, e->value - (encoding->head != NULL));
	for (i = 0; i < e->depth; i++) {
		if (i == PARTS_AT_AN_END && e->depth > 2 * PARTS_AT_AN_END) {
			lua_pushliteral(L, "...");
			i = e->depth - PARTS_AT_AN_END - 1;
		} else {
			push_part(e, i);
		}
		lua_concat(L, 2);
	}
}

/* Raises; what was held is given back first. */
static int raise(iocp_encoder *e)
{
	if (e->held)
		iocp_holdings_release(e->held);
	return lua_error(e->L);
}

int iocp_encoder_refuse(iocp_encoder *e, const char *why)
{
	lua_State *L = e->L;
	int position;
	describe(L, why);
	position = lua_gettop(L);
	iocp_push_where(L);
	push_path(e);
	lua_pushfstring(L, "%scannot send %s: %s", lua_tostring(L, -2), lua_tostring(L, -1), lua_tostring(L, position));
	return raise(e);
}

int iocp_encoder_too_deep(iocp_encoder *e)
{
	lua_State *L = e->L;
	iocp_push_where(L);
	push_path(e);
	lua_pushfstring(L, "%scannot send %s: nested deeper than %d levels", lua_tostring(L, -2), lua_tostring(L, -1),
		(int)IOCP_NESTING_MAX);
	return raise(e);
}
