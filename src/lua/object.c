/*
** object.c - the userdata: one counted reference to a port, heap, thread, pool, task, socket, lookup, file or what
** threads share. Another kind is a row here and its methods.
**
** A userdata is known by a mark in its payload, which is some 30 ns faster than comparing metatables. `object` is
** first, so that it is what an ffi.cast of the userdata to a pointer to pointer finds. It is NULL before
** iocp_object_set and after __gc, which a script may call itself.
*/

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lua/value/format.h"
#include "work/work.h"

#define MARK UINT64_C(0x696f63706f626a00) /* + class */

enum {
	HANDLE = 1 /* a number names it */,
	NATIVE = 2 /* so does what the system knows it by */,
	LISTED =
		4 /* a state has one userdata for each object: a packet names it, and to find it costs less than to make it */
};

static const struct class_row {
	const char *name;
	enum iocp_kind kind;
	int has;
} rows[IOCP_CLASS_COUNT] = {
	{"iocp.IOCompletionPort", IOCP_KIND_PORT, HANDLE | NATIVE},
	{"iocp.Heap", IOCP_KIND_HEAP, HANDLE | NATIVE},
	{"iocp.Thread", IOCP_KIND_THREAD, HANDLE | NATIVE},
	{"iocp.Pool", IOCP_KIND_POOL, HANDLE},
	{"iocp.Task", IOCP_KIND_TASK, 0},
	{"iocp.Socket", IOCP_KIND_SOCKET, HANDLE | LISTED},
	{"iocp.Lookup", IOCP_KIND_LOOKUP, 0},
	{"iocp.File", IOCP_KIND_FILE, HANDLE | LISTED},
	{"iocp.Process", IOCP_KIND_PROCESS, 0},
	{"iocp.Atomic", IOCP_KIND_ATOMIC, HANDLE},
	{"iocp.Dict", IOCP_KIND_DICT, HANDLE},
	{"iocp.Array", IOCP_KIND_ARRAY, HANDLE},
	/* What scripts see of it is something else: frozen_view.c. */
	{"iocp.Frozen", IOCP_KIND_FROZEN, 0},
};

static iocp_box *to_box(lua_State *L, int index)
{
	iocp_box *b = lua_touserdata(L, index);
	if (!b || lua_rawlen(L, index) != sizeof(iocp_box)) /* that of a light one is 0 */
		return NULL;
	return b->mark >= MARK && b->mark < MARK + IOCP_CLASS_COUNT ? b : NULL;
}

void *iocp_object_take(lua_State *L, enum iocp_class *c)
{
	iocp_box *b = to_box(L, 1);
	void *object = b ? b->object : NULL;
	if (object) {
		b->object = NULL;
		*c = (enum iocp_class)(b->mark - MARK);
	}
	return object;
}

/* ---- what closes with its userdata ------------------------------------------------------------------------------- */

/* Registry, with IOCP_DEBUG=1: userdata -> what it is of, and where that was made. Weak by its keys, which stay until
** their finalizers have run. */
#define OWNERS "iocp.owners"

/* private.own(object, what): this socket or file, which its association would keep open, is closed when the state has
** no userdata of it any more. `what`: whose it is. */
int iocp_lua_own(lua_State *L)
{
	to_box(L, 1)->owns = 1;
	if (iocp_debugs()) {
		iocp_weak_push(L, OWNERS, "k");
		lua_pushvalue(L, 1);
		lua_pushfstring(L, "%s, made at %s,", luaL_checkstring(L, 2), iocp_debug_push_maker(L));
		lua_remove(L, -2);
		lua_rawset(L, -3);
	}
	return 0;
}

/* The userdata at 1 is collected. */
static void close_owned(lua_State *L, enum iocp_class c, void *object)
{
	int r = c == IOCP_CLASS_SOCKET ? iocp_socket_close(object) : iocp_file_close(object);
	if (r == IOCP_OK && iocp_debugs()) {
		iocp_weak_push(L, OWNERS, "k");
		lua_pushvalue(L, 1);
		lua_rawget(L, -2);
		iocp_debug_say("%s was dropped, and is closed only now: close it", luaL_optstring(L, -1, rows[c].name));
	}
}

