/*
** object.c - the userdata: one counted reference to a port, heap, thread, pool or task.
**
** A userdata is known by a mark in its payload, which is some 30 ns faster than comparing metatables. `object` is first,
** so that it is what an ffi.cast of the userdata to a pointer to pointer finds. It is NULL before iocp_object_set and
** after __gc, which a script may call itself.
*/

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lua/pool.h"

#define MARK UINT64_C(0x696f63706f626a00) /* + class */

/* The functions of iocp.h that port, heap and thread have, with one type, so that the code here is written once. */
#define DEFINE_ADAPTERS(noun)                                                                                          \
	static int open_##noun(iocp_handle handle, void **object)                                                          \
	{                                                                                                                  \
		iocp_##noun *opened;                                                                                           \
		int r = iocp_##noun##_open(handle, &opened);                                                                   \
		if (r == IOCP_OK)                                                                                              \
			*object = opened;                                                                                          \
		return r;                                                                                                      \
	}                                                                                                                  \
	static int adopt_##noun(const void *native, void **object)                                                         \
	{                                                                                                                  \
		iocp_##noun *adopted;                                                                                          \
		int r = iocp_##noun##_adopt(native, &adopted);                                                                 \
		if (r == IOCP_OK)                                                                                              \
			*object = adopted;                                                                                         \
		return r;                                                                                                      \
	}                                                                                                                  \
	static void retain_##noun(void *object)                                                                            \
	{                                                                                                                  \
		iocp_##noun##_retain(object);                                                                                  \
	}                                                                                                                  \
	static void release_##noun(void *object)                                                                           \
	{                                                                                                                  \
		iocp_##noun##_release(object);                                                                                 \
	}                                                                                                                  \
	static iocp_handle handle_##noun(const void *object)                                                               \
	{                                                                                                                  \
		return iocp_##noun##_handle(object);                                                                           \
	}                                                                                                                  \
	static void *native_##noun(void *object)                                                                           \
	{                                                                                                                  \
		return iocp_##noun##_native(object);                                                                           \
	}

DEFINE_ADAPTERS(port)
DEFINE_ADAPTERS(heap)
DEFINE_ADAPTERS(thread)

/* Pools and tasks have no handles: they cross as values only. */
static void retain_pool(void *pool)
{
	iocp_pool_retain(pool);
}

static void release_pool(void *pool)
{
	iocp_pool_release(pool);
}

static void retain_task(void *task)
{
	iocp_task_retain(task);
}

static void release_task(void *task)
{
	if (iocp_task_runner(task)) /* a chunk, which its loop alone knows: an error may have ended that */
		(void)iocp_task_cancel(task, IOCP_BY_CALL);
	iocp_task_release(task);
}

static iocp_handle address_of(const void *object)
{
	return (iocp_handle)(uintptr_t)object;
}

#define ADAPTERS(noun) open_##noun, adopt_##noun, retain_##noun, release_##noun, handle_##noun, native_##noun

static const struct class_row {
	const char *name;
	int (*open)(iocp_handle, void **);
	int (*adopt)(const void *, void **);
	void (*retain)(void *);
	void (*release)(void *);
	iocp_handle (*handle)(const void *);
	void *(*native)(void *);
} rows[IOCP_CLASS_COUNT] = {
	{"iocp.IOCompletionPort", ADAPTERS(port)},
	{"iocp.Heap", ADAPTERS(heap)},
	{"iocp.Thread", ADAPTERS(thread)},
	{"iocp.Pool", NULL, NULL, retain_pool, release_pool, address_of, NULL},
	{"iocp.Task", NULL, NULL, retain_task, release_task, address_of, NULL},
};

static iocp_box *to_box(lua_State *L, int index)
{
	iocp_box *b;
	if (lua_type(L, index) != LUA_TUSERDATA || lua_rawlen(L, index) != sizeof(iocp_box))
		return NULL;
	b = lua_touserdata(L, index);
	return b->mark >= MARK && b->mark < MARK + IOCP_CLASS_COUNT ? b : NULL;
}

static int box_collect(lua_State *L)
{
	iocp_box *b = to_box(L, 1);
	if (b && b->object) {
		void *object = b->object;
		b->object = NULL;
		rows[b->mark - MARK].release(object);
	}
	return 0;
}

static int box_equal(lua_State *L)
{
	const iocp_box *a = to_box(L, 1), *b = to_box(L, 2);
	lua_pushboolean(L, a && b && a->mark == b->mark && a->object == b->object);
	return 1;
}

int iocp_object_to_string(lua_State *L, const char *detail)
{
	char text[128];
	const iocp_box *b = to_box(L, 1);
	if (!b)
		return iocp_bad_argument(L, 1, "self", "an iocp object");
	if (!b->object)
		snprintf(text, sizeof(text), "%s: collected", rows[b->mark - MARK].name);
	else
		snprintf(text, sizeof(text), "%s: 0x%016" PRIx64 "%s%s%s", rows[b->mark - MARK].name,
			rows[b->mark - MARK].handle(b->object), detail ? " (" : "", detail ? detail : "", detail ? ")" : "");
	lua_pushstring(L, text);
	return 1;
}

static int box_to_string(lua_State *L)
{
	return iocp_object_to_string(L, NULL);
}

static const luaL_Reg common_metamethods[] = {
	{"__gc", box_collect},
	{"__eq", box_equal},
	{"__tostring", box_to_string},
	{NULL, NULL},
};

static enum iocp_class upvalue_class(lua_State *L)
{
	return (enum iocp_class)lua_tointeger(L, lua_upvalueindex(1));
}

static int box_handle(lua_State *L)
{
	iocp_push_handle(L, rows[upvalue_class(L)].handle(iocp_object_check(L, 1, upvalue_class(L), "self")));
	return 1;
}

