/*
** value/encoder.h - the encoder's state, for the files that share it.
**
** What is being written forms a path: a frame for each table or function whose parts are not all written. The Lua stack
** holds two slots for each frame: the object, and for a table the key that lua_next gave last, or nil. Those of frames
** beyond IOCP_NESTING, but for the newest, lie in the memory table, frame f's at [2f + 1] and [2f + 2].
**
** Tables mostly have the keys of those before them, in the same order. So a key that came again has a slot on the
** stack, below those of the frames, and a key is first compared with the one that came there last time.
**
** Nothing needs to be given back if Lua raises, until there are holdings; and those a userdata gives back.
*/

#ifndef IOCP_VALUE_ENCODER_H
#define IOCP_VALUE_ENCODER_H

#include <string.h>

#include "lua/value/format.h"

#pragma GCC visibility push(hidden)

enum { IOCP_ENCODER_BUFFER = 2048 };

typedef struct iocp_frame {
	enum iocp_part {
		IOCP_PART_ELEMENT, /* of a table: 1, 2, 3 ... as long as lua_next gives them in this order */
		IOCP_PART_KEY,     /* of a table: a key comes next */
		IOCP_PART_VALUE,   /* the key was a table itself, and is written */
		IOCP_PART_UPVALUE  /* of a function */
	} part;
	uint32_t index;  /* of the last element or upvalue */
	uint32_t total;  /* a table: pairs written; a function: its upvalues */
	uint64_t number; /* of the function */
	size_t sizes;    /* where the table's size codes stand */
	uint8_t key;     /* a table: the last of its keys that has a number, that number + 1, or 0 */
} iocp_frame;

/* ---- identities: which pointer was met before -------------------------------------------------------------------- */

enum { IOCP_IDENTITIES_FEW = 8, IOCP_IDENTITIES_FIRST = 64 };

typedef struct iocp_identity {
	const void *pointer;
	uint64_t number;
} iocp_identity;

/* Numbers by pointer. `count` and `mask` zero at first. */
typedef struct iocp_identities {
	uint32_t count;
	uint32_t mask; /* of the slots; 0: they are `few`, searched one by one */
	iocp_identity *slots;
	iocp_identity few[IOCP_IDENTITIES_FEW];
	iocp_identity first[IOCP_IDENTITIES_FIRST]; /* slots, where few do not do, and these do */
} iocp_identities;

/* Where the pointer is, or the empty slot where it would be. */
static inline iocp_identity *iocp_identities_slot(const iocp_identities *m, const void *pointer)
{
	/* The upper bits of the product depend on all of the pointer's. */
	uint64_t hash = (uint64_t)(uintptr_t)pointer * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t i = (uint32_t)(hash >> 32) & m->mask;
	while (m->slots[i].pointer && m->slots[i].pointer != pointer)
		i = (i + 1) & m->mask;
	return &m->slots[i];
}

/* NULL: it was not added. */
static inline iocp_identity *iocp_identities_find(iocp_identities *m, const void *pointer)
{
	uint32_t i;
	if (m->mask) {
		iocp_identity *found = iocp_identities_slot(m, pointer);
		return found->pointer ? found : NULL;
	}
	for (i = 0; i < m->count; i++) {
		if (m->few[i].pointer == pointer)
			return &m->few[i];
	}
	return NULL;
}

/* Whether a pointer more would make the search for an empty slot long. */
static inline int iocp_identities_full(const iocp_identities *m)
{
	return m->mask ? m->count > m->mask / 4 * 3 : m->count == IOCP_IDENTITIES_FEW;
}

typedef struct iocp_encoder {
	lua_State *L;
	const iocp_encoding *encoding;
	uint8_t *begin, *at, *end; /* what is written */
	iocp_holdings *held;       /* NULL until there is something to give back */
	int base;                  /* stack index of the first slot of the encoder, see below */
	int first_slot;            /* of the frames */
	int code;                  /* why it stopped, if it did */
	int careful;               /* the names are there: tables met from now on are looked up */
	int rebuilt;               /* the names are not older than this message */
	uint8_t flags;
	uint64_t numbered; /* tables, functions, cdata and objects so far */
	int value;         /* which of the values is being written, from 1 on */
	uint32_t depth, capacity;
	iocp_frame *frames;
	iocp_identities numbers;  /* of what is numbered */
	iocp_identities keys;     /* where a key stands << 8 | its number among those that came again + 1, or 0 */
	iocp_identities upvalues; /* number of the function << 8 | index */
	uint32_t known_keys;      /* that have such a number */
	int key_slots;            /* stack index of the first of those keys */
	uint8_t next_key[IOCP_KNOWN_KEYS + 1]; /* which came last behind that one; [0]: first in a table. 0: none */
	iocp_frame first_frames[IOCP_NESTING];
	uint8_t buffer[IOCP_ENCODER_BUFFER];
} iocp_encoder;

