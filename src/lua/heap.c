/*
** heap.c - iocp.Heap.
*/

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lua/value/format.h"

enum { SMALL_COPY = 2048 }; /* bytes that are copied over the C stack */

static iocp_heap *check_heap(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_HEAP, "self");
}

static size_t check_size(lua_State *L, int index, const char *name)
{
	return (size_t)iocp_check_integer(L, index, name, SIZE_MAX);
}

static int check_zero(lua_State *L, int index)
{
	if (!lua_isnoneornil(L, index) && !lua_isboolean(L, index))
		iocp_bad_argument(L, index, "zero", "true, false or nil");
	return lua_toboolean(L, index) ? IOCP_ZERO : 0;
}

/* nil, message, code for what a heap's function returned, which says with IOCP_INVALID that there is no such block. */
static int fail(lua_State *L, iocp_heap *heap, int r)
{
	const char *message = NULL;
	if (r == IOCP_INVALID)
		message = iocp_heap_native(heap)
					  ? "no live block of this heap begins at that address: it was freed, is another "
						"heap's, lies inside a block, or is made up"
					  : "the heap was destroyed";
	return iocp_failure(L, r, message);
}

/* The same for who would end or resize the block at `address`. */
static int fail_to_end(lua_State *L, iocp_heap *heap, const void *address, int r)
{
	size_t size;
	if (r == IOCP_INVALID && iocp_heap_size(heap, address, &size) == IOCP_OK)
		return iocp_failure(L, r, "an operation uses this block: its packet comes first");
	return fail(L, heap, r);
}

static int push_result(lua_State *L, iocp_heap *heap, int r)
{
	if (r != IOCP_OK)
		return fail(L, heap, r);
	lua_pushboolean(L, 1);
	return 1;
}

