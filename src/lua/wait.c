/*
** wait.c - how a state waits: what it has left of packets goes back before, hooks run when a signal interrupts.
*/

#include "lua/binding.h"

void iocp_run_hooks(lua_State *L)
{
	if (luaL_loadbuffer(L, "return", 6, "=a wait of iocp") == 0) /* LuaJIT's "interrupted!" names it */
		lua_call(L, 0, 0);
	else
		lua_pop(L, 1);
}

int iocp_wait_packet(void *port, void *packet, double ms)
{
	return iocp_port_dequeue(port, packet, ms);
}

/* As wait(object, argument, ms), and tells a wait that takes long. */
static int wait_patiently(lua_State *L, int (*wait)(void *, void *, double), void *object, void *argument, double ms)
{
	int r;
	if (!iocp_debugs() || (ms >= 0 && ms <= IOCP_DEBUG_PATIENCE))
		return wait(object, argument, ms);
	r = wait(object, argument, IOCP_DEBUG_PATIENCE);
	if (r != IOCP_TIMEOUT)
		return r;
	iocp_debug_waits(L);
	return wait(object, argument, ms < 0 ? ms : ms - IOCP_DEBUG_PATIENCE);
}

int iocp_wait_in_lua(lua_State *L, int (*wait)(void *, void *, double), void *object, void *argument, double ms)
{
	double deadline = ms > 0 ? iocp_clock() + ms : 0;
	int r;
	iocp_give_back(L);
	while ((r = wait_patiently(L, wait, object, argument, ms)) == IOCP_INTERRUPTED) {
		iocp_run_hooks(L);
		if (ms > 0) {
			ms = deadline - iocp_clock();
			if (ms < 0)
				ms = 0;
		}
	}
	return r;
}

static int wait_packets(void *port, void *argument, double ms)
{
	iocp_taken *t = argument;
	return iocp_port_dequeue_many(port, t->packets, t->max, &t->count, ms);
}

int iocp_taken_wait(lua_State *L, iocp_taken *t, double ms)
{
	int r;
	iocp_taken_forget(t);
	r = iocp_wait_in_lua(L, wait_packets, t->port, t, ms);
	if (r == IOCP_OK)
		iocp_taken_enlist(t);
	return r;
}