static int box_collect(lua_State *L)
{
	const iocp_box *b = to_box(L, 1);
	int owns = b && b->owns;
	enum iocp_class c;
	void *object = iocp_object_take(L, &c);
	if (object && owns)
		close_owned(L, c, object);
	if (object)
		iocp_any_release(object);
	return 0;
}

/* ---- the userdata ------------------------------------------------------------------------------------------------ */

static int box_equal(lua_State *L)
{
	const iocp_box *a = to_box(L, 1), *b = to_box(L, 2);
	lua_pushboolean(L, a && b && a->mark == b->mark && a->object == b->object);
	return 1;
}

/* Its handle; of what has none, its address. */
static uint64_t name_of(const void *object)
{
	iocp_handle handle = iocp_any_handle(object);
	return handle ? handle : (uint64_t)(uintptr_t)object;
}

int iocp_object_to_string(lua_State *L, const char *detail)
{
	char text[192];
	const iocp_box *b = to_box(L, 1);
	if (!b)
		return iocp_bad_argument(L, 1, "self", "an iocp object");
	if (!b->object)
		snprintf(text, sizeof(text), "%s: collected", rows[b->mark - MARK].name);
	else
		snprintf(text, sizeof(text), "%s: 0x%016" PRIx64 "%s%s%s", rows[b->mark - MARK].name, name_of(b->object),
			detail ? " (" : "", detail ? detail : "", detail ? ")" : "");
	lua_pushstring(L, text);
	return 1;
}

static int box_to_string(lua_State *L)
{
	return iocp_object_to_string(L, NULL);
}

/* Says what to do instead: Lua's own error would say that it cannot be indexed, which it can. */
static int box_assign(lua_State *L)
{
	const char *name = iocp_type_name(L, 1);
	int has_set = luaL_getmetafield(L, 1, "__index") && lua_istable(L, -1);
	if (has_set) {
		lua_getfield(L, -1, "set");
		has_set = !lua_isnil(L, -1);
	}
	return iocp_raise(L, "%s has no fields to assign to%s", name, has_set ? "; its method set does that" : "");
}

static const luaL_Reg common_metamethods[] = {
	{"__gc", box_collect},
	{"__eq", box_equal},
	{"__tostring", box_to_string},
	{"__newindex", box_assign},
	{NULL, NULL},
};

static enum iocp_class upvalue_class(lua_State *L)
{
	return (enum iocp_class)lua_tointeger(L, lua_upvalueindex(1));
}

static int box_handle(lua_State *L)
{
	iocp_push_handle(L, iocp_any_handle(iocp_object_check(L, 1, upvalue_class(L), "self")));
	return 1;
}

static int box_native(lua_State *L)
{
	void *native = iocp_any_native(iocp_object_check(L, 1, upvalue_class(L), "self"));
	if (!native) /* it might be somebody else's by now */
		return iocp_failure(L, upvalue_class(L) == IOCP_CLASS_PORT ? IOCP_CLOSED : IOCP_INVALID, NULL);
	return iocp_push_address(L, (uintptr_t)native) ? 1
												   : iocp_failure(L, IOCP_INVALID, "no number of this Lua is exact");
}

void iocp_class_load(lua_State *L, enum iocp_class c)
{
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_OPEN);
	lua_pushinteger(L, (lua_Integer)c);
	lua_call(L, 1, 0);
}

void iocp_class_push(lua_State *L, enum iocp_class c)
{
	luaL_getmetatable(L, rows[c].name);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		iocp_class_load(L, c);
		luaL_getmetatable(L, rows[c].name);
	}
}

