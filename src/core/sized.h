/*
** sized.h - structs of iocp.h that begin with their size, so that they can grow.
*/

#ifndef IOCP_SIZED_H
#define IOCP_SIZED_H

#include "core/api.h"

#pragma GCC visibility push(hidden)

/* Copies of a struct of iocp.h that begins with its size what a caller, for whom it has `known` bytes, can take. */
void iocp_copy_known(void *to, size_t known, const void *from, size_t size);
/* The same for what a caller asks of a thread; zeroes stand for the rest. IOCP_INVALID: of a newer version, whose other
** wishes would be ignored in silence, or a priority that there is not. */
int iocp_read_options(const iocp_thread_options *from, iocp_thread_options *to);

#pragma GCC visibility pop

#endif
