/*
** port.c - iocp.IOCompletionPort.
*/

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lua/value/format.h"
#include "work/work.h"

enum {
	SMALL_BATCH = 64,    /* packets that are held on the C stack */
	LARGEST_TAKE = 16384 /* taken under one lock */
};

static iocp_port *check_port(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_PORT, "self");
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

/* ---- methods ----------------------------------------------------------------------------------------------------- */

static int port_enqueue(lua_State *L)
{
	iocp_port *port = check_port(L);
	uintptr_t key = lua_type(L, 2) == LUA_TSTRING ? (uintptr_t)iocp_refuse_text(L, 2, "key", "port:send posts values")
												  : iocp_check_address(L, 2, "key");
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

/* What dequeue says of a packet that it took. */
static int hand_out(lua_State *L, iocp_port *port, const iocp_packet *packet)
{
	return iocp_is_message(packet) ? iocp_message_push(L, port, packet) : iocp_push_packet(L, packet);
}

static int port_dequeue(lua_State *L)
{
	iocp_port *port = check_port(L);
	double ms = iocp_check_timeout(L, 2);
	iocp_packet packet;
	batch one = {&packet, 1, 0};
	int r = iocp_wait_in_lua(L, wait_packets, port, &one, ms);
	return r == IOCP_OK ? hand_out(L, port, &packet) : iocp_failure(L, r, NULL);
}

/* Puts a packet of the port into the table at `index`, behind the `filled` that it holds. */
static inline void store_packet(lua_State *L, iocp_port *port, int index, const iocp_packet *packet, size_t filled)
{
	int at = (int)(filled * 3);
	if (iocp_is_message(packet))
		iocp_message_keep(L, port, packet);
	(void)iocp_push_key(L, packet);
	lua_rawseti(L, index, at + 1);
	iocp_push_bytes(L, packet);
	lua_rawseti(L, index, at + 2);
	iocp_push_overlapped(L, packet);
	lua_rawseti(L, index, at + 3);
}

static size_t check_batch(lua_State *L, int index, const char *name)
{
	uint64_t max;
	if (!iocp_to_integer(L, index, 0x7fffffff / 3, &max) || max == 0)
		iocp_bad_argument(L, index, name, "an integer from 1 to 715827882");
	return (size_t)max;
}

static int take_many(lua_State *L, int (*wait)(void *, void *, double))
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
	r = iocp_wait_in_lua(L, wait, port, &b, ms);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	if (lua_isnil(L, 4)) {
		lua_createtable(L, (int)b.count * 3, 0);
		lua_replace(L, 4);
	}
	do { /* a batch of more than LARGEST_TAKE takes more than one look */
		for (taken = 0; taken < b.count; taken++)
			store_packet(L, port, 4, &b.packets[taken], filled++);
		b.max = max - filled < LARGEST_TAKE ? max - filled : LARGEST_TAKE;
	} while (taken == LARGEST_TAKE && filled < max && wait_packets(port, &b, 0) == IOCP_OK);
	lua_pushvalue(L, 4);
	iocp_push_count(L, filled);
	return 2;
}

static int port_dequeue_many(lua_State *L)
{
	return take_many(L, wait_packets);
}

static int wait_shielded(void *port, void *argument, double ms)
{
	batch *b = argument;
	return iocp_port_take_shielded(port, b->packets, b->max, &b->count, ms);
}

int iocp_lua_take_shielded(lua_State *L)
{
	return take_many(L, wait_shielded);
}

/* private.pick(port): a packet as in a batch: key, bytes, overlapped; or nil, message, code. The thread goes on
** belonging to the port that it got from last. For lua/iocp/waits_port.lua. */
int iocp_lua_pick(lua_State *L)
{
	iocp_port *port = check_port(L);
	iocp_packet packet;
	int r;
	iocp_give_back(L);
	r = iocp_port_pick(port, &packet);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	if (iocp_is_message(&packet))
		iocp_message_keep(L, port, &packet);
	(void)iocp_push_key(L, &packet);
	iocp_push_bytes(L, &packet);
	iocp_push_overlapped(L, &packet);
	return 3;
}

/* ---- packets() --------------------------------------------------------------------------------------------------- */

/* What an iterator says of a packet. */
static inline int hand_out_in_loop(lua_State *L, iocp_port *port, const iocp_packet *packet)
{
	if (iocp_is_message(packet))
		iocp_message_keep(L, port, packet);
	if (!iocp_push_key(L, packet))
		return iocp_raise(L, "packets: a key that does not fit a number of this Lua: %s", lua_tostring(L, -1));
	iocp_push_bytes(L, packet);
	iocp_push_overlapped(L, packet);
	return 3;
}

