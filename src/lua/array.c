/*
** array.c - iocp.Array.
**
** An element is read and written in one step, so that nobody sees half of one; nothing else is promised to threads that
** use the same elements at a time.
*/

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lua/binding.h"
#include "work/work.h"

static iocp_array *check_array(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_ARRAY, "self");
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

typedef union element {
	int8_t int8;
	uint8_t uint8;
	int16_t int16;
	uint16_t uint16;
	int32_t int32;
	uint32_t uint32;
	int64_t int64;
	float single;
	double number;
	uint64_t bits;
} element;

/* Relaxed, all of them: see the top. */
static element load(const void *at, size_t size)
{
	element e = {.bits = 0};
	if (size == 1)
		e.uint8 = atomic_load_explicit((const _Atomic uint8_t *)at, memory_order_relaxed);
	else if (size == 2)
		e.uint16 = atomic_load_explicit((const _Atomic uint16_t *)at, memory_order_relaxed);
	else if (size == 4)
		e.uint32 = atomic_load_explicit((const _Atomic uint32_t *)at, memory_order_relaxed);
	else
		e.bits = atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_relaxed);
	return e;
}

static void store(void *at, size_t size, element e)
{
	if (size == 1)
		atomic_store_explicit((_Atomic uint8_t *)at, e.uint8, memory_order_relaxed);
	else if (size == 2)
		atomic_store_explicit((_Atomic uint16_t *)at, e.uint16, memory_order_relaxed);
	else if (size == 4)
		atomic_store_explicit((_Atomic uint32_t *)at, e.uint32, memory_order_relaxed);
	else
		atomic_store_explicit((_Atomic uint64_t *)at, e.bits, memory_order_relaxed);
}

/* Within the type's range. */
static void set_integer(element *e, enum iocp_element type, int64_t value)
{
	switch (type) {
	case IOCP_INT8:
	case IOCP_UINT8:
		e->uint8 = (uint8_t)value;
		break;
	case IOCP_INT16:
	case IOCP_UINT16:
		e->uint16 = (uint16_t)value;
		break;
	case IOCP_INT32:
	case IOCP_UINT32:
		e->uint32 = (uint32_t)value;
		break;
	default:
		e->int64 = value;
	}
}

static int64_t integer_of(enum iocp_element type, element e)
{
	switch (type) {
	case IOCP_INT8:
		return e.int8;
	case IOCP_UINT8:
		return e.uint8;
	case IOCP_INT16:
		return e.int16;
	case IOCP_UINT16:
		return e.uint16;
	case IOCP_INT32:
		return e.int32;
	case IOCP_UINT32:
		return e.uint32;
	default:
		return e.int64;
	}
}

/* Pushes an element. An int64 beyond 2^53 is rounded where Lua has no integers: an array is numbers, as the script's
** own. */
static void push_element(lua_State *L, enum iocp_element type, element e)
{
	if (type == IOCP_DOUBLE) {
		lua_pushnumber(L, (lua_Number)e.number);
	} else if (type == IOCP_FLOAT) {
		lua_pushnumber(L, (lua_Number)e.single);
	} else {
#if LUA_VERSION_NUM >= 503
		lua_pushinteger(L, integer_of(type, e));
#else
		lua_pushnumber(L, (lua_Number)integer_of(type, e));
#endif
	}
}

static const struct {
	int64_t least, most;
} ranges[] = {
	{INT8_MIN, INT8_MAX},
	{0, UINT8_MAX},
	{INT16_MIN, INT16_MAX},
	{0, UINT16_MAX},
	{INT32_MIN, INT32_MAX},
	{0, UINT32_MAX},
	{INT64_MIN, INT64_MAX},
};

/* The integer at `index`; 0: it is none, or none that is exact. */
static int to_integer(lua_State *L, int index, int64_t *value)
{
	const lua_Number most = 9007199254740991.0;
	lua_Number number;
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, index)) {
		*value = lua_tointeger(L, index);
		return 1;
	}
