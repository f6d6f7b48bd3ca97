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
	return iocp_prim_pin(inside);
}
