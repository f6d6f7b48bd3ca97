/*
** ending.c - what the methods that begin an operation share: their arguments, and what they return.
*/

#include "lua/binding.h"
#include "work/work.h"

int iocp_io_failure(lua_State *L, int r, const char *invalid)
{
	if (r <= 0)
		return iocp_failure(L, r, r == IOCP_INVALID ? invalid : NULL);
	iocp_push_io_error(L, r);
	if (iocp_debugs())
		iocp_debug_refused(L, lua_tostring(L, -2), r);
	return 3;
}

int iocp_failure_of(lua_State *L, const char *what)
{
	lua_pushfstring(L, "%s: %s", what, lua_tostring(L, -2));
	lua_replace(L, -3);
	return 3;
}

void iocp_check_ending(lua_State *L, int index, uintptr_t usual, iocp_ending *ending)
{
	ending->done = NULL;
	if (lua_isboolean(L, index)) {
		if (lua_toboolean(L, index))
			iocp_bad_argument(L, index, "overlapped", "an address, nil, or false for no packet if it is done at once");
		ending->done = &ending->bytes;
	}
	ending->overlapped = lua_isnoneornil(L, index) || ending->done ? usual : iocp_check_overlapped(L, index);
}

int iocp_push_ending(lua_State *L, const iocp_ending *ending)
{
	if (ending->done && ending->bytes >= 0)
		iocp_push_count(L, (uint64_t)ending->bytes);
	else
		lua_pushboolean(L, 1);
	return 1;
}

size_t iocp_check_size(lua_State *L, int index, unsigned least, unsigned most)
{
	uint64_t size;
	if (lua_isnoneornil(L, index))
		return IOCP_REST;
	if (!iocp_to_integer(L, index, most, &size) || size < least) {
		char expected[80];
		snprintf(
			expected, sizeof(expected), "bytes, an integer from %u to %u, or nil for all of the block", least, most);
		iocp_bad_argument(L, index, "size", expected);
	}
	return (size_t)size;
}

uintptr_t iocp_check_native_file(lua_State *L, int index, const char *name)
{
	uintptr_t native;
	FILE *stream = iocp_to_stream(L, index);
	if (stream)
		return iocp_any_file(stream);
	if (!iocp_to_address(L, index, &native))
		iocp_bad_argument(L, index, name, "an open file, or a descriptor (on Windows a HANDLE)");
	return native;
}
