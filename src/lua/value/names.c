/*
** value/names.c - what crosses by name: loaded modules, C functions that are fields of them, this module's classes and
** methods.
**
** In the registry, a state's own: NAMES, from a module or C function to its name, made when a function is first sent,
** made anew when package.loaded has other values since or a class of this module was opened, and never trusted: what it
** says is looked up in package.loaded before it is used. A module that has another name now may stand where it stood:
** then the old name is not found, and the names are made anew too.
**
** IOCP_OWN, from each function that lua/iocp has put among this module's, and from each that it has replaced there, to
** its name: these cross by it whatever stands there now.
*/

#include <string.h>

#include "lua/value/format.h"

#define NAMES "iocp.names"

/* In NAMES. All that has one of these addresses is kept alive by it, so none is another object's. */
enum {
	LOADED = 1, /* of package.loaded's values when the names were made, in lua_next's order */
	TABLES = 2  /* of the tables that have names */
};

typedef struct addresses {
	size_t count;
	const void *of[];
} addresses;

/* ---- modules ----------------------------------------------------------------------------------------------------- */

static void push_loaded(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
}

/* Names the value at the top, which stays, by the name on the stack at `name` and the field at `field`. */
static void add_field(lua_State *L, int names, int name, int field)
{
	lua_pushvalue(L, -1);
	lua_rawget(L, names);
	if (lua_isnil(L, -1)) {
		lua_pushvalue(L, -2);
		lua_pushvalue(L, name);
		lua_pushlstring(L, "", 1);
		lua_pushvalue(L, field);
		lua_concat(L, 3);
		lua_rawset(L, names);
	}
	lua_pop(L, 1);
}

/* What of a table is named: C functions; also tables that hold nothing else, which are the classes of this module and
** their methods. */
enum fields { FUNCTIONS, CLASSES };

/* Names what is in the table at the top, which stays and has the name below it. */
static void add_fields(lua_State *L, int names, enum fields kind)
{
	int table = lua_gettop(L);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		if (lua_type(L, -2) == LUA_TSTRING && lua_iscfunction(L, -1)) {
			add_field(L, names, table - 1, table + 1);
		} else if (lua_type(L, -2) == LUA_TSTRING && kind == CLASSES && lua_istable(L, -1)) {
			add_field(L, names, table - 1, table + 1);
			lua_pushvalue(L, -1);
			lua_rawget(L, names);
			lua_insert(L, -2);
			add_fields(L, names, FUNCTIONS);
		}
		lua_settop(L, table + 1);
	}
}

/* Whether of two names of one module the second is to be used: the shorter one, so that it does not depend on their
** order. */
static int is_better(lua_State *L, int name, int other)
{
	size_t length = lua_rawlen(L, name), other_length = lua_rawlen(L, other);
	return other_length < length
		   || (other_length == length && strcmp(lua_tostring(L, other), lua_tostring(L, name)) < 0);
}

static enum fields kind_of(const char *module)
{
	return strcmp(module, "iocp") == 0 || strcmp(module, IOCP_METHODS) == 0 ? CLASSES : FUNCTIONS;
}

/* At the top: a key of package.loaded and its value, which is popped. Of what has no name only the address counts. */
static void add_module(lua_State *L, int names)
{
	int value = lua_gettop(L);
	if (lua_type(L, value - 1) == LUA_TSTRING && lua_topointer(L, value)) {
		lua_pushvalue(L, value);
		lua_rawget(L, names);
		if (lua_isnil(L, -1) || (!lua_rawequal(L, -1, value - 1) && is_better(L, value + 1, value - 1))) {
			lua_pushvalue(L, value);
			lua_pushvalue(L, value - 1);
			lua_rawset(L, names);
			lua_settop(L, value);
			if (lua_istable(L, value))
				add_fields(L, names, kind_of(lua_tostring(L, value - 1)));
		}
	}
	lua_settop(L, value - 1);
}

/* Other modules may hold functions of the standard libraries too, but these every state has. */
static void add_standard(lua_State *L, int names, int loaded)
{
	static const char *const standard[] = {"_G", "string", "table", "math", "io", "os", "coroutine", "debug", "package",
		"utf8", "bit32", "bit", "jit", "ffi", NULL};
	int i;
	for (i = 0; standard[i]; i++) {
		lua_pushstring(L, standard[i]);
		lua_pushvalue(L, -1);
		lua_rawget(L, loaded);
		add_module(L, names);
		lua_pop(L, 1);
	}
}

/* ---- this module's own, in Lua ----------------------------------------------------------------------------------- */

static void push_own(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_OWN);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, IOCP_OWN);
}

