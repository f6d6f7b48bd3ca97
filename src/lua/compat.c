/*
** compat.c - what LuaJIT and Lua 5.1 to 5.5 do differently, in one place. Owns no state.
*/

#include <string.h>

#include "lua/binding.h"
#include "lualib.h"

void iocp_set_functions(lua_State *L, const luaL_Reg *functions, int upvalues)
{
	for (; functions->name; functions++) {
		int i;
		for (i = 0; i < upvalues; i++)
			lua_pushvalue(L, -upvalues);
		lua_pushcclosure(L, functions->func, upvalues);
		lua_setfield(L, -(upvalues + 2), functions->name);
	}
	lua_pop(L, upvalues);
}

void iocp_new_table(lua_State *L, const luaL_Reg *functions, int others)
{
	int count = others;
	const luaL_Reg *f;
	for (f = functions; f->name; f++)
		count++;
	lua_createtable(L, 0, count);
	iocp_set_functions(L, functions, 0);
}

void iocp_push_traceback(lua_State *L, int level)
{
#if LUA_VERSION_NUM < 502
	/* A module built for 5.1 serves Lua and LuaJIT, and only one of them has luaL_traceback. */
	lua_getglobal(L, "debug");
	if (lua_istable(L, -1))
		lua_getfield(L, -1, "traceback");
	lua_pushliteral(L, "");
	if (lua_isfunction(L, -2)) { /* else the script took it away */
		lua_pushinteger(L, level + 1);
		lua_call(L, 2, 1);
	}
#else
	luaL_traceback(L, L, "", level);
#endif
}

static int call_tostring(lua_State *L)
{
	return luaL_callmeta(L, 1, "__tostring");
}

void iocp_push_text(lua_State *L, int index)
{
	if (lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER) {
		lua_pushvalue(L, index);
		lua_tostring(L, -1);
		return;
	}
	lua_pushcfunction(L, call_tostring);
	lua_pushvalue(L, index);
	if (lua_pcall(L, 1, 1, 0) != 0 || !lua_isstring(L, -1)) {
		lua_pop(L, 1);
		lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, index));
	}
}

int iocp_load_text(lua_State *L, const char *text, size_t length, const char *name)
{
#if LUA_VERSION_NUM >= 502
	return luaL_loadbufferx(L, text, length, name, "t");
#else
	if (length > 0 && text[0] == LUA_SIGNATURE[0]) {
		lua_pushliteral(L, "attempt to load a binary chunk (mode is 't')");
		return LUA_ERRSYNTAX;
	}
	return luaL_loadbuffer(L, text, length, name);
#endif
}

int iocp_protect(lua_State *L, lua_CFunction f, void *data)
{
#if LUA_VERSION_NUM < 502
	return lua_cpcall(L, f, data); /* pushing a C function allocates here */
#else
	lua_pushcfunction(L, f);
	lua_pushlightuserdata(L, data);
	return lua_pcall(L, 1, 0, 0);
#endif
}

int iocp_dump(lua_State *L, lua_Writer writer, void *data)
{
#if LUA_VERSION_NUM >= 503
	return lua_dump(L, writer, data, 0);
#else
	return lua_dump(L, writer, data);
#endif
}

typedef struct code {
	char *to;
	size_t size, room; /* what came, and what there is for it */
} code;

/* May not touch the stack, which is not the caller's in the middle of LuaJIT's lua_dump. */
static int append(lua_State *L, const void *bytes, size_t size, void *data)
{
	code *c = data;
	(void)L;
	if (size > 0 && c->size + size <= c->room) /* Lua 5.5 ends with NULL, 0 */
		memcpy(c->to + c->size, bytes, size);
	c->size += size;
	return 0;
}

void iocp_dump_push(lua_State *L)
{
	char few[4096];
	code c = {few, 0, sizeof(few)};
	int function = lua_gettop(L), r = iocp_dump(L, append, &c);
	if (r == 0 && c.size > c.room) { /* once more, now that the size is known */
		c = (code){lua_newuserdata(L, c.size), 0, c.size};
		lua_pushvalue(L, function);
		r = iocp_dump(L, append, &c);
	}
	if (r != 0)
		luaL_error(L, "out of memory");
	lua_pushlstring(L, c.to, c.size);
	lua_insert(L, function + 1);
	lua_settop(L, function + 1);
}

#if LUA_VERSION_NUM < 502
/* By the library's own, where each coroutine goes on counting C calls where its caller is: the function for that is not
** in LuaJIT. */
int iocp_resume(lua_State *L, lua_State *co, int count, iocp_running *running)
{
	int first = lua_gettop(L) - count + 1, status;
	lua_State *before;
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_RESUME);
	lua_insert(L, first);
	lua_pushthread(co);
	lua_xmove(co, L, 1);
	lua_insert(L, first + 1);
	before = iocp_running_follow(running, co);
	status = lua_pcall(L, count + 1, LUA_MULTRET, 0);
	iocp_running_go_back(running, before);
	if (status != 0)
		return -1;
	status = lua_toboolean(L, first);
	lua_remove(L, first);
	return status ? lua_gettop(L) - first + 1 : -1;
}
#else
/* Runs it; nothing here raises. A status; *count is the number of results then. */
static int run_coroutine(lua_State *L, lua_State *co, int *count, iocp_running *running)
{
	lua_State *before = iocp_running_follow(running, co);
#if LUA_VERSION_NUM >= 504
	int status = lua_resume(co, L, *count, count);
#else
	int status = lua_resume(co, L, *count);
	*count = lua_gettop(co);
#endif
	iocp_running_go_back(running, before);
	return status;
}

