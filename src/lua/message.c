/*
** message.c - port:send, port:receive and port:unpack: values as packets.
**
** A message is a packet whose `overlapped` is an address that only this file knows, whose key is a private parcel in
** the port's own heap and whose bytes are the parcel's size. It belongs to the port while it is queued, and to whoever
** takes it then. The port gives those it drops to drop_message. A parcel's references do not count the port that it is
** in, which would keep itself for ever.
**
** No locks: everything is encoded before and decoded after the port is called.
*/

#include <string.h>

#include "lua/value/format.h"

#define HOLDER "iocp.message"
#define TAKEN "iocp.messages" /* registry: by the address, the holders of messages that went out as packets */

enum {
	SMALL_MESSAGE = 2048, /* copied to the C stack and freed before it is decoded */
	LARGEST_TAKE = 16384  /* taken at once */
};

static iocp_port *check_port(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_PORT, "self");
}

/* ---- a message's memory ------------------------------------------------------------------------------------------ */

static size_t message_size(iocp_heap *heap, const iocp_packet *packet)
{
	size_t size = packet->bytes;
	if (packet->bytes == UINT32_MAX) /* or more */
		(void)iocp_heap_size(heap, (const void *)packet->key, &size);
	return size;
}

static void open_message(iocp_port *port, const void *block, size_t size, iocp_parcel *parcel)
{
	(void)iocp_parcel_open(parcel, block, size, 0);
	parcel->owner = port;
}

/* Frees the block and gives back the references in it. */
static void drop_message(iocp_port *port, const iocp_packet *packet, void *data)
{
	iocp_parcel parcel;
	iocp_heap *heap;
	(void)data;
	if (iocp_port_heap(port, &heap) != IOCP_OK)
		return;
	open_message(port, (const void *)packet->key, message_size(heap, packet), &parcel);
	iocp_parcel_release(&parcel);
	iocp_heap_free(heap, (void *)packet->key);
}

/* A message that left its port, until it is dropped. */
typedef struct holder {
	iocp_port *port; /* with a reference; NULL: there is no message */
	iocp_packet packet;
} holder;

static void empty_holder(holder *h)
{
	iocp_port *port = h->port;
	h->port = NULL;
	if (port) {
		drop_message(port, &h->packet, NULL);
		iocp_port_release(port);
	}
}

static void fill_holder(holder *h, iocp_port *port, const iocp_packet *packet)
{
	h->packet = *packet;
	h->port = iocp_port_retain(port);
}

static int collect_holder(lua_State *L)
{
	empty_holder(lua_touserdata(L, 1));
	return 0;
}

