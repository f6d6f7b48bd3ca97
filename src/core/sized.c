/*
** sized.c - what of a struct that may grow crosses between a program and a library of another version. Owns nothing.
*/

#include "core/sized.h"

#include <stddef.h>
#include <string.h>

void iocp_copy_known(void *to, size_t known, const void *from, size_t size)
{
	memcpy(to, from, known < size ? known : size);
}

int iocp_read_options(const iocp_thread_options *from, iocp_thread_options *to)
{
	size_t known = from->size ? from->size : offsetof(iocp_thread_options, processors);
	memset(to, 0, sizeof(*to));
	if (known > sizeof(*to))
		return IOCP_INVALID;
	iocp_copy_known(to, known, from, sizeof(*to));
	return to->priority >= -2 && to->priority <= 2 ? IOCP_OK : IOCP_INVALID;
}
