/*
** taken.c - packets that a state took from a port together, and has not handed out yet.
**
** Whoever takes several holds them in a userdata of this file. What is left there when a loop ends early, or when Lua
** raises, would be in nobody's reach until garbage is collected. So it goes back to the port at the latest when the
** state waits the next time (iocp_give_back), for whatever it is. A loop that goes on keeps what it has: it is found on
** the stack, where `for` keeps what it calls. (One in another coroutine is not found; it takes its packets anew.)
**
** Ownership: a userdata in use has a reference to its port. The state's list, in the registry, has those with packets
** left, and no reference: a userdata that is collected leaves it. It is the state's own, so there are no locks.
*/

#include "lua/value/format.h"

#define TAKEN "iocp.taken"
#define LEFT "iocp.left" /* registry key */

_Atomic uint32_t iocp_takers;

void iocp_taken_enlist(iocp_taken *t)
{
	if (t->max == 1 || t->count == 0)
		return;
	t->newer = NULL;
	t->older = t->left->newest;
	if (t->older)
		t->older->newer = t;
	t->left->newest = t;
}

void iocp_taken_forget(iocp_taken *t)
{
	size_t count = t->count;
	t->next = t->count = 0;
	if (count == 0 || t->max == 1)
		return;
	if (t->older)
		t->older->newer = t->newer;
	if (t->newer)
		t->newer->older = t->older;
	else
		t->left->newest = t->older;
}

/* What is left goes back. Without memory it stays. */
static void put_back(iocp_taken *t)
{
	if (t->next == t->count || iocp_port_putback(t->port, t->packets + t->next, t->count - t->next) == IOCP_OK)
		iocp_taken_forget(t);
}

static int collect_taken(lua_State *L)
{
	iocp_taken *t = lua_touserdata(L, 1);
	if (t->port)
		iocp_taken_end(t);
	return 0;
}

iocp_left *iocp_push_left(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, LEFT);
	if (lua_isnil(L, -1)) {
		iocp_left *left;
		lua_pop(L, 1);
		left = lua_newuserdata(L, sizeof(*left));
		*left = (iocp_left){NULL, 0};
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, LEFT);
	}
	return lua_touserdata(L, -1);
}

iocp_taken *iocp_taken_push(lua_State *L, size_t max)
{
	iocp_left *left = iocp_push_left(L);
	iocp_taken *t = lua_newuserdata(L, sizeof(*t) + max * sizeof(t->packets[0]));
	*t = (iocp_taken){.left = left, .max = max};
	if (luaL_newmetatable(L, TAKEN)) {
		lua_pushcfunction(L, collect_taken);
		lua_setfield(L, -2, "__gc");
		lua_pushcfunction(L, collect_taken);
		lua_setfield(L, -2, "__close");
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable"); /* nobody else calls these two */
	}
	lua_setmetatable(L, -2);
	lua_remove(L, -2);
	return t;
}

void iocp_taken_begin(iocp_taken *t, iocp_port *port, size_t count)
{
	t->port = iocp_port_retain(port);
	/* Relaxed: a state finds its own, which this thread counted. */
	if (t->max > 1)
		atomic_fetch_add_explicit(&iocp_takers, 1, memory_order_relaxed);
	t->count = count;
	iocp_taken_enlist(t);
}

void iocp_taken_end(iocp_taken *t)
{
	put_back(t);
	iocp_taken_forget(t);
	if (t->max > 1)
		atomic_fetch_sub_explicit(&iocp_takers, 1, memory_order_relaxed);
	iocp_port_release(t->port);
	t->port = NULL;
}

void iocp_layout_push(lua_State *L)
{
	static const struct {
		const char *name;
		size_t value;
	} facts[] = {
		{"box", sizeof(iocp_box)},
		{"box.object", offsetof(iocp_box, object)},
		{"box.owns", offsetof(iocp_box, owns)},
		{"left", sizeof(iocp_left)},
		{"left.newest", offsetof(iocp_left, newest)},
		{"left.busy", offsetof(iocp_left, busy)},
		{"packet", sizeof(iocp_packet)},
		{"packet.key", offsetof(iocp_packet, key)},
		{"packet.overlapped", offsetof(iocp_packet, overlapped)},
		{"packet.bytes", offsetof(iocp_packet, bytes)},
		{"packet.code", offsetof(iocp_packet, code)},
		{"taken.packets", offsetof(iocp_taken, packets)},
	};
	size_t i, count = sizeof(facts) / sizeof(*facts);
	lua_createtable(L, 0, (int)count);
	for (i = 0; i < count; i++)
		iocp_set_count(L, facts[i].name, facts[i].value);
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

/* Whether the value at the top is the packets, or a C function over them; pops it. */
static int is_theirs(lua_State *L, const iocp_taken *t)
{
	int theirs = lua_touserdata(L, -1) == t;
	if (lua_iscfunction(L, -1) && lua_getupvalue(L, -1, 1)) {
		theirs = lua_touserdata(L, -1) == t;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return theirs;
}

/* Whether a loop over these packets goes on, or a local variable has them. */
static int is_in_use(lua_State *L, const iocp_taken *t)
{
	lua_Debug frame;
	int level, n;
	for (level = 0; lua_getstack(L, level, &frame); level++) {
		const char *name;
		for (n = 1; (name = lua_getlocal(L, &frame, n)) != NULL; n++) {
			/* What has no name may be left over from before, unless it is the loop's own: "(for ...". */
			if (is_theirs(L, t) && (name[0] != '(' || name[1] == 'f'))
				return 1;
		}
	}
	return 0;
}

void iocp_give_back_left(lua_State *L)
{
	iocp_taken *t, *older;
	if (!lua_checkstack(L, 4))
		return;
	t = iocp_push_left(L)->newest;
	lua_pop(L, 1);
	for (; t; t = older) {
		older = t->older;
		if (!is_in_use(L, t))
			put_back(t);
	}
}
