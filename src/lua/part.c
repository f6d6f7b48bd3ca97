/*
** part.c - the module's own files in Lua, for new states: read and compiled once a process.
**
** A new state that requires iocp, or a part of it, gets what the first state that asked had compiled, as bytecode: that
** takes some 10 us instead of a millisecond. What it is asked for first is looked for along the package.path that the
** state was made with, and then along that of the first state which required the module: so it is found whatever
** scripts make of package.path.
**
** Ownership: a part stays until the process ends. Its list only grows, at the front, by a compare-and-swap: no locks.
** Of two states that compile the same part at once one enters it.
*/

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/binding.h"

enum { MOST = 256 }; /* parts that are kept; a program that makes up ever new paths reads its files */

typedef struct part {
	struct part *next;
	const char *path, *name, *file; /* package.path, what is required, where it was found; behind the code, with it */
	size_t size;
	char code[];
} part;

static _Atomic(part *) parts;
static _Atomic uint32_t count; /* relaxed: a bound, not a promise */
/* Where the state that was the first to require the module had its files. */
typedef struct origin {
	const char *directory; /* of lua/iocp, with the separator at its end, behind the path; "": it was not found */
	char path[];           /* package.path */
} origin;

static _Atomic(origin *) first; /* NULL: no state had a package.path yet */

static const part *find(const char *path, const char *name)
{
	/* Acquire: pairs with the release in keep. */
	const part *p = atomic_load_explicit(&parts, memory_order_acquire);
	while (p && (strcmp(p->name, name) != 0 || strcmp(p->path, path) != 0))
		p = p->next;
	return p;
}

static char *copy_text(char **to, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = memcpy(*to, text, size);
	*to += size;
	return copy;
}

/* Enters a part, unless another state was faster or there are too many: then 0. */
static int enter(part *p)
{
	if (atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) < MOST) {
		while (!find(p->path, p->name)) {
			/* Release: the part is written before it is found. */
			if (atomic_compare_exchange_strong_explicit(
					&parts, &p->next, p, memory_order_release, memory_order_relaxed))
				return 1;
		}
	}
	atomic_fetch_sub_explicit(&count, 1, memory_order_relaxed);
	return 0;
}

/* Without memory for it, it is compiled again the next time. */
static void keep(const char *path, const char *name, const char *file, const char *code, size_t size)
{
	part *p = malloc(sizeof(*p) + size + strlen(path) + strlen(name) + strlen(file) + 3);
	char *texts;
	if (!p)
		return;
	p->size = size;
	memcpy(p->code, code, size);
	texts = p->code + size;
	p->path = copy_text(&texts, path);
	p->name = copy_text(&texts, name);
	p->file = copy_text(&texts, file);
	/* Before enter looks for the part: what is entered from here on it finds, or the compare-and-swap fails. */
	p->next = atomic_load_explicit(&parts, memory_order_relaxed);
	if (!enter(p))
		free(p);
}

/* Pushes the first file of the path for the module that can be opened and returns 1; 0: there is none. */
static int push_file(lua_State *L, const char *path, const char *name)
{
	const char *template = path, *end;
	const char *inner = luaL_gsub(L, name, ".", LUA_DIRSEP);
	for (; *template; template = *end ? end + 1 : end) {
		FILE *file;
		end = strchr(template, ';');
		if (!end)
			end = template + strlen(template);
		lua_pushlstring(L, template, (size_t)(end - template));
		luaL_gsub(L, lua_tostring(L, -1), "?", inner);
		file = fopen(lua_tostring(L, -1), "r");
		if (file) {
			fclose(file);
			lua_replace(L, -3);
			lua_pop(L, 1);
			return 1;
		}
		lua_pop(L, 2);
	}
	lua_pop(L, 1);
	return 0;
}

/* Keeps the function at the top. */
static void compile(lua_State *L, const char *path, const char *name, const char *file)
{
	size_t size;
	const char *code;
	iocp_dump_push(L);
	code = lua_tolstring(L, -1, &size);
	keep(path, name, file, code, size);
	lua_pop(L, 1);
}

static int is_ours(const char *name)
{
	return strncmp(name, "iocp", 4) == 0 && (name[4] == 0 || name[4] == '.');
}