static int next_packet(lua_State *L)
{
	iocp_taken *taken = lua_touserdata(L, lua_upvalueindex(1));
	const iocp_packet *packet;
	if (!taken->port)
		return 0;
	packet = iocp_taken_next(taken);
	if (!packet) {
		int r = iocp_taken_wait(L, taken, IOCP_INFINITE);
		if (r == IOCP_CLOSED || r == IOCP_ABANDONED || r == IOCP_CANCELLED)
			return 0;
		if (r != IOCP_OK) {
			iocp_failure(L, r, NULL);
			return iocp_raise(L, "packets: %s", lua_tostring(L, -2));
		}
		packet = iocp_taken_next(taken);
	}
	return hand_out_in_loop(L, taken->port, packet);
}

static int port_packets(lua_State *L)
{
	iocp_port *port = check_port(L);
	size_t max = lua_isnoneornil(L, 2) ? 1 : check_batch(L, 2, "batch");
	if (max > LARGEST_TAKE)
		max = LARGEST_TAKE;
	iocp_taken_begin(iocp_taken_push(L, max), port, 0);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, next_packet, 1);
	lua_insert(L, -2);
	lua_pushnil(L);
	lua_insert(L, -2);
	lua_pushnil(L);
	lua_insert(L, -2);
	return 4; /* function, nil, nil, and from Lua 5.4 on the value that is closed when the loop is left */
}

/* ---- what LuaJIT's compiled get took ----------------------------------------------------------------------------- */

/* lua/iocp/jit/port.lua takes packets itself, into a userdata of ours, and hands out what is three plain numbers.
** These do the rest, with the port as first argument: they are what stands behind the get in the classic method. */

static iocp_taken *fast_taken(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

/* The only packet that was taken. */
static iocp_packet fast_packet(lua_State *L)
{
	iocp_taken *taken = fast_taken(L);
	taken->left->busy = 0; /* from here on it is a copy */
	return taken->packets[0];
}

static int fast_hand_out(lua_State *L)
{
	iocp_packet packet = fast_packet(L);
	return hand_out(L, check_port(L), &packet);
}

static int fast_hand_out_in_loop(lua_State *L)
{
	iocp_packet packet = fast_packet(L);
	return hand_out_in_loop(L, check_port(L), &packet);
}

/* (port, count, batch) */
static int fast_fill(lua_State *L)
{
	iocp_port *port = check_port(L);
	iocp_taken *taken = fast_taken(L);
	const iocp_packet *packet;
	size_t filled = 0;
	if (taken->port) /* it raised the last time */
		iocp_taken_end(taken);
	iocp_taken_begin(taken, port, (size_t)lua_tointeger(L, 2));
	taken->left->busy = 0; /* from here on they are kept by being left */
	lua_settop(L, 3);
	while ((packet = iocp_taken_next(taken))) {
		const iocp_packet copy = *packet; /* a finalizer may take packets again */
		store_packet(L, port, 3, &copy, filled++);
	}
	iocp_taken_end(taken);
	iocp_push_count(L, filled);
	return 2;
}

/* Whether the userdata is free then: without memory packets stay in it. */
static int fast_give_back(lua_State *L)
{
	const iocp_taken *taken = fast_taken(L);
	iocp_give_back_left(L);
	lua_pushboolean(L, taken->count == 0);
	return 1;
}

int iocp_lua_open_fast(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"hand_out", fast_hand_out},
		{"hand_out_in_loop", fast_hand_out_in_loop},
		{"fill", fast_fill},
		{"give_back", fast_give_back},
		{NULL, NULL},
	};
	lua_createtable(L, 0, 7);
	iocp_layout_push(L);
	lua_setfield(L, -2, "layout");
	(void)iocp_push_left(L);
	lua_setfield(L, -2, "left");
	(void)iocp_taken_push(L, (size_t)luaL_checkinteger(L, 1));
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "taken");
	iocp_set_functions(L, functions, 1);
	return 1;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

/* For other event loops; with the two below as cqueues asks of what it is to poll. */
static int port_pollfd(lua_State *L)
{
	int descriptor, r = iocp_port_pollfd(check_port(L), &descriptor);
	if (r == IOCP_INVALID)
		return iocp_failure(L, r, "this system has no descriptor for a port: port:notify tells another port");
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	lua_pushinteger(L, descriptor);
	return 1;
}

static int port_events(lua_State *L)
{
	(void)check_port(L);
	lua_pushliteral(L, "r");
	return 1;
}

/* There is none: nil. */
static int port_timeout(lua_State *L)
{
	(void)check_port(L);
	lua_pushnil(L);
	return 1;
}

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
	iocp_port *port = check_port(L);
	iocp_port_stats(port, &info);
	lua_createtable(L, 0, 11);
	iocp_set_count(L, "capacity", iocp_port_capacity(port, NULL));
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

