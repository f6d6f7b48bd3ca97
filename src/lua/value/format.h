/*
** value/format.h - how values cross between Lua states: the format, and what the codec's files offer each other.
**
**   parcel.c      the format's bytes, without Lua: memory to write to, lists of objects, the seal
**   encoder.c     the encoder's memory, and which pointer was met before
**   encode.c      from the stack into a parcel: what has no parts, tables, and the whole
**   plain.c       both ways, for a few values without parts
**   function.c    the same: functions, objects and cdata
**   refuse.c      what an error says about a value that cannot cross, and where it was
**   decode.c      from a parcel onto the stack
**   names.c       what crosses by name: modules, their C functions
**   metatables.c  and registered metatables
**   cdata.c       cdata, which C cannot look into
**   frozen.h      values that are read where they lie
**   values.c      the values of threads and tasks
**   failure.c     who failed, and that what nobody asks for is told
**   outcome.c     their results and errors
**
** A parcel is a block of bytes for states of this process, and of this version of the module; it is no file format.
**
**   version, flags           a byte each
**   seal                     8 bytes, if sealed: a keyed hash of everything else
**   count, value ...         the count is a varint
**   object ..., count        if there are any, at the block's end: class (a byte), object (8 bytes) each; 4 bytes
**
** There are two kinds. Messages and the values of threads are private: no script can reach the memory, their objects
** are pointers, and each holds a reference. What heap:encode writes can be written by scripts: it is sealed, its
** objects are handles, and it holds no references.
**
** A value is a tag and what belongs to it. Integers in the machine's byte order, lengths and counts as varints.
*/

#ifndef IOCP_VALUE_H
#define IOCP_VALUE_H

#include <string.h>

#include "lua/binding.h"

#pragma GCC visibility push(hidden)

enum { IOCP_PARCEL_VERSION = 1, IOCP_PARCEL_HEADER = 2, IOCP_PARCEL_SEAL = 8 };

enum {                           /* flags */
	IOCP_PARCEL_REMEMBERS = 1,   /* has references, or nests deeply: the decoder needs a table to remember things in */
	IOCP_PARCEL_HAS_OBJECTS = 2, /* a list of them stands at the end */
	IOCP_PARCEL_SEALED = 4,
	IOCP_PARCEL_KEYS_AGAIN = 8, /* keys come again: the decoder keeps them at hand */
	IOCP_PARCEL_FAILURE = 16,   /* who failed lies behind it: value/failure.c */
	IOCP_PARCEL_LOST = 32 /* times which of the values, 1 to 7 or a later one, holds a table without its metatable */
};

enum iocp_tag {
	IOCP_TAG_INTEGER = 0x00, /* + 0..127: itself */
	IOCP_TAG_STRING = 0x80,  /* + length 0..63, bytes */
	IOCP_TAG_NIL = 0xc0,
	IOCP_TAG_FALSE,
	IOCP_TAG_TRUE,
	IOCP_TAG_ANY_INTEGER, /* zigzag varint. In a Lua without integers: a number that is one, and not -0 */
	IOCP_TAG_FLOAT,       /* 8 bytes */
	IOCP_TAG_LONG_STRING, /* length, bytes */
	IOCP_TAG_KEY,         /* a string that was a key before: where its tag stands, from the parcel's start */
	IOCP_TAG_TABLE,       /* two size codes (array, hash), elements from 1 on, END, key, value ..., END */
	IOCP_TAG_NAMED_TABLE, /* the same behind the name of its metatable: length, bytes */
	IOCP_TAG_END,
	IOCP_TAG_REFERENCE, /* number: a table, function, cdata or object that came before, counted from 0 */
	IOCP_TAG_FUNCTION,  /* length (4 bytes), bytecode, number of upvalues, upvalues */
	IOCP_TAG_SHARED,    /* in the place of an upvalue: number of a function that came before, which of its upvalues */
	IOCP_TAG_GLOBALS,   /* the receiver's */
	IOCP_TAG_NAMED,     /* length, name: a loaded module, or "module\0field", a C function in one */
	IOCP_TAG_OBJECT,    /* index into the list */
	IOCP_TAG_POINTER,   /* lightuserdata: 8 bytes */
	IOCP_TAG_CDATA,     /* type (length, bytes), content (length, bytes) */
	IOCP_TAG_FROZEN,    /* index into the list, number of the table: lua/frozen.h */
	IOCP_TAG_KNOWN_KEY = 0xe0 /* + 0..31: the same string as the parcel's IOCP_TAG_KEY of this number */
};

