/*
** dict.c - iocp.Dict.
**
** A string is kept as its bytes, a number as itself, anything else as a private parcel of the codec. Everything is
** encoded before and decoded after the dictionary is called; no lock is held while Lua runs.
**
** What calls a script's functions is lua/iocp/dict.lua: here are its parts. A value that Lua holds over such a call,
** and the claim to compute one, lie in a userdata, so that nothing of either is lost if the function raises, or its
** thread dies.
*/

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/value/format.h"
#include "work/work.h"

#define HELD "iocp.dict.held"
#define CLAIM "iocp.dict.claim"

static iocp_dict *check_dict(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_DICT, "self");
}

static const char *check_key(lua_State *L, size_t *size)
{
	if (lua_type(L, 2) != LUA_TSTRING)
		iocp_bad_argument(L, 2, "key", "a string");
	return lua_tolstring(L, 2, size);
}

/* Milliseconds that a value is to live, or nil: for good. */
static double opt_life(lua_State *L, int index)
{
	return lua_isnoneornil(L, index) ? IOCP_INFINITE : iocp_check_delay(L, index, 0);
}

/* ---- what lies in a userdata ------------------------------------------------------------------------------------- */

/* Pushes a userdata for a pointer that `collect` frees; NULL at first. */
static void **push_pointer(lua_State *L, const char *name, lua_CFunction collect)
{
	void **pointer = lua_newuserdata(L, sizeof(*pointer));
	*pointer = NULL;
	if (luaL_newmetatable(L, name)) {
		lua_pushcfunction(L, collect);
		lua_setfield(L, -2, "__gc");
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable"); /* nobody else calls it */
	}
	lua_setmetatable(L, -2);
	return pointer;
}

static void release_held(void **held)
{
	iocp_dict_value *value = *held;
	*held = NULL;
	iocp_dict_value_release(value);
}

static int collect_held(lua_State *L)
{
	release_held(lua_touserdata(L, 1));
	return 0;
}

static void **push_held(lua_State *L)
{
	return push_pointer(L, HELD, collect_held);
}

static int collect_claim(lua_State *L)
{
	void **claim = lua_touserdata(L, 1);
	iocp_dict_claim *taken = *claim;
	*claim = NULL;
	if (taken)
		iocp_dict_claim_end(taken);
	return 0;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void open_parcel(const iocp_dict_value *value, iocp_parcel *parcel)
{
	(void)iocp_parcel_open(parcel, value->bytes, value->size, 0);
	parcel->owner = value->dict;
}

static void discard_parcel(const iocp_dict_value *value)
{
	iocp_parcel parcel;
	open_parcel(value, &parcel);
	iocp_parcel_release(&parcel);
}

static iocp_dict_value *new_number(lua_State *L, int index)
{
	lua_Number number;
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, index)) {
		lua_Integer integer = lua_tointeger(L, index);
		return iocp_dict_value_new(IOCP_DICT_INTEGER, &integer, sizeof(integer));
	}
#endif
	number = lua_tonumber(L, index);
	return iocp_dict_value_new(IOCP_DICT_NUMBER, &number, sizeof(number));
}

/* Encoded, it is moved: the references in it are the value's then. */
static iocp_dict_value *new_parcel(lua_State *L, const iocp_dict *dict, int index)
{
	_Alignas(16) uint8_t room[IOCP_ENCODING_ROOM];
	iocp_encoding encoding = {
		.first = index, .count = 1, .what = "value", .head = "value", .owner = dict, .room = room};
	iocp_dict_value *value;
	iocp_parcel parcel;
	void *block;
	size_t size;
	if (iocp_encode(L, &encoding, &block, &size) != IOCP_OK)
		return NULL;
	value = iocp_dict_value_new(IOCP_DICT_PARCEL, block, size);
	(void)iocp_parcel_open(&parcel, block, size, 0);
	parcel.owner = dict;
	if (value) {
		value->dict = dict;
		value->discard = parcel.object_count ? discard_parcel : NULL;
	} else {
		iocp_parcel_release(&parcel);
	}
	if (block != room)
		free(block);
	return value;
}