/* Whether it has ended, and what runs it does not say so itself. */
static int is_dead(lua_State *co)
{
	return LUA_VERSION_NUM < 504 && lua_status(co) == 0 && lua_gettop(co) == 0;
}

static int refused(lua_State *L, const char *why)
{
	lua_pushstring(L, why);
	return -1;
}

int iocp_resume(lua_State *L, lua_State *co, int count, iocp_running *running)
{
	int status;
	if (is_dead(co))
		return refused(L, "cannot resume dead coroutine");
	if (!lua_checkstack(co, count))
		return refused(L, "too many arguments to resume");
	lua_xmove(L, co, count);
	status = run_coroutine(L, co, &count, running);
	if (status != 0 && status != LUA_YIELD) {
		lua_xmove(co, L, 1);
		return -1;
	}
	if (!lua_checkstack(L, count + 1)) {
		lua_pop(co, count);
		return refused(L, "too many results to resume");
	}
	lua_xmove(co, L, count);
	return count;
}
#endif

lua_State *iocp_check_coroutine(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 504
	luaL_checktype(L, index, LUA_TTHREAD);
#else
	luaL_argcheck(L, lua_isthread(L, index), index, LUA_VERSION_NUM == 503 ? "thread expected" : "coroutine expected");
#endif
	return lua_tothread(L, index);
}

void iocp_check_body(lua_State *L, int index)
{
#if LUA_VERSION_NUM >= 502
	luaL_checktype(L, index, LUA_TFUNCTION);
#else
	luaL_argcheck(L, lua_isfunction(L, index) && !lua_iscfunction(L, index), index, "Lua function expected");
#endif
}

int iocp_error_is_text(lua_State *L, int status)
{
	if (LUA_VERSION_NUM < 503)
		return lua_isstring(L, -1);
	return lua_type(L, -1) == LUA_TSTRING && (LUA_VERSION_NUM < 504 || status != LUA_ERRMEM);
}

void iocp_push_globals(lua_State *L)
{
#if LUA_VERSION_NUM >= 502
	lua_pushglobaltable(L);
#else
	lua_pushvalue(L, LUA_GLOBALSINDEX);
#endif
}

FILE *iocp_to_stream(lua_State *L, int index)
{
	int is_file;
	if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
		return NULL;
	luaL_getmetatable(L, LUA_FILEHANDLE);
	is_file = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	if (!is_file)
		return NULL;
#if LUA_VERSION_NUM >= 502
	return ((luaL_Stream *)lua_touserdata(L, index))->closef ? ((luaL_Stream *)lua_touserdata(L, index))->f : NULL;
#else
	return *(FILE **)lua_touserdata(L, index); /* LuaJIT's begins with it, too */
#endif
}

#if LUA_VERSION_NUM < 502
static int push_pointer(lua_State *L)
{
	void *pointer;
	memcpy(&pointer, lua_tostring(L, 1), sizeof(pointer));
	lua_pushlightuserdata(L, pointer);
	return 1;
}
#endif

int iocp_push_lightuserdata(lua_State *L, void *pointer)
{
#if LUA_VERSION_NUM < 502
	lua_pushcfunction(L, push_pointer);
	lua_pushlstring(L, (const char *)&pointer, sizeof(pointer));
	return lua_pcall(L, 1, 1, 0) == 0;
#else
	lua_pushlightuserdata(L, pointer);
	return 1;
#endif
}

/* ---- upvalues that functions share ------------------------------------------------------------------------------- */

#if LUA_VERSION_NUM < 502

/* LuaJIT can share upvalues and Lua 5.1 cannot, but a module built for one may be loaded by the other: the library
** knows. */
static int push_debug(lua_State *L, const char *name)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, "debug");
	lua_remove(L, -2);
	if (lua_istable(L, -1)) {
		lua_getfield(L, -1, name);
		lua_remove(L, -2);
	}
	if (lua_isfunction(L, -1))
		return 1;
	lua_pop(L, 1);
	return 0;
}

const void *iocp_upvalue_id(lua_State *L, int index, int n)
{
	const void *id;
	lua_pushvalue(L, index);
	if (!push_debug(L, "upvalueid")) {
		lua_pop(L, 1);
		return NULL;
	}
	lua_insert(L, -2);
	lua_pushinteger(L, n);
	lua_call(L, 2, 1);
	id = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return id;
}

int iocp_upvalue_join(lua_State *L, int index1, int n1, int index2, int n2)
{
	if (!push_debug(L, "upvaluejoin"))
		return 0;
	lua_pushvalue(L, index1);
	lua_pushinteger(L, n1);
	lua_pushvalue(L, index2);
	lua_pushinteger(L, n2);
	lua_call(L, 4, 0);
	return 1;
}

#else

const void *iocp_upvalue_id(lua_State *L, int index, int n)
{
	return lua_upvalueid(L, index, n);
}

int iocp_upvalue_join(lua_State *L, int index1, int n1, int index2, int n2)
{
	lua_upvaluejoin(L, index1, n1, index2, n2);
	return 1;
}

#endif
