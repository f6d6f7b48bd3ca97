/*
** file.h - what the files of files share: the file itself.
**
**   file.c         its life, its association, and how it ends
**   file_start.c   the operations that iocp.h has, from the call to who does them
**   file_advance.c what goes by readiness: pipes, terminals
**   file_info.c    what it is
**   transfer.c     who does what would wait for a device
*/

#ifndef IOCP_NATIVE_FILE_H
#define IOCP_NATIVE_FILE_H

#include "native/poll.h"
#include "native/transfer.h"

#pragma GCC visibility push(hidden)

/* All but what is fixed at birth is guarded by `lock`, within which the poll's is taken, and the table's. */
struct iocp_file {
	iocp_source source;
	/* Fixed, as the next three. */
	uint8_t has_offsets; /* 0: it goes by readiness, and `reading` and `writing` are what waits for that */
	uint8_t appends;     /* 1: writes are done in turn, and those in `writing` wait for theirs */
	uint8_t is_fifo;     /* or a pipe */
	uint8_t adopted;     /* others use the file, too: it may be one that waits */
	iocp_lock lock;
	int descriptor; /* -1: it was closed */
	int native;     /* what it is known by: the descriptor, or the number of an adopted one */
	uint32_t away;  /* operations that use the descriptor outside the lock: it stays open until they have ended */
	uint8_t owned;  /* the descriptor is closed with it */
	uint8_t closed;
	uint8_t associated;
	uint8_t port_ended;
	uint8_t appending; /* a write has its turn */
	uint8_t interest;  /* IOCP_PRIM_*, as a socket has them; all three are 0 of what has offsets */
	uint8_t possible;
	uint8_t hangs;
	_Atomic uint8_t
		untold;      /* IOCP_PRIM_*: whether that would wait cannot be told. Relaxed: who does not know finds out */
	iocp_poll *poll; /* whose member it is, as a socket */
	iocp_handle port;
	uintptr_t key;
	iocp_operations reading, writing;
};

/* A file over the descriptor, which becomes its own, or is closed if that fails. As iocp_file_create. */
int iocp_file_take(int descriptor, iocp_file **file);
/* file_start.c: an operation that others did has ended. No lock is held. */
void iocp_file_transferred(iocp_operation *operation, int number);

/* ---- file_advance.c; under the lock ------------------------------------------------------------------------------ */

/* If it is closed, and no operation uses its descriptor, that goes. */
void iocp_file_close_unused(iocp_file *file);
/* An operation does not use the descriptor any more. */
void iocp_file_came_back(iocp_file *file);

static inline iocp_operations *iocp_file_queue_of(iocp_file *file, const iocp_operation *operation)
{
	return operation->side == IOCP_PRIM_READ ? &file->reading : &file->writing;
}

/* Tries a read or write of a file without offsets. */
int iocp_file_try(iocp_file *file, iocp_operation *operation);
/* As iocp_socket_expect. */
int iocp_file_expect(iocp_file *file, uint32_t what, int now);
/* Takes the lock, and goes on with what is queued. */
void iocp_file_advance(iocp_file *file, uint32_t what, iocp_finished *finished);
/* What is queued in the file, and `matches` says, ends with IOCP_ECANCELED; all of it if that is NULL. Returns how
** many. */
uint32_t iocp_file_end(iocp_file *file, int (*matches)(const iocp_operation *operation, const void *with),
	const void *with, iocp_finished *finished);

#pragma GCC visibility pop

#endif