/* The value at `index`, which is not nil. NULL: out of memory. Raises if it cannot cross. */
static iocp_dict_value *new_value(lua_State *L, const iocp_dict *dict, int index)
{
	size_t size;
	const char *bytes;
	switch (lua_type(L, index)) {
	case LUA_TSTRING:
		bytes = lua_tolstring(L, index, &size);
		return iocp_dict_value_new(IOCP_DICT_BYTES, bytes, size);
	case LUA_TNUMBER:
		return new_number(L, index);
	default:
		return new_parcel(L, dict, index);
	}
}

static void push_integer(lua_State *L, const void *bytes)
{
	int64_t integer;
	memcpy(&integer, bytes, sizeof(integer));
	lua_pushinteger(L, (lua_Integer)integer);
}

static void push_number(lua_State *L, const void *bytes)
{
	lua_Number number;
	memcpy(&number, bytes, sizeof(number));
	lua_pushnumber(L, number);
}

/* Pushes a value, which somebody holds meanwhile; may raise. */
static void push_value(lua_State *L, const iocp_dict_value *value)
{
	iocp_parcel parcel;
	switch (value->kind) {
	case IOCP_DICT_BYTES:
		lua_pushlstring(L, (const char *)value->bytes, value->size);
		break;
	case IOCP_DICT_INTEGER:
		push_integer(L, value->bytes);
		break;
	case IOCP_DICT_NUMBER:
		push_number(L, value->bytes);
		break;
	case IOCP_DICT_PARCEL:
		open_parcel(value, &parcel);
		if (iocp_decode(L, &parcel) < 0)
			lua_error(L); /* what it names is not to be had in this state; the message is at the top */
		break;
	}
}