enum {
	IOCP_SHORT_STRING = 64, /* lengths below stand in the tag */
	IOCP_KNOWN_KEYS = 0x100 - IOCP_TAG_KNOWN_KEY,
	IOCP_NESTING = 32, /* levels that lie on the Lua stack, by two slots; deeper ones in a table */
	IOCP_NESTING_MAX = 100000,
	IOCP_PARCEL_ROOM = 32 /* bytes that hold any tag with its numbers */
};

/* What a table's parts are to be made for when it is created: exact below 16, else at most an eighth too large. */
uint8_t iocp_size_code(uint64_t size);
uint64_t iocp_size_of_code(uint8_t code);

static inline uint8_t *iocp_put_varint(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static inline uint64_t iocp_zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t) - (int64_t)(value < 0);
}

static inline int64_t iocp_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

/* ---- value/parcel.c ---------------------------------------------------------------------------------------------- */

typedef struct iocp_reader {
	const uint8_t *at, *end;
} iocp_reader;

/* 0: the bytes end, or are not a varint. */
static inline int iocp_get_varint(iocp_reader *r, uint64_t *value)
{
	uint64_t v = 0;
	unsigned shift;
	for (shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t byte = *r->at++;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*value = v;
			return 1;
		}
	}
	return 0;
}

/* What an encoder holds that somebody has to give back if it does not come to its end. Zeroed at first. */
typedef struct iocp_holdings {
	iocp_heap *heap; /* where the block is from; NULL: malloc */
	void *block;
	struct iocp_listed {
		void *object;
		enum iocp_class class;
	} * objects;
	uint32_t count, capacity;
	const void *owner; /* an object that is listed without a reference */
} iocp_holdings;

/* The index of an object in the list, which takes a reference to it. UINT32_MAX: out of memory. */
uint32_t iocp_holdings_add(iocp_holdings *h, void *object, enum iocp_class class);
/* Gives back the block and the references, and is as new. */
void iocp_holdings_release(iocp_holdings *h);
/* The block, of `size` bytes from now on. IOCP_NOMEM. */
int iocp_holdings_resize(iocp_holdings *h, size_t size);

/* A parcel found in memory. */
typedef struct iocp_parcel {
	iocp_reader values;     /* from the count on */
	const uint8_t *begin;   /* of the parcel */
	const uint8_t *objects; /* the list */
	uint32_t object_count;
	uint8_t flags;
	int trusted; /* 1, but in a test that damages parcels: the encoder alone wrote it, so its bytecode may be loaded */
	const void *owner; /* see holdings */
} iocp_parcel;

/* The list of objects at a parcel's end: zeros up to a multiple of 8 bytes, the objects (addresses or handles), a byte
** each for their classes, and one number: their count << 3 | how many zeros. Aligned, so that what looks for leaks in a
** process finds a reference that only a parcel has. */
enum { IOCP_LISTED_SIZE = 8 + 1, IOCP_LIST_COUNT_SIZE = 4, IOCP_LIST_ALIGNMENT = 8 };

