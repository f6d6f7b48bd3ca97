/*
** state_memory.c - opens and closes the states that the library makes, and gives the memory of one of LuaJIT's to the
** next.
**
** LuaJIT maps memory for each state, which the system fills with zeros page by page, and unmaps it at the end: that
** takes as long as all the rest of a small state. So what a state lived in is kept when the state is closed, and the
** next one begins in it. The allocator stays LuaJIT's own: lua_getallocf tells it, and its data, in which it keeps what
** it has from the system. It gives that back when a state is closed that has it as allocator; one that has another
** leaves it alone.
**
** So a state has `count_down` in front of LuaJIT's allocator until it has been given BUDGET bytes in all. From then on
** it has that alone: it runs at full speed, and its memory, of whatever size it has become, goes with it. What is kept
** is therefore small, and no more than MOST_KEPT of it.
**
** Other Luas take memory of malloc, which keeps it in the same way.
**
** Ownership: an iocp_state_memory is its state's, and then that place's in `kept` where it stands. No locks.
*/

#include <stdlib.h>

#include "lua/binding.h"

#if LUA_VERSION_NUM < 502

enum { MOST_KEPT = 8, BUDGET = 1024 * 1024 };

struct iocp_state_memory {
	lua_Alloc allocate; /* LuaJIT's, and its data */
	void *data;
	lua_CFunction panic;
	lua_State *L;
	size_t left; /* so many bytes the state may still be given; none: its memory goes with it */
};

static _Atomic(iocp_state_memory *) kept[MOST_KEPT];

/* NULL: there is none. */
static iocp_state_memory *take(void)
{
	iocp_state_memory *memory = NULL;
	int i;
	/* Relaxed, the load: it only saves the exchange. Acquire: pairs with the release in keep. */
	for (i = 0; i < MOST_KEPT && !memory; i++)
		if (atomic_load_explicit(&kept[i], memory_order_relaxed))
			memory = atomic_exchange_explicit(&kept[i], NULL, memory_order_acquire);
	return memory;
}

/* 0: there is enough already. */
static int keep(iocp_state_memory *memory)
{
	int i, done = 0;
	for (i = 0; i < MOST_KEPT && !done; i++) {
		iocp_state_memory *none = NULL;
		/* Release: all that was done in the memory happens-before what its next state does. */
		done = !atomic_load_explicit(&kept[i], memory_order_relaxed)
			   && atomic_compare_exchange_strong_explicit(
				   &kept[i], &none, memory, memory_order_release, memory_order_relaxed);
	}
	return done;
}

/* A lua_Alloc, in front of LuaJIT's. */
static void *count_down(void *data, void *block, size_t old_size, size_t size)
{
	iocp_state_memory *memory = data;
	if (size < memory->left) {
		memory->left -= size;
	} else {
		memory->left = 0;
		lua_setallocf(memory->L, memory->allocate, memory->data);
	}
	return memory->allocate(memory->data, block, old_size, size);
}

static lua_State *count(lua_State *L, iocp_state_memory *memory)
{
	memory->L = L;
	memory->left = BUDGET;
	lua_setallocf(L, count_down, memory);
	return L;
}

/* LuaJIT since 2025 has luaL_newstate also set what tells of errors in finalizers; lua_newstate does not. */
static int has_events(lua_State *L)
{
	int has;
	lua_getfield(L, LUA_REGISTRYINDEX, "_VMEVENTS");
	has = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return has;
}

/* What the fresh state lives in, if the next one can begin there: only LuaJIT's allocator has data. Where that needs
** addresses of 32 bits, lua_newstate takes no allocator. NULL: it cannot, or memory is out. */
static iocp_state_memory *new_memory(lua_State *L)
{
	void *data;
	lua_Alloc allocate = lua_getallocf(L, &data);
	iocp_state_memory *memory = NULL;
	if (data && (uint64_t)(uintptr_t)L >> 32 != 0 && !has_events(L))
		memory = malloc(sizeof(*memory));
	if (memory) {
		memory->allocate = allocate;
		memory->data = data;
		memory->panic = lua_atpanic(L, NULL);
		(void)lua_atpanic(L, memory->panic);
	}
	return memory;
}

lua_State *iocp_state_open(iocp_state_memory **memory)
{
	lua_State *L;
	*memory = take();
	if (*memory) {
		L = lua_newstate((*memory)->allocate, (*memory)->data); /* which binds the data to it: so not count_down yet */
		if (L) {
			(void)lua_atpanic(L, (*memory)->panic);
			return count(L, *memory);
		}
		free(*memory); /* what it stood for is given back, but for a rest of which nothing is known */
	}
	L = luaL_newstate();
	*memory = L ? new_memory(L) : NULL;
	return *memory ? count(L, *memory) : L;
}

void iocp_state_close(lua_State *L, iocp_state_memory *memory)
{
	lua_close(L); /* finalizers may use up what is left */
	if (!memory)
		return;
	if (memory->left > 0) {
		if (keep(memory))
			return;
		L = lua_newstate(memory->allocate, memory->data);
		if (L)
			lua_close(L); /* with its memory */
	}
	free(memory);
}

#else

lua_State *iocp_state_open(iocp_state_memory **memory)
{
	*memory = NULL;
	return luaL_newstate();
}

void iocp_state_close(lua_State *L, iocp_state_memory *memory)
{
	(void)memory;
	lua_close(L);
}

#endif
