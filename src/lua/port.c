/*
** port.c - iocp.IOCompletionPort.
*/

#include <inttypes.h>
#include <stdio.h>

#include "lua/value/format.h"

enum {
	SMALL_BATCH = 64,    /* packets that are held on the C stack */
	LARGEST_TAKE = 16384 /* taken under one lock */
};

static iocp_port *check_port(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_PORT, "self");
}

uintptr_t iocp_check_overlapped(lua_State *L, int index)
{
	iocp_packet packet = {.overlapped = iocp_opt_address(L, index, "overlapped")};
	if (iocp_is_message(&packet))
		iocp_bad_argument(L, index, "overlapped", "any address but iocp.MESSAGE, which send alone posts");
	return packet.overlapped;
}

static uint32_t check_bytes(lua_State *L, int index)
{
	return (uint32_t)iocp_opt_integer(L, index, "bytes", UINT32_MAX, 0);
}

/* ---- waiting, for iocp_wait_in_lua ------------------------------------------------------------------------------- */

typedef struct batch {
	iocp_packet *packets;
	size_t max, count;
} batch;

static int wait_packets(void *port, void *argument, double ms)
{
	batch *b = argument;
	return iocp_port_dequeue_many(port, b->packets, b->max, &b->count, ms);
}

/* ---- packets as values ------------------------------------------------------------------------------------------- */

static void push_overlapped(lua_State *L, const iocp_packet *packet)
{
	if (!packet->overlapped || !iocp_push_address(L, packet->overlapped))
		lua_pushnil(L);
}

/* A C host may post a key that no number of this Lua holds: it comes as a hexadecimal string. Returns whether it fits. */
static int push_key(lua_State *L, const iocp_packet *packet)
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
	fits = push_key(L, packet);
	if (!fits && packet->code == IOCP_OK) {
		iocp_failure(L, IOCP_INVALID, "the packet's key does not fit a number of this Lua");
		lua_pushvalue(L, first + 1);
		lua_remove(L, first + 1);
	}
	iocp_push_count(L, packet->bytes);
	push_overlapped(L, packet);
	return lua_gettop(L) - first;
}

/* ---- methods ------------------------------------------------------------------------------------------------------ */

