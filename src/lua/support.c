/*
** support.c - reading arguments and writing results, the same way for every function of the binding.
*/

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

#define DOTTED "iocp.dotted" /* registry key: a set of tables */

const char *iocp_type_name(lua_State *L, int index)
{
	const char *name = NULL;
	if (lua_type(L, index) == LUA_TUSERDATA && luaL_getmetafield(L, index, "__name")) {
		name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL; /* the metatable keeps it */
		lua_pop(L, 1);
	}
	if (name)
		return name;
	return lua_type(L, index) == LUA_TNONE ? "nothing" : luaL_typename(L, index);
}

void iocp_dotted_add(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, DOTTED);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, DOTTED);
	}
	lua_pushvalue(L, -2);
	lua_pushboolean(L, 1);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

int iocp_takes_dot(lua_State *L, int index)
{
	int takes;
	if (!lua_istable(L, index))
		return 0;
	lua_pushvalue(L, index);
	lua_getfield(L, LUA_REGISTRYINDEX, DOTTED);
	lua_insert(L, -2);
	lua_rawget(L, -2);
	takes = lua_toboolean(L, -1);
	lua_pop(L, 2);
	return takes;
}

/* What is wrong besides, if a colon stands where a dot should, or a dot where a colon should. */
static const char *advice(lua_State *L, int index, const char *name)
{
	if (strcmp(name, "self") == 0 && lua_type(L, index) != LUA_TUSERDATA)
		return "; methods are called with a colon: object:method(...)";
	return iocp_takes_dot(L, index) ? "; functions of iocp and its classes are called with a dot" : "";
}

const char *iocp_got(lua_State *L, int index)
{
	enum { SHOWN = 40 };
	const char *text;
	size_t length;
	switch (lua_type(L, index)) {
	case LUA_TNUMBER:
		lua_pushvalue(L, index); /* not converted in place */
		return lua_tostring(L, -1);
	case LUA_TSTRING:
		text = lua_tolstring(L, index, &length);
		lua_pushlstring(L, text, length > SHOWN ? SHOWN : length);
		lua_pushfstring(L, "string \"%s%s", lua_tostring(L, -1), length > SHOWN ? "\"..." : "\"");
		lua_remove(L, -2);
		return lua_tostring(L, -1);
	default:
		text = iocp_type_name(L, index);
		lua_pushnil(L);
		return text;
	}
}

const char *iocp_push_option(lua_State *L, int index)
{
	if (lua_type(L, index) == LUA_TSTRING)
		return lua_pushfstring(L, "'%s'", lua_tostring(L, index));
	lua_pushvalue(L, index); /* not converted in place */
	lua_pushfstring(L, "[%s]", lua_type(L, -1) == LUA_TNUMBER ? lua_tostring(L, -1) : luaL_typename(L, -1));
	lua_remove(L, -2);
	return lua_tostring(L, -1);
}

int iocp_refuse_text(lua_State *L, int index, const char *name, const char *instead)
{
	const char *got = iocp_got(L, index);
	return iocp_argument_error(
		L, index, lua_pushfstring(L, "%s: expected an address or integer, got %s; %s", name, got, instead));
}

int iocp_bad_argument(lua_State *L, int index, const char *name, const char *expected)
{
	const char *got = iocp_got(L, index);
	lua_pushfstring(L, "%s: expected %s, got %s%s", name, expected, got, advice(L, index, name));
	return iocp_argument_error(L, index, lua_tostring(L, -1));
}

int iocp_to_integer(lua_State *L, int index, uint64_t max, uint64_t *value)
{
	lua_Number number;
	if (lua_type(L, index) != LUA_TNUMBER)
		return 0;
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, index)) {
		lua_Integer integer = lua_tointeger(L, index);
		*value = (uint64_t)integer;
		return integer >= 0 && *value <= max;
	}
#endif
	/* Below 2^53 a double stands for one integer only; above, it may have been rounded before it came here. */
	number = lua_tonumber(L, index);
	if (!(number >= 0 && number < 9007199254740992.0) || number != floor(number))
		return 0;
	*value = (uint64_t)number;
	return *value <= max;
}

static uint64_t largest_integer(void)
{
#if LUA_VERSION_NUM >= 503
	return INT64_MAX;
#else
	return UINT64_C(9007199254740991);
#endif
}

uint64_t iocp_check_integer(lua_State *L, int index, const char *name, uint64_t max)
{
	uint64_t value = 0;
	if (max > largest_integer())
		max = largest_integer();
	if (!iocp_to_integer(L, index, max, &value)) {
		char expected[64];
		snprintf(expected, sizeof(expected), "an integer from 0 to %" PRIu64, max);
		iocp_bad_argument(L, index, name, expected);
	}
	return value;
}

