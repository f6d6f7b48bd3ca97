/*
** value/encoder.c - the encoder's memory: what it writes to, and what it keeps while it runs.
**
** It is written to a buffer on the C stack. What outgrows that moves to a block at once, which grows by being resized.
*/

#include <string.h>

#include "lua/value/encoder.h"

#define HOLDINGS "iocp.holdings" /* metatable */

enum { SLACK = 64 }; /* so that a long string is mostly the last that a block grows for */

/* ---- memory ----------------------------------------------------------------------------------------------------------- */

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

void iocp_encoder_add_identity(iocp_encoder *e, iocp_identities *m, const void *pointer, uint64_t number)
{
	if (!iocp_identities_add(m, pointer, number)) {
		size_t size = iocp_identities_larger(m);
		iocp_identities_move(m, lua_newuserdata(e->L, size), size);
		(void)iocp_identities_add(m, pointer, number);
		iocp_encoder_keep(e, m == &e->numbers ? IOCP_KEEP_NUMBERS
							 : m == &e->keys  ? IOCP_KEEP_KEYS
											  : IOCP_KEEP_UPVALUES);
	}
}