static int port_enqueue(lua_State *L)
{
	iocp_port *port = check_port(L);
	uintptr_t key = iocp_check_address(L, 2, "key");
	uint32_t bytes = check_bytes(L, 3);
	uintptr_t overlapped = iocp_check_overlapped(L, 4);
	int r = iocp_port_enqueue(port, key, bytes, overlapped);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int port_enqueue_many(lua_State *L)
{
	iocp_port *port = check_port(L);
	uint32_t bytes = check_bytes(L, 3);
	uintptr_t overlapped = iocp_check_overlapped(L, 4);
	iocp_packet few[SMALL_BATCH], *packets = few;
	size_t count, i;
	int r;
	if (!lua_istable(L, 2))
		return iocp_bad_argument(L, 2, "keys", "an array of keys");
	count = lua_rawlen(L, 2);
	if (count > SMALL_BATCH)
		packets = lua_newuserdata(L, count * sizeof(*packets));
	for (i = 0; i < count; i++) {
		packets[i] = (iocp_packet){.overlapped = overlapped, .bytes = bytes};
		lua_rawgeti(L, 2, (int)(i + 1));
		if (!iocp_to_address(L, lua_gettop(L), &packets[i].key)) {
			char name[32];
			snprintf(name, sizeof(name), "keys[%zu]", i + 1);
			lua_replace(L, 2); /* where the error looks for what came */
			iocp_check_address(L, 2, name);
		}
		lua_pop(L, 1);
	}
	r = iocp_port_enqueue_many(port, packets, count);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_push_count(L, count);
	return 1;
}

static int port_dequeue(lua_State *L)
{
	iocp_port *port = check_port(L);
	double ms = iocp_check_timeout(L, 2);
	iocp_packet packet;
	batch one = {&packet, 1, 0};
	int r = iocp_wait_in_lua(L, wait_packets, port, &one, ms);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	return iocp_is_message(&packet) ? iocp_message_push(L, port, &packet) : iocp_push_packet(L, &packet);
}

/* Appends packets of the port behind the `filled` ones that the table at `index` holds. */
static void store_packets(lua_State *L, iocp_port *port, int index, const batch *b, size_t filled)
{
	size_t i;
	for (i = 0; i < b->count; i++) {
		int at = (int)((filled + i) * 3);
		if (iocp_is_message(&b->packets[i]))
			iocp_message_keep(L, port, &b->packets[i]);
		(void)push_key(L, &b->packets[i]);
		lua_rawseti(L, index, at + 1);
		iocp_push_bytes(L, &b->packets[i]);
		lua_rawseti(L, index, at + 2);
		push_overlapped(L, &b->packets[i]);
		lua_rawseti(L, index, at + 3);
	}
}

static size_t check_batch(lua_State *L, int index, const char *name)
{
	uint64_t max = iocp_check_integer(L, index, name, 0x7fffffff / 3);
	if (max == 0)
		iocp_bad_argument(L, index, name, "an integer from 1 on");
	return (size_t)max;
}

static int port_dequeue_many(lua_State *L)
{
	iocp_port *port = check_port(L);
	size_t max = check_batch(L, 2, "max"), filled = 0, taken;
	double ms = iocp_check_timeout(L, 3);
	iocp_packet few[SMALL_BATCH];
	batch b = {few, max < LARGEST_TAKE ? max : LARGEST_TAKE, 0};
	int r;
	if (!lua_isnoneornil(L, 4) && !lua_istable(L, 4))
		return iocp_bad_argument(L, 4, "batch", "a table to fill, or nil");
	lua_settop(L, 4);
	if (b.max > SMALL_BATCH)
		b.packets = lua_newuserdata(L, b.max * sizeof(*b.packets));
	r = iocp_wait_in_lua(L, wait_packets, port, &b, ms);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	if (lua_isnil(L, 4)) {
		lua_createtable(L, (int)b.count * 3, 0);
		lua_replace(L, 4);
	}
	do { /* a batch of more than LARGEST_TAKE takes more than one look */
		store_packets(L, port, 4, &b, filled);
		filled += b.count;
		taken = b.count;
		b.max = max - filled < LARGEST_TAKE ? max - filled : LARGEST_TAKE;
	} while (taken == LARGEST_TAKE && filled < max && wait_packets(port, &b, 0) == IOCP_OK);
	lua_pushvalue(L, 4);
	iocp_push_count(L, filled);
	return 2;
}

/* ---- packets() ---------------------------------------------------------------------------------------------------- */

/* What an iterator has taken and not handed out. When the loop is left, what remains goes back to the port. */
typedef struct iterator {
	iocp_port *port; /* borrowed from the userdata that the iterator function holds; NULL once done */
	size_t next;
	batch batch;
	iocp_packet packets[];
} iterator;

#define ITERATOR "iocp.packets"

static int end_iterator(lua_State *L)
{
	iterator *it = lua_touserdata(L, 1);
	if (it->port && it->next < it->batch.count)
		iocp_port_putback(it->port, it->packets + it->next, it->batch.count - it->next);
	iocp_port_release(it->port);
	it->port = NULL;
	return 0;
}

static int next_packet(lua_State *L)
{
	iterator *it = lua_touserdata(L, lua_upvalueindex(1));
	const iocp_packet *packet;
	if (!it->port)
		return 0;
	if (it->next == it->batch.count) {
		int r;
		it->next = it->batch.count = 0;
		r = iocp_wait_in_lua(L, wait_packets, it->port, &it->batch, IOCP_INFINITE);
		if (r == IOCP_CLOSED || r == IOCP_ABANDONED || r == IOCP_CANCELLED)
			return 0;
		if (r != IOCP_OK) {
			iocp_failure(L, r, NULL);
			return luaL_error(L, "packets: %s", lua_tostring(L, -2));
		}
	}
	packet = &it->packets[it->next++];
	if (iocp_is_message(packet))
		iocp_message_keep(L, it->port, packet);
	if (!push_key(L, packet))
		return luaL_error(L, "packets: a key that does not fit a number of this Lua: %s", lua_tostring(L, -1));
	iocp_push_bytes(L, packet);
	push_overlapped(L, packet);
	return 3;
}

static int port_packets(lua_State *L)
{
	iocp_port *port = check_port(L);
	size_t max = lua_isnoneornil(L, 2) ? 1 : check_batch(L, 2, "batch");
	iterator *it;
	if (max > LARGEST_TAKE)
		max = LARGEST_TAKE;
	it = lua_newuserdata(L, sizeof(*it) + max * sizeof(it->packets[0]));
	it->port = NULL;
	it->next = 0;
	it->batch = (batch){it->packets, max, 0};
	if (luaL_newmetatable(L, ITERATOR)) {
		lua_pushcfunction(L, end_iterator);
		lua_setfield(L, -2, "__gc");
		lua_pushcfunction(L, end_iterator);
		lua_setfield(L, -2, "__close");
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable"); /* nobody else calls these two */
	}
	lua_setmetatable(L, -2);
	it->port = iocp_port_retain(port);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, next_packet, 1);
	lua_insert(L, -2);
	lua_pushnil(L);
	lua_insert(L, -2);
	lua_pushnil(L);
	lua_insert(L, -2);
	return 4; /* function, nil, nil, and from Lua 5.4 on the value that is closed when the loop is left */
}

