/*
** value/plain.c - parcels of a few values that have no parts: most of what tasks are called with, what comes of them,
** and what messages say. They are written and read on the spot, without an encoder or a decoder. The bytes are those
** that encode.c would write.
*/

#include <string.h>

#include "lua/value/encoder.h"

enum { LONGEST = 11 /* a tag with the longest number behind it */ };

/* Writes the value at `index`; NULL: it has parts, or there is no room. */
static uint8_t *write_value(lua_State *L, int index, uint8_t *at, const uint8_t *end)
{
	const char *bytes;
	size_t length;
	if (end - at < LONGEST)
		return NULL;
	switch (lua_type(L, index)) {
	case LUA_TNIL:
		*at++ = IOCP_TAG_NIL;
		return at;
	case LUA_TBOOLEAN:
		*at++ = lua_toboolean(L, index) ? IOCP_TAG_TRUE : IOCP_TAG_FALSE;
		return at;
	case LUA_TNUMBER:
		return iocp_put_number(L, index, at);
	case LUA_TSTRING:
		bytes = lua_tolstring(L, index, &length);
		if (length >= IOCP_SHORT_STRING || length >= (size_t)(end - at))
			return NULL;
		*at++ = (uint8_t)(IOCP_TAG_STRING + length);
		memcpy(at, bytes, length);
		return at + length;
	default:
		return NULL;
	}
}

size_t iocp_plain_write(lua_State *L, const iocp_encoding *encoding, uint8_t *room, size_t size)
{
	uint8_t *at = room;
	int i;
	if (encoding->sealed || encoding->count > IOCP_PLAIN_ROOM)
		return 0;
	*at++ = IOCP_PARCEL_VERSION;
	*at++ = 0;
	*at++ = (uint8_t)encoding->count;
	for (i = 0; i < encoding->count; i++) {
		at = write_value(L, encoding->first + i, at, room + size);
		if (!at)
			return 0;
	}
	return (size_t)(at - room);
}

int iocp_plain_push(lua_State *L, const void *parcel, size_t size)
{
	enum { FIRST = IOCP_PARCEL_HEADER + 1 }; /* value, behind the count */
	const uint8_t *bytes = parcel;
	iocp_reader r = {bytes + FIRST, bytes + size};
	int count, i;
	if (size < FIRST || size > IOCP_PLAIN_ROOM || bytes[0] != IOCP_PARCEL_VERSION || bytes[1] != 0)
		return -1;
	if ((size > FIRST && bytes[FIRST] >= IOCP_TAG_KEY) || !lua_checkstack(L, IOCP_PLAIN_ROOM))
		return -1;
	count = bytes[FIRST - 1];
	for (i = 0; i < count && iocp_plain_push_value(L, &r); i++)
		;
	if (i == count && r.at == r.end)
		return count;
	lua_pop(L, i);
	return -1;
}
