/*
** result.c - what a call returns that went wrong at run time: nil, message, code.
*/

#include "lua/binding.h"

int iocp_failure(lua_State *L, int code, const char *message)
{
	char text[256];
	const char *name = iocp_error_name(code);
	if (!message) {
		iocp_error_text(code, text, sizeof(text));
		message = text;
	}
	if (iocp_debugs())
		iocp_debug_refused(L, message, code);
	lua_pushnil(L);
	lua_pushstring(L, message);
	if (name)
		lua_pushstring(L, name);
	else
		lua_pushinteger(L, code);
	return 3;
}