static int port_to_string(lua_State *L)
{
	iocp_port_info info = {.size = sizeof(info)};
	char detail[32] = "closed";
	enum iocp_class c;
	iocp_port *port = iocp_object_test(L, 1, &c);
	if (!port || c != IOCP_CLASS_PORT)
		return iocp_object_to_string(L, NULL);
	iocp_port_stats(port, &info);
	if (!info.closed)
		snprintf(detail, sizeof(detail), "queued %" PRIu64, info.queued);
	return iocp_object_to_string(L, detail);
}

/* What a port is made with. */
typedef struct options {
	uint32_t concurrency;
	uint64_t capacity; /* 0: none */
	double wait;       /* for room; 0: refuses */
} options;

/* Raises: option `name` of the table at 1 is the value at the top. */
static void refuse_option(lua_State *L, const char *name, const char *expected)
{
	lua_pushfstring(L, "%s: expected %s, got %s", name, expected, iocp_got(L, lua_gettop(L)));
	iocp_argument_error(L, 1, lua_tostring(L, -1));
}

/* The option whose value is at the top. */
static void read_option(lua_State *L, const char *name, options *o, int *refuses)
{
	const int index = lua_gettop(L);
	uint64_t value = 0;
	if (strcmp(name, "concurrency") == 0) {
		if (!iocp_to_integer(L, index, UINT32_MAX, &value))
			refuse_option(L, name, "an integer from 0 to 4294967295");
		o->concurrency = (uint32_t)value;
	} else if (strcmp(name, "capacity") == 0) {
		if (!iocp_to_integer(L, index, UINT32_MAX, &o->capacity) || o->capacity == 0)
			refuse_option(L, name, "an integer from 1 to 4294967295");
	} else if (strcmp(name, "on_full") == 0) {
		const char *what = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
		*refuses = strcmp(what, "refuse") == 0;
		if (!*refuses && strcmp(what, "wait") != 0)
			refuse_option(L, name, "\"wait\" or \"refuse\"");
	} else if (strcmp(name, "wait") == 0) {
		o->wait = lua_type(L, index) == LUA_TNUMBER ? (double)lua_tonumber(L, index) : -1;
		if (!(o->wait >= 0))
			refuse_option(L, name, "milliseconds, a number from 0 on");
	} else {
		lua_pushfstring(L, "options: '%s' is none of concurrency, capacity, on_full, wait", name);
		iocp_argument_error(L, 1, lua_tostring(L, -1));
	}
}

static options read_options(lua_State *L)
{
	options o = {0, 0, IOCP_INFINITE};
	int refuses = 0;
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
		read_option(L, name, &o, &refuses);
		lua_pop(L, 1);
	}
	if (!o.capacity && (refuses || o.wait >= 0))
		iocp_argument_error(L, 1, "options: on_full and wait are for a port with a capacity");
	if (refuses)
		o.wait = 0;
	return o;
}

static int port_create(lua_State *L)
{
	options o = {0, 0, IOCP_INFINITE};
	iocp_port *port;
	int r;
	if (lua_istable(L, 1))
		o = read_options(L);
	else
		o.concurrency = (uint32_t)iocp_opt_integer(L, 1, "concurrency", UINT32_MAX, 0);
	iocp_object_push(L, IOCP_CLASS_PORT);
	r = iocp_port_create(o.concurrency, &port);
	if (r == IOCP_OK && o.capacity) {
		r = iocp_port_set_capacity(port, o.capacity, o.wait);
		if (r != IOCP_OK)
			iocp_port_release(port);
	}
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, port);
	return 1;
}

static int port_adopt(lua_State *L)
{
	uintptr_t native = iocp_check_address(L, 1, "native");
	iocp_port *adopted = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_PORT);
	r = iocp_port_adopt((const void *)native, &adopted);
	return iocp_push_found(L, r, adopted);
}

void iocp_lua_open_port(lua_State *L)
{
	static const luaL_Reg metamethods[] = {
		{"__len", port_length},
		{"__close", port_close}, /* from Lua 5.4 on: local port <close> */
		{"__tostring", port_to_string},
		{NULL, NULL},
	};
	static const luaL_Reg methods[] = {
		{"enqueue", port_enqueue},
		{"enqueue_many", port_enqueue_many},
		{"dequeue", port_dequeue},
		{"dequeue_many", port_dequeue_many},
		{"packets", port_packets},
		{"close", port_close},
		{"stats", port_stats},
		{"pollfd", port_pollfd},
		{"events", port_events},
		{"timeout", port_timeout},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_PORT, methods, metamethods);
}

void iocp_lua_push_port(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_PORT, "IOCompletionPort", port_create, port_adopt);
}
