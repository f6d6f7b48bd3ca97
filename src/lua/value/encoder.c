/*
** value/encoder.c - the encoder's memory: what it writes to, and what it keeps while it runs: the path of frames, and
** which pointer was met before. Of those a few stand in a row, more in a hash table with open addressing, at first on
** the C stack too.
**
** It is written to a buffer on the C stack. What outgrows that moves to a block at once, which grows by being resized.
*/

#include <string.h>

#include "lua/value/encoder.h"

#define HOLDINGS "iocp.holdings" /* metatable */

enum {
	SLACK = 64, /* so that a long string is mostly the last that a block grows for */
	GROWTH = 4  /* of a hash table of identities */
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int collect_holdings(lua_State *L)
{
	iocp_holdings_release(lua_touserdata(L, 1));
	return 0;
}

iocp_holdings *iocp_encoder_holdings(iocp_encoder *e)
{
	lua_State *L = e->L;
	if (!e->held) {
		iocp_holdings *h = lua_newuserdata(L, sizeof(*h));
		memset(h, 0, sizeof(*h));
		if (luaL_newmetatable(L, HOLDINGS)) {
			lua_pushcfunction(L, collect_holdings);
			lua_setfield(L, -2, "__gc");
			lua_pushboolean(L, 0);
			lua_setfield(L, -2, "__metatable"); /* nobody else calls it */
		}
		lua_setmetatable(L, -2);
		lua_replace(L, e->base + IOCP_SLOT_HOLDINGS);
		h->heap = e->encoding->heap;
		h->owner = e->encoding->owner;
		e->held = h;
	}
	return e->held;
}

int iocp_encoder_grow(iocp_encoder *e, size_t size)
{
	iocp_holdings *h = iocp_encoder_holdings(e);
	size_t used = (size_t)(e->at - e->begin), capacity = (size_t)(e->end - e->begin) * 2;
	int in_buffer = h->block == NULL;
	if (size > SIZE_MAX / 4) {
		e->code = IOCP_NOMEM;
		return 0;
	}
	if (capacity < used + size + SLACK)
		capacity = used + size + SLACK;
	e->code = iocp_holdings_resize(h, capacity);
	if (e->code != IOCP_OK)
		return 0;
	if (in_buffer)
		memcpy(h->block, e->begin, used);
	e->begin = h->block;
	e->at = e->begin + used;
	e->end = e->begin + capacity;
	return 1;
}

void iocp_encoder_push_memory(iocp_encoder *e)
{
	lua_State *L = e->L;
	lua_pushvalue(L, e->base + IOCP_SLOT_MEMORY);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_replace(L, e->base + IOCP_SLOT_MEMORY);
	}
}

void iocp_encoder_keep(iocp_encoder *e, enum iocp_kept number)
{
	iocp_encoder_push_memory(e);
	lua_insert(e->L, -2);
	lua_rawseti(e->L, -2, -(int)number);
	lua_pop(e->L, 1);
}

/* Into slots that are `size` bytes. */
static void move_identities(iocp_identities *m, void *memory, size_t size)
{
	const iocp_identity *old = m->mask ? m->slots : m->few;
	uint32_t i, old_capacity = m->mask ? m->mask + 1 : m->count;
	memset(memory, 0, size);
	m->slots = memory;
	m->mask = (uint32_t)(size / sizeof(iocp_identity)) - 1;
	for (i = 0; i < old_capacity; i++) {
		if (old[i].pointer)
			*iocp_identities_slot(m, old[i].pointer) = old[i];
	}
}

void iocp_encoder_more_identities(iocp_encoder *e, iocp_identities *m)
{
	size_t size = ((size_t)m->mask + 1) * GROWTH * sizeof(iocp_identity);
	if (!m->mask) {
		move_identities(m, m->first, sizeof(m->first));
		return;
	}
	move_identities(m, lua_newuserdata(e->L, size), size);
	iocp_encoder_keep(e, m == &e->numbers ? IOCP_KEEP_NUMBERS : m == &e->keys ? IOCP_KEEP_KEYS : IOCP_KEEP_UPVALUES);
}

/* ---- what has no parts ------------------------------------------------------------------------------------------- */

int iocp_encoder_bytes(iocp_encoder *e, const void *bytes, size_t length)
{
	if (!iocp_encoder_room(e, length + IOCP_PARCEL_ROOM))
		return 0;
	e->at = iocp_put_varint(e->at, length);
	memcpy(e->at, bytes, length);
	e->at += length;
	return 1;
}

int iocp_encoder_reference(iocp_encoder *e)
{
	const void *pointer = lua_topointer(e->L, -1);
	const iocp_identity *known = iocp_encoder_identify(e, &e->numbers, pointer, e->numbered);
	if (!known) {
		e->numbered++;
		return 0;
	}
	e->flags |= IOCP_PARCEL_REMEMBERS;
	*e->at++ = IOCP_TAG_REFERENCE;
	e->at = iocp_put_varint(e->at, known->number);
	lua_pop(e->L, 1);
	return 1;
}

int iocp_encoder_be_careful(iocp_encoder *e)
{
	int names = e->base + IOCP_SLOT_NAMES;
	const void *const *tables;
	size_t i, count;
	if (e->careful)
		return 1;
	e->careful = 1;
	iocp_names_push(e->L);
	lua_replace(e->L, names);
	if (e->numbered == 0)
		return 1;
	tables = iocp_names_tables(e->L, names, &count);
	for (i = 0; i < count; i++) {
		if (iocp_identities_find(&e->numbers, tables[i])) {
			e->code = IOCP_START_AGAIN;
			return 0;
		}
	}
	return 1;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static void more_frames(iocp_encoder *e)
{
	uint32_t capacity = e->capacity * 2;
	iocp_frame *frames = lua_newuserdata(e->L, capacity * sizeof(*frames));
	memcpy(frames, e->frames, e->capacity * sizeof(*frames));
	e->frames = frames;
	e->capacity = capacity;
	iocp_encoder_keep(e, IOCP_KEEP_FRAMES);
}

/* Below the top: the two slots of the newest frame, which go into the memory table. */
static void put_away(iocp_encoder *e)
{
	lua_State *L = e->L;
	int at = (int)(e->depth - 1) * 2;
	iocp_encoder_push_memory(e);
	lua_insert(L, -4);
	lua_insert(L, -3); /* memory, new object, its frame's object and key */
	lua_rawseti(L, -4, at + 2);
	lua_rawseti(L, -3, at + 1);
	lua_remove(L, -2);
	e->flags |= IOCP_PARCEL_REMEMBERS;
}

static void take_back(iocp_encoder *e)
{
	lua_State *L = e->L;
	int at = (int)(e->depth - 1) * 2;
	iocp_encoder_push_memory(e);
	lua_rawgeti(L, -1, at + 1);
	lua_rawgeti(L, -2, at + 2);
	lua_remove(L, -3);
}

iocp_frame *iocp_encoder_open(iocp_encoder *e, enum iocp_part part)
{
	iocp_frame *f;
	if (e->depth == IOCP_NESTING_MAX)
		iocp_encoder_too_deep(e);
	if (e->depth == e->capacity)
		more_frames(e);
	if (e->depth >= IOCP_NESTING)
		put_away(e);
	lua_pushnil(e->L);
	f = &e->frames[e->depth++];
	f->part = part;
	f->index = 0;
	f->total = 0;
	f->key = 0;
	return f;
}

void iocp_encoder_close(iocp_encoder *e)
{
	lua_pop(e->L, 1);
	e->depth--;
	if (e->depth >= IOCP_NESTING)
		take_back(e);
}