/* The function at the top, which is popped, has that name, unless it has one; anything else has none. */
static void add_to_own(lua_State *L, int own, int name)
{
	lua_pushvalue(L, -1);
	lua_rawget(L, own);
	if (lua_isfunction(L, -2) && lua_isnil(L, -1)) {
		lua_pushvalue(L, -2);
		lua_pushvalue(L, name);
		lua_rawset(L, own);
	}
	lua_pop(L, 2);
}

/* private.put(table, where, name, f): table[name] = f, where the table is found by the name `where`. */
int iocp_lua_put(lua_State *L)
{
	lua_settop(L, 4);
	push_own(L);
	lua_pushvalue(L, 2);
	lua_pushlstring(L, "", 1);
	lua_pushvalue(L, 3);
	lua_concat(L, 3);
	lua_pushvalue(L, 3);
	lua_rawget(L, 1);
	add_to_own(L, 5, 6); /* what stood there */
	lua_pushvalue(L, 4);
	add_to_own(L, 5, 6);
	lua_pushvalue(L, 3);
	lua_pushvalue(L, 4);
	lua_rawset(L, 1);
	iocp_names_forget(L);
	return 0;
}

static void name_own(lua_State *L, int names)
{
	int own;
	push_own(L);
	own = lua_gettop(L);
	lua_pushnil(L);
	while (lua_next(L, own)) {
		lua_pushvalue(L, -2);
		lua_rawget(L, names);
		if (lua_isnil(L, -1)) {
			lua_pushvalue(L, -3);
			lua_pushvalue(L, -3);
			lua_rawset(L, names);
		}
		lua_pop(L, 2);
	}
	lua_pop(L, 1);
}

/* Whether the value below the top is. */
static int is_own(lua_State *L)
{
	int is;
	push_own(L);
	lua_pushvalue(L, -3);
	lua_rawget(L, -2);
	is = !lua_isnil(L, -1);
	lua_pop(L, 2);
	return is;
}

/* ---- the names --------------------------------------------------------------------------------------------------- */

/* Pushes what holds an address for each pair of the table. */
static addresses *push_addresses(lua_State *L, int table, size_t *capacity)
{
	addresses *a;
	*capacity = 0;
	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
		++*capacity;
	a = lua_newuserdata(L, sizeof(*a) + *capacity * sizeof(a->of[0]));
	a->count = 0;
	return a;
}

/* Before the modules are named: what a finalizer loads meanwhile is seen to be new. */
static void push_loaded_addresses(lua_State *L, int loaded)
{
	size_t capacity;
	addresses *a = push_addresses(L, loaded, &capacity);
	for (lua_pushnil(L); lua_next(L, loaded); lua_pop(L, 1)) {
		if (a->count < capacity)
			a->of[a->count++] = lua_topointer(L, -1);
	}
}

static void keep_tables(lua_State *L, int names)
{
	size_t capacity;
	addresses *a = push_addresses(L, names, &capacity);
	for (lua_pushnil(L); lua_next(L, names); lua_pop(L, 1)) {
		if (lua_istable(L, -2))
			a->of[a->count++] = lua_topointer(L, -2);
	}
	lua_rawseti(L, names, TABLES);
}

/* They are registered from the beginning, so that a finalizer may have them forgotten, and current at the end. */
static void push_new_names(lua_State *L)
{
	int names, loaded;
	lua_newtable(L);
	names = lua_gettop(L);
	lua_pushvalue(L, names);
	lua_setfield(L, LUA_REGISTRYINDEX, NAMES);
	push_loaded(L);
	loaded = names + 1;
	push_loaded_addresses(L, loaded);
	add_standard(L, names, loaded);
	name_own(L, names);
	lua_pushnil(L);
	while (lua_next(L, loaded))
		add_module(L, names);
	keep_tables(L, names);
	lua_rawseti(L, names, LOADED); /* the addresses, which are at the top again */
	lua_settop(L, names);
}

static const addresses *addresses_of(lua_State *L, int names, int which)
{
	const addresses *a;
	lua_rawgeti(L, names, which);
	a = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return a;
}

/* Whether package.loaded has the same values as when the names at the top were made. */
static int is_current(lua_State *L)
{
	int top = lua_gettop(L), same = 1;
	const addresses *a = addresses_of(L, top, LOADED); /* NULL: naming them failed, or goes on */
	size_t i = 0;
	if (!a)
		return 0;
	push_loaded(L);
	lua_pushnil(L);
	while (same && lua_next(L, top + 1)) {
		same = i < a->count && a->of[i++] == lua_topointer(L, -1);
		lua_settop(L, top + 2);
	}
	lua_settop(L, top);
	return same && i == a->count;
}