/* __index of the table of methods: the name of a class that the state has not opened yet. */
static int find_methods(lua_State *L)
{
	const char *name = luaL_checkstring(L, 2);
	int c;
	for (c = 0; c < IOCP_CLASS_COUNT && strcmp(rows[c].name, name) != 0; c++)
		;
	if (c == IOCP_CLASS_COUNT && strcmp(name, IOCP_LIMITED) != 0)
		return 0;
	lua_settop(L, 2);
	iocp_class_load(L, (enum iocp_class)c); /* IOCP_LIMITED_PORTS is IOCP_CLASS_COUNT */
	lua_rawget(L, 1);
	return 1;
}

void iocp_methods_push(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, IOCP_METHODS);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_createtable(L, 0, 1);
		lua_pushcfunction(L, find_methods);
		lua_setfield(L, -2, "__index");
		lua_setmetatable(L, -2);
		lua_pushvalue(L, -1);
		lua_setfield(L, -3, IOCP_METHODS);
	}
	lua_remove(L, -2);
}

static void set_method(lua_State *L, enum iocp_class c, const char *name, lua_CFunction method)
{
	lua_pushinteger(L, (lua_Integer)c);
	lua_pushcclosure(L, method, 1);
	lua_setfield(L, -2, name);
}

void iocp_weak_push(lua_State *L, const char *name, const char *mode)
{
	lua_getfield(L, LUA_REGISTRYINDEX, name);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_createtable(L, 0, 1);
	lua_pushstring(L, mode);
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, name);
}

void iocp_listed_push(lua_State *L)
{
	iocp_weak_push(L, IOCP_LISTED, "v");
}

void iocp_class_begin(lua_State *L, enum iocp_class c, const luaL_Reg *methods, const luaL_Reg *metamethods)
{
	luaL_getmetatable(L, rows[c].name);
	if (lua_isnil(L, -1)) { /* else the module was opened twice in a state */
		lua_pop(L, 1);
		lua_createtable(L, 0, 8);
	}
	lua_pushstring(L, rows[c].name);
	lua_setfield(L, -2, "__name"); /* as Lua does from 5.3 on: see iocp_type_name */
	iocp_set_functions(L, common_metamethods, 0);
	iocp_set_functions(L, metamethods, 0);
	/* handle and native come; to the port's messages and timers add theirs */
	iocp_new_table(L, methods, c == IOCP_CLASS_PORT ? 8 : 4);
	if (rows[c].has & HANDLE)
		set_method(L, c, "handle", box_handle);
	if (rows[c].has & NATIVE)
		set_method(L, c, "native", box_native);
	lua_pushvalue(L, -1);
	lua_setfield(L, -3, "__index");
	if (rows[c].has & LISTED) {
		iocp_listed_push(L); /* lua/iocp/jit/socket.lua counts on it */
		lua_pop(L, 1);
	}
}

void iocp_class_complete(lua_State *L, const char *name, const luaL_Reg *parts)
{
	lua_getglobal(L, "require");
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
	lua_pushvalue(L, -2);
	iocp_new_table(L, parts, 0);
	lua_call(L, 2, 0);
}

void iocp_class_end(lua_State *L, enum iocp_class c)
{
	iocp_methods_push(L);
	lua_insert(L, -2);
	lua_setfield(L, -2, rows[c].name);
	lua_pop(L, 1);
	iocp_names_forget(L);
	lua_setfield(L, LUA_REGISTRYINDEX, rows[c].name); /* last: without memory for the rest there is no class */
}

void iocp_class_register(lua_State *L, enum iocp_class c, const luaL_Reg *methods, const luaL_Reg *metamethods)
{
	iocp_class_begin(L, c, methods, metamethods);
	iocp_class_end(L, c);
}

static void push_box(lua_State *L, enum iocp_class c)
{
	iocp_box *b = lua_newuserdata(L, sizeof(iocp_box));
	b->object = NULL;
	b->mark = MARK + (uint64_t)c;
	b->owns = 0;
}

