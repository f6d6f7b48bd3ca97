/*
** value/values.c - parcels that are not messages: the arguments, results and errors of threads, and heap:encode and heap:decode.
**
** A thread's values belong to its job, in memory from malloc that no script reaches. What heap:encode writes lies in a heap
** of the script's, where anything may happen to it: it is sealed, and decode works on a copy.
*/

#include <stdlib.h>

#include "lua/value/format.h"

enum { SMALL_COPY = 2048 }; /* bytes that are copied to the C stack */

/* ---- of threads ------------------------------------------------------------------------------------------------------- */

int iocp_values_copy(lua_State *L, const iocp_encoding *encoding, iocp_values *values)
{
	iocp_values copy = {NULL, 0, encoding->owner};
	int r = iocp_encode(L, encoding, &copy.block, &copy.size);
	if (r == IOCP_OK)
		*values = copy;
	return r;
}

/* It was the encoder that wrote the block. */
static void open_values(const iocp_values *values, iocp_parcel *parcel)
{
	(void)iocp_parcel_open(parcel, values->block, values->size, 0);
	parcel->owner = values->owner;
}

int iocp_values_push(lua_State *L, const iocp_values *values)
{
	iocp_parcel parcel;
	open_values(values, &parcel);
	return iocp_decode(L, &parcel);
}

int iocp_values_hold(const iocp_values *values)
{
	iocp_parcel parcel;
	if (!values->block)
		return 0;
	open_values(values, &parcel);
	return parcel.object_count > 0;
}

void iocp_values_free(iocp_values *values)
{
	iocp_parcel parcel;
	if (values->block) {
		open_values(values, &parcel);
		iocp_parcel_release(&parcel);
		free(values->block);
		values->block = NULL;
	}
}

/* ---- in a script's heap -------------------------------------------------------------------------------------------------- */

static int collect_encoded(lua_State *L)
{
	void **encoded = lua_touserdata(L, 1);
	free(*encoded);
	*encoded = NULL;
	return 0;
}

/* Pushes a userdata that frees the memory which it is given: Lua may raise at any step between. */
static void **push_encoded(lua_State *L)
{
	void **encoded = lua_newuserdata(L, sizeof(*encoded));
	*encoded = NULL;
	if (luaL_newmetatable(L, "iocp.encoded")) {
		lua_pushcfunction(L, collect_encoded);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return encoded;
}

/* By way of malloc, since another thread may have the heap locked: waiting for it in the middle could be cancelled, when
** the half-written block could not be freed either. */
int iocp_lua_encode(lua_State *L)
{
	iocp_heap *heap = iocp_object_check(L, 1, IOCP_CLASS_HEAP, "self");
	iocp_encoding encoding = {.first = 2, .count = lua_gettop(L) - 1, .what = "arg", .sealed = 1};
	void **encoded = push_encoded(L), *block = NULL;
	size_t size;
	int r = iocp_encode(L, &encoding, encoded, &size);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	IOCP_RETRY(L, r, iocp_heap_put(heap, *encoded, size, &block));
	free(*encoded);
	*encoded = NULL;
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	(void)iocp_push_address(L, (uintptr_t)block);
	iocp_push_count(L, size);
	return 2;
}

int iocp_lua_decode(lua_State *L)
{
	iocp_heap *heap = iocp_object_check(L, 1, IOCP_CLASS_HEAP, "self");
	const void *address = (const void *)iocp_check_address(L, 2, "address");
	uint8_t few[SMALL_COPY], *copy = few;
	iocp_parcel parcel;
	size_t size;
	int r, count;
	IOCP_RETRY(L, r, iocp_heap_size(heap, address, &size));
	if (r == IOCP_OK && size > sizeof(few))
		copy = lua_newuserdata(L, size);
	if (r == IOCP_OK)
		IOCP_RETRY(L, r, iocp_heap_read(heap, address, 0, copy, size));
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	if (!iocp_parcel_open(&parcel, copy, size, 1))
		return iocp_failure(L, IOCP_INVALID, "the block is damaged, or none that values were encoded into");
	count = iocp_decode(L, &parcel);
	return count >= 0 ? count : iocp_failure(L, IOCP_INVALID, lua_tostring(L, -1));
}