/* Pushes the loader of the part that the path leads to, and its file, and returns 1; 0: there is none. */
static int push_part(lua_State *L, const char *path, const char *name)
{
	const part *p = find(path, name);
	if (p) {
		lua_pushfstring(L, "@%s", p->file);
		if (luaL_loadbuffer(L, p->code, p->size, lua_tostring(L, -1)) != 0)
			lua_error(L);
		lua_pushstring(L, p->file);
		return 1;
	}
	if (!push_file(L, path, name))
		return 0;
	if (luaL_loadfile(L, lua_tostring(L, -1)) != 0)
		lua_error(L);
	compile(L, path, name, lua_tostring(L, -2));
	lua_insert(L, -2);
	return 1;
}

/* A searcher, as package.searchers has them; gives nothing if the module is none of ours. */
static int search(lua_State *L)
{
	const char *path = lua_tostring(L, lua_upvalueindex(1)), *name = luaL_checkstring(L, 1);
	/* Acquire: pairs with the release in iocp_parts_remember. */
	const origin *o = atomic_load_explicit(&first, memory_order_acquire);
	if (!is_ours(name))
		return 0;
	return push_part(L, path, name) || (o && push_part(L, o->path, name)) ? 2 : 0;
}

int iocp_parts_include(const char *source)
{
	/* Acquire: pairs with the release in iocp_parts_remember; as in find. */
	const origin *o = atomic_load_explicit(&first, memory_order_acquire);
	const part *p = atomic_load_explicit(&parts, memory_order_acquire);
	if (*source != '@')
		return 0;
	if (o && *o->directory && strncmp(source + 1, o->directory, strlen(o->directory)) == 0)
		return 1;
	while (p && strcmp(p->file, source + 1) != 0)
		p = p->next;
	return p != NULL;
}

/* Pushes the directory where the path leads to the module's parts, or "". */
static void push_directory(lua_State *L, const char *path)
{
	static const char part_name[] = "iocp.options", file_name[] = "options.lua";
	size_t size;
	const char *file;
	if (!push_file(L, path, part_name)) {
		lua_pushliteral(L, "");
		return;
	}
	file = lua_tolstring(L, -1, &size);
	lua_pushlstring(L, file, size > sizeof(file_name) ? size - (sizeof(file_name) - 1) : 0);
	lua_remove(L, -2);
}

/* The package.path at the top, which stays, and where it leads; NULL: there is no memory. */
static origin *new_origin(lua_State *L)
{
	size_t length;
	const char *path = lua_tolstring(L, -1, &length), *directory;
	origin *o;
	push_directory(L, path);
	directory = lua_tostring(L, -1);
	o = malloc(sizeof(*o) + length + strlen(directory) + 2);
	if (o) {
		char *texts = o->path;
		(void)copy_text(&texts, path);
		o->directory = copy_text(&texts, directory);
	}
	lua_pop(L, 1);
	return o;
}

void iocp_parts_remember(lua_State *L)
{
	origin *none = NULL, *made = NULL;
	/* Relaxed: whoever finds it unset tries to set it. */
	if (atomic_load_explicit(&first, memory_order_relaxed))
		return;
	lua_getglobal(L, "package");
	if (lua_istable(L, -1)) {
		lua_getfield(L, -1, "path");
		if (lua_type(L, -1) == LUA_TSTRING)
			made = new_origin(L);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	/* Release: it is written before it is found. */
	if (made
		&& !atomic_compare_exchange_strong_explicit(&first, &none, made, memory_order_release, memory_order_relaxed))
		free(made);
}

/* The last searcher: what an error says behind where a module was looked for. */
static int explain(lua_State *L)
{
	lua_pushfstring(
		L, "%s(a worker or thread has the package.path of when it was made)", LUA_VERSION_NUM < 504 ? "\n\t" : "");
	return 1;
}

void iocp_parts_open(lua_State *L, int path)
{
	size_t i;
	lua_getglobal(L, "package");
	lua_getfield(L, -1, LUA_VERSION_NUM < 502 ? "loaders" : "searchers");
	for (i = lua_rawlen(L, -1); i >= 2; i--) { /* behind that of package.preload */
		lua_rawgeti(L, -1, (int)i);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_pushvalue(L, path);
	lua_pushcclosure(L, search, 1);
	lua_rawseti(L, -2, 2);
	lua_pushcfunction(L, explain);
	lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
	lua_pop(L, 2);
}
