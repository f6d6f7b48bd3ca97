/*
** value/outcome.c - what came of a function that ran in a thread or task, as values for other states: results, or a
** message with its traceback and the error value.
**
** Others than the pcall that a message handler was given to see what it returns: the load of a chunk that reads with a
** function, whatever loads with it, and in Lua 5.4 the __close metamethods on the way. So ours returns the value as it
** came, and keeps the traceback in its own upvalues beside the value that it is of. A handler belongs to a state.
*/

#include <string.h>

#include "lua/value/format.h"

enum { VALUE = 1, TRACEBACK, COMPOSE }; /* upvalues of the handler */

/* Called by the handler, which was called by what raised. */
static int compose(lua_State *L)
{
	iocp_push_traceback(L, 2);
	return 1;
}

/* Nothing of a script's is called here but what may stand for debug.traceback, and that protected: what goes wrong in a
** handler takes the error's place. */
static int handle(lua_State *L)
{
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(COMPOSE));
	if (lua_pcall(L, 0, 1, 0) != 0) {
		lua_pop(L, 1);
		lua_pushnil(L);
	}
	lua_replace(L, lua_upvalueindex(TRACEBACK));
	lua_pushvalue(L, 1);
	lua_replace(L, lua_upvalueindex(VALUE));
	return 1;
}

void iocp_outcome_push_handler(lua_State *L)
{
	lua_pushnil(L);
	lua_pushnil(L);
	lua_pushcfunction(L, compose);
	lua_pushcclosure(L, handle, COMPOSE);
}

/* Equal, or both of them no number. */
static int is_same(lua_State *L, int a, int b)
{
	return lua_rawequal(L, a, b) || !(lua_rawequal(L, a, a) || lua_rawequal(L, b, b));
}

void iocp_outcome_push_message(lua_State *L, int handler, int status)
{
	int value = lua_gettop(L);
	iocp_push_text(L, value);
	(void)lua_getupvalue(L, handler, TRACEBACK);
	(void)lua_getupvalue(L, handler, VALUE);
	/* A text may have the traceback of where it was raised first, which is the one that matters. */
	if (status == LUA_ERRRUN && lua_type(L, value + 2) == LUA_TSTRING && is_same(L, value, value + 3)
		&& !strstr(lua_tostring(L, value + 1), "\nstack traceback:")) {
		lua_pop(L, 1);
		lua_concat(L, 2);
	}
	lua_settop(L, value + 1);
	lua_pushnil(L);
	(void)lua_setupvalue(L, handler, TRACEBACK);
	lua_pushnil(L);
	(void)lua_setupvalue(L, handler, VALUE);
}

/* Whether `part` stands in the text before `end`. */
static int has(const char *text, const char *end, const char *part)
{
	const char *at = strstr(text, part);
	return at && at < end;
}

void iocp_outcome_advise(lua_State *L, const char *lost)
{
	size_t length;
	const char *text = lua_tolstring(L, -1, &length), *end = strstr(text, "\nstack traceback:");
	int message = lua_gettop(L);
	if (!end)
		end = text + length;
	if (!has(text, end, "attempt to "))
		return;
	if (has(text, end, "global '") && has(text, end, "a nil value"))
		lua_pushliteral(L, "; globals do not cross: pass it as an argument or an upvalue, or require it there");
	else if (lost)
		lua_pushfstring(L, "; %s has lost its metatable on the way: iocp.register it, here and there", lost);
	else
		return;
	lua_pushlstring(L, text, (size_t)(end - text));
	lua_insert(L, -2);
	lua_pushlstring(L, end, length - (size_t)(end - text));
	lua_concat(L, 3);
	lua_replace(L, message);
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
	int message = lua_gettop(L), value = message - 1;
	target *to = lua_newuserdata(L, sizeof(*to));
	to->values = values;
	to->owner = owner;
	lua_pushcfunction(L, keep_values);
	lua_pushvalue(L, message + 1);
	lua_pushvalue(L, message);
	lua_pushvalue(L, value);
	if (lua_pcall(L, 3, 0, 0) != 0) { /* a value that does not cross: its text has to do */
		lua_pop(L, 1);
		lua_pushcfunction(L, keep_values);
		lua_pushvalue(L, message + 1);
		lua_pushvalue(L, message);
		lua_call(L, 2, 0);
	}
	lua_settop(L, message);
}

int iocp_outcome_push_failure(lua_State *L, int code, const iocp_values *failure)
{
	int first = lua_gettop(L) + 1, count;
	if (!failure || !failure->block)
		return iocp_failure(L, IOCP_NOMEM, "out of memory: a Lua state could not be made, or not tell its error");
	count = iocp_values_push(L, failure);
	iocp_unobserved_see(iocp_unobserved_of(failure));
	/* If the error value is none that this state knows, the message says so, and that will have to do. */
	iocp_failure(L, code, lua_tostring(L, first));
	if (count < 2)
		return 3;
	lua_pushvalue(L, first + 1);
	return 4;
}
