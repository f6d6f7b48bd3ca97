/*
** value/encode.c - values from the stack into a parcel.
**
** One pass, without recursion (see value/encoder.h). What is small is copied from the buffer on the C stack into a
** block of its size at the end; anything else is in its block then, which takes its size. No metamethod is called:
** tables are read with lua_next.
**
** Tables are taken for plain ones, until a function, a metatable or a foreign userdata is met, which is where modules
** may be near: from then on every table is looked up, whether it stands in package.loaded, and if one of those before
** did, the encoder starts again.
**
** No locks; the encoder belongs to the call.
*/

#include <string.h>

#include "lua/value/encoder.h"

enum {
	STACK_NEEDED = 2 * IOCP_NESTING + IOCP_KNOWN_KEYS + 24,
	VALUE_ROOM = IOCP_SHORT_STRING + IOCP_PARCEL_ROOM, /* for any value, but for what comes with a length */
	KEYS_KNOWN = 4096                                  /* more distinct ones than that are not remembered */
};

/* ---- what needs no frame ----------------------------------------------------------------------------------------- */

static inline uint8_t *put_short_string(uint8_t *at, const char *bytes, size_t length)
{
	*at++ = (uint8_t)(IOCP_TAG_STRING + length);
	memcpy(at, bytes, length);
	return at + length;
}

/* There is room for a tag. */
static int put_long_string(iocp_encoder *e, const char *bytes, size_t length)
{
	*e->at++ = IOCP_TAG_LONG_STRING;
	return iocp_encoder_bytes(e, bytes, length);
}

/* The stack slots for keys, below those of the frames, which move up. */
static void make_key_slots(iocp_encoder *e)
{
	lua_State *L = e->L;
	int i, top = lua_gettop(L), first = e->first_slot;
	lua_settop(L, top + IOCP_KNOWN_KEYS);
	for (i = top; i >= first; i--) {
		lua_pushvalue(L, i);
		lua_replace(L, i + IOCP_KNOWN_KEYS);
	}
	e->key_slots = first;
	e->first_slot += IOCP_KNOWN_KEYS;
}

/* The key below the top comes again and gets a number and a slot, which keeps it from being collected. 0: there is none
** left. */
static uint8_t number_key(iocp_encoder *e, iocp_identity *known)
{
	if (e->known_keys == IOCP_KNOWN_KEYS)
		return 0;
	if (e->known_keys == 0)
		make_key_slots(e);
	lua_pushvalue(e->L, -2);
	lua_replace(e->L, e->key_slots + (int)e->known_keys);
	known->number |= ++e->known_keys;
	return (uint8_t)e->known_keys;
}

/* There is room for a tag. */
static void put_key_again(iocp_encoder *e, iocp_frame *f, iocp_identity *known)
{
	uint8_t number = (uint8_t)known->number;
	if (number) {
		*e->at++ = (uint8_t)(IOCP_TAG_KNOWN_KEY + number - 1);
	} else {
		*e->at++ = IOCP_TAG_KEY;
		e->at = iocp_put_varint(e->at, known->number >> 8);
		e->flags |= IOCP_PARCEL_KEYS_AGAIN;
		number = number_key(e, known);
		if (number == 0)
			return;
	}
	e->next_key[f->key] = number;
	f->key = number;
}

/* Writes the key below the top, if it is the one that came last time behind the key before. There is room for a tag. */
static inline int put_expected_key(iocp_encoder *e, iocp_frame *f)
{
	uint8_t number = e->next_key[f->key];
	if (number == 0)
		return 0;
	if (!lua_rawequal(e->L, -2, e->key_slots + number - 1)) {
		e->next_key[f->key] = 0;
		return 0;
	}
	*e->at++ = (uint8_t)(IOCP_TAG_KNOWN_KEY + number - 1);
	f->key = number;
	return 1;
}