uint64_t iocp_opt_integer(lua_State *L, int index, const char *name, uint64_t max, uint64_t otherwise)
{
	return lua_isnoneornil(L, index) ? otherwise : iocp_check_integer(L, index, name, max);
}

int iocp_to_address(lua_State *L, int index, uintptr_t *value)
{
	uint64_t integer = 0;
	int type = lua_type(L, index);
	if (type == IOCP_TCDATA) {
		iocp_cdata_convert(L, index);
	} else if (type == LUA_TLIGHTUSERDATA) {
		*value = (uintptr_t)lua_touserdata(L, index);
		return 1;
	}
	if (!iocp_to_integer(L, index, largest_integer(), &integer))
		return 0;
	*value = (uintptr_t)integer;
	return 1;
}

uintptr_t iocp_check_address(lua_State *L, int index, const char *name)
{
	uintptr_t value = 0;
	if (!iocp_to_address(L, index, &value)) {
		char expected[64];
		snprintf(expected, sizeof(expected), "an address or integer from 0 to %" PRIu64, largest_integer());
		iocp_bad_argument(L, index, name, expected);
	}
	return value;
}

uintptr_t iocp_opt_address(lua_State *L, int index, const char *name)
{
	return lua_isnoneornil(L, index) ? 0 : iocp_check_address(L, index, name);
}

static double check_ms(lua_State *L, int index, const char *expected)
{
	double ms = lua_type(L, index) == LUA_TNUMBER ? (double)lua_tonumber(L, index) : -1;
	if (!(ms >= 0))
		iocp_bad_argument(L, index, "ms", expected);
	return ms;
}

double iocp_check_ms(lua_State *L, int index)
{
	return check_ms(L, index, "milliseconds, a number from 0 on");
}

double iocp_check_timeout(lua_State *L, int index)
{
	if (lua_isnoneornil(L, index))
		return IOCP_INFINITE;
	return check_ms(L, index, "milliseconds, a number from 0 on, or nil for ever");
}

static iocp_handle parse_handle(const char *text, size_t length)
{
	char *end;
	uint64_t value;
	if (length < 3 || text[0] != '0' || (text[1] != 'x' && text[1] != 'X')
		|| !strchr("0123456789abcdefABCDEF", text[2]))
		return 0;
	value = strtoull(text + 2, &end, 16); /* too many digits give the largest number, which is nobody's handle */
	return end == text + length ? value : 0;
}

double iocp_check_delay(lua_State *L, int index, double least)
{
	char expected[64];
	double ms = lua_type(L, index) == LUA_TNUMBER ? (double)lua_tonumber(L, index) : -1;
	if (!(ms >= least && ms <= 1e15)) {
		snprintf(expected, sizeof(expected), "milliseconds, a number from %g to 1e15", least);
		iocp_bad_argument(L, index, "ms", expected);
	}
	return ms;
}

iocp_handle iocp_check_handle(lua_State *L, int index)
{
	uint64_t value = 0;
	if (lua_type(L, index) == IOCP_TCDATA)
		iocp_cdata_convert(L, index);
	switch (lua_type(L, index)) {
	case LUA_TSTRING: {
		size_t length;
		const char *text = lua_tolstring(L, index, &length);
		return parse_handle(text, length);
	}
	case LUA_TNUMBER:
		return iocp_to_integer(L, index, largest_integer(), &value) ? value : 0;
	case LUA_TLIGHTUSERDATA:
		return (iocp_handle)(uintptr_t)lua_touserdata(L, index);
	case IOCP_TCDATA:
		return 0;
	default:
		iocp_bad_argument(L, index, "handle", "a handle: a string or number that obj:handle() gave, or a pointer");
		return 0;
	}
}

void iocp_push_handle(lua_State *L, iocp_handle handle)
{
	char text[24];
	snprintf(text, sizeof(text), "0x%016" PRIx64, handle);
	lua_pushstring(L, text);
}

int iocp_push_address(lua_State *L, uintptr_t value)
{
	if (value > largest_integer())
		return 0;
#if LUA_VERSION_NUM >= 503
	lua_pushinteger(L, (lua_Integer)value);
#else
	lua_pushnumber(L, (lua_Number)value);
#endif
	return 1;
}

void iocp_push_count(lua_State *L, uint64_t value)
{
	if (!iocp_push_address(L, (uintptr_t)value))
		lua_pushnumber(L, (lua_Number)value);
}

void iocp_set_count(lua_State *L, const char *name, uint64_t value)
{
	iocp_push_count(L, value);
	lua_setfield(L, -2, name);
}
