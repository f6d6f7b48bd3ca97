/*
** frozen.h - iocp.Frozen: what is between a state and the block of a frozen value, which is work/frozen.c's.
**
**   freeze.c        from the stack into a block
**   frozen_part.c   what stands for a table of it in a state
**   frozen_view.c   what is read there
**   thaw.c          from a block onto the stack
*/

#ifndef IOCP_LUA_FROZEN_H
#define IOCP_LUA_FROZEN_H

#include "lua/value/format.h"
#include "work/frozen.h"

#pragma GCC visibility push(hidden)

/* ---- frozen_part.c ----------------------------------------------------------------------------------------------- */

#if LUA_VERSION_NUM < 502
#define lua_setuservalue lua_setfenv
#define lua_getuservalue lua_getfenv
#endif

#define IOCP_FROZEN_PART "iocp.frozen.part" /* registry: the metatable of parts */

enum { /* in a memory; lua/iocp/jit/frozen.lua knows them */
	IOCP_MEMORY_HOLDER = 1,
	IOCP_MEMORY_STRINGS, /* by their numbers + 1 */
	IOCP_MEMORY_PARTS,   /* by their numbers + 1 */
	IOCP_MEMORY_OTHERS,  /* by their numbers + 1, and back */
	IOCP_MEMORY_NUMBER,  /* of the memory */
	IOCP_MEMORY_BYTES,   /* that the strings take, about */
	IOCP_MEMORY_IDS,     /* numbers of the strings that are keys, by themselves: for the compiled methods */
	IOCP_MEMORY_KEPT,    /* the newest parts, so that what is read again and again is not made again and again */
	IOCP_MEMORY_MADE,    /* how many parts there were, modulo MOST_KEPT */
	IOCP_MEMORY_SLOTS = IOCP_MEMORY_MADE
};

/* What a script has of a table in a block: a userdata that holds no reference itself, but whose uservalue keeps what
** does. */
typedef struct iocp_frozen_part {
	const iocp_box *holder; /* the state's reference; its object is NULL once the state has ended */
	uint64_t mark;
	const iocp_frozen_view *view;
	const iocp_frozen_table *table;
	uint32_t number;
	uint32_t memory; /* its number, of the state's */
} iocp_frozen_part;

/* The part of a block that is at `index`; NULL: anything else, or one that a finalizer has, whose reference was given
** back with it, or whose state ends. */
const iocp_frozen_part *iocp_frozen_test(lua_State *L, int index);
/* Raises if the argument of that name is such a one. */
void iocp_frozen_refuse_gone(lua_State *L, int index, const char *name);
/* The block of a part. */
iocp_frozen *iocp_frozen_of(const iocp_frozen_part *part);
/* At the top is the userdata of the class that holds a reference: replaces it by the part that stands for the table of
** this number. 0, with nothing done: there is no such table. */
int iocp_frozen_push_part(lua_State *L, uint64_t number);
/* Pushes the part for the table of that number, of the memory at the top, which stays. */
void iocp_frozen_find_part(lua_State *L, uint32_t number);
/* Pushes the table of the state's memories by their numbers. */
void iocp_frozen_push_memories(lua_State *L);

/* ---- frozen_view.c ----------------------------------------------------------------------------------------------- */

/* Pushes a value that was read through the part at the absolute index `part`; of a table its part. */
void iocp_frozen_push_value(lua_State *L, int part, iocp_frozen_value value);
/* Whether the key at `index`, which is none of the block's own tables or others, can be one. */
int iocp_frozen_to_plain(lua_State *L, int index, int is_key, const iocp_frozen *frozen, iocp_frozen_value *value);
/* Begins the class, and makes the metatable of parts. */
void iocp_lua_open_frozen_class(lua_State *L);
/* private.open_frozen(), for lua/iocp/jit/frozen.lua: a table of what it needs. */
int iocp_lua_open_frozen(lua_State *L);
/* iocp.pairs(t), iocp.ipairs(t) */
int iocp_lua_pairs(lua_State *L);
int iocp_lua_ipairs(lua_State *L);

/* ---- freeze.c ---------------------------------------------------------------------------------------------------- */

/* iocp.Frozen(value) */
int iocp_lua_frozen(lua_State *L);

/* ---- thaw.c ------------------------------------------------------------------------------------------------------ */

/* iocp.thaw(value) */
int iocp_lua_thaw(lua_State *L);

#pragma GCC visibility pop

#endif