enum { /* slots from `base` on; nil until they are needed */
	IOCP_SLOT_MEMORY = 0,
	IOCP_SLOT_NAMES = 1,
	IOCP_SLOT_HOLDINGS = 2,
	IOCP_ENCODER_SLOTS = 3
};

/* `code` of an encoder that wrote a module as a table before it was careful: it has to start again. */
enum { IOCP_START_AGAIN = 1 };

/* What the memory table holds beside frames, at the negative of these. */
enum iocp_kept { IOCP_KEEP_FRAMES = 1, IOCP_KEEP_NUMBERS, IOCP_KEEP_KEYS, IOCP_KEEP_UPVALUES };

/* ---- numbers: written where `at` has room for a tag with its number; where it ends ------------------------------- */

static inline uint8_t *iocp_put_integer(uint8_t *at, int64_t value)
{
	if (value >= 0 && value < 0x80) {
		*at++ = (uint8_t)value;
		return at;
	}
	*at++ = IOCP_TAG_ANY_INTEGER;
	return iocp_put_varint(at, iocp_zigzag(value));
}

static inline uint8_t *iocp_put_number(lua_State *L, int index, uint8_t *at)
{
	lua_Number number;
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, index))
		return iocp_put_integer(at, lua_tointeger(L, index));
#endif
	number = lua_tonumber(L, index);
#if LUA_VERSION_NUM < 503
	/* Below 2^53 the integer gives back the same number, but for -0. */
	if (number > -9007199254740992.0 && number < 9007199254740992.0) {
		int64_t integer = (int64_t)number;
		if ((lua_Number)integer == number && !(integer == 0 && 1 / number < 0))
			return iocp_put_integer(at, integer);
	}
#endif
	*at++ = IOCP_TAG_FLOAT;
	memcpy(at, &number, sizeof(number));
	return at + sizeof(number);
}

/* Where a function here returns an int, 0 means to stop, with the code set, unless said otherwise. */

/* ---- value/encoder.c --------------------------------------------------------------------------------------------- */

int iocp_encoder_grow(iocp_encoder *e, size_t size);

/* Room for `size` bytes behind `at`. */
static inline int iocp_encoder_room(iocp_encoder *e, size_t size)
{
	return (size_t)(e->end - e->at) >= size || iocp_encoder_grow(e, size);
}

iocp_holdings *iocp_encoder_holdings(iocp_encoder *e);
/* Pushes the table that keeps what the encoder needs while it runs. */
void iocp_encoder_push_memory(iocp_encoder *e);
/* The userdata at the top lives as long as the encoder, or until another one takes its number. */
void iocp_encoder_keep(iocp_encoder *e, enum iocp_kept number);
/* They have room for a pointer more. */
void iocp_encoder_more_identities(iocp_encoder *e, iocp_identities *m);

/* Where the pointer is; NULL: it was not there, and from now on is, with that number. */
static inline iocp_identity *iocp_encoder_identify(
	iocp_encoder *e, iocp_identities *m, const void *pointer, uint64_t number)
{
	iocp_identity *known = iocp_identities_find(m, pointer);
	if (known)
		return known;
	if (iocp_identities_full(m))
		iocp_encoder_more_identities(e, m);
	known = m->mask ? iocp_identities_slot(m, pointer) : &m->few[m->count];
	*known = (iocp_identity){pointer, number};
	m->count++;
	return NULL;
}

/* Length and bytes, without a tag. */
int iocp_encoder_bytes(iocp_encoder *e, const void *bytes, size_t length);
/* If the value at the top was met before, writes its number, pops it, and returns 1; if not, numbers it. */
int iocp_encoder_reference(iocp_encoder *e);
/* From now on tables are looked up, whether they are modules; if one was that is written already, the encoder stops. */
int iocp_encoder_be_careful(iocp_encoder *e);
/* A new frame for the object at the top. */
iocp_frame *iocp_encoder_open(iocp_encoder *e, enum iocp_part part);
/* The newest frame is complete; of its slots only the first is left. */
void iocp_encoder_close(iocp_encoder *e);
/* ---- value/function.c: writes the value at the top and takes it off, or opens it --------------------------------- */

int iocp_encoder_function(iocp_encoder *e);
int iocp_encoder_userdata(iocp_encoder *e);
int iocp_encoder_cdata(iocp_encoder *e);
/* A table or function that is a module crosses by its name. 1: that was written. */
int iocp_encoder_named(iocp_encoder *e);
/* Goes on with the newest frame, a function: writes its next upvalue or ends it, and returns 1; 0: the upvalue is at
** the top, and to be written like any value. */
int iocp_encoder_upvalue(iocp_encoder *e, iocp_frame *f);

/* ---- value/refuse.c ---------------------------------------------------------------------------------------------- */

/* Raises: the value at the top cannot be sent. `why` may be NULL. */
int iocp_encoder_refuse(iocp_encoder *e, const char *why);
/* Raises: too deep. */
int iocp_encoder_too_deep(iocp_encoder *e);

#pragma GCC visibility pop

#endif
