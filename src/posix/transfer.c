/*
** transfer.c - transfers where the system does none by itself: threads do them all.
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>

int iocp_prim_has_at_once(int flags)
{
	(void)flags;
	return 0;
}

ssize_t iocp_prim_read_at_once(int descriptor, void *data, size_t size, int64_t offset)
{
	(void)descriptor, (void)data, (void)size, (void)offset;
	errno = EOPNOTSUPP;
	return -1;
}

ssize_t iocp_prim_write_at_once(int descriptor, const void *data, size_t size, int64_t offset)
{
	(void)descriptor, (void)data, (void)size, (void)offset;
	errno = EOPNOTSUPP;
	return -1;
}

iocp_prim_ring *iocp_prim_ring_open(void)
{
	return NULL;
}

/* So nobody calls the others. */

void iocp_prim_ring_close(iocp_prim_ring *ring)
{
	(void)ring;
}

void iocp_prim_ring_add(iocp_prim_ring *ring, const iocp_prim_transfer *transfer)
{
	(void)ring, (void)transfer;
}

size_t iocp_prim_ring_wait(iocp_prim_ring *ring, iocp_prim_transferred *ended, size_t max)
{
	(void)ring, (void)ended, (void)max;
	return 0;
}

void iocp_prim_ring_alarm(iocp_prim_ring *ring)
{
	(void)ring;
}
