/*
** value/decode.c - values from a parcel onto the stack.
**
** Nothing that the parcel says is believed: lengths, counts, numbers and tags are checked, tables are never made larger
** than what is left of the parcel could fill, and nesting is an explicit stack with a limit. Bytecode cannot be
** checked: an open parcel's is what the encoder wrote, since the parcel is private or its seal was right. On the Lua
** stack: the memory table, if the parcel remembers things, IOCP_KNOWN_KEYS slots for keys, if some come again, then the
** values, then for each frame the object and, if its value comes next, a key. Those of frames beyond IOCP_NESTING, but
** for the newest, are in the memory table, frame f's at [-(2f + 1)] and [-(2f + 2)]; from 1 on it holds what has a
** number. No locks; the decoder belongs to the call, and the parcel to the caller.
*/

#include <string.h>

#include "lua/frozen.h"
#include "lua/value/format.h"

enum part { ELEMENT, KEY, VALUE, UPVALUE };

typedef struct frame {
	enum part part; /* what comes next */
	uint32_t index; /* of the last element or upvalue */
	uint32_t total; /* upvalues */
} frame;

typedef struct decoder {
	lua_State *L;
	const iocp_parcel *parcel;
	iocp_reader in;
	int memory; /* stack index of the memory table; 0: the parcel remembers nothing */
	int keys;   /* stack index of the first slot for a key; 0: none comes again */
	int known_keys;
	uint32_t depth, capacity;
	frame *frames;
	uint64_t numbered;
	frame first_frames[IOCP_NESTING];
} decoder;

enum { STACK_NEEDED = 2 * IOCP_NESTING + IOCP_KNOWN_KEYS + 24, KEEP_FRAMES = 0 };

/* Every failure: pushes a message and returns 0. */
static int damaged(decoder *d)
{
	lua_pushliteral(d->L, "the block is damaged, or none that values were encoded into");
	return 0;
}