static holder *push_holder(lua_State *L)
{
	holder *h = lua_newuserdata(L, sizeof(*h));
	h->port = NULL;
	if (luaL_newmetatable(L, HOLDER)) {
		lua_pushcfunction(L, collect_holder);
		lua_setfield(L, -2, "__gc");
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable"); /* nobody else calls it */
	}
	lua_setmetatable(L, -2);
	return h;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static int port_send(lua_State *L)
{
	iocp_port *port = check_port(L);
	iocp_encoding encoding = {.first = 2, .count = lua_gettop(L) - 1, .what = "arg", .owner = port};
	iocp_packet packet = {.overlapped = iocp_message_mark()};
	void *block;
	size_t size;
	int r = iocp_port_heap(port, &encoding.heap);
	if (r == IOCP_OK)
		r = iocp_encode(L, &encoding, &block, &size);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	packet.key = (uintptr_t)block;
	packet.bytes = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
	r = iocp_port_set_discard_of(port, packet.overlapped, drop_message, NULL);
	if (r == IOCP_OK)
		r = iocp_port_enqueue(port, packet.key, packet.bytes, packet.overlapped);
	if (r != IOCP_OK) {
		drop_message(port, &packet, NULL);
		return iocp_failure(L, r, NULL);
	}
	lua_pushboolean(L, 1);
	return 1;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* Pushes the values of a message and frees it; as iocp_decode. What is small and holds no references is freed at once,
** so that nothing is lost if Lua raises; anything else is the holder's meanwhile. */
static int decode_message(lua_State *L, iocp_port *port, const iocp_packet *packet, holder *h)
{
	uint8_t few[SMALL_MESSAGE];
	iocp_parcel parcel;
	iocp_heap *heap;
	size_t size;
	int count;
	(void)iocp_port_heap(port, &heap); /* it is there: the message is in it */
	size = message_size(heap, packet);
	open_message(port, (const void *)packet->key, size, &parcel);
	if (size <= sizeof(few) && parcel.object_count == 0) {
		memcpy(few, (const void *)packet->key, size);
		iocp_heap_free(heap, (void *)packet->key);
		open_message(port, few, size, &parcel);
		return iocp_decode(L, &parcel);
	}
	fill_holder(h, port, packet);
	count = iocp_decode(L, &parcel);
	empty_holder(h);
	return count;
}

/* An empty holder, made before there is a message to lose. The one that the calling function keeps, unless that is in
** use: receiving may call a script, which may receive; and after an error it still has its message, which goes with it.
** It is at the top of the stack. */
static holder *borrow_holder(lua_State *L)
{
	holder *h = lua_touserdata(L, lua_upvalueindex(1));
	if (h->port) {
		h = push_holder(L);
		lua_pushvalue(L, -1);
		lua_replace(L, lua_upvalueindex(1));
	} else {
		lua_pushvalue(L, lua_upvalueindex(1));
	}
	return h;
}

/* A packet that is none of ours: nil, message, "RAW", key, bytes, overlapped. */
static int push_raw(lua_State *L, const iocp_packet *packet)
{
	int results;
	lua_pushnil(L);
	lua_pushliteral(L, "a packet that was posted with enqueue, not send");
	lua_pushliteral(L, "RAW");
	results = iocp_push_packet(L, packet);
	return results == 3 ? 6 : results; /* a failed I/O says more itself */
}

static int port_receive(lua_State *L)
{
	iocp_port *port = check_port(L);
	double ms = iocp_check_timeout(L, 2);
	holder *h = borrow_holder(L);
	iocp_packet packet;
	int count, r = iocp_wait_in_lua(L, iocp_wait_packet, port, &packet, ms);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	if (!iocp_is_message(&packet))
		return push_raw(L, &packet);
	lua_pushboolean(L, 1);
	count = decode_message(L, port, &packet, h);
	return count >= 0 ? 1 + count : iocp_failure(L, IOCP_INVALID, lua_tostring(L, -1));
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

/* Makes what lies from `first` on, behind a table, its elements, and `n` their number. */
static void collect(lua_State *L, int first)
{
	int i, count = lua_gettop(L) - first + 1;
	for (i = count; i > 0; i--)
		lua_rawseti(L, first - 1, i);
	iocp_set_count(L, "n", (uint64_t)count);
}

/* Pushes a packet as { n =, values ... }, where code says that it is no message, or one that could not be decoded. */
static void push_entry(lua_State *L, iocp_port *port, const iocp_packet *packet, holder *h)
{
	const char *code = NULL;
	int table;
	lua_newtable(L);
	table = lua_gettop(L);
	if (!iocp_is_message(packet)) {
		code = "RAW";
		iocp_push_packet(L, packet);
	} else if (decode_message(L, port, packet, h) < 0) {
		code = "INVALID";
	}
	collect(L, table + 1);
	if (code) {
		lua_pushstring(L, code);
		lua_setfield(L, table, "code");
	}
}

static int port_receive_many(lua_State *L)
{
	iocp_port *port = check_port(L);
	uint64_t max;
	double ms = iocp_check_timeout(L, 3);
	const iocp_packet *packet;
	iocp_taken *t;
	holder *h;
	int r, count = 0;
	if (!iocp_to_integer(L, 2, LARGEST_TAKE, &max) || max == 0)
		return iocp_bad_argument(L, 2, "max", "an integer from 1 to 16384");
	lua_settop(L, 3);
	h = borrow_holder(L);
	t = iocp_taken_push(L, (size_t)max);
	iocp_taken_begin(t, port, 0);
	r = iocp_taken_wait(L, t, ms);
	if (r != IOCP_OK) {
		iocp_taken_end(t);
		return iocp_failure(L, r, NULL);
	}
	lua_createtable(L, (int)t->count, 0);
	while ((packet = iocp_taken_next(t))) {
		push_entry(L, port, packet, h);
		lua_rawseti(L, 6, ++count);
	}
	iocp_taken_end(t);
	iocp_push_count(L, (uint64_t)count);
	return 2;
}

int iocp_message_push(lua_State *L, iocp_port *port, const iocp_packet *packet)
{
	int count;
	holder *h = push_holder(L);
	lua_pushnil(L);
	lua_pushliteral(L, "a message that was posted with send: receive takes it");
	lua_pushliteral(L, "MESSAGE");
	count = decode_message(L, port, packet, h);
	return count >= 0 ? 3 + count : iocp_failure(L, IOCP_INVALID, lua_tostring(L, -1));
}

/* ---- messages that go out as packets ----------------------------------------------------------------------------- */

void iocp_message_keep(lua_State *L, iocp_port *port, const iocp_packet *packet)
{
	lua_getfield(L, LUA_REGISTRYINDEX, TAKEN);
	(void)iocp_push_address(L, packet->key);
	fill_holder(push_holder(L), port, packet);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/* Takes the message at that address out of those that went out, and pushes its holder. NULL: it is none of the
** port's. */
static holder *take_kept(lua_State *L, const iocp_port *port, uintptr_t address)
{
	holder *h;
	lua_getfield(L, LUA_REGISTRYINDEX, TAKEN);
	(void)iocp_push_address(L, address);
	lua_rawget(L, -2);
	h = lua_touserdata(L, -1);
	if (!h || h->port != port)
		return NULL;
	(void)iocp_push_address(L, address);
	lua_pushnil(L);
	lua_rawset(L, -4);
	return h;
}

static int port_unpack(lua_State *L)
{
	iocp_port *port = check_port(L);
	uintptr_t address = iocp_check_address(L, 2, "key");
	holder *h = take_kept(L, port, address);
	iocp_parcel parcel;
	iocp_heap *heap;
	int count;
	if (!h)
		return iocp_failure(L, IOCP_INVALID, "no message that this state took from this port and has not unpacked yet");
	(void)iocp_port_heap(port, &heap);
	open_message(port, (const void *)h->packet.key, message_size(heap, &h->packet), &parcel);
	lua_pushboolean(L, 1);
	count = iocp_decode(L, &parcel);
	empty_holder(h);
	return count >= 0 ? 1 + count : iocp_failure(L, IOCP_INVALID, lua_tostring(L, -1));
}

void iocp_message_add_methods(lua_State *L)
{
	static const luaL_Reg methods[] = {{"send", port_send}, {"unpack", port_unpack}, {NULL, NULL}};
	static const luaL_Reg receivers[] = {{"receive", port_receive}, {"receive_many", port_receive_many}, {NULL, NULL}};
	iocp_set_functions(L, methods, 0);
	(void)push_holder(L);
	iocp_set_functions(L, receivers, 1);
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, TAKEN);
}