void iocp_object_push_with(lua_State *L, enum iocp_class c, int metatable)
{
	push_box(L, c);
	lua_pushvalue(L, metatable);
	lua_setmetatable(L, -2);
}

void iocp_object_push(lua_State *L, enum iocp_class c)
{
	push_box(L, c);
	iocp_class_push(L, c);
	lua_setmetatable(L, -2);
}

/* The port at the top has a capacity, and methods that keep to it. */
static void set_limited(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_LIMITED);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		iocp_class_load(L, IOCP_LIMITED_PORTS);
		lua_getfield(L, LUA_REGISTRYINDEX, IOCP_LIMITED);
	}
	lua_setmetatable(L, -2);
}

void iocp_object_set(lua_State *L, void *object)
{
	iocp_box *b = lua_touserdata(L, -1);
	b->object = object;
	if (b->mark == MARK + IOCP_CLASS_PORT && iocp_port_capacity(object, NULL))
		set_limited(L); /* if that raises, the userdata has the reference */
}

void iocp_object_enlist(lua_State *L)
{
	const iocp_box *b = lua_touserdata(L, -1), *other;
	if (!(rows[b->mark - MARK].has & LISTED))
		return;
	iocp_listed_push(L);
	(void)iocp_push_address(L, iocp_any_handle(b->object));
	lua_rawget(L, -2);
	other = to_box(L, lua_gettop(L));
	if (other && other->object == b->object) {
		lua_replace(L, -3);
		lua_pop(L, 1);
	} else { /* there is none, or one that a script collected by hand */
		lua_pop(L, 1);
		(void)iocp_push_address(L, iocp_any_handle(b->object));
		lua_pushvalue(L, -3);
		lua_rawset(L, -3);
		lua_pop(L, 1);
	}
}

void *iocp_object_test(lua_State *L, int index, enum iocp_class *c)
{
	const iocp_box *b = to_box(L, index);
	if (!b || !b->object)
		return NULL;
	*c = (enum iocp_class)(b->mark - MARK);
	return b->object;
}

void *iocp_object_check(lua_State *L, int index, enum iocp_class c, const char *name)
{
	const iocp_box *b = to_box(L, index);
	if (!b || b->mark != MARK + (uint64_t)c || !b->object)
		iocp_bad_argument(L, index, name, b && !b->object ? "an object that was not collected" : rows[c].name);
	return b->object;
}

const char *iocp_class_name(enum iocp_class c)
{
	return rows[c].name;
}

int iocp_object_open_handle(enum iocp_class c, iocp_handle handle, void **object)
{
	return iocp_any_open(rows[c].kind, handle, object);
}

iocp_handle iocp_object_handle(const void *object)
{
	return iocp_any_handle(object);
}

void iocp_object_keep(void *object)
{
	iocp_any_retain(object);
}

void iocp_object_drop(void *object)
{
	iocp_any_release(object);
}

int iocp_push_found(lua_State *L, int r, void *object)
{
	const iocp_box *b = to_box(L, lua_gettop(L));
	if (r == IOCP_INVALID)
		return iocp_failure(L, r,
			lua_pushfstring(L, "no live %s is there: native() gives what adopt takes", rows[b->mark - MARK].name));
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, object);
	iocp_object_enlist(L);
	return 1;
}

/* Pushes a table of `capacity` userdata without objects: once there are references, nothing may raise. */
static void push_empty(lua_State *L, enum iocp_class c, uint32_t capacity)
{
	uint32_t i;
	lua_createtable(L, (int)capacity, 0);
	for (i = 0; i < capacity; i++) {
		iocp_object_push(L, c);
		lua_rawseti(L, -2, (int)i + 1);
	}
}

