/*
** process.c - what iocp.h and core/os.h tell and do for the process as a whole. Owns nothing.
*/

#include "core/features.h"

#include "native/native.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double iocp_clock(void)
{
	return (double)iocp_prim_nanoseconds() / 1e6;
}

uint64_t iocp_now(void)
{
	return (uint64_t)iocp_prim_nanoseconds();
}

double iocp_system_time(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int iocp_system_host_name(char *buffer, size_t size)
{
	buffer[size - 1] = 0; /* which POSIX leaves open where a name is cut */
	return gethostname(buffer, size - 1) == 0;
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

int iocp_terminal_columns(int descriptor)
{
	enum { USUAL = 80 };
	struct winsize size = {0};
	if (!isatty(descriptor))
		return 0;
	(void)ioctl(descriptor, TIOCGWINSZ, &size);
	return size.ws_col ? size.ws_col : USUAL;
}

uintptr_t iocp_stream_native(FILE *stream)
{
	(void)fflush(stream);
	return (uintptr_t)fileno(stream);
}