/* Addresses of blocks fit every Lua's numbers: user space ends below 2^53. */
static int push_block(lua_State *L, iocp_heap *heap, int r, const void *block)
{
	if (r != IOCP_OK)
		return fail(L, heap, r);
	(void)iocp_push_address(L, (uintptr_t)block);
	return 1;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static int heap_alloc(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	size_t size = check_size(L, 2, "size");
	int flags = check_zero(L, 3), r;
	void *block = NULL;
	IOCP_RETRY(L, r, iocp_heap_alloc(heap, size, flags, &block));
	return push_block(L, heap, r, block);
}

static int heap_realloc(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	uintptr_t address = iocp_opt_address(L, 2, "address");
	size_t size = check_size(L, 3, "size");
	int flags = check_zero(L, 4), r;
	void *block = NULL;
	IOCP_RETRY(L, r, iocp_heap_realloc(heap, (void *)address, size, flags, &block));
	return r == IOCP_OK ? push_block(L, heap, r, block) : fail_to_end(L, heap, (void *)address, r);
}

static int heap_free(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	void *address = (void *)iocp_opt_address(L, 2, "address");
	int r;
	IOCP_RETRY(L, r, iocp_heap_free(heap, address));
	return r == IOCP_OK ? push_result(L, heap, r) : fail_to_end(L, heap, address, r);
}

static int heap_size(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	const void *address = (const void *)iocp_check_address(L, 2, "address");
	size_t size;
	int r;
	IOCP_RETRY(L, r, iocp_heap_size(heap, address, &size));
	if (r != IOCP_OK)
		return fail(L, heap, r);
	iocp_push_count(L, size);
	return 1;
}

/* ---- contents ---------------------------------------------------------------------------------------------------- */

static int out_of_range(lua_State *L, size_t size, size_t offset, size_t length)
{
	char message[128];
	snprintf(message, sizeof(message), "the block has %zu bytes: offset %zu with length %zu passes its end", size,
		offset, length);
	return iocp_failure(L, IOCP_INVALID, message);
}

static int heap_write(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	void *address = (void *)iocp_check_address(L, 2, "address");
	size_t offset, length, size;
	const char *bytes;
	int r;
	if (lua_type(L, 3) != LUA_TSTRING)
		return iocp_bad_argument(L, 3, "string", "a string");
	bytes = lua_tolstring(L, 3, &length);
	offset = (size_t)iocp_opt_integer(L, 4, "offset", SIZE_MAX, 0);
	IOCP_RETRY(L, r, iocp_heap_write(heap, address, offset, bytes, length));
	if (r == IOCP_INVALID && iocp_heap_size(heap, address, &size) == IOCP_OK)
		return out_of_range(L, size, offset, length);
	return push_result(L, heap, r);
}

/* Pushes `length` bytes of a block as a string; on failure pushes nothing. */
static int push_content(lua_State *L, iocp_heap *heap, const void *address, size_t offset, size_t length)
{
	char few[SMALL_COPY], *copy = few;
	int r;
	if (length > sizeof(few))
		copy = lua_newuserdata(L, length);
	IOCP_RETRY(L, r, iocp_heap_read(heap, address, offset, copy, length));
	if (r == IOCP_OK)
		lua_pushlstring(L, copy, length);
	return r;
}

/* One copy, where heap:read makes two: the caller answers for the block, which nobody frees meanwhile. */
int iocp_lua_text_at(lua_State *L)
{
	const char *address = (const char *)iocp_check_address(L, 1, "address");
	lua_pushlstring(L, address, (size_t)luaL_checkinteger(L, 2));
	return 1;
}

static int heap_read(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	const void *address = (const void *)iocp_check_address(L, 2, "address");
	size_t offset = (size_t)iocp_opt_integer(L, 3, "offset", SIZE_MAX, 0), length, size;
	int r;
	IOCP_RETRY(L, r, iocp_heap_size(heap, address, &size));
	if (r != IOCP_OK)
		return fail(L, heap, r);
	length = (size_t)iocp_opt_integer(L, 4, "length", SIZE_MAX, offset < size ? size - offset : 0);
	if (offset > size || length > size - offset)
		return out_of_range(L, size, offset, length);
	r = push_content(L, heap, address, offset, length);
	return r == IOCP_OK ? 1 : fail(L, heap, r);
}

static int heap_put(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	size_t length;
	const char *bytes;
	void *block = NULL;
	int r;
	if (lua_type(L, 2) != LUA_TSTRING)
		return iocp_bad_argument(L, 2, "string", "a string");
	bytes = lua_tolstring(L, 2, &length);
	IOCP_RETRY(L, r, iocp_heap_put(heap, bytes, length, &block));
	if (r != IOCP_OK)
		return fail(L, heap, r);
	push_block(L, heap, r, block);
	iocp_push_count(L, length);
	return 2;
}

static int heap_take(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	void *address = (void *)iocp_check_address(L, 2, "address");
	size_t size;
	int r;
	IOCP_RETRY(L, r, iocp_heap_size(heap, address, &size));
	if (r == IOCP_OK)
		r = push_content(L, heap, address, 0, size);
	if (r == IOCP_OK)
		IOCP_RETRY(L, r, iocp_heap_free(heap, address)); /* of two that take it at once, one gets INVALID here */
	return r == IOCP_OK ? 1 : fail_to_end(L, heap, address, r);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int heap_validate(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	uintptr_t address = 0;
	int r;
	if (!lua_isnoneornil(L, 2)) {
		address = iocp_check_address(L, 2, "address");
		if (address == 0) { /* never a block, while nil means the whole heap */
			lua_pushboolean(L, 0);
			return 1;
		}
	}
	IOCP_RETRY(L, r, iocp_heap_validate(heap, (const void *)address));
	if (r != IOCP_OK && r != IOCP_INVALID)
		return fail(L, heap, r);
	lua_pushboolean(L, r == IOCP_OK);
	return 1;
}

/* upvalues: array of iocp_block, its length, index of the next */
static int next_block(lua_State *L)
{
	const iocp_block *blocks = lua_touserdata(L, lua_upvalueindex(1));
	lua_Number next = lua_tonumber(L, lua_upvalueindex(3));
	if (next >= lua_tonumber(L, lua_upvalueindex(2)))
		return 0;
	lua_pushnumber(L, next + 1);
	lua_replace(L, lua_upvalueindex(3));
	(void)iocp_push_address(L, blocks[(size_t)next].address);
	iocp_push_count(L, blocks[(size_t)next].size);
	return 2;
}

static int heap_walk(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	iocp_block *blocks = NULL;
	size_t capacity = 0, count = 0;
	int r;
	for (;;) {
		IOCP_RETRY(L, r, iocp_heap_walk(heap, blocks, capacity, &count));
		if (r != IOCP_OK) /* the caller is a for loop, which has no use for nil, message, code */
			return iocp_raise(L, "walk: %s", (fail(L, heap, r), lua_tostring(L, -2)));
		if (count <= capacity)
			break;
		lua_settop(L, 1);
		capacity = count + count / 8 + 16; /* other threads go on allocating */
		blocks = lua_newuserdata(L, capacity * sizeof(*blocks));
	}
	if (!blocks)
		lua_pushnil(L);
	lua_pushnumber(L, (lua_Number)count);
	lua_pushnumber(L, 0);
	lua_pushcclosure(L, next_block, 3);
	return 1;
}

static int heap_lock(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	int r;
	iocp_give_back(L);
	IOCP_RETRY(L, r, iocp_heap_lock(heap));
	return push_result(L, heap, r);
}

static int heap_unlock(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	int r = iocp_heap_unlock(heap);
	if (r == IOCP_INVALID && iocp_heap_native(heap))
		return iocp_failure(L, r, "this thread does not hold the heap's lock");
	return push_result(L, heap, r);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* What encode writes lies where anything may happen to it: it is sealed, and decode works on a copy. */

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

/* By way of malloc, since another thread may have the heap locked: waiting for it in the middle could be cancelled,
** when the half-written block could not be freed either. */
static int heap_encode(lua_State *L)
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
		return fail(L, heap, r);
	(void)iocp_push_address(L, (uintptr_t)block);
	iocp_push_count(L, size);
	return 2;
}

static int heap_decode(lua_State *L)
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
		return fail(L, heap, r);
	if (!iocp_parcel_open(&parcel, copy, size, 1))
		return iocp_failure(L, IOCP_INVALID, "the block is damaged, or none that values were encoded into");
	count = iocp_decode(L, &parcel);
	return count >= 0 ? count : iocp_failure(L, IOCP_INVALID, lua_tostring(L, -1));
}

static int heap_stats(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	iocp_heap_info info = {.size = sizeof(info)};
	int r;
	IOCP_RETRY(L, r, iocp_heap_stats(heap, &info));
	if (r != IOCP_OK)
		return fail(L, heap, r);
	lua_createtable(L, 0, 4);
	iocp_set_count(L, "blocks", info.blocks);
	iocp_set_count(L, "bytes", info.bytes);
	iocp_set_count(L, "peak_bytes", info.peak_bytes);
	iocp_set_count(L, "reserved", info.reserved);
	return 1;
}

static int heap_destroy(lua_State *L)
{
	iocp_heap *heap = check_heap(L);
	int r;
	IOCP_RETRY(L, r, iocp_heap_destroy(heap));
	if (r == IOCP_INVALID && iocp_heap_native(heap))
		return iocp_failure(L, r, "the process' heap, or a port's own, which is not to be destroyed");
	return push_result(L, heap, r);
}

/* A heap that cannot tell now, as one over a HANDLE that somebody keeps locked while this thread is cancelled, is
** named without its blocks. */
static int heap_to_string(lua_State *L)
{
	iocp_heap_info info = {.size = sizeof(info)};
	char detail[32] = "destroyed";
	enum iocp_class c;
	iocp_heap *heap = iocp_object_test(L, 1, &c);
	int r;
	if (!heap || c != IOCP_CLASS_HEAP)
		return iocp_object_to_string(L, NULL);
	r = iocp_heap_stats(heap, &info);
	if (r == IOCP_OK)
		snprintf(detail, sizeof(detail), "blocks %" PRIu64, info.blocks);
	return iocp_object_to_string(L, r == IOCP_OK || r == IOCP_INVALID ? detail : NULL);
}

static int heap_create(lua_State *L)
{
	size_t initial = (size_t)iocp_opt_integer(L, 1, "initial", SIZE_MAX, 0);
	size_t maximum = (size_t)iocp_opt_integer(L, 2, "maximum", SIZE_MAX, 0);
	iocp_heap *heap;
	int r;
	if (maximum && initial > maximum)
		return iocp_bad_argument(L, 1, "initial", "no more bytes than the maximum");
	iocp_object_push(L, IOCP_CLASS_HEAP);
	r = iocp_heap_create(initial, maximum, &heap);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, heap);
	return 1;
}