void iocp_living_push(lua_State *L, enum iocp_class c, int (*lives)(void *object))
{
	enum { SPARE = 16 }; /* that may come meanwhile */
	uint32_t capacity, count, i, n = 0;
	int top = lua_gettop(L);
	void **objects;
	do {
		lua_settop(L, top);
		capacity = iocp_any_list(rows[c].kind, NULL, 0) + SPARE;
		objects = lua_newuserdata(L, capacity * sizeof(*objects));
		push_empty(L, c, capacity);
		count = iocp_any_list(rows[c].kind, objects, capacity);
		for (i = 0; count > capacity && i < capacity; i++)
			iocp_any_release(objects[i]);
	} while (count > capacity);
	for (i = 0; i < count; i++) {
		if (lives(objects[i])) {
			lua_rawgeti(L, -1, (int)++n);
			iocp_object_set(L, objects[i]);
			lua_pop(L, 1);
		} else {
			iocp_any_release(objects[i]);
		}
	}
	while (n < capacity) {
		lua_pushnil(L);
		lua_rawseti(L, -2, (int)++n);
	}
	lua_remove(L, top + 1);
}

/* Why there is no object of the class with that handle. */
static int no_object(lua_State *L, enum iocp_class c, iocp_handle handle)
{
	int other;
	for (other = 0; other < IOCP_CLASS_COUNT; other++) {
		void *object;
		if (other != (int)c && iocp_any_open(rows[other].kind, handle, &object) == IOCP_OK) {
			iocp_any_release(object);
			return iocp_failure(L, IOCP_INVALID,
				lua_pushfstring(L, "the handle is that of an %s, not of an %s", rows[other].name, rows[c].name));
		}
	}
	return iocp_failure(L, IOCP_INVALID,
		lua_pushfstring(L,
			handle ? "no live %s has this handle: it was closed, destroyed or collected, or is made up"
				   : "this is no handle of an %s, as its handle() gives it",
			rows[c].name));
}

int iocp_class_open(lua_State *L, enum iocp_class c)
{
	iocp_handle handle = iocp_check_handle(L, 1);
	void *object = NULL;
	int r;
	iocp_object_push(L, c);
	r = iocp_any_open(rows[c].kind, handle, &object);
	return r == IOCP_INVALID ? no_object(L, c, handle) : iocp_push_found(L, r, object);
}

int iocp_listed_open(lua_State *L, enum iocp_class c, int (*is_open)(const void *object))
{
	if (lua_type(L, 1) == LUA_TNUMBER) {
		enum iocp_class found;
		void *object;
		lua_pushvalue(L, 1);
		lua_rawget(L, lua_upvalueindex(1));
		object = iocp_object_test(L, lua_gettop(L), &found);
		if (object && found == c && is_open(object))
			return 1;
		lua_pop(L, 1);
	}
	return iocp_class_open(L, c);
}

static int class_open(lua_State *L)
{
	return iocp_class_open(L, upvalue_class(L));
}

void iocp_class_push_open(lua_State *L, enum iocp_class c)
{
	lua_pushinteger(L, (lua_Integer)c);
	lua_pushcclosure(L, class_open, 1);
}

static int class_call(lua_State *L)
{
	lua_CFunction create = lua_tocfunction(L, lua_upvalueindex(1));
	lua_remove(L, 1); /* the class, so that arguments count from 1 */
	if (iocp_takes_dot(L, 1))
		return iocp_argument_error(
			L, 1, lua_pushfstring(L, "iocp.%s(...) is called with a dot", lua_tostring(L, lua_upvalueindex(2))));
	return create(L);
}

void iocp_class_make(lua_State *L, enum iocp_class c, const char *name, lua_CFunction create, lua_CFunction adopt)
{
	lua_createtable(L, 0, 2);
	iocp_class_push_open(L, c);
	lua_setfield(L, -2, "open");
	if (adopt) {
		lua_pushcfunction(L, adopt);
		lua_setfield(L, -2, "adopt");
	}
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, create);
	lua_pushstring(L, name);
	lua_pushcclosure(L, class_call, 2);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	iocp_dotted_add(L);
}
