/*
** shared.c - the classes of what threads share: made once a state, when a script first asks for one of them, or when
** an object of theirs arrives, since most states have none.
*/

#include "lua/binding.h"

#define SHARED "iocp.shared" /* registry: the table of the classes */

int iocp_lua_open_shared(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, SHARED);
	if (!lua_isnil(L, -1))
		return 1;
	lua_newtable(L);
	iocp_lua_open_atomic(L);
	iocp_lua_open_dict(L);
	iocp_lua_open_array(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, SHARED);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "iocp.shared"); /* what of them is Lua's */
	lua_call(L, 1, 1);
	iocp_dict_push_parts(L);
	lua_call(L, 1, 0);
	return 1;
}
