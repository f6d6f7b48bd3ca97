/*
** packet.c - packets as values of Lua. Owns nothing but the address that marks messages.
*/

#include "lua/binding.h"

static const char mark; /* its address is a message's `overlapped` */

uintptr_t iocp_message_mark(void)
{
	return (uintptr_t)&mark;
}

int iocp_is_message(const iocp_packet *packet)
{
	return packet->overlapped == (uintptr_t)&mark;
}

uintptr_t iocp_check_overlapped(lua_State *L, int index)
{
	iocp_packet packet = {.overlapped = iocp_opt_address(L, index, "overlapped")};
	if (iocp_is_message(&packet))
		iocp_bad_argument(L, index, "overlapped", "any address but iocp.MESSAGE, which send alone posts");
	return packet.overlapped;
}

void iocp_push_overlapped(lua_State *L, const iocp_packet *packet)
{
	if (!packet->overlapped || !iocp_push_address(L, packet->overlapped))
		lua_pushnil(L);
}

/* A C host may post a key that no number of this Lua holds: it comes as a hexadecimal string. Returns whether it
** fits. */
int iocp_push_key(lua_State *L, const iocp_packet *packet)
{
	if (iocp_push_address(L, packet->key))
		return 1;
	iocp_push_handle(L, packet->key);
	return 0;
}

int iocp_push_packet(lua_State *L, const iocp_packet *packet)
{
	int first = lua_gettop(L), fits;
	if (packet->code != IOCP_OK)
		iocp_push_io_error(L, packet->code);
	fits = iocp_push_key(L, packet);
	if (!fits && packet->code == IOCP_OK) {
		iocp_failure(L, IOCP_INVALID, "the packet's key does not fit a number of this Lua");
		lua_pushvalue(L, first + 1);
		lua_remove(L, first + 1);
	}
	iocp_push_count(L, packet->bytes);
	iocp_push_overlapped(L, packet);
	return lua_gettop(L) - first;
}