/* ---- the rest ------------------------------------------------------------------------------------------------------ */

static int port_close(lua_State *L)
{
	iocp_port_close(check_port(L));
	lua_pushboolean(L, 1);
	return 1;
}

static int port_length(lua_State *L)
{
	iocp_port_info info = {.size = sizeof(info)};
	iocp_port_stats(check_port(L), &info);
	iocp_push_count(L, info.queued);
	return 1;
}

static int port_stats(lua_State *L)
{
	iocp_port_info info = {.size = sizeof(info)};
	iocp_port_stats(check_port(L), &info);
	lua_createtable(L, 0, 10);
	iocp_set_count(L, "queued", info.queued);
	iocp_set_count(L, "peak", info.peak);
	iocp_set_count(L, "posted", info.posted);
	iocp_set_count(L, "dequeued", info.dequeued);
	iocp_set_count(L, "waiting", info.waiting);
	iocp_set_count(L, "active", info.active);
	iocp_set_count(L, "released", info.released);
	iocp_set_count(L, "concurrency", info.concurrency);
	lua_pushboolean(L, (int)info.sees_blocking);
	lua_setfield(L, -2, "sees_blocking");
	lua_pushboolean(L, (int)info.closed);
	lua_setfield(L, -2, "closed");
	return 1;
}

static int port_create(lua_State *L)
{
	uint32_t concurrency = (uint32_t)iocp_opt_integer(L, 1, "concurrency", UINT32_MAX, 0);
	iocp_port *port;
	int r;
	iocp_object_push(L, IOCP_CLASS_PORT);
	r = iocp_port_create(concurrency, &port);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, port);
	return 1;
}

void iocp_lua_open_port(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__len", port_length}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"enqueue", port_enqueue},
		{"enqueue_many", port_enqueue_many},
		{"dequeue", port_dequeue},
		{"dequeue_many", port_dequeue_many},
		{"packets", port_packets},
		{"close", port_close},
		{"stats", port_stats},
		{NULL, NULL},
	};
	iocp_class_register(L, IOCP_CLASS_PORT, methods, metamethods);
	iocp_class_set(L, IOCP_CLASS_PORT, "IOCompletionPort", port_create);
	iocp_lua_open_messages(L);
}
