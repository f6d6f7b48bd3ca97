/*
** value/function.c - functions, objects and cdata into a parcel: what is more than its own bytes.
**
** A Lua function is its bytecode, with debug information, and the values of its upvalues, but for the globals: the
** receiver has its own. An upvalue that several functions of a parcel share is written once, if this Lua can tell (5.1
** cannot). A C function is the name of a module and a field in it.
*/

#include <string.h>

#include "lua/value/encoder.h"
#include "lua/frozen.h"

/* ---- upvalues ---------------------------------------------------------------------------------------------------- */

/* Whether the upvalue of that name, whose value is at the top, is the globals. A function without debug information has
** no names, but the value tells. */
static int is_globals(lua_State *L, const char *name)
{
#if LUA_VERSION_NUM >= 502
	int same;
	if (strcmp(name, "_ENV") == 0)
		return 1;
	lua_pushglobaltable(L);
	same = lua_rawequal(L, -1, -2);
	lua_pop(L, 1);
	return same;
#else
	(void)L, (void)name;
	return 0;
#endif
}

/* If the upvalue was met before, writes where. */
static int put_shared(iocp_encoder *e, const iocp_frame *f, const void *id)
{
	const iocp_identity *known = iocp_encoder_identify(e, &e->upvalues, id, f->number << 8 | f->index);
	if (!known)
		return 0;
	e->flags |= IOCP_PARCEL_REMEMBERS;
	*e->at++ = IOCP_TAG_SHARED;
	e->at = iocp_put_varint(e->at, known->number >> 8);
	e->at = iocp_put_varint(e->at, known->number & 0xff);
	return 1;
}

