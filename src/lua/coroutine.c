/*
** coroutine.c - coroutines that cancel("hard") reaches.
**
** A hook belongs to one coroutine, but on LuaJIT, where it belongs to the state. So in the states of threads
** resume, wrap and close of the coroutine library are ours: they do the same, and tell the interrupt which
** coroutine runs. One that C code of others resumes is not followed: the error is raised when it gives way.
**
** What is followed lives: who resumes it has it on the stack, or as an upvalue.
*/

#include "lua/binding.h"

enum { RUNNING = 1, LIBRARYS = 2, COROUTINE = 3 }; /* upvalues; the second is the library's own close, or create */

static iocp_running *running_of(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(RUNNING));
}

static int resume(lua_State *L)
{
	lua_State *co = iocp_check_coroutine(L, 1);
	int count = iocp_resume(L, co, lua_gettop(L) - 1, running_of(L));
	lua_pushboolean(L, count >= 0);
	count = count < 0 ? 1 : count;
	lua_insert(L, -(count + 1));
	return count + 1;
}

/* Raises the error at the top, before which is to stand where the running function was called. */
static int raise_where(lua_State *L)
{
	luaL_where(L, 1);
	lua_insert(L, -2);
	lua_concat(L, 2);
	return lua_error(L);
}

/* Runs what the coroutine at 1 is to close. Without one, from Lua 5.5 on, the running one ends, which leaves this. */
static int close_followed(lua_State *L)
{
	lua_State *co = LUA_VERSION_NUM >= 505 && lua_isnone(L, 1) ? L : iocp_check_coroutine(L, 1), *before = NULL;
	int status;
	lua_pushvalue(L, lua_upvalueindex(LIBRARYS));
	lua_insert(L, 1);
	if (co != L)
		before = iocp_running_follow(running_of(L), co);
	status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
	iocp_running_go_back(running_of(L), before);
	if (status == 0)
		return lua_gettop(L);
	return status == LUA_ERRRUN && lua_type(L, -1) == LUA_TSTRING ? raise_where(L) : lua_error(L);
}

/* What wrap returns. */
static int run_wrapped(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(COROUTINE));
	int count = iocp_resume(L, co, lua_gettop(L), running_of(L)), status = lua_status(co);
	if (count >= 0)
		return count;
	if (status > LUA_YIELD && !lua_isnil(L, lua_upvalueindex(LIBRARYS))) {
		/* It has failed, and what it is to close may change the error. */
		lua_xmove(L, co, 1);
		lua_pushvalue(L, lua_upvalueindex(LIBRARYS));
		lua_pushvalue(L, lua_upvalueindex(COROUTINE));
		lua_call(L, 1, 2);
	}
	return iocp_error_is_text(L, status) ? raise_where(L) : lua_error(L);
}

/* Upvalue 2: the library's create; 3: our close, or nil. */
static int wrap(lua_State *L)
{
	iocp_check_body(L, 1);
	lua_pushvalue(L, lua_upvalueindex(LIBRARYS));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	lua_pushvalue(L, lua_upvalueindex(RUNNING));
	lua_pushvalue(L, lua_upvalueindex(COROUTINE));
	lua_pushvalue(L, -3);
	lua_pushcclosure(L, run_wrapped, 3);
	return 1;
}

/* The library is at the top. Puts ours in the place of its close, and leaves ours, or nil, at the top. */
static void replace_close(lua_State *L, iocp_running *running)
{
	lua_pushlightuserdata(L, running);
	lua_getfield(L, -2, "close");
	if (lua_isnil(L, -1)) { /* before Lua 5.4 */
		lua_remove(L, -2);
		return;
	}
	lua_pushcclosure(L, close_followed, 2);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "close");
}

void iocp_coroutines_follow(lua_State *L, iocp_running *running)
{
	int library = lua_gettop(L) + 2;
	lua_getglobal(L, "jit");
	lua_getglobal(L, "coroutine");
	if (lua_isnil(L, -2)) {
		lua_getfield(L, library, "resume");
		lua_setfield(L, LUA_REGISTRYINDEX, IOCP_RESUME);
		lua_pushlightuserdata(L, running);
		lua_pushcclosure(L, resume, 1);
		lua_setfield(L, library, "resume");
		replace_close(L, running);
		lua_pushlightuserdata(L, running);
		lua_getfield(L, library, "create");
		lua_pushvalue(L, -3);
		lua_pushcclosure(L, wrap, 3);
		lua_setfield(L, library, "wrap");
	}
	lua_settop(L, library - 2);
}