/* A key is written once; where it comes again, its place is, and then its number. Keys are known by their address, and
** since a string may be collected while a weak table is read, they are compared too. A short one: there is VALUE_ROOM.
*/
static inline void put_key(iocp_encoder *e, iocp_frame *f, const char *bytes, size_t length)
{
	iocp_identity *known = e->keys.count < KEYS_KNOWN
							   ? iocp_encoder_identify(e, &e->keys, bytes, (uint64_t)(e->at - e->begin) << 8)
							   : iocp_identities_find(&e->keys, bytes);
	if (known) {
		const uint8_t *first = e->begin + (known->number >> 8);
		if (*first == IOCP_TAG_STRING + length && memcmp(first + 1, bytes, length) == 0) {
			put_key_again(e, f, known);
			return;
		}
	}
	e->at = put_short_string(e->at, bytes, length);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* The table at the top loses its metatable. */
static void debug_lost(const iocp_encoder *e)
{
	const iocp_encoding *encoding = e->encoding;
	iocp_debug_lost(
		e->L, encoding->head && e->value == 1 ? encoding->head : encoding->what, e->value - (encoding->head != NULL));
}

/* Writes the tag of the table at the top, with the name of its metatable if that is registered. 0: stop. -1: written by
** its own name. */
static int put_table_tag(iocp_encoder *e)
{
	lua_State *L = e->L;
	const char *name;
	size_t length;
	int written;
	if (lua_getmetatable(L, -1)) {
		if (iocp_metatable_name(L)) {
			name = lua_tolstring(L, -1, &length);
			*e->at++ = IOCP_TAG_NAMED_TABLE;
			written = iocp_encoder_bytes(e, name, length) && iocp_encoder_room(e, IOCP_PARCEL_ROOM);
			lua_pop(L, 1);
			return written;
		}
		if (!iocp_encoder_be_careful(e)) /* a module may have one */
			return 0;
		if (iocp_metatable_stays(L)) {
			name = lua_tostring(L, -1); /* the registry keeps it */
			lua_pop(L, 1);
			return iocp_encoder_refuse(e, name);
		}
		if (e->flags < IOCP_PARCEL_LOST)
			e->flags = (uint8_t)(e->flags | (e->value < IOCP_LOST_MOST ? e->value : IOCP_LOST_MOST) * IOCP_PARCEL_LOST);
		if (iocp_debugs())
			debug_lost(e);
	}
	*e->at++ = IOCP_TAG_TABLE;
	return 1;
}

static int write_table(iocp_encoder *e)
{
	iocp_frame *f;
	if (e->careful && iocp_encoder_named(e))
		return e->code == IOCP_OK;
	if (iocp_encoder_reference(e))
		return 1;
	if (!put_table_tag(e))
		return 0;
	f = iocp_encoder_open(e, IOCP_PART_ELEMENT);
	f->sizes = (size_t)(e->at - e->begin);
	e->at += 2;
	return 1;
}

/* ---- any value --------------------------------------------------------------------------------------------------- */

/* Writes the value at the top and takes it off, if it is one of most: a number, a boolean, a string that is not long.
** There is VALUE_ROOM. 0: it is not, and nothing was done. */
static inline int write_common(iocp_encoder *e, int type)
{
	lua_State *L = e->L;
	uint8_t *at = e->at; /* what a byte is written to might be the encoder itself, for all a compiler knows */
	const char *bytes;
	size_t length;
	if (type == LUA_TNUMBER) {
		at = iocp_put_number(L, -1, at);
	} else if (type == LUA_TSTRING) {
		bytes = lua_tolstring(L, -1, &length);
		if (length >= IOCP_SHORT_STRING)
			return 0;
		at = put_short_string(at, bytes, length);
	} else if (type == LUA_TBOOLEAN) {
		*at++ = lua_toboolean(L, -1) ? IOCP_TAG_TRUE : IOCP_TAG_FALSE;
	} else {
		return 0;
	}
	e->at = at;
	lua_pop(L, 1);
	return 1;
}

static int write_long_string(iocp_encoder *e)
{
	size_t length;
	const char *bytes = lua_tolstring(e->L, -1, &length);
	if (!put_long_string(e, bytes, length))
		return 0;
	lua_pop(e->L, 1);
	return 1;
}

/* Writes the value at the top, of that other type, and takes it off, or opens it. There is VALUE_ROOM. */
static int write_uncommon(iocp_encoder *e, int type)
{
	lua_State *L = e->L;
	uint64_t pointer;
	switch (type) {
	case LUA_TNIL:
		*e->at++ = IOCP_TAG_NIL;
		break;
	case LUA_TLIGHTUSERDATA:
		pointer = (uint64_t)(uintptr_t)lua_touserdata(L, -1);
		*e->at++ = IOCP_TAG_POINTER;
		memcpy(e->at, &pointer, sizeof(pointer));
		e->at += sizeof(pointer);
		break;
	case LUA_TSTRING:
		return write_long_string(e);
	case LUA_TTABLE:
		return write_table(e);
	case LUA_TFUNCTION:
		return iocp_encoder_function(e);
	case LUA_TUSERDATA:
		return iocp_encoder_userdata(e);
	case IOCP_TCDATA:
		return iocp_encoder_cdata(e);
	default:
		return iocp_encoder_refuse(e, NULL);
	}
	lua_pop(L, 1);
	return 1;
}

/* Writes any value at the top and takes it off, or opens it. There is VALUE_ROOM. */
static int write_value(iocp_encoder *e)
{
	int type = lua_type(e->L, -1);
	return write_common(e, type) || write_uncommon(e, type);
}

/* ---- the parts of what is open ----------------------------------------------------------------------------------- */

static void end_elements(iocp_encoder *e, iocp_frame *f)
{
	e->begin[f->sizes] = iocp_size_code(f->index);
	*e->at++ = IOCP_TAG_END;
	f->part = IOCP_PART_KEY;
}

static void end_table(iocp_encoder *e, iocp_frame *f)
{
	if (f->part == IOCP_PART_ELEMENT)
		end_elements(e, f);
	e->begin[f->sizes + 1] = iocp_size_code(f->total);
	*e->at++ = IOCP_TAG_END;
	iocp_encoder_close(e);
}

/* Whether the key below the top is the one that comes next. */
static inline int is_next_element(lua_State *L, const iocp_frame *f)
{
	if (lua_type(L, -2) != LUA_TNUMBER)
		return 0;
#if LUA_VERSION_NUM >= 503
	return lua_tointeger(L, -2) == (lua_Integer)f->index + 1; /* one that is a float is no integer */
#else
	return lua_tonumber(L, -2) == (lua_Number)f->index + 1;
#endif
}

/* Writes the key below the top; there is VALUE_ROOM for it, and for its value then. 0: it has parts, or stop. */
static inline int write_key(iocp_encoder *e, iocp_frame *f)
{
	lua_State *L = e->L;
	int type;
	if (put_expected_key(e, f))
		return 1;
	type = lua_type(L, -2);
	if (type == LUA_TSTRING) {
		size_t length;
		const char *bytes = lua_tolstring(L, -2, &length);
		if (length >= IOCP_SHORT_STRING)
			return put_long_string(e, bytes, length) && iocp_encoder_room(e, VALUE_ROOM);
		put_key(e, f, bytes, length);
		return 1;
	}
	if (type == LUA_TNUMBER) {
		e->at = iocp_put_number(L, -2, e->at);
		return 1;
	}
	return 0;
}

/* Writes the key below the top, which may have parts itself: its value is looked up when the frame has its turn
** again. */
static int write_other_key(iocp_encoder *e, iocp_frame *f)
{
	lua_State *L = e->L;
	lua_pop(L, 1);
	f->part = IOCP_PART_VALUE;
	lua_pushvalue(L, -1);
	return write_value(e);
}

static int write_value_of_key(iocp_encoder *e, iocp_frame *f)
{
	lua_State *L = e->L;
	f->part = IOCP_PART_KEY;
	lua_pushvalue(L, -1);
	lua_rawget(L, -3);
	return write_value(e);
}

/* Writes the parts of the newest frame, a table, until one may be opened itself, or to its end. */
static int write_parts(iocp_encoder *e, iocp_frame *f)
{
	lua_State *L = e->L;
	int type;
	do {
		if (!iocp_encoder_room(e, 2 * VALUE_ROOM))
			return 0;
		if (!lua_next(L, -2)) {
			end_table(e, f);
			return 1;
		}
		if (f->part == IOCP_PART_ELEMENT && is_next_element(L, f)) {
			f->index++;
		} else {
			if (f->part == IOCP_PART_ELEMENT)
				end_elements(e, f);
			f->total++;
			if (!write_key(e, f))
				return e->code == IOCP_OK && write_other_key(e, f);
		}
		type = lua_type(L, -1);
	} while (write_common(e, type));
	return write_uncommon(e, type);
}

/* Goes on with the newest frame. */
static int step(iocp_encoder *e)
{
	iocp_frame *f = &e->frames[e->depth - 1];
	if (f->part == IOCP_PART_ELEMENT || f->part == IOCP_PART_KEY)
		return write_parts(e, f);
	if (!iocp_encoder_room(e, VALUE_ROOM))
		return 0;
	if (f->part == IOCP_PART_VALUE)
		return write_value_of_key(e, f);
	return iocp_encoder_upvalue(e, f) || write_value(e);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int write_values(iocp_encoder *e)
{
	const iocp_encoding *encoding = e->encoding;
	e->at = iocp_put_varint(e->at, (uint64_t)encoding->count);
	for (e->value = 1; e->value <= encoding->count; e->value++) {
		lua_pushvalue(e->L, encoding->first + e->value - 1);
		if (!iocp_encoder_room(e, VALUE_ROOM) || !write_value(e))
			return 0;
		while (e->depth > 0) {
			if (!step(e))
				return 0;
		}
	}
	return 1;
}

/* Behind the values: the objects that were met. */
static int write_list(iocp_encoder *e)
{
	const iocp_holdings *h = e->held;
	uint32_t i, last;
	size_t zeros = (size_t)(e->begin - e->at) % IOCP_LIST_ALIGNMENT;
	if (!h || h->count == 0)
		return 1;
	e->flags |= IOCP_PARCEL_HAS_OBJECTS;
	if (!iocp_encoder_room(e, zeros + (size_t)h->count * IOCP_LISTED_SIZE + IOCP_LIST_COUNT_SIZE))
		return 0;
	memset(e->at, 0, zeros);
	e->at += zeros;
	for (i = 0; i < h->count; i++) {
		void *object = h->objects[i].object;
		uint64_t name = e->encoding->sealed ? iocp_object_handle(object) : (uint64_t)(uintptr_t)object;
		memcpy(e->at, &name, sizeof(name));
		e->at += sizeof(name);
	}
	for (i = 0; i < h->count; i++)
		*e->at++ = (uint8_t)h->objects[i].class;
	last = h->count << 3 | (uint32_t)zeros;
	memcpy(e->at, &last, sizeof(last));
	e->at += sizeof(last);
	return 1;
}

/* As if nothing had been written. */
static void start(iocp_encoder *e)
{
	e->first_slot = e->base + IOCP_ENCODER_SLOTS;
	lua_settop(e->L, e->first_slot - 1);
	if (e->held) {
		iocp_holdings_release(e->held);
		e->held = NULL;
	}
	e->code = IOCP_OK;
	e->begin = e->buffer;
	e->end = e->buffer + sizeof(e->buffer);
	e->at = e->buffer + IOCP_PARCEL_HEADER + (e->encoding->sealed ? (size_t)IOCP_PARCEL_SEAL : 0);
	e->flags = e->encoding->sealed ? IOCP_PARCEL_SEALED : 0;
	e->numbered = 0;
	e->depth = 0;
	e->capacity = IOCP_NESTING;
	e->frames = e->first_frames;
	e->numbers.count = e->numbers.mask = 0;
	e->keys.count = e->keys.mask = 0;
	e->known_keys = 0;
	memset(e->next_key, 0, sizeof(e->next_key));
	e->upvalues.count = e->upvalues.mask = 0;
}

/* Copies a parcel without objects to where the caller wants it. IOCP_NOMEM. */
static int copy_parcel(const iocp_encoding *encoding, const uint8_t *bytes, size_t size, void **block)
{
	iocp_holdings fresh = {.heap = encoding->heap};
	void *to = encoding->room;
	if (!to || size > IOCP_ENCODING_ROOM) {
		if (iocp_holdings_resize(&fresh, size) != IOCP_OK)
			return IOCP_NOMEM;
		to = fresh.block;
	}
	memcpy(to, bytes, size);
	*block = to;
	return IOCP_OK;
}

/* Makes what was written a block of its size, which is the caller's, as are the references in it. */
static int hand_over(iocp_encoder *e, void **block, size_t *size)
{
	iocp_holdings *h = e->held;
	*size = (size_t)(e->at - e->begin);
	e->begin[0] = IOCP_PARCEL_VERSION;
	e->begin[1] = e->flags;
	if (e->encoding->sealed)
		iocp_parcel_seal(e->begin, *size);
	if (!h) {
		e->code = copy_parcel(e->encoding, e->buffer, *size, block);
		return e->code == IOCP_OK;
	}
	e->code = iocp_holdings_resize(h, *size);
	if (e->code != IOCP_OK)
		return 0;
	if (e->begin == e->buffer)
		memcpy(h->block, e->buffer, *size);
	*block = h->block;
	h->block = NULL;
	if (!e->encoding->sealed) /* the block has the references now */
		h->count = 0;
	return 1;
}

static int encode(lua_State *L, const iocp_encoding *encoding, void **block, size_t *size)
{
	iocp_encoder e;
	luaL_checkstack(L, STACK_NEEDED, "too many values to send");
	e.L = L;
	e.encoding = encoding;
	e.base = lua_gettop(L) + 1;
	e.careful = e.rebuilt = 0;
	e.held = NULL;
	do {
		start(&e);
		if (write_values(&e) && write_list(&e))
			(void)hand_over(&e, block, size);
	} while (e.code == IOCP_START_AGAIN);
	if (e.held)
		iocp_holdings_release(e.held);
	lua_settop(L, e.base - 1);
	return e.code;
}

int iocp_encode(lua_State *L, const iocp_encoding *encoding, void **block, size_t *size)
{
	uint8_t plain[IOCP_PLAIN_ROOM];
	*size = iocp_plain_write(L, encoding, plain, sizeof(plain));
	return *size ? copy_parcel(encoding, plain, *size, block) : encode(L, encoding, block, size);
}
