/*
** backend.h - what not every backend can do: tools/test says which is tested. In Lua's specs spec/support/pending.lua
** says so.
*/

#ifndef IOCP_SPEC_BACKEND_H
#define IOCP_SPEC_BACKEND_H

#include <stdlib.h>
#include <string.h>

/* Plain POSIX. */
static inline int on_posix(void)
{
	const char *backend = getenv("IOCP_SPEC_BACKEND");
	return backend && strcmp(backend, "posix") == 0;
}

#endif