/* Reads the frame of a private parcel, or checks and reads a sealed one. 0: it is damaged. */
int iocp_parcel_open(iocp_parcel *p, const void *block, size_t size, int sealed);
/* Entry `index` of the list; 0: there is no such entry. */
int iocp_parcel_listed(const iocp_parcel *p, uint64_t index, enum iocp_class *class, uint64_t *object);
/* Gives back the references of a private parcel. */
void iocp_parcel_release(const iocp_parcel *p);
/* A number that is this process's, and another in the next one. */
uint64_t iocp_process_key(void);
/* Writes the seal of the block, which is all there but for it. */
void iocp_parcel_seal(uint8_t *block, size_t size);

/* ---- value/encode.c ---------------------------------------------------------------------------------------------- */

/* What to encode, and where to. */
typedef struct iocp_encoding {
	int first, count; /* the values' place on the stack */
	const char *what; /* what an error calls them, with their number: "arg" */
	const char *head; /* what it calls the first one, which then does not count; or NULL */
	iocp_heap *heap;  /* where the block is from; NULL: malloc */
	const void
		*owner; /* the object that keeps the parcel and would keep itself for ever; it is not referenced; or NULL */
	int sealed; /* the other kind of parcel */
	void *room; /* IOCP_ENCODING_ROOM bytes that take the place of a block which has no objects and fits; or NULL */
} iocp_encoding;

enum { IOCP_ENCODING_ROOM = 32 };

/* Raises for a value that cannot cross, or for lack of memory, and then has taken nothing. Else IOCP_OK or
** IOCP_NOMEM; the caller owns the block, unless it is `room`. The stack is as it was. */
int iocp_encode(lua_State *L, const iocp_encoding *encoding, void **block, size_t *size);

/* ---- value/decode.c ---------------------------------------------------------------------------------------------- */

/* Pushes the values; returns how many, or -n with a message pushed, n the one that is wrong. May raise for lack of
** memory. */
int iocp_decode(lua_State *L, const iocp_parcel *parcel);

/* ---- value/plain.c ----------------------------------------------------------------------------------------------- */

enum { IOCP_PLAIN_ROOM = 64 };

/* Writes the parcel to `size` bytes, from 16 to IOCP_PLAIN_ROOM. Its size; 0: it is too long, or has values with
** parts. */
size_t iocp_plain_write(lua_State *L, const iocp_encoding *encoding, uint8_t *room, size_t size);
/* Pushes the value that comes next, if it is one of most: nil, a boolean, a number, a string that is not long. 0: it is
** not, or damaged, and nothing was read. */
static inline __attribute__((always_inline)) int iocp_plain_push_value(lua_State *L, iocp_reader *r)
{
	iocp_reader rest = *r;
	uint8_t tag;
	lua_Number number;
	uint64_t integer;
	if (rest.at == rest.end)
		return 0;
	tag = *rest.at++;
	if (tag < IOCP_TAG_STRING) {
		lua_pushinteger(L, tag);
	} else if (tag < IOCP_TAG_NIL) {
		size_t length = (size_t)tag - IOCP_TAG_STRING;
		if (length > (size_t)(rest.end - rest.at))
			return 0;
		lua_pushlstring(L, (const char *)rest.at, length);
		rest.at += length;
	} else if (tag == IOCP_TAG_ANY_INTEGER) {
		if (!iocp_get_varint(&rest, &integer))
			return 0;
		lua_pushinteger(L, (lua_Integer)iocp_unzigzag(integer));
	} else if (tag == IOCP_TAG_FLOAT) {
		if (rest.end - rest.at < (ptrdiff_t)sizeof(number))
			return 0;
		memcpy(&number, rest.at, sizeof(number));
		rest.at += sizeof(number);
		lua_pushnumber(L, number);
	} else if (tag == IOCP_TAG_TRUE || tag == IOCP_TAG_FALSE) {
		lua_pushboolean(L, tag == IOCP_TAG_TRUE);
	} else if (tag == IOCP_TAG_NIL) {
		lua_pushnil(L);
	} else {
		return 0;
	}
	r->at = rest.at;
	return 1;
}

