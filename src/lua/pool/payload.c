/*
** pool/payload.c - payloads: to src/work bytes, here values. What is small and holds no objects lies in the payload
** itself, and so in its task.
*/

#include "lua/pool/pool.h"

_Static_assert((int)IOCP_PAYLOAD_ROOM == (int)IOCP_ENCODING_ROOM, "the encoder fills a payload's room");

iocp_values iocp_payload_values(const iocp_payload *payload)
{
	/* Nobody writes to a task's payload any more, but for freeing the block. */
	if (payload->block)
		return (iocp_values){payload->block, payload->size, payload->owner};
	return (iocp_values){payload->size ? (void *)(uintptr_t)payload->room : NULL, payload->size, NULL};
}

int iocp_payload_copy(lua_State *L, const iocp_encoding *encoding, iocp_payload *payload)
{
	size_t size = iocp_plain_write(L, encoding, payload->room, sizeof(payload->room));
	void *block = payload->room;
	if (size == 0) {
		iocp_encoding own = *encoding;
		int r;
		own.room = payload->room;
		r = iocp_encode(L, &own, &block, &size);
		if (r != IOCP_OK)
			return r;
	}
	payload->size = size;
	payload->block = NULL;
	if (block != payload->room) {
		payload->block = block;
		payload->owner = encoding->owner;
	}
	return IOCP_OK;
}

void iocp_payload_keep(lua_State *L, const iocp_encoding *encoding, iocp_payload *payload)
{
	if (iocp_payload_copy(L, encoding, payload) != IOCP_OK)
		luaL_error(L, "cannot send %s: out of memory", encoding->what);
}

int iocp_payload_push(lua_State *L, const iocp_payload *payload)
{
	iocp_values values = iocp_payload_values(payload);
	return values.block ? iocp_values_push(L, &values) : 0;
}

void iocp_payload_free(iocp_payload *payload)
{
	iocp_values values = iocp_payload_values(payload);
	if (payload->block)
		iocp_values_free(&values);
	payload->block = NULL;
	payload->size = 0;
}

int iocp_payload_holds(const iocp_payload *payload)
{
	iocp_values values = iocp_payload_values(payload);
	return iocp_values_hold(&values);
}
