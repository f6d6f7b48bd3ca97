/*
** atomic.c - iocp.Atomic.
**
** Where Lua has no integers, every value that comes in or goes out lies within +-(2^53 - 1): beyond, a number stands
** for more than one integer. Only a C host can put others there, which are refused, not rounded.
*/

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "lua/binding.h"

#if LUA_VERSION_NUM >= 503
#define HAS_INTEGERS 1
#define LIMIT INT64_MAX
#define EXPECTED "an integer"
#else
#define HAS_INTEGERS 0
#define LIMIT INT64_C(9007199254740991)
#define EXPECTED "an integer from -(2^53-1) to 2^53-1"
#endif

static iocp_atomic *check_atomic(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_ATOMIC, "self");
}

static int64_t check_value(lua_State *L, int index, const char *name)
{
	const lua_Number most = 9007199254740991.0;
	lua_Number number;
#if LUA_VERSION_NUM >= 503
	if (lua_isinteger(L, index))
		return lua_tointeger(L, index);
#endif
	number = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : HUGE_VAL;
	if (!(number >= -most && number <= most) || number != floor(number))
		iocp_bad_argument(L, index, name, EXPECTED);
	return (int64_t)number;
}

static int push_value(lua_State *L, int64_t value)
{
	if (!HAS_INTEGERS && (value < -LIMIT || value > LIMIT))
		return iocp_failure(L, IOCP_INVALID, "the value lies beyond 2^53, where no number of this Lua is exact");
#if LUA_VERSION_NUM >= 503
	lua_pushinteger(L, value);
#else
	lua_pushnumber(L, (lua_Number)value);
#endif
	return 1;
}

static int method_get(lua_State *L)
{
	return push_value(L, iocp_atomic_get(check_atomic(L)));
}

static int method_set(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	iocp_atomic_set(atomic, check_value(L, 2, "value"));
	lua_pushboolean(L, 1);
	return 1;
}

static int add(lua_State *L, iocp_atomic *atomic, int64_t by)
{
	int64_t value = HAS_INTEGERS ? iocp_atomic_add(atomic, by) : iocp_atomic_add_within(atomic, by, LIMIT);
	if (!HAS_INTEGERS && value == INT64_MIN)
		return iocp_failure(L, IOCP_INVALID,
			"the sum would lie beyond 2^53, where no number of this Lua is exact: the value is what it was");
	return push_value(L, value);
}

static int method_add(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	return add(L, atomic, check_value(L, 2, "by"));
}

static int method_sub(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	return add(L, atomic, (int64_t)(0 - (uint64_t)check_value(L, 2, "by"))); /* wraps, as Lua's integers do */
}

static int method_exchange(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	return push_value(L, iocp_atomic_exchange(atomic, check_value(L, 2, "value")));
}

static int method_compare_exchange(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	int64_t expected = check_value(L, 2, "expected");
	int done = iocp_atomic_compare_exchange(atomic, &expected, check_value(L, 3, "value"));
	lua_pushboolean(L, done);
	return 1 + push_value(L, expected);
}

static int method_max(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	return push_value(L, iocp_atomic_max(atomic, check_value(L, 2, "value")));
}

static int method_min(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	return push_value(L, iocp_atomic_min(atomic, check_value(L, 2, "value")));
}

static int wait_atomic(void *atomic, void *expected, double ms)
{
	return iocp_atomic_wait(atomic, *(const int64_t *)expected, ms);
}

static int method_wait(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	int64_t expected = check_value(L, 2, "expected");
	int r = iocp_wait_in_lua(L, wait_atomic, atomic, &expected, iocp_check_timeout(L, 3));
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int method_wake(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	iocp_push_count(L, iocp_atomic_wake(atomic, (uint32_t)iocp_opt_integer(L, 2, "n", UINT32_MAX, UINT32_MAX)));
	return 1;
}

static int method_notify(lua_State *L)
{
	iocp_atomic *atomic = check_atomic(L);
	iocp_packet packet;
	iocp_port *target;
	int64_t expected = check_value(L, 5, "expected");
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_atomic_notify(atomic, expected, target, packet.key, packet.overlapped, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static int method_to_string(lua_State *L)
{
	char detail[32];
	enum iocp_class c;
	const iocp_atomic *atomic = iocp_object_test(L, 1, &c);
	if (!atomic || c != IOCP_CLASS_ATOMIC)
		return iocp_object_to_string(L, NULL);
	snprintf(detail, sizeof(detail), "%" PRId64, iocp_atomic_get(atomic));
	return iocp_object_to_string(L, detail);
}

static int method_create(lua_State *L)
{
	int64_t initial = lua_isnoneornil(L, 1) ? 0 : check_value(L, 1, "initial");
	iocp_atomic *atomic;
	int r;
	iocp_object_push(L, IOCP_CLASS_ATOMIC);
	r = iocp_atomic_create(initial, &atomic);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, atomic);
	return 1;
}

void iocp_lua_open_atomic(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__tostring", method_to_string}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"get", method_get},
		{"set", method_set},
		{"add", method_add},
		{"sub", method_sub},
		{"exchange", method_exchange},
		{"compare_exchange", method_compare_exchange},
		{"max", method_max},
		{"min", method_min},
		{"wait", method_wait},
		{"wake", method_wake},
		{"notify", method_notify},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_ATOMIC, methods, metamethods);
}

void iocp_lua_push_atomic(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_ATOMIC, "Atomic", method_create, NULL);
}