static int heap_process(lua_State *L)
{
	iocp_heap *heap;
	int r;
	iocp_object_push(L, IOCP_CLASS_HEAP);
	r = iocp_heap_process(&heap);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, heap);
	return 1;
}

static int heap_adopt(lua_State *L)
{
	uintptr_t native = iocp_check_address(L, 1, "native");
	iocp_heap *adopted = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_HEAP);
	r = iocp_heap_adopt((const void *)native, &adopted);
	return iocp_push_found(L, r, adopted);
}

void iocp_lua_open_heap(lua_State *L)
{
	static const luaL_Reg metamethods[] = {
		{"__close", heap_destroy}, /* from Lua 5.4 on: local heap <close>; the process' own stays */
		{"__tostring", heap_to_string},
		{NULL, NULL},
	};
	static const luaL_Reg methods[] = {
		{"alloc", heap_alloc},
		{"realloc", heap_realloc},
		{"free", heap_free},
		{"size", heap_size},
		{"write", heap_write},
		{"read", heap_read},
		{"put", heap_put},
		{"take", heap_take},
		{"encode", heap_encode},
		{"decode", heap_decode},
		{"validate", heap_validate},
		{"walk", heap_walk},
		{"lock", heap_lock},
		{"unlock", heap_unlock},
		{"stats", heap_stats},
		{"destroy", heap_destroy},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_HEAP, methods, metamethods);
}

void iocp_lua_push_heap(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_HEAP, "Heap", heap_create, heap_adopt);
	lua_pushcfunction(L, heap_process);
	lua_setfield(L, -2, "process");
}
