/*
** value.c - values across states: a copy in C memory that belongs to no Lua state.
**
** Nil, booleans, numbers (integers stay integers), strings, and ports, heaps and threads, of which the copy holds a
** reference each. Copying measures first and then writes, so that no Lua error can come while there is something to lose.
*/

#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

typedef struct value {
	enum { NIL, FALSE_, TRUE_, NUMBER, INTEGER, STRING, OBJECT } kind;
	union {
		lua_Number number;
		lua_Integer integer;
		struct {
			const char *bytes; /* in the same block of memory */
			size_t length;
		} string;
		struct {
			void *address;
			enum iocp_class class;
		} object;
	} as;
} value;

struct iocp_values {
	int count;
	const void *owner;
	value values[];
};

/* 0: this type does not cross. */
static int measure(lua_State *L, int index, size_t *bytes)
{
	enum iocp_class class;
	size_t length;
	switch (lua_type(L, index)) {
	case LUA_TNIL:
	case LUA_TBOOLEAN:
	case LUA_TNUMBER:
		return 1;
	case LUA_TSTRING:
		(void)lua_tolstring(L, index, &length);
		*bytes += length;
		return 1;
	default:
		return iocp_object_test(L, index, &class) != NULL;
	}
}

static void write_number(lua_State *L, int index, value *v)
{
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, index)) {
		v->kind = INTEGER;
		v->as.integer = lua_tointeger(L, index);
		return;
	}
#endif
	v->kind = NUMBER;
	v->as.number = lua_tonumber(L, index);
}

/* Writes what measure accepted; `bytes` is where a string's go. Returns where the next one's go. */
static char *write_value(lua_State *L, int index, value *v, char *bytes, const void *owner)
{
	switch (lua_type(L, index)) {
	case LUA_TNIL:
		v->kind = NIL;
		break;
	case LUA_TBOOLEAN:
		v->kind = lua_toboolean(L, index) ? TRUE_ : FALSE_;
		break;
	case LUA_TNUMBER:
		write_number(L, index, v);
		break;
	case LUA_TSTRING: {
		const char *from = lua_tolstring(L, index, &v->as.string.length);
		v->kind = STRING;
		v->as.string.bytes = memcpy(bytes, from, v->as.string.length);
		bytes += v->as.string.length;
		break;
	}
	default:
		v->kind = OBJECT;
		v->as.object.address = iocp_object_test(L, index, &v->as.object.class);
		if (v->as.object.address != owner)
			iocp_object_retain_any(v->as.object.address, v->as.object.class);
		break;
	}
	return bytes;
}

iocp_values *iocp_values_copy(lua_State *L, int first, int count, const char *what, const void *owner)
{
	size_t bytes = 0, fixed = sizeof(iocp_values) + (size_t)count * sizeof(value);
	iocp_values *values;
	char *at;
	int i;
	for (i = 0; i < count; i++) {
		if (!measure(L, first + i, &bytes)) {
			lua_pushfstring(L, "cannot send %s %d: %s", what, i + 1, luaL_typename(L, first + i));
			return NULL;
		}
	}
	values = malloc(fixed + bytes);
	if (!values) {
		lua_pushfstring(L, "cannot send %s: out of memory", what);
		return NULL;
	}
	values->count = count;
	values->owner = owner;
	at = (char *)values + fixed;
	for (i = 0; i < count; i++)
		at = write_value(L, first + i, &values->values[i], at, owner);
	return values;
}

static void push_value(lua_State *L, const value *v)
{
	switch (v->kind) {
	case NIL:
		lua_pushnil(L);
		break;
	case FALSE_:
	case TRUE_:
		lua_pushboolean(L, v->kind == TRUE_);
		break;
	case NUMBER:
		lua_pushnumber(L, v->as.number);
		break;
	case INTEGER:
		lua_pushinteger(L, v->as.integer);
		break;
	case STRING:
		lua_pushlstring(L, v->as.string.bytes, v->as.string.length);
		break;
	case OBJECT:
		iocp_object_push(L, v->as.object.class);
		iocp_object_retain_any(v->as.object.address, v->as.object.class);
		iocp_object_set(L, v->as.object.address);
		break;
	}
}

int iocp_values_push(lua_State *L, const iocp_values *values)
{
	int i;
	luaL_checkstack(L, values->count + 8, "too many values"); /* 8: for what pushing one needs */
	for (i = 0; i < values->count; i++)
		push_value(L, &values->values[i]);
	return values->count;
}

void iocp_values_free(iocp_values *values)
{
	int i;
	if (!values)
		return;
	for (i = 0; i < values->count; i++) {
		const value *v = &values->values[i];
		if (v->kind == OBJECT && v->as.object.address != values->owner)
			iocp_object_release_any(v->as.object.address, v->as.object.class);
	}
	free(values);
}
