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

/* As iocp_resume. */
static int resume_followed(lua_State *L, lua_State *co, int count)
{
	iocp_running *running = lua_touserdata(L, lua_upvalueindex(RUNNING));
	int follows = iocp_running_follow(running, co);
	count = iocp_resume(L, co, count);
	if (follows)
		(void)iocp_running_follow(running, L);
	return count;
}

static int resume(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);
	int count;
	luaL_argcheck(L, co, 1, "coroutine expected");
	count = resume_followed(L, co, lua_gettop(L) - 1);
	lua_pushboolean(L, count >= 0);
	count = count < 0 ? 1 : count;
	lua_insert(L, -(count + 1));
	return count + 1;
}

/* Runs what the coroutine at 1 is to close. */
static int close_followed(lua_State *L)
{
	iocp_running *running = lua_touserdata(L, lua_upvalueindex(RUNNING));
	lua_State *co = lua_tothread(L, 1);
	int status, follows = co && co != L && iocp_running_follow(running, co);
	lua_pushvalue(L, lua_upvalueindex(LIBRARYS));
	lua_insert(L, 1);
	status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
	if (follows)
		(void)iocp_running_follow(running, L);
	return status == 0 ? lua_gettop(L) : lua_error(L);
}

/* What wrap returns. */
static int run_wrapped(lua_State *L)
{
	lua_State *co = lua_tothread(L, lua_upvalueindex(COROUTINE));
	int count = resume_followed(L, co, lua_gettop(L));
	if (count >= 0)
		return count;
	if (lua_status(co) > LUA_YIELD && !lua_isnil(L, lua_upvalueindex(LIBRARYS))) {
		/* It has failed, and what it is to close may change the error. */
		lua_xmove(L, co, 1);
		lua_pushvalue(L, lua_upvalueindex(LIBRARYS));
		lua_pushvalue(L, lua_upvalueindex(COROUTINE));
		lua_call(L, 1, 2);
	}
	if (lua_type(L, -1) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

/* Upvalue 2: the library's create; 3: our close, or nil. */
static int wrap(lua_State *L)
{
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