#endif
	number = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : HUGE_VAL;
	if (!(number >= -most && number <= most) || number != floor(number))
		return 0;
	*value = (int64_t)number;
	return 1;
}

/* The number at `index` as an element; raises for what is none, about the argument `argument`. */
static element check_element(lua_State *L, int index, int argument, enum iocp_element type)
{
	element e = {.bits = 0};
	int64_t value = 0;
	if (type >= IOCP_FLOAT) {
		if (lua_type(L, index) != LUA_TNUMBER)
			iocp_bad_argument(L, argument, "value", "a number, or numbers");
		if (type == IOCP_DOUBLE)
			e.number = (double)lua_tonumber(L, index);
		else
			e.single = (float)lua_tonumber(L, index);
	} else if (!to_integer(L, index, &value) || value < ranges[type].least || value > ranges[type].most) {
		char expected[80];
		snprintf(
			expected, sizeof(expected), "integers from %" PRId64 " to %" PRId64, ranges[type].least, ranges[type].most);
		iocp_bad_argument(L, argument, "value", expected);
	}
	if (type < IOCP_FLOAT)
		set_integer(&e, type, value);
	return e;
}

/* An index from 1 to `most`, or nil: `otherwise`. */
static size_t check_index(lua_State *L, int index, const char *name, size_t most, size_t otherwise)
{
	uint64_t value = otherwise;
	char expected[64];
	if (otherwise && lua_isnoneornil(L, index))
		return otherwise;
	if (!iocp_to_integer(L, index, most, &value) || value == 0) {
		snprintf(expected, sizeof(expected), "an integer from 1 to %zu", most);
		iocp_bad_argument(L, index, name, expected);
	}
	return (size_t)value;
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

/* Where element `index`, from 1 on, lies. */
static char *at(iocp_array *array, size_t index)
{
	return (char *)iocp_array_data(array) + (index - 1) * iocp_element_size(iocp_array_type(array));
}

static int method_get(lua_State *L)
{
	iocp_array *array = check_array(L);
	enum iocp_element type = iocp_array_type(array);
	size_t index = check_index(L, 2, "index", iocp_array_count(array), 0);
	push_element(L, type, load(at(array, index), iocp_element_size(type)));
	return 1;
}

static int method_set(lua_State *L)
{
	iocp_array *array = check_array(L);
	enum iocp_element type = iocp_array_type(array);
	size_t index = check_index(L, 2, "index", iocp_array_count(array), 0);
	store(at(array, index), iocp_element_size(type), check_element(L, 3, 3, type));
	lua_pushboolean(L, 1);
	return 1;
}

static int method_fill(lua_State *L)
{
	iocp_array *array = check_array(L);
	enum iocp_element type = iocp_array_type(array);
	element e = check_element(L, 2, 2, type);
	size_t count = iocp_array_count(array), first = check_index(L, 3, "first", count, 1);
	size_t last = check_index(L, 4, "last", count, count), size = iocp_element_size(type);
	for (; first <= last; first++)
		store(at(array, first), size, e);
	lua_pushboolean(L, 1);
	return 1;
}

/* How many elements first..last are, that are to go from `to` on; raises if they do not fit. */
static size_t check_room(lua_State *L, size_t first, size_t last, size_t to, size_t room)
{
	size_t count = first <= last ? last - first + 1 : 0;
	if (count > room - to + 1)
		iocp_argument_error(L, 5, "to: there is no room for so many elements behind it");
	return count;
}

static void copy_list(lua_State *L, iocp_array *array, size_t first, size_t last, size_t to)
{
	enum iocp_element type = iocp_array_type(array);
	for (; first <= last; first++, to++) {
		lua_rawgeti(L, 2, (int)first);
		store(at(array, to), iocp_element_size(type), check_element(L, lua_gettop(L), 2, type));
		lua_pop(L, 1);
	}
}

/* copy(from [, first [, last [, to]]]) */
static int method_copy(lua_State *L)
{
	iocp_array *array = check_array(L), *from = NULL;
	size_t count = iocp_array_count(array), length, first, last, to;
	int is_list = lua_istable(L, 2);
	lua_settop(L, 5);
	if (!is_list) {
		enum iocp_class c;
		from = iocp_object_test(L, 2, &c);
		if (!from || c != IOCP_CLASS_ARRAY || iocp_array_type(from) != iocp_array_type(array))
			return iocp_bad_argument(L, 2, "from", "an array of the same type, or a list");
	}
	length = is_list ? lua_rawlen(L, 2) : iocp_array_count(from);
	first = check_index(L, 3, "first", length ? length : 1, 1);
	last = lua_isnil(L, 4) ? length : check_index(L, 4, "last", length, 0);
	to = check_index(L, 5, "to", count, 1);
	length = check_room(L, first, last, to, count);
	if (is_list)
		copy_list(L, array, first, last, to);
	else
		memmove(at(array, to), at(from, first), length * iocp_element_size(iocp_array_type(array)));
	lua_pushboolean(L, 1);
	return 1;
}

/* list([first [, last]]) */
static int method_list(lua_State *L)
{
	iocp_array *array = check_array(L);
	enum iocp_element type = iocp_array_type(array);
	size_t count = iocp_array_count(array), first = check_index(L, 2, "first", count, 1);
	size_t last = check_index(L, 3, "last", count, count);
	int n = 0;
	lua_createtable(L, first <= last ? (int)(last - first + 1) : 0, 0);
	for (; first <= last; first++) {
		push_element(L, type, load(at(array, first), iocp_element_size(type)));
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

static int method_type(lua_State *L)
{
	lua_pushstring(L, iocp_element_name((int)iocp_array_type(check_array(L))));
	return 1;
}

static int length(lua_State *L)
{
	iocp_push_count(L, iocp_array_count(check_array(L)));
	return 1;
}

static int to_string(lua_State *L)
{
	char detail[48];
	enum iocp_class c;
	iocp_array *array = iocp_object_test(L, 1, &c);
	if (!array || c != IOCP_CLASS_ARRAY)
		return iocp_object_to_string(L, NULL);
	snprintf(
		detail, sizeof(detail), "%zu of %s", iocp_array_count(array), iocp_element_name((int)iocp_array_type(array)));
	return iocp_object_to_string(L, detail);
}

static enum iocp_element check_type(lua_State *L)
{
	const char *name = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
	int type;
	for (type = 0; iocp_element_name(type); type++)
		if (strcmp(iocp_element_name(type), name) == 0)
			return (enum iocp_element)type;
	return (enum iocp_element)iocp_bad_argument(L, 1, "type",
		"\"double\", \"float\", \"int8\", \"uint8\", \"int16\", \"uint16\", \"int32\", \"uint32\" or \"int64\"");
}

static int create(lua_State *L)
{
	enum iocp_element type = check_type(L);
	size_t count = check_index(L, 2, "n", 0x7fffffff, 0);
	iocp_array *array;
	int r;
	iocp_object_push(L, IOCP_CLASS_ARRAY);
	r = iocp_array_create(type, count, &array);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, array);
	return 1;
}

/* __index of the methods: what is none of them is nil, as elsewhere, but who reads a number takes it for a table. */
static int no_field(lua_State *L)
{
	if (lua_type(L, 2) != LUA_TNUMBER)
		return 0;
	lua_pushvalue(L, 2);
	return luaL_error(L, "iocp.Array has no field %s; its method get, or view(), reads elements", lua_tostring(L, -1));
}

void iocp_lua_open_array(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__len", length}, {"__tostring", to_string}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"get", method_get},
		{"set", method_set},
		{"fill", method_fill},
		{"copy", method_copy},
		{"list", method_list},
		{"type", method_type},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_ARRAY, methods, metamethods);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, no_field);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
}

void iocp_lua_push_array(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_ARRAY, "Array", create, NULL);
}

void iocp_view_add_method(lua_State *L)
{
	static const luaL_Reg parts[] = {{NULL, NULL}};
	iocp_class_complete(L, "iocp.array", parts);
}