static size_t left(const decoder *d)
{
	return (size_t)(d->in.end - d->in.at);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A length and as many bytes. */
static int get_bytes(decoder *d, const char **bytes, size_t *length)
{
	uint64_t n;
	if (!iocp_get_varint(&d->in, &n) || n > left(d))
		return 0;
	*bytes = (const char *)d->in.at;
	*length = (size_t)n;
	d->in.at += n;
	return 1;
}

static int get_fixed(decoder *d, void *to, size_t size)
{
	if (left(d) < size)
		return 0;
	memcpy(to, d->in.at, size);
	d->in.at += size;
	return 1;
}

/* ---- what has a number ------------------------------------------------------------------------------------------- */

/* The value at the top is one that may be referred to. */
static void remember(decoder *d)
{
	if (d->memory) {
		lua_pushvalue(d->L, -1);
		lua_rawseti(d->L, d->memory, (int)(d->numbered + 1));
	}
	d->numbered++;
}

static int push_remembered(decoder *d, uint64_t number)
{
	if (!d->memory || number >= d->numbered)
		return damaged(d);
	lua_rawgeti(d->L, d->memory, (int)(number + 1));
	return 1;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static void more_frames(decoder *d)
{
	uint32_t capacity = d->capacity * 2;
	frame *frames = lua_newuserdata(d->L, capacity * sizeof(*frames));
	memcpy(frames, d->frames, d->depth * sizeof(*frames));
	d->frames = frames;
	d->capacity = capacity;
	lua_rawseti(d->L, d->memory, KEEP_FRAMES);
}

/* Below the top: what belongs to the newest frame, which goes into the memory table. */
static void put_away(decoder *d)
{
	lua_State *L = d->L;
	int at = (int)(d->depth - 1) * 2;
	if (d->frames[d->depth - 1].part == VALUE) {
		lua_insert(L, -2);
		lua_rawseti(L, d->memory, -(at + 2));
	}
	lua_insert(L, -2);
	lua_rawseti(L, d->memory, -(at + 1));
}

/* The same back, below the top. */
static void take_back(decoder *d)
{
	lua_State *L = d->L;
	int at = (int)(d->depth - 1) * 2;
	lua_rawgeti(L, d->memory, -(at + 1));
	lua_insert(L, -2);
	if (d->frames[d->depth - 1].part == VALUE) {
		lua_rawgeti(L, d->memory, -(at + 2));
		lua_insert(L, -2);
	}
}

/* A frame for the object at the top. */
static int open_frame(decoder *d, enum part part)
{
	frame *f;
	if (d->depth == IOCP_NESTING_MAX || (d->depth == IOCP_NESTING && !d->memory))
		return damaged(d);
	if (d->depth == d->capacity)
		more_frames(d);
	if (d->depth >= IOCP_NESTING)
		put_away(d);
	f = &d->frames[d->depth++];
	f->part = part;
	f->index = 0;
	f->total = 0;
	return 1;
}

/* The newest frame's object is complete: a value for the frame below. */
static void close_frame(decoder *d)
{
	d->depth--;
	if (d->depth >= IOCP_NESTING)
		take_back(d);
}

/* The value at the top is the next upvalue of the newest frame. A function is complete with its last one, and then goes
** itself where the frame below wants it. */
static int store_upvalue(decoder *d, frame *f);

/* Puts the value at the top where the newest frame wants it. */
static int store(decoder *d)
{
	lua_State *L = d->L;
	frame *f;
	if (d->depth == 0)
		return 1;
	f = &d->frames[d->depth - 1];
	switch (f->part) {
	case ELEMENT:
		lua_rawseti(L, -2, (int)++f->index);
		return 1;
	case KEY:
		f->part = VALUE;
		return 1;
	case VALUE:
		lua_rawset(L, -3);
		f->part = KEY;
		return 1;
	default:
		return store_upvalue(d, f);
	}
}

static int store_upvalue(decoder *d, frame *f)
{
	if (!lua_setupvalue(d->L, -2, (int)++f->index))
		return damaged(d);
	if (f->index < f->total)
		return 1;
	close_frame(d);
	return store(d);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int push_key_again(decoder *d)
{
	uint64_t offset, length;
	const uint8_t *key;
	if (!iocp_get_varint(&d->in, &offset) || offset >= (uint64_t)(d->in.at - d->parcel->begin))
		return damaged(d);
	key = d->parcel->begin + offset;
	length = (uint64_t)*key - IOCP_TAG_STRING;
	if (length >= IOCP_SHORT_STRING || length >= (uint64_t)(d->in.at - key))
		return damaged(d);
	lua_pushlstring(d->L, (const char *)key + 1, (size_t)length);
	if (d->keys && d->known_keys < IOCP_KNOWN_KEYS) {
		lua_pushvalue(d->L, -1);
		lua_replace(d->L, d->keys + d->known_keys++);
	}
	return 1;
}

/* As iocp_plain_push_value, for a key: floats, of which NaN is none, and nil are left. */
static inline int push_plain_key(decoder *d)
{
	uint8_t tag;
	if (d->in.at == d->in.end)
		return 0;
	tag = *d->in.at;
	if (tag >= IOCP_TAG_KNOWN_KEY && tag - IOCP_TAG_KNOWN_KEY < d->known_keys) {
		lua_pushvalue(d->L, d->keys + tag - IOCP_TAG_KNOWN_KEY);
		d->in.at++;
		return 1;
	}
	return tag != IOCP_TAG_NIL && tag != IOCP_TAG_FLOAT && iocp_plain_push_value(d->L, &d->in);
}

/* One that is a key. */
static int push_float(decoder *d)
{
	lua_Number number;
	if (!get_fixed(d, &number, sizeof(number)) || number != number)
		return damaged(d);
	lua_pushnumber(d->L, number);
	return 1;
}

static int push_string(decoder *d)
{
	const char *bytes;
	size_t length;
	if (!get_bytes(d, &bytes, &length))
		return damaged(d);
	lua_pushlstring(d->L, bytes, length);
	return 1;
}

static int push_pointer(decoder *d)
{
	uint64_t pointer;
	if (!get_fixed(d, &pointer, sizeof(pointer)))
		return damaged(d);
	return iocp_push_lightuserdata(d->L, (void *)(uintptr_t)pointer);
}

/* Pushes a userdata for the object in the list that comes next. */
static int push_listed(decoder *d, enum iocp_class *class)
{
	lua_State *L = d->L;
	uint64_t index, name;
	void *object;
	if (!iocp_get_varint(&d->in, &index) || !iocp_parcel_listed(d->parcel, index, class, &name))
		return damaged(d);
	iocp_object_push(L, *class);
	if (!(d->parcel->flags & IOCP_PARCEL_SEALED)) {
		object = (void *)(uintptr_t)name;
		iocp_object_keep(object);
	} else if (iocp_object_open_handle(*class, name, &object) != IOCP_OK) {
		lua_pushfstring(L, "the %s in the block is gone", iocp_class_name(*class));
		return 0;
	}
	iocp_object_set(L, object);
	return 1;
}

static int push_object(decoder *d)
{
	enum iocp_class class;
	if (!push_listed(d, &class))
		return 0;
	if (class == IOCP_CLASS_FROZEN) /* which no script has itself */
		return damaged(d);
	iocp_object_enlist(d->L);
	remember(d);
	return 1;
}

static int push_frozen(decoder *d)
{
	enum iocp_class class;
	uint64_t number;
	if (!push_listed(d, &class))
		return 0;
	if (class != IOCP_CLASS_FROZEN || !iocp_get_varint(&d->in, &number) || !iocp_frozen_push_part(d->L, number))
		return damaged(d);
	remember(d);
	return 1;
}

static int push_by_name(decoder *d)
{
	const char *name;
	size_t length;
	if (!get_bytes(d, &name, &length))
		return damaged(d);
	return iocp_names_resolve(d->L, name, length);
}

static int push_cdata(decoder *d)
{
	const char *type, *content;
	size_t type_length, content_length;
	if (!d->parcel->trusted || !get_bytes(d, &type, &type_length) || !get_bytes(d, &content, &content_length))
		return damaged(d);
	lua_pushlstring(d->L, type, type_length);
	lua_pushlstring(d->L, content, content_length);
	if (!iocp_cdata_unpack(d->L))
		return 0;
	remember(d);
	return 1;
}

/* Joins the upvalue that comes next to one that was there before. */
static int share_upvalue(decoder *d)
{
	lua_State *L = d->L;
	frame *f = d->depth ? &d->frames[d->depth - 1] : NULL;
	uint64_t number, index;
	if (!f || f->part != UPVALUE || !iocp_get_varint(&d->in, &number) || !iocp_get_varint(&d->in, &index))
		return damaged(d);
	if (!push_remembered(d, number))
		return 0;
	if (!lua_isfunction(L, -1) || index - 1 >= 255 || !lua_getupvalue(L, -1, (int)index))
		return damaged(d);
	lua_pop(L, 1);
	if (!iocp_upvalue_join(L, lua_gettop(L) - 1, (int)++f->index, lua_gettop(L), (int)index))
		return damaged(d);
	lua_pop(L, 1);
	if (f->index < f->total)
		return 1;
	close_frame(d);
	return store(d);
}

static int open_function(decoder *d)
{
	lua_State *L = d->L;
	uint32_t length;
	uint64_t upvalues;
	const char *code;
	int status;
	if (!d->parcel->trusted || !get_fixed(d, &length, sizeof(length)) || length > left(d))
		return damaged(d);
	code = (const char *)d->in.at;
	d->in.at += length;
	if (!iocp_get_varint(&d->in, &upvalues) || upvalues > 255)
		return damaged(d);
	status = luaL_loadbuffer(L, code, length, "=function"); /* it brings its own name */
	if (status == LUA_ERRMEM)
		return lua_error(L); /* the block is not damaged: as where any other value finds no memory */
	if (status != 0)
		return 0;
	remember(d);
	if (upvalues == 0)
		return store(d);
	if (!open_frame(d, UPVALUE))
		return 0;
	d->frames[d->depth - 1].total = (uint32_t)upvalues;
	return 1;
}

/* At most what the rest of the parcel could fill, at `bytes` each. */
static int capacity_of(const decoder *d, uint8_t code, size_t bytes)
{
	uint64_t size = iocp_size_of_code(code), most = left(d) / bytes;
	if (size > most)
		size = most;
	return size > 0x7fffffff ? 0x7fffffff : (int)size;
}

static int open_table(decoder *d, int named)
{
	lua_State *L = d->L;
	const char *name = NULL;
	size_t length = 0;
	uint8_t sizes[2];
	if ((named && !get_bytes(d, &name, &length)) || !get_fixed(d, sizes, sizeof(sizes)))
		return damaged(d);
	lua_createtable(L, capacity_of(d, sizes[0], 1), capacity_of(d, sizes[1], 2));
	if (named) {
		iocp_metatable_push(L, name, length);
		if (!lua_istable(L, -1)) {
			lua_pushlstring(L, name, length);
			lua_pushfstring(L, IOCP_METATABLE_UNKNOWN, lua_tostring(L, -1));
			return 0;
		}
		lua_setmetatable(L, -2);
	}
	remember(d);
	return open_frame(d, ELEMENT);
}

/* What belongs to a tag that is more than bytes. */
static int read_special(decoder *d, uint8_t tag)
{
	uint64_t number;
	switch (tag) {
	case IOCP_TAG_REFERENCE:
		if (!iocp_get_varint(&d->in, &number))
			return damaged(d);
		return push_remembered(d, number) && store(d);
	case IOCP_TAG_FUNCTION:
		return open_function(d);
	case IOCP_TAG_SHARED:
		return share_upvalue(d);
	case IOCP_TAG_GLOBALS:
		iocp_push_globals(d->L);
		return store(d);
	case IOCP_TAG_NAMED:
		return push_by_name(d) && store(d);
	case IOCP_TAG_OBJECT:
		return push_object(d) && store(d);
	case IOCP_TAG_FROZEN:
		return push_frozen(d) && store(d);
	case IOCP_TAG_POINTER:
		return push_pointer(d) && store(d);
	case IOCP_TAG_CDATA:
		return push_cdata(d) && store(d);
	default:
		return damaged(d);
	}
}

/* The next tag, where iocp_plain_push_value or push_plain_key left it, and what belongs to it. 0: a message is pushed.
*/
static int read_uncommon(decoder *d)
{
	uint8_t tag;
	if (d->in.at == d->in.end)
		return damaged(d);
	tag = *d->in.at++;
	switch (tag) {
	case IOCP_TAG_FLOAT:
		return push_float(d) && store(d);
	case IOCP_TAG_LONG_STRING:
		return push_string(d) && store(d);
	case IOCP_TAG_KEY:
		return push_key_again(d) && store(d);
	case IOCP_TAG_TABLE:
	case IOCP_TAG_NAMED_TABLE:
		return open_table(d, tag == IOCP_TAG_NAMED_TABLE);
	default:
		return read_special(d, tag);
	}
}

/* The next value. 0: a message is pushed. */
static int read_value(decoder *d)
{
	return iocp_plain_push_value(d->L, &d->in) ? store(d) : read_uncommon(d);
}

/* Whether this tag comes next, and then passes it. */
static inline int pass(decoder *d, uint8_t tag)
{
	if (d->in.at == d->in.end || *d->in.at != tag)
		return 0;
	d->in.at++;
	return 1;
}

/* Reads parts of the newest frame, a table, until one is anything but plain, or to its end. */
static int read_parts(decoder *d, frame *f)
{
	lua_State *L = d->L;
	if (f->part == ELEMENT) {
		while (iocp_plain_push_value(L, &d->in))
			lua_rawseti(L, -2, (int)++f->index);
		if (!pass(d, IOCP_TAG_END))
			return read_uncommon(d);
		f->part = KEY;
	}
	while (f->part == VALUE || push_plain_key(d)) {
		f->part = VALUE;
		if (!iocp_plain_push_value(L, &d->in))
			return read_uncommon(d);
		lua_rawset(L, -3);
		f->part = KEY;
	}
	if (!pass(d, IOCP_TAG_END))
		return read_uncommon(d);
	close_frame(d);
	return store(d);
}

/* *done: how many it read; if something is wrong, it is so with the next one. */
static int read_values(decoder *d, uint64_t count, uint64_t *done)
{
	for (*done = 0; *done < count; ++*done) {
		if (!read_value(d))
			return 0;
		while (d->depth > 0) {
			frame *f = &d->frames[d->depth - 1];
			if (f->part == UPVALUE ? !read_value(d) : !read_parts(d, f))
				return 0;
		}
	}
	return d->in.at == d->in.end || damaged(d);
}

/* What lies below the values, while they are read. */
static void push_slots(decoder *d)
{
	if (d->parcel->flags & IOCP_PARCEL_REMEMBERS) {
		lua_newtable(d->L);
		d->memory = lua_gettop(d->L);
	}
	if (d->parcel->flags & IOCP_PARCEL_KEYS_AGAIN) {
		d->keys = lua_gettop(d->L) + 1;
		lua_settop(d->L, d->keys + IOCP_KNOWN_KEYS - 1);
	}
}

/* Takes them from below the values at the top. */
static void drop_slots(lua_State *L, int top, int count)
{
	int i, first = lua_gettop(L) - count;
	if (first == top)
		return;
	for (i = 1; i <= count; i++) {
		lua_pushvalue(L, first + i);
		lua_replace(L, top + i);
	}
	lua_settop(L, top + count);
}

static int decode(lua_State *L, const iocp_parcel *parcel)
{
	decoder d;
	int top = lua_gettop(L);
	uint64_t count, done;
	d.L = L;
	d.parcel = parcel;
	d.in = parcel->values;
	d.memory = d.keys = d.known_keys = 0;
	d.depth = 0;
	d.capacity = IOCP_NESTING;
	d.frames = d.first_frames;
	d.numbered = 0;
	if (!iocp_get_varint(&d.in, &count) || count > left(&d)) {
		damaged(&d);
		return -1;
	}
	if (count > 0x7fffffff - STACK_NEEDED || !lua_checkstack(L, (int)count + STACK_NEEDED)) {
		lua_pushliteral(L, "too many values for this Lua's stack");
		return -1;
	}
	push_slots(&d);
	if (!read_values(&d, count, &done)) {
		drop_slots(L, top, 1); /* the message */
		return -1 - (int)done;
	}
	drop_slots(L, top, (int)count);
	return (int)count;
}

int iocp_decode(lua_State *L, const iocp_parcel *parcel)
{
	int count = iocp_plain_push(L, parcel->begin, (size_t)(parcel->values.end - parcel->begin));
	return count >= 0 ? count : decode(L, parcel);
}
