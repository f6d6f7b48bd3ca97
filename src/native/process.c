/*
** process.c - what iocp.h tells and does for the process as a whole. Owns nothing.
*/

#include "native/native.h"

double iocp_clock(void)
{
	return (double)iocp_prim_nanoseconds() / 1e6;
}

uint32_t iocp_processors(void)
{
	return iocp_prim_processors();
}

void iocp_yield(void)
{
	iocp_prim_yield();
}

static void inside(void)
{
}

int iocp_pin(void)
{
	static _Atomic int pinned;
	int r;
	/* Relaxed: whoever finds it unset pins once more. */
	if (atomic_load_explicit(&pinned, memory_order_relaxed))
		return IOCP_OK;
	r = iocp_prim_pin(inside);
	if (r == IOCP_OK)
		atomic_store_explicit(&pinned, 1, memory_order_relaxed);
	return r;
}
