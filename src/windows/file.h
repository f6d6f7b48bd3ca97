/*
** file.h - what the files of files share.
**
**   file.c           a file's life: adopting, associating, closing
**   file_create.c    opening by a name, and what has none: pipes, temporary files
**   file_operation.c how the handle is used; how an operation begins and ends, and is cancelled
**   file_transfer.c  reading and writing
**   file_sync.c      what a thread of the system's pool waits for
**   file_info.c      what is known of a file at once
*/

#ifndef IOCP_WINDOWS_FILE_H
#define IOCP_WINDOWS_FILE_H

#include "windows/windows.h"

#include "core/io_error.h"
#include "windows/operation.h"
#include "windows/port.h"

/* Locking: a call of the system's that may wait for a device is made without the lock, by a user that is counted: the
** handle is closed behind the last of them, so that none is made with one that was closed meanwhile. Where the order of
** the calls is kept, they are made with the lock held: of what has no offsets none of them waits, and the system does a
** write that makes a file longer before it returns, so those to the end of a file come one behind the other. */
struct iocp_file {
	iocp_object object;
	iocp_association association; /* under port_end.c's lock */
	unsigned adopted : 1;         /* fixed at birth, as are the next three */
	unsigned has_offsets : 1;
	unsigned appends : 1;
	unsigned is_pipe : 1; /* and not a socket of others */
	iocp_lock lock;
	HANDLE system; /* INVALID_HANDLE_VALUE once it is closed for all; this and all that follows is under the lock */
	uint32_t users;
	iocp_port *port; /* what it is associated with: not a reference, NULL once either is closed */
	uintptr_t key;   /* of the association, for good */
	iocp_operations operations;
	uint8_t closed;
	uint8_t ended; /* its port has ended */
	uint8_t skips; /* what is done at once sends no packet by itself; for good from the association on */
};

typedef struct iocp_file_request iocp_file_request;

/* A kind of operation. */
typedef struct iocp_file_call {
	/* Starts it, and says how far that came. `ordered` says whether the lock is held. */
	iocp_outcome (*start)(iocp_file *file, iocp_file_request *request);
	/* It has ended; may change how it has. It may have begun anew: pending. The lock is held, as in the next. NULL:
	** nothing. */
	void (*ended)(iocp_file *file, iocp_file_request *request, iocp_outcome *outcome);
	/* Asks it to stop. 0: it does not. NULL: the system is asked. */
	int (*stop)(iocp_file_request *request);
	int ordered; /* started in the order of the calls, whatever the file */
} iocp_file_call;

/* What the kernel's record is the beginning of. It has two owners: the call that starts it, and whoever takes its
** packet, which may be before that has returned. The last to be done with it frees it. */
struct iocp_file_request {
	iocp_operation operation;
	const iocp_file_call *call;
	void *memory; /* a copy of what is written, or NULL; freed with it */
	char *data;
	uint64_t offset;
	HANDLE port;      /* where a sync is to be told to */
	uint32_t size;    /* of what is transferred, as it was asked for */
	uint8_t returned; /* the call has; under the file's lock, as are the next */
	uint8_t taken;    /* its packet was; and if that came first, */
	uint8_t given_up; /* who took it is done with the record */
	uint8_t stopped;  /* it was asked to, and had not ended */
	uint8_t runs;     /* a sync's thread is at it */
};

_Static_assert(sizeof(iocp_file_request) <= IOCP_OPERATION_SIZE, "a record is too small");

/* ---- file.c ------------------------------------------------------------------------------------------------------ */

/* Takes over one of the system's, closing it on failure unless it is adopted. */
int iocp_file_make(HANDLE system, int adopted, int appends, iocp_file **file);
/* Whether the system's calls with it wait: it was not opened for overlapped use. */
int iocp_file_waits(HANDLE system);

/* ---- file_operation.c -------------------------------------------------------------------------------------------- */

/* Counts the caller among those who may use the handle. IOCP_INVALID: it is closed. */
int iocp_file_enter(iocp_file *file);
/* Takes the lock, and closes the handle behind the last. The caller has a reference. */
void iocp_file_leave(iocp_file *file);
/* The record of an operation that uses no block. IOCP_INVALID: `overlapped` cannot be one. IOCP_NOMEM. */
int iocp_file_request_make(
	iocp_file *file, const iocp_file_call *call, uintptr_t overlapped, iocp_file_request **request);
/* The record of one that uses address[at .. at + size - 1]. IOCP_INVALID also: that is not to be had. */
int iocp_file_request_make_on(iocp_file *file, const iocp_file_call *call, const void *address, size_t at, size_t size,
	int alone, uintptr_t overlapped, iocp_file_request **request);
/* Starts it, and sees to its packet or to *done. From then on the record is not the caller's. Returns what the
** operation does. */
int iocp_file_request_run(iocp_file_request *request, int64_t *done);
/* No packet of it was taken, nor will be. The call has returned. Takes the lock. */
void iocp_file_request_drop(iocp_file_request *request);
/* With what is in it. */
void iocp_file_request_free(iocp_file_request *request);
/* Asks those to stop that are chosen; NULL: all. How many were. The lock is held. */
uint32_t iocp_file_stop(
	iocp_file *file, int (*chosen)(const iocp_file_request *request, const void *data), const void *data);

/* ---- file_info.c ------------------------------------------------------------------------------------------------- */

/* Makes the file `size` bytes long. `appends`: it was opened for that. IOCP_OK or a number. */
int iocp_file_end_at(HANDLE system, int appends, uint64_t size);

static inline iocp_file *iocp_file_of(const iocp_file_request *request)
{
	return (iocp_file *)request->operation.object;
}

#endif
