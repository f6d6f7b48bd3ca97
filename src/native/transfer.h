/*
** transfer.h - transfers that would make their caller wait for a device: others do them.
*/

#ifndef IOCP_NATIVE_TRANSFER_H
#define IOCP_NATIVE_TRANSFER_H

#include "native/operation.h"

#pragma GCC visibility push(hidden)

/* Which operations are meant: this object's, where they have this `overlapped` or use this heap, unless those are
** NULL. */
typedef struct iocp_transfers {
	const iocp_object *of;
	const uintptr_t *overlapped;
	const iocp_heap *heap;
} iocp_transfers;

/* An IOCP_READ, IOCP_WRITE or IOCP_SYNC with all of its of.transfer. It is given away; when it has ended, `transferred`
** of its source's calls gets it. The descriptor and the memory stay until then. Any thread, no lock is held. */
void iocp_transfer_begin(iocp_operation *operation);
/* Those that nobody has begun with end with IOCP_ECANCELED, soon. Returns how many. No lock is held. */
uint32_t iocp_transfers_cancel(const iocp_transfers *which);

#pragma GCC visibility pop

#endif