static int box_native(lua_State *L)
{
	void *native = rows[upvalue_class(L)].native(iocp_object_check(L, 1, upvalue_class(L), "self"));
	if (!native) /* it might be somebody else's by now */
		return iocp_failure(L, upvalue_class(L) == IOCP_CLASS_PORT ? IOCP_CLOSED : IOCP_INVALID, NULL);
	return iocp_push_address(L, (uintptr_t)native) ? 1
												   : iocp_failure(L, IOCP_INVALID, "no number of this Lua is exact");
}

static const luaL_Reg common_methods[] = {{"handle", box_handle}, {"native", box_native}, {NULL, NULL}};

/* __index of the table of methods: `name` is a class and a method of it, with a zero byte between. What a state has not
** opened yet is pools' and tasks', or everything. */
static int find_method(lua_State *L)
{
	size_t length;
	const char *name = luaL_checklstring(L, 2, &length);
	const size_t class = strlen(name);
	lua_settop(L, 2);
	iocp_state_open(L, 1);
	lua_pushlstring(L, name, class);
	lua_rawget(L, 1);
	if (lua_isnil(L, -1) || class >= length)
		return 1;
	lua_pushlstring(L, name + class + 1, length - class - 1);
	lua_rawget(L, -2);
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
		lua_pushcfunction(L, find_method);
		lua_setfield(L, -2, "__index");
		lua_setmetatable(L, -2);
		lua_pushvalue(L, -1);
		lua_setfield(L, -3, IOCP_METHODS);
	}
	lua_remove(L, -2);
}

void iocp_class_register(lua_State *L, enum iocp_class c, const luaL_Reg *methods, const luaL_Reg *metamethods)
{
	luaL_newmetatable(L, rows[c].name); /* found again if the module is opened twice in a state */
	lua_pushstring(L, rows[c].name);
	lua_setfield(L, -2, "__name"); /* as Lua does from 5.3 on: see iocp_type_name */
	iocp_set_functions(L, common_metamethods, 0);
	iocp_set_functions(L, metamethods, 0);
	iocp_new_table(L, methods, c == IOCP_CLASS_PORT ? 8 : 2); /* messages and timers add to the port's */
	if (c < IOCP_CLASS_HANDLES) {
		lua_pushinteger(L, (lua_Integer)c);
		iocp_set_functions(L, common_methods, 1);
	}
	iocp_methods_push(L);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, rows[c].name);
	lua_pop(L, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

void iocp_state_open(lua_State *L, int pool)
{
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_OPEN);
	lua_pushboolean(L, pool);
	lua_call(L, 1, 0);
}

void iocp_object_push(lua_State *L, enum iocp_class c)
{
	iocp_box *b = lua_newuserdata(L, sizeof(iocp_box));
	b->object = NULL;
	b->mark = MARK + (uint64_t)c;
	luaL_getmetatable(L, rows[c].name);
	if (lua_isnil(L, -1)) { /* an object reached a new state before its script required the module */
		lua_pop(L, 1);
		iocp_state_open(L, c >= IOCP_CLASS_HANDLES);
		luaL_getmetatable(L, rows[c].name);
	}
	lua_setmetatable(L, -2);
}

void iocp_object_set(lua_State *L, void *object)
{
	iocp_box *b = lua_touserdata(L, -1);
	b->object = object;
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

int iocp_object_open_any(iocp_handle handle, enum iocp_class c, void **object)
{
	return rows[c].open ? rows[c].open(handle, object) : IOCP_INVALID;
}

iocp_handle iocp_object_handle_any(const void *object, enum iocp_class c)
{
	return rows[c].handle(object);
}

void iocp_object_retain_any(void *object, enum iocp_class c)
{
	rows[c].retain(object);
}

void iocp_object_release_any(void *object, enum iocp_class c)
{
	rows[c].release(object);
}

static int push_found(lua_State *L, int r, void *object)
{
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	iocp_object_set(L, object);
	return 1;
}

static int class_open(lua_State *L)
{
	iocp_handle handle = iocp_check_handle(L, 1);
	void *object = NULL;
	int r;
	iocp_object_push(L, upvalue_class(L));
	r = rows[upvalue_class(L)].open(handle, &object);
	return push_found(L, r, object);
}

static int class_adopt(lua_State *L)
{
	uintptr_t native = iocp_check_address(L, 1, "native");
	void *object = NULL;
	int r;
	iocp_object_push(L, upvalue_class(L));
	r = rows[upvalue_class(L)].adopt((const void *)native, &object);
	return push_found(L, r, object);
}

static int class_call(lua_State *L)
{
	lua_CFunction create = lua_tocfunction(L, lua_upvalueindex(1));
	lua_remove(L, 1); /* the class, so that arguments count from 1 */
	if (iocp_takes_dot(L, 1))
		return luaL_argerror(
			L, 1, lua_pushfstring(L, "iocp.%s(...) is called with a dot", lua_tostring(L, lua_upvalueindex(2))));
	return create(L);
}

void iocp_class_set(lua_State *L, enum iocp_class c, const char *name, lua_CFunction create)
{
	lua_createtable(L, 0, 2);
	lua_pushinteger(L, (lua_Integer)c);
	lua_pushcclosure(L, class_open, 1);
	lua_setfield(L, -2, "open");
	lua_pushinteger(L, (lua_Integer)c);
	lua_pushcclosure(L, class_adopt, 1);
	lua_setfield(L, -2, "adopt");
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, create);
	lua_pushstring(L, name);
	lua_pushcclosure(L, class_call, 2);
	lua_setfield(L, -2, "__call");
	lua_setmetatable(L, -2);
	iocp_dotted_add(L);
	lua_setfield(L, -2, name);
}
