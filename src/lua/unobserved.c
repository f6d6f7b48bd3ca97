/*
** unobserved.c - iocp.on_unobserved: a script's function, in the place of the error output, for what failed and nobody
** asked for.
**
** The setting is the process's. Its function crosses like a thread's body, and is called in a state of its own each
** time, in whichever thread dropped the last reference: often a finalizer, in the midst of another state. So nothing of
** that state is touched, and the caller holds no lock.
**
** A setting has references: one is `current`'s, the others are of those who call its function. Who takes one is counted
** in `takers` for that moment; who puts another setting in the place of one waits until there are none, before it gives
** up `current`'s reference. These four are sequentially consistent: a taker either is seen, or sees the new setting.
*/

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/value/format.h"

typedef struct setting {
	_Atomic uint32_t references;
	iocp_values f;
	iocp_description description; /* of the state that set it */
} setting;

static _Atomic(setting *) current;
static _Atomic uint32_t takers;

static void release_setting(setting *s)
{
	/* As in core/object.c. */
	if (s && atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) == 1) {
		iocp_values_free(&s->f);
		iocp_description_free(&s->description);
		free(s);
	}
}

/* The setting with a reference, or NULL. */
static setting *take_setting(void)
{
	setting *s;
	atomic_fetch_add_explicit(&takers, 1, memory_order_seq_cst);
	s = atomic_load_explicit(&current, memory_order_seq_cst);
	if (s)
		atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed); /* `current` has one meanwhile */
	atomic_fetch_sub_explicit(&takers, 1, memory_order_seq_cst);
	return s;
}

static void set_setting(setting *s)
{
	setting *old = atomic_exchange_explicit(&current, s, memory_order_seq_cst);
	while (old && atomic_load_explicit(&takers, memory_order_seq_cst) > 0)
		iocp_yield();
	release_setting(old);
}

/* ---- calling the function ---------------------------------------------------------------------------------------- */

typedef struct call {
	const setting *setting;
	const iocp_failed *who;
	const char *text;
	char trouble[256];
} call;

static void set_text(lua_State *L, const char *name, const char *text)
{
	if (*text) {
		lua_pushstring(L, text);
		lua_setfield(L, -2, name);
	}
}

/* Runs protected, in a fresh state: f(message, { thread, task or pool =, pool =, made = }). */
static int call_f(lua_State *L)
{
	const call *c = lua_touserdata(L, 1);
	const iocp_failed *who = c->who;
	lua_settop(L, 0);
	iocp_state_prepare(L, &c->setting->description, NULL);
	iocp_state_begin(L);
	if (iocp_values_push(L, &c->setting->f) < 0)
		return lua_error(L);
	lua_pushstring(L, c->text);
	lua_createtable(L, 0, 3);
	set_text(L, iocp_failed_kinds[who->kind], who->name);
	set_text(L, "pool", who->kind == IOCP_FAILED_POOL ? who->name : who->pool);
	set_text(L, "made", who->made);
	lua_call(L, 2, 0);
	return 0;
}

static int call_protected(lua_State *L)
{
	call *c = lua_touserdata(L, 1);
	lua_pushcfunction(L, call_f);
	lua_pushvalue(L, 1);
	if (lua_pcall(L, 1, 0, 0) != 0) {
		iocp_push_text(L, lua_gettop(L));
		snprintf(c->trouble, sizeof(c->trouble), "%s", lua_tostring(L, -1));
	}
	return 0;
}

/* Tells the script's function; 0: it could not be called to its end, and c->trouble says why. */
static int tell_script(call *c)
{
	iocp_state_memory *memory;
	lua_State *L = iocp_state_open(&memory);
	snprintf(c->trouble, sizeof(c->trouble), "out of memory");
	if (!L)
		return 0;
	c->trouble[0] = 0;
	if (iocp_protect(L, call_protected, c) != 0)
		snprintf(c->trouble, sizeof(c->trouble), "out of memory");
	iocp_state_close(L, memory);
	return !c->trouble[0];
}

/* The process's teller, once there has been a function. */
static int tell_by_setting(const iocp_failed *who, const char *text, char *trouble, size_t size)
{
	setting *s = take_setting();
	call c = {.setting = s, .who = who, .text = text};
	int told = s && tell_script(&c);
	if (s && !told)
		snprintf(trouble, size, "%s", c.trouble);
	release_setting(s);
	return told;
}

static int tell_nobody(const iocp_failed *who, const char *text, char *trouble, size_t size)
{
	(void)who, (void)text, (void)trouble, (void)size;
	return 1;
}

void iocp_unobserved_where(lua_State *L, int level, char *made, size_t size)
{
	lua_Debug about;
	*made = 0;
	for (; !*made && lua_getstack(L, level, &about); level++) {
		lua_getinfo(L, "Sl", &about);
		if (about.currentline > 0 && !iocp_parts_include(about.source))
			snprintf(made, size, "%s:%d", about.short_src, about.currentline);
	}
}

/* ---- the end of the main script's state -------------------------------------------------------------------------- */

static int end_state(lua_State *L)
{
	(void)L;
	iocp_unobserved_tell_rest();
	return 0;
}

void iocp_unobserved_open(lua_State *L)
{
	if (iocp_thread_current())
		return;
	if (luaL_newmetatable(L, "iocp.unobserved")) { /* which keeps what it is for */
		lua_pushcfunction(L, end_state);
		lua_setfield(L, -2, "__gc");
		(void)lua_newuserdata(L, 1); /* the last one that is finalised, as it is the first */
		lua_pushvalue(L, -2);
		lua_setmetatable(L, -2);
		lua_setfield(L, -2, "last");
	}
	lua_pop(L, 1);
}

/* ---- iocp.on_unobserved ------------------------------------------------------------------------------------------ */

static int collect_setting(lua_State *L)
{
	setting **box = lua_touserdata(L, 1);
	release_setting(*box);
	*box = NULL;
	return 0;
}

/* Makes the function at 1 the setting's. IOCP_NOMEM. May raise. */
static int set_function(lua_State *L)
{
	iocp_encoding encoding = {.first = 1, .count = 1, .head = "f"};
	setting **box = lua_newuserdata(L, sizeof(*box)), *s;
	int r;
	*box = NULL;
	if (luaL_newmetatable(L, "iocp.setting")) {
		lua_pushcfunction(L, collect_setting);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	s = *box = calloc(1, sizeof(*s));
	if (!s)
		return IOCP_NOMEM;
	atomic_store_explicit(&s->references, 1, memory_order_relaxed); /* nobody else knows it yet */
	r = iocp_state_describe(L, &s->description);
	if (r == IOCP_OK)
		r = iocp_values_copy(L, &encoding, &s->f);
	if (r != IOCP_OK)
		return r;
	*box = NULL;
	set_setting(s);
	iocp_unobserved_tell_by(tell_by_setting);
	return IOCP_OK;
}

int iocp_lua_on_unobserved(lua_State *L)
{
	int r = IOCP_OK;
	lua_settop(L, 1);
	if (lua_isfunction(L, 1)) {
		r = set_function(L);
	} else if (lua_isnil(L, 1) || (lua_isboolean(L, 1) && !lua_toboolean(L, 1))) {
		iocp_unobserved_tell_by(lua_isnil(L, 1) ? NULL : tell_nobody);
		set_setting(NULL);
	} else {
		return iocp_bad_argument(L, 1, "f", "a function, false to be quiet, or nil for the error output");
	}
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	lua_pushboolean(L, 1);
	return 1;
}