/* Pushes the value of a userdata at the top in its place, and drops the reference to it; nothing is lost if Lua
** raises. */
static void push_and_release(lua_State *L, void **held)
{
	push_value(L, *held);
	release_held(held);
	lua_remove(L, -2);
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

static int push_result(lua_State *L, int r, const char *invalid, const char *code)
{
	if (r == IOCP_INVALID) {
		lua_pushnil(L);
		lua_pushstring(L, invalid);
		lua_pushstring(L, code);
		return 3;
	}
	if (r == IOCP_NOMEM)
		return iocp_failure(L, r, "out of memory, or more than the dictionary's maximum");
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

/* Of a value that is not copied: what holds it is made before there is a reference to lose. */
static int get_large(lua_State *L, iocp_dict *dict, const char *key, size_t size)
{
	void **held = push_held(L);
	*held = iocp_dict_find(dict, key, size);
	if (*held)
		push_and_release(L, held);
	else
		lua_pushnil(L);
	return 1;
}

static int method_get(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	size_t size;
	const char *key = check_key(L, &size);
	iocp_dict_room room;
	iocp_dict_value *value;
	luaL_checkstack(L, 4, NULL);
	value = iocp_dict_read(dict, key, size, &room);
	if (value && (void *)value != (void *)&room) {
		iocp_dict_value_release(value);
		return get_large(L, dict, key, size);
	}
	if (value)
		push_value(L, value);
	else
		lua_pushnil(L);
	return 1;
}

static int method_exists(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	size_t size;
	const char *key = check_key(L, &size);
	iocp_dict_value *value = iocp_dict_find(dict, key, size);
	lua_pushboolean(L, value != NULL);
	iocp_dict_value_release(value);
	return 1;
}

/* As iocp_dict_set, of the value at 3. */
static int put(lua_State *L, int how)
{
	iocp_dict *dict = check_dict(L);
	size_t size;
	const char *key = check_key(L, &size);
	double ms = opt_life(L, 4);
	iocp_dict_value *value = new_value(L, dict, 3);
	return value ? iocp_dict_put(dict, key, size, value, ms, how, NULL) : IOCP_NOMEM;
}

static int refuse_nil(lua_State *L)
{
	return lua_isnoneornil(L, 3) ? iocp_bad_argument(L, 3, "value", "a value other than nil") : 0;
}

static int remove_key(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	size_t size;
	const char *key = check_key(L, &size);
	return iocp_dict_delete(dict, key, size);
}

static int method_set(lua_State *L)
{
	if (!lua_isnoneornil(L, 3))
		return push_result(L, put(L, IOCP_DICT_SET), NULL, NULL);
	(void)remove_key(L);
	lua_pushboolean(L, 1);
	return 1;
}

static int method_add(lua_State *L)
{
	refuse_nil(L);
	return push_result(L, put(L, IOCP_DICT_ADD), "the key has a value", "EXISTS");
}

static int method_replace(lua_State *L)
{
	refuse_nil(L);
	return push_result(L, put(L, IOCP_DICT_REPLACE), "the key has no value", "MISSING");
}

static int method_delete(lua_State *L)
{
	lua_pushboolean(L, remove_key(L) == IOCP_OK);
	return 1;
}

static int method_flush(lua_State *L)
{
	iocp_dict_flush(check_dict(L));
	lua_pushboolean(L, 1);
	return 1;
}

static int method_count(lua_State *L)
{
	iocp_dict_info info = {.size = sizeof(info)};
	iocp_dict_stats(check_dict(L), &info);
	iocp_push_count(L, info.count);
	return 1;
}

static int method_stats(lua_State *L)
{
	iocp_dict_info info = {.size = sizeof(info)};
	iocp_dict_stats(check_dict(L), &info);
	lua_createtable(L, 0, 5);
	iocp_set_count(L, "count", info.count);
	iocp_set_count(L, "bytes", info.bytes);
	iocp_set_count(L, "maximum", info.maximum);
	iocp_set_count(L, "evicted", info.evicted);
	iocp_set_count(L, "expired", info.expired);
	return 1;
}

static int collect_keys(lua_State *L)
{
	void **keys = lua_touserdata(L, 1);
	free(*keys);
	*keys = NULL;
	return 0;
}

/* Adds the keys of a stripe to the table at 2, behind the `count` that it has. Returns how many there are then. */
static int push_keys(lua_State *L, const unsigned char *keys, size_t size, int count)
{
	size_t at = 0;
	while (at < size) {
		uint32_t length;
		memcpy(&length, keys + at, sizeof(length));
		lua_pushlstring(L, (const char *)keys + at + sizeof(length), length);
		lua_rawseti(L, 2, ++count);
		at += sizeof(length) + length;
	}
	return count;
}

static int method_keys(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	void **keys;
	int stripe, count = 0;
	lua_settop(L, 1);
	lua_newtable(L);
	keys = push_pointer(L, "iocp.dict.keys", collect_keys);
	for (stripe = 0; stripe < IOCP_DICT_STRIPES; stripe++) {
		unsigned char *copy;
		size_t size;
		int r = iocp_dict_keys(dict, stripe, &copy, &size);
		if (r != IOCP_OK)
			return iocp_failure(L, r, NULL);
		*keys = copy;
		count = push_keys(L, copy, size, count);
		free(copy);
		*keys = NULL;
	}
	lua_settop(L, 2);
	return 1;
}

/* ---- incr -------------------------------------------------------------------------------------------------------- */

static int check_number(lua_State *L, int index, const char *name)
{
	return lua_type(L, index) == LUA_TNUMBER ? 1 : iocp_bad_argument(L, index, name, "a number");
}

/* Pushes the sum of the numbers at `a` and `b`, as Lua adds them. */
static void push_sum(lua_State *L, int a, int b)
{
#if LUA_VERSION_NUM >= 503
	lua_pushvalue(L, a);
	lua_pushvalue(L, b);
	lua_arith(L, LUA_OPADD);
#else
	lua_pushnumber(L, lua_tonumber(L, a) + lua_tonumber(L, b));
#endif
}

/* One turn, with the value found, which may be NULL, and is released: IOCP_OK, and the sum is at the top; IOCP_INVALID:
** others were faster; else the number of results of a failure. */
static int increment(lua_State *L, iocp_dict *dict, iocp_dict_value *found, double ms, int *r)
{
	size_t size;
	const char *key = lua_tolstring(L, 2, &size);
	iocp_dict_value *sum = NULL;
	lua_settop(L, 5);
	if (!found) {
		lua_pushvalue(L, 4);
	} else if (found->kind == IOCP_DICT_INTEGER) {
		push_integer(L, found->bytes);
	} else if (found->kind == IOCP_DICT_NUMBER) {
		push_number(L, found->bytes);
	} else {
		iocp_dict_value_release(found);
		return iocp_failure(L, IOCP_INVALID, "the value is not a number");
	}
	push_sum(L, 6, 3);
	sum = new_number(L, 7);
	*r = sum ? iocp_dict_put(dict, key, size, sum, found ? IOCP_DICT_KEEPS : ms, IOCP_DICT_EXPECT, found) : IOCP_NOMEM;
	iocp_dict_value_release(found);
	return 0;
}

static int method_incr(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	size_t size;
	const char *key = check_key(L, &size);
	double ms = opt_life(L, 5);
	int r, results;
	check_number(L, 3, "by");
	if (!lua_isnoneornil(L, 4))
		check_number(L, 4, "initial");
	lua_settop(L, 5);
	luaL_checkstack(L, 4, NULL);
	do {
		iocp_dict_value *found = iocp_dict_find(dict, key, size);
		if (!found && lua_isnil(L, 4))
			return push_result(L, IOCP_INVALID, "the key has no value, and no initial one was given", "MISSING");
		results = increment(L, dict, found, ms, &r);
		if (results)
			return results;
	} while (r == IOCP_INVALID);
	return r == IOCP_OK ? 1 : push_result(L, r, NULL, NULL);
}

/* ---- parts of lua/iocp/dict.lua ---------------------------------------------------------------------------------- */

/* hold(dict, key): a userdata that holds the value there is, or that there is none; and the value. */
static int part_hold(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	size_t size;
	const char *key = check_key(L, &size);
	void **held = push_held(L);
	iocp_dict_value *value = iocp_dict_find(dict, key, size);
	*held = value;
	if (value)
		push_value(L, value);
	else
		lua_pushnil(L);
	return 2;
}

/* swap(dict, key, held, value, ms): true; false: there is another than what is held; nil, message, code. A value of nil
** deletes; ms nil: as long as the old one, else for good. The userdata holds nothing afterwards. */
static int part_swap(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	size_t size;
	const char *key = check_key(L, &size);
	void **held = lua_touserdata(L, 3);
	double ms = lua_isnoneornil(L, 5) ? IOCP_DICT_KEEPS : iocp_check_delay(L, 5, 0);
	iocp_dict_value *value;
	int r;
	lua_settop(L, 5);
	if (lua_isnil(L, 4)) {
		r = *held ? iocp_dict_remove(dict, key, size, *held) : IOCP_OK;
	} else {
		value = new_value(L, dict, 4);
		r = value ? iocp_dict_put(dict, key, size, value, ms, IOCP_DICT_EXPECT, *held) : IOCP_NOMEM;
	}
	release_held(held);
	if (r != IOCP_INVALID)
		return push_result(L, r, NULL, NULL);
	lua_pushboolean(L, 0);
	return 1;
}

typedef struct taking {
	const char *key;
	size_t size;
	iocp_dict_value *value;
	iocp_dict_claim *claim;
} taking;

static int wait_claim(void *dict, void *argument, double ms)
{
	taking *t = argument;
	return iocp_dict_claim_take(dict, t->key, t->size, ms, &t->value, &t->claim);
}

/* claim(dict, key [, ms]): true, the value; or false, a claim to compute it, which release(claim) ends; or nil,
** message, code. */
static int part_claim(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	taking t = {NULL, 0, NULL, NULL};
	double ms = iocp_check_timeout(L, 3);
	void **claim, **held;
	int r;
	t.key = check_key(L, &t.size);
	held = push_held(L);
	claim = push_pointer(L, CLAIM, collect_claim);
	luaL_checkstack(L, 4, NULL);
	r = iocp_wait_in_lua(L, wait_claim, dict, &t, ms);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	lua_pushboolean(L, t.value != NULL);
	*held = t.value;
	*claim = t.claim;
	if (t.value) {
		push_value(L, t.value);
		release_held(held);
	} else {
		lua_pushvalue(L, -2);
	}
	return 2;
}

/* await(dict, target, key, overlapped, name): a timer for a packet when claim(dict, name) may find something else. */
static int part_await(lua_State *L)
{
	iocp_dict *dict = check_dict(L);
	iocp_packet packet;
	iocp_port *target;
	size_t size;
	const char *name = luaL_checklstring(L, 5, &size);
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_dict_claim_notify(dict, name, size, target, &packet, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

void iocp_calls_add_methods(lua_State *L)
{
	static const luaL_Reg parts[] = {
		{"hold", part_hold},
		{"swap", part_swap},
		{"claim", part_claim},
		{"release", collect_claim},
		{"await", part_await},
		{NULL, NULL},
	};
	iocp_class_complete(L, "iocp.dict", parts);
}

/* ---- the class --------------------------------------------------------------------------------------------------- */

static int to_string(lua_State *L)
{
	iocp_dict_info info = {.size = sizeof(info)};
	char detail[48];
	enum iocp_class c;
	iocp_dict *dict = iocp_object_test(L, 1, &c);
	if (!dict || c != IOCP_CLASS_DICT)
		return iocp_object_to_string(L, NULL);
	iocp_dict_stats(dict, &info);
	snprintf(detail, sizeof(detail), "%" PRIu64 " keys", info.count);
	return iocp_object_to_string(L, detail);
}

/* The option `maximum` of the table at 1, bytes; 0: there is none. Any other option raises. */
static uint64_t check_maximum(lua_State *L)
{
	uint64_t maximum = 0;
	if (lua_isnoneornil(L, 1))
		return 0;
	if (!lua_istable(L, 1))
		iocp_bad_argument(L, 1, "options", "a table: { maximum = bytes }");
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "maximum") != 0) {
			lua_pushfstring(L, "options: %s is none of maximum", iocp_push_option(L, lua_gettop(L) - 1));
			iocp_argument_error(L, 1, lua_tostring(L, -1));
		}
		if (!iocp_to_integer(L, lua_gettop(L), UINT64_C(9007199254740991), &maximum) || maximum == 0) {
			lua_pushfstring(L, "maximum: expected bytes, an integer from 1 on, got %s", iocp_got(L, lua_gettop(L)));
			iocp_argument_error(L, 1, lua_tostring(L, -1));
		}
		lua_pop(L, 1);
	}
	return maximum;
}

static int create(lua_State *L)
{
	uint64_t maximum = check_maximum(L);
	iocp_dict *dict;
	int r;
	iocp_object_push(L, IOCP_CLASS_DICT);
	r = iocp_dict_create(maximum, &dict);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, dict);
	return 1;
}

void iocp_lua_open_dict(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__tostring", to_string}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"get", method_get},
		{"set", method_set},
		{"add", method_add},
		{"replace", method_replace},
		{"delete", method_delete},
		{"exists", method_exists},
		{"incr", method_incr},
		{"keys", method_keys},
		{"count", method_count},
		{"flush", method_flush},
		{"stats", method_stats},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_DICT, methods, metamethods);
}

void iocp_lua_push_dict(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_DICT, "Dict", create, NULL);
}