/* As iocp_decode, of a private parcel; -1, and nothing pushed: it is none of a few such values. */
int iocp_plain_push(lua_State *L, const void *parcel, size_t size);

/* ---- value/names.c ----------------------------------------------------------------------------------------------- */

/* Pushes the table that knows the names of loaded modules and their C functions, up to date as to modules. */
void iocp_names_push(lua_State *L);
/* The state has more that has a name. */
void iocp_names_forget(lua_State *L);
/* The addresses of the tables that have names. */
const void *const *iocp_names_tables(lua_State *L, int names, size_t *count);
/* Looks for everything anew, for what was not found, or not under its name. */
void iocp_names_rebuild(lua_State *L, int names);
enum iocp_found {
	IOCP_NAME_NONE,
	IOCP_NAME_OLD, /* the name it had stands for something else by now: to be rebuilt */
	IOCP_NAME_FOUND
};
/* Pushes the name of the value at the top if it was found. */
enum iocp_found iocp_names_find(lua_State *L, int names);
/* private.put */
int iocp_lua_put(lua_State *L);
/* Registry key of what it keeps: from a function to its name, whose parts have a zero byte between them. */
#define IOCP_OWN "iocp.own"
/* Pushes what a name stands for and returns 1, or 0 with a message pushed. It may be required, which may raise no
** error. */
int iocp_names_resolve(lua_State *L, const char *name, size_t length);
/* ---- value/metatables.c ------------------------------------------------------------------------------------------ */

/* iocp.register(name, metatable) */
int iocp_lua_register(lua_State *L);
/* For the metatable at the top: replaces it by its name and returns 1, or pops it and returns 0. */
int iocp_metatable_name(lua_State *L);
/* private.stays(metatable, why): tables that have it do not cross. */
int iocp_lua_stays(lua_State *L);
/* Registry key of the table of these metatables, each with why; weak by its keys. */
#define IOCP_STAYING "iocp.staying"
/* Whether the table at the top is such a one: pushes why, then. */
int iocp_metatable_stays(lua_State *L);
#define IOCP_METATABLE_UNKNOWN                                                                                         \
	"metatable '%s' is not known in this state: iocp.register it there too, before it arrives, "                       \
	"as by requiring its module in the pool's init"
/* Pushes the metatable of that name; or nil. */
void iocp_metatable_push(lua_State *L, const char *name, size_t length);

/* ---- value/cdata.c ----------------------------------------------------------------------------------------------- */

/* For the cdata at the top, which stays: pushes its type and its content, two strings, and returns 1; 0: it is no plain
** data. */
int iocp_cdata_pack(lua_State *L);
/* Pushes the type of the cdata at the top for an error. */
void iocp_cdata_push_type(lua_State *L);
/* Replaces type and content at the top by the cdata and returns 1; 0: a message is at the top. */
int iocp_cdata_unpack(lua_State *L);

/* ---- value/values.c ---------------------------------------------------------------------------------------------- */

/* A private parcel in memory from malloc. Zeroed: none. */
typedef struct iocp_values {
	void *block;
	size_t size;
	const void *owner;
} iocp_values;

/* state.c's: `fields` are package.path, package.cpath and a name for each entry. */
struct iocp_description {
	lua_CFunction prepare; /* see IOCP_PREPARE */
	iocp_values fields;
	size_t count;
	iocp_values *entries; /* a function, or a string that says why it did not cross */
};

/* As iocp_encode, where the encoding has no heap. */
int iocp_values_copy(lua_State *L, const iocp_encoding *encoding, iocp_values *values);
/* As iocp_decode; again and again. */
int iocp_values_push(lua_State *L, const iocp_values *values);
void iocp_values_free(iocp_values *values);
enum { IOCP_LOST_MOST = 7 };
/* Which of the values holds a table that lost its metatable, IOCP_LOST_MOST: that one or a later one; 0: none. */
int iocp_values_lost(const iocp_values *values);
/* Whether freeing them gives back references to objects. */
int iocp_values_hold(const iocp_values *values);

