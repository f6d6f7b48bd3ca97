/*
** outcome.c - what came of a function that ran in a thread or task, as values for other states: results, or a message
** with its traceback and the error value.
*/

#include <string.h>

#include "lua/value.h"

int iocp_outcome_explain(lua_State *L)
{
	lua_settop(L, 1);
	lua_createtable(L, 2, 0);
	iocp_push_text(L, 1);
	if (!strstr(
			lua_tostring(L, -1), "\nstack traceback:")) /* it may have been raised anew, with the one that matters */
		iocp_push_traceback(L, lua_tostring(L, -1), 1);
	lua_rawseti(L, 2, 1);
	lua_pushvalue(L, 1);
	lua_rawseti(L, 2, 2);
	lua_settop(L, 2);
	return 1;
}

void iocp_outcome_keep(lua_State *L, const iocp_encoding *encoding, iocp_values *values)
{
	if (iocp_values_copy(L, encoding, values) != IOCP_OK)
		luaL_error(L, "cannot send %s: out of memory", encoding->what);
}

typedef struct target {
	iocp_values *values;
	const void *owner;
} target;

/* At 1 the target, at 2 the message, perhaps at 3 the error value: keeps what there is. */
static int keep_values(lua_State *L)
{
	const target *to = lua_touserdata(L, 1);
	iocp_encoding encoding = {.first = 2, .count = lua_gettop(L) - 1, .what = "error", .owner = to->owner};
	iocp_outcome_keep(L, &encoding, to->values);
	return 0;
}

void iocp_outcome_keep_failure(lua_State *L, iocp_values *values, const void *owner)
{
	int error = lua_gettop(L);
	target *to = lua_newuserdata(L, sizeof(*to));
	to->values = values;
	to->owner = owner;
	if (lua_istable(L, error)) {
		lua_rawgeti(L, error, 1);
		lua_pushcfunction(L, keep_values);
		lua_pushvalue(L, error + 1);
		lua_pushvalue(L, error + 2);
		lua_rawgeti(L, error, 2);
		if (lua_pcall(L, 3, 0, 0) == 0)
			return;
		lua_settop(L, error + 2); /* a value that does not cross: its text has to do */
	} else {
		iocp_push_text(L, error);
	}
	lua_pushcfunction(L, keep_values);
	lua_pushvalue(L, error + 1);
	lua_pushvalue(L, error + 2);
	lua_call(L, 2, 0);
}

int iocp_outcome_push_failure(lua_State *L, int code, const iocp_values *failure)
{
	int first = lua_gettop(L) + 1, count;
	if (!failure || !failure->block)
		return iocp_failure(L, IOCP_NOMEM, "out of memory: a Lua state could not be made, or not tell its error");
	count = iocp_values_push(L, failure);
	/* If the error value is none that this state knows, the message says so, and that will have to do. */
	iocp_failure(L, code, lua_tostring(L, first));
	if (count < 2)
		return 3;
	lua_pushvalue(L, first + 1);
	return 4;
}