int iocp_encoder_upvalue(iocp_encoder *e, iocp_frame *f)
{
	lua_State *L = e->L;
	int function = lua_gettop(L) - 1;
	const char *name;
	const void *id;
	if (f->index == f->total) {
		lua_pop(L, 1);
		iocp_encoder_close(e);
		return 1;
	}
	name = lua_getupvalue(L, function, (int)++f->index);
	if (is_globals(L, name)) {
		*e->at++ = IOCP_TAG_GLOBALS;
		lua_pop(L, 1);
		return 1;
	}
	id = iocp_upvalue_id(L, function, (int)f->index);
	if (id && put_shared(e, f, id)) {
		lua_pop(L, 1);
		return 1;
	}
	return 0;
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

/* 0: the names were no older than this message. */
static int rebuild_names(iocp_encoder *e)
{
	if (e->rebuilt)
		return 0;
	iocp_names_rebuild(e->L, e->base + IOCP_SLOT_NAMES);
	e->rebuilt = 1;
	return 1;
}

int iocp_encoder_named(iocp_encoder *e)
{
	lua_State *L = e->L;
	int names = e->base + IOCP_SLOT_NAMES;
	enum iocp_found found = iocp_names_find(L, names);
	const char *name;
	size_t length;
	if (found == IOCP_NAME_OLD && rebuild_names(e))
		found = iocp_names_find(L, names);
	if (found != IOCP_NAME_FOUND)
		return 0;
	name = lua_tolstring(L, -1, &length);
	*e->at++ = IOCP_TAG_NAMED;
	(void)iocp_encoder_bytes(e, name, length); /* the code tells */
	lua_pop(L, 2);
	return 1;
}

static int write_c_function(iocp_encoder *e)
{
	if (rebuild_names(e) && iocp_encoder_named(e)) /* its module may have got it only lately */
		return e->code == IOCP_OK;
	return iocp_encoder_refuse(e, "a C function that is in no loaded module");
}

/* Where bytecode goes, as far as there is room. */
typedef struct code {
	uint8_t *at, *end;
	size_t size;
} code;

/* lua_dump's writer. */
static int write_code(lua_State *L, const void *bytes, size_t size, void *data)
{
	code *c = data;
	(void)L;
	c->size += size;
	if (size > (size_t)(c->end - c->at)) {
		c->at = c->end;    /* nothing goes behind what is left out */
	} else if (size > 0) { /* Lua 5.5 ends with NULL, 0 */
		memcpy(c->at, bytes, size);
		c->at += size;
	}
	return 0;
}

/* Growing in the middle of lua_dump must not touch the stack: what does not fit is dumped again. */
static int put_code(iocp_encoder *e)
{
	uint32_t length;
	code c = {.size = 0};
	do {
		if (!iocp_encoder_room(e, sizeof(length) + c.size + IOCP_PARCEL_ROOM))
			return 0;
		c = (code){e->at + sizeof(length), e->end, 0};
		if (iocp_dump(e->L, write_code, &c) != 0) {
			e->code = IOCP_NOMEM;
			return 0;
		}
	} while (c.size > (size_t)(e->end - e->at) - sizeof(length));
	length = (uint32_t)c.size;
	memcpy(e->at, &length, sizeof(length));
	e->at += sizeof(length) + c.size;
	return 1;
}

int iocp_encoder_function(iocp_encoder *e)
{
	lua_State *L = e->L;
	lua_Debug info;
	iocp_frame *f;
	if (!iocp_encoder_be_careful(e))
		return 0;
	if (iocp_encoder_named(e))
		return e->code == IOCP_OK;
	if (lua_iscfunction(L, -1))
		return write_c_function(e);
	if (iocp_encoder_reference(e))
		return 1;
	*e->at++ = IOCP_TAG_FUNCTION;
	if (!put_code(e) || !iocp_encoder_room(e, IOCP_PARCEL_ROOM))
		return 0;
	lua_pushvalue(L, -1);
	lua_getinfo(L, ">u", &info);
	e->at = iocp_put_varint(e->at, (uint64_t)info.nups);
	f = iocp_encoder_open(e, IOCP_PART_UPVALUE);
	f->total = (uint32_t)info.nups;
	f->number = e->numbered - 1;
	return 1;
}

/* ---- objects and cdata ------------------------------------------------------------------------------------------- */

int iocp_encoder_userdata(iocp_encoder *e)
{
	lua_State *L = e->L;
	enum iocp_class class = IOCP_CLASS_FROZEN;
	const iocp_frozen_part *part = iocp_frozen_test(L, -1);
	void *object = part ? iocp_frozen_of(part) : iocp_object_test(L, -1, &class);
	uint32_t index;
	if (!object || (e->encoding->sealed && !iocp_object_handle(object))) {
		if (!object && !iocp_encoder_be_careful(e)) /* it may be part of a module */
			return 0;
		return iocp_encoder_refuse(e, NULL);
	}
	if (iocp_encoder_reference(e))
		return 1;
	index = iocp_holdings_add(iocp_encoder_holdings(e), object, class);
	if (index == UINT32_MAX) {
		e->code = IOCP_NOMEM;
		return 0;
	}
	*e->at++ = part ? IOCP_TAG_FROZEN : IOCP_TAG_OBJECT;
	e->at = iocp_put_varint(e->at, index);
	if (part)
		e->at = iocp_put_varint(e->at, part->number);
	lua_pop(L, 1);
	return 1;
}

int iocp_encoder_cdata(iocp_encoder *e)
{
	lua_State *L = e->L;
	const char *type, *content;
	size_t type_length, content_length;
	if (iocp_encoder_reference(e))
		return 1;
	if (!iocp_cdata_pack(L))
		return iocp_encoder_refuse(e, NULL);
	type = lua_tolstring(L, -2, &type_length);
	content = lua_tolstring(L, -1, &content_length);
	*e->at++ = IOCP_TAG_CDATA;
	if (!iocp_encoder_bytes(e, type, type_length) || !iocp_encoder_bytes(e, content, content_length))
		return 0;
	lua_pop(L, 3);
	return 1;
}