/* ---- value/outcome.c --------------------------------------------------------------------------------------------- */

/* Pushes a message handler. */
void iocp_outcome_push_handler(lua_State *L);
/* For the error value at the top, which stays, and with which lua_pcall returned `status`; it had the handler that
** is at the index `handler`. Pushes its message, with the traceback if the handler saw it last. May raise for lack
** of memory.
**  */
void iocp_outcome_push_message(lua_State *L, int handler, int status);
/* Puts into the message at the top, before its traceback, what to do about an error that comes of a global or metatable
** which did not cross. `lost`: what lost its metatable, or NULL. */
void iocp_outcome_advise(lua_State *L, const char *lost);
/* As iocp_values_copy, and raises if memory is out. */
void iocp_outcome_keep(lua_State *L, const iocp_encoding *encoding, iocp_values *values);
/* Keeps the message at the top and the error value below it, both of which stay; of a value that does not cross the
** message alone. May raise for lack of memory. */
void iocp_outcome_keep_failure(lua_State *L, iocp_values *values, const void *owner);
/* nil, the message, the code, and the error value if it could cross; returns how many. */
int iocp_outcome_push_failure(lua_State *L, int code, const iocp_values *failure);

/* ---- value/failure.c: failures that nobody asked for ------------------------------------------------------------- */

enum iocp_failed_kind { IOCP_FAILED_THREAD, IOCP_FAILED_TASK, IOCP_FAILED_POOL };
extern const char *const iocp_failed_kinds[];

enum { IOCP_PLACE = 96 };

/* Who failed: of a task also its pool's name; where it was made, of a task only with IOCP_DEBUG=1. Empty: not
** known. */
typedef struct iocp_failed {
	enum iocp_failed_kind kind;
	char name[64], pool[64], made[IOCP_PLACE];
} iocp_failed;

typedef struct iocp_unobserved iocp_unobserved;

/* `text`: the message with its traceback. NULL: out of memory. */
iocp_unobserved *iocp_unobserved_new(const iocp_failed *who, const char *text);
/* It is told, unless it was seen, and freed. NULL is allowed. May run a script's function, in a state of its own. */
void iocp_unobserved_end(iocp_unobserved *u);
/* A script has been told. NULL is allowed. */
void iocp_unobserved_see(iocp_unobserved *u);
/* Puts it behind a failure that nobody else knows yet, and which from now on is told when it is freed. It may be out of
** memory, then it is not told. */
void iocp_unobserved_add(iocp_values *failure, const iocp_failed *who, const char *text);
/* What lies behind a failure, or NULL. */
iocp_unobserved *iocp_unobserved_of(const iocp_values *failure);
/* Tells a failure instead of the error output; 0: it could not, and `trouble` says why, and the error output it is.
** NULL: there is none. */
typedef int (*iocp_teller)(const iocp_failed *who, const char *text, char *trouble, size_t size);
void iocp_unobserved_tell_by(iocp_teller f);
/* Tells how many were too many to be told. */
void iocp_unobserved_tell_rest(void);
/* One write to the error output, so that the texts of two threads do not mix. */
__attribute__((format(printf, 1, 2))) void iocp_write_error(const char *format, ...);

/* ---- unobserved.c ------------------------------------------------------------------------------------------------ */

/* Where the Lua function is at, the first one from `level` on: "file:line", or "". Takes some 300 instructions. */
void iocp_unobserved_where(lua_State *L, int level, char *made, size_t size);
/* Has a state that no thread of ours runs tell at its end what was not told: to be called before it has objects. */
void iocp_unobserved_open(lua_State *L);
/* iocp.on_unobserved(f): f a function, false, or nil for the error output. */
int iocp_lua_on_unobserved(lua_State *L);

#pragma GCC visibility pop

#endif