void iocp_names_push(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, NAMES);
	if (!lua_istable(L, -1) || !is_current(L)) {
		lua_pop(L, 1);
		push_new_names(L);
	}
}

void iocp_names_forget(lua_State *L)
{
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, NAMES);
}

void iocp_names_rebuild(lua_State *L, int names)
{
	push_new_names(L);
	lua_replace(L, names);
}

const void *const *iocp_names_tables(lua_State *L, int names, size_t *count)
{
	const addresses *a = addresses_of(L, names, TABLES);
	*count = a->count;
	return a->of;
}

/* Pushes what package.loaded has under a name, which may lead on to a field; nil if there is no such thing. */
static void push_named(lua_State *L, const char *name, size_t length)
{
	const char *end = name + length;
	push_loaded(L);
	while (name && lua_istable(L, -1)) {
		const char *next = memchr(name, '\0', (size_t)(end - name));
		lua_pushlstring(L, name, (size_t)((next ? next : end) - name));
		lua_rawget(L, -2);
		lua_remove(L, -2);
		name = next ? next + 1 : NULL;
	}
	if (name) { /* it leads on from what is no table */
		lua_pop(L, 1);
		lua_pushnil(L);
	}
}

enum iocp_found iocp_names_find(lua_State *L, int names)
{
	const char *name;
	size_t length;
	int same;
	lua_pushvalue(L, -1);
	lua_rawget(L, names);
	name = lua_tolstring(L, -1, &length);
	if (!name) {
		lua_pop(L, 1);
		return IOCP_NAME_NONE;
	}
	push_named(L, name, length);
	same = lua_rawequal(L, -1, -3);
	lua_pop(L, 1);
	if (same || is_own(L))
		return IOCP_NAME_FOUND;
	lua_pop(L, 1);
	return IOCP_NAME_OLD;
}

/* Pushes the function require, or nil. */
static void push_require(lua_State *L)
{
	push_named(L, "_G\0require", sizeof("_G\0require") - 1);
}

/* Requires the module, and pops whatever it gives: package.loaded has it then. 0: a message is pushed. */
static int require_module(lua_State *L, const char *name, size_t length)
{
	push_require(L);
	lua_pushlstring(L, name, length);
	if (lua_pcall(L, 1, 0, 0) == 0)
		return 1;
	lua_pushfstring(L, "cannot receive module '%s': %s", name,
		lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
	lua_remove(L, -2);
	return 0;
}

/* At 1 a module, at 2 the names of fields, each of what the one before gives. */
static int get_field(lua_State *L)
{
	size_t length;
	const char *name = lua_tolstring(L, 2, &length), *end = name + length;
	lua_pushvalue(L, 1);
	for (; name <= end; name += strlen(name) + 1) {
		lua_getfield(L, -1, name);
		lua_remove(L, -2);
	}
	return 1;
}

/* As push_named, for a field that its module loads when it is asked for, by a metamethod. */
static void push_lazily_named(lua_State *L, const char *name, size_t module, size_t length)
{
	lua_pushcfunction(L, get_field);
	push_named(L, name, module);
	lua_pushlstring(L, name + module + 1, length - module - 1);
	if (lua_pcall(L, 2, 1, 0) != 0) {
		lua_pop(L, 1);
		lua_pushnil(L);
	}
}

int iocp_names_resolve(lua_State *L, const char *name, size_t length)
{
	const char *end = memchr(name, 0, length);
	size_t module = end ? (size_t)(end - name) : length;
	push_named(L, name, length);
	if (!lua_isnil(L, -1))
		return 1;
	lua_pop(L, 1);
	lua_pushlstring(L, name, module); /* terminated */
	if (!require_module(L, lua_tostring(L, -1), module)) {
		lua_remove(L, -2);
		return 0;
	}
	push_named(L, name, length);
	if (lua_isnil(L, -1) && module < length) {
		lua_pop(L, 1);
		push_lazily_named(L, name, module, length);
	}
	if (!lua_isnil(L, -1)) {
		lua_remove(L, -2);
		return 1;
	}
	lua_pop(L, 1);
	if (module < length) {
		lua_pushlstring(L, name + module + 1, length - module - 1);
		lua_pushfstring(
			L, "cannot receive '%s' of module '%s': it is not there", lua_tostring(L, -1), lua_tostring(L, -2));
		lua_remove(L, -2);
	} else {
		lua_pushfstring(L, "cannot receive module '%s': it is not in package.loaded", lua_tostring(L, -1));
	}
	lua_remove(L, -2);
	return 0;
}
