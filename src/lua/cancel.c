/*
** cancel.c - hooks: cancel("hard"), an error raised in code that runs in another thread, and those that tasks leave.
**
** A thread that runs scripts has an iocp_running in its data. `state` is there while code of a script may run in it;
** the thread sets and clears it, and the interrupt that reads it runs in that very thread.
*/

#include "lua/binding.h"

void iocp_raise_cancelled(lua_State *L, lua_Debug *activation)
{
	(void)activation;
	luaL_error(L, "the thread was cancelled");
}

/* Raises at the next instruction, again and again until the body is left, whatever pcall catches. lua_sethook is one of
** the few functions that a signal handler may call. */
static void arm(const iocp_running *running, lua_State *L)
{
	lua_sethook(
		L, running->raise ? running->raise : iocp_raise_cancelled, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

void iocp_running_interrupted(iocp_running *running)
{
	/* Relaxed: written by this very thread, which this handler has stopped. */
	lua_State *L = atomic_load_explicit(&running->state, memory_order_relaxed);
	if (L)
		arm(running, L);
}

/* Sequentially consistent, both: either the canceller's write of `hard` is seen here, or its interrupt, which follows
** that write, sees the state. */
void iocp_running_begin(iocp_running *running, lua_State *L)
{
	atomic_store_explicit(&running->state, L, memory_order_seq_cst);
	if (atomic_load_explicit(&running->hard, memory_order_seq_cst))
		arm(running, L);
}

lua_State *iocp_running_follow(iocp_running *running, lua_State *co)
{
	/* Relaxed: this very thread has written it. */
	lua_State *before = atomic_load_explicit(&running->state, memory_order_relaxed);
	if (before)
		iocp_running_begin(running, co);
	return before;
}

void iocp_running_go_back(iocp_running *running, lua_State *before)
{
	if (before)
		iocp_running_begin(running, before);
}

void iocp_running_end(iocp_running *running, lua_State *L)
{
	atomic_store_explicit(&running->state, NULL, memory_order_seq_cst);
	lua_sethook(L, NULL, 0, 0);
}

void iocp_hook_save(iocp_running *running, lua_State *L, iocp_hook *hook)
{
	hook->f = lua_gethook(L);
	if (hook->f) {
		hook->mask = lua_gethookmask(L);
		hook->count = lua_gethookcount(L);
		(void)iocp_hook_drop(L);
	}
	if (atomic_load_explicit(&running->hard, memory_order_seq_cst)) /* see iocp_running_begin */
		arm(running, L);
}

int iocp_hook_drop(lua_State *L)
{
	if (!lua_gethook(L))
		return 0;
	lua_sethook(L, NULL, 0, 0); /* costs LuaJIT the trace that it records */
	return 1;
}

void iocp_hook_restore(iocp_running *running, lua_State *L, const iocp_hook *hook)
{
	if (lua_gethook(L) != hook->f)
		lua_sethook(L, hook->f, hook->mask, hook->count);
	if (atomic_load_explicit(&running->hard, memory_order_seq_cst)) /* see iocp_running_begin */
		arm(running, L);
}

int iocp_running_cancel(iocp_running *running, iocp_thread *thread, void (*interrupted)(iocp_thread *))
{
	int r;
	iocp_thread_cancel(thread); /* before `hard`, whose error it explains: a thread that it ended has not failed */
	atomic_store_explicit(&running->hard, 1, memory_order_seq_cst); /* see iocp_running_begin */
	r = iocp_thread_interrupt(thread, interrupted);
	return r == IOCP_INVALID ? IOCP_OK : r; /* not running: it looks at `hard` when it starts */
}

int iocp_running_refused(lua_State *L, int code)
{
	char text[256];
	iocp_error_text(code, text, sizeof(text));
	return iocp_failure(L, code,
		lua_pushfstring(
			L, "it is cancelled, but its code goes on: this system does not let it be interrupted (%s)", text));
}
