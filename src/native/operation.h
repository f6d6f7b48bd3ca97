/*
** operation.h - one operation of I/O: what it transfers, and the packet that it ends with.
*/

#ifndef IOCP_NATIVE_OPERATION_H
#define IOCP_NATIVE_OPERATION_H

#include "core/api.h"
#include "core/io_error.h"
#include "core/object.h"
#include "native/queue.h"

#pragma GCC visibility push(hidden)

enum iocp_operation_kind {
	IOCP_ACCEPT,
	IOCP_CONNECT,
	IOCP_RECEIVE,
	IOCP_RECEIVE_FROM,
	IOCP_SEND,
	IOCP_SEND_TO,
	IOCP_SEND_FILE,
	IOCP_READY,
	IOCP_READ,
	IOCP_WRITE,
	IOCP_SYNC
};

/* What trying an operation has brought; above 0 the number that it failed with. */
enum {
	IOCP_DONE = 0,
	IOCP_WAIT = -1 /* for an event */,
	IOCP_MORE = -2 /* it may go on, but others are to have a turn */
};

/* It belongs to whoever can reach it: first to the call, then to its object, whose lock guards it, then, finished, to
** who posts its packet. */
typedef struct iocp_operation {
	struct iocp_operation *next;
	iocp_packet packet; /* its bytes count what was transferred; its code is for iocp_finish */
	uint8_t kind;
	uint8_t side;     /* IOCP_PRIM_READ or IOCP_PRIM_WRITE: for which event it waits */
	uint8_t alone;    /* of its block */
	uint8_t borrowed; /* `data` is the caller's, for as long as the call takes */
	uint8_t brief;    /* the operation is */
	uint32_t size;    /* bytes to transfer */
	char *data;       /* where the next byte lies, or comes to lie */
	iocp_heap *heap;  /* whose block it uses, with a reference; NULL: none */
	void *block;      /* that block, or memory of its own */
	union {
		struct {
			iocp_object *client; /* with a reference */
			iocp_handle port;    /* that is to keep it: as an associated one, or no more than that */
			int associates;
			int descriptor; /* of the connection, once it is there */
		} accept;
		struct {
			int file;
			uint64_t offset;
		} file;
		struct {
			iocp_object *of; /* with a reference, once others do it; else NULL */
			uint64_t offset; /* of the next byte */
			int descriptor;
		} transfer;
	} of;
} iocp_operation;

/* Operations in the order in which they are done. */
typedef struct iocp_operations {
	iocp_operation *first, *last;
} iocp_operations;

/* In the code of a packet of I/O while it is queued, above all numbers of errors: see leader.c. */
enum { IOCP_IO_MARK = 1 << 30 };

/* Operations that have ended and whose packets are to be posted, in order. */
typedef struct iocp_finished {
	iocp_operation *first, *last;
	size_t count;
} iocp_finished;

void iocp_operations_append(iocp_operations *operations, iocp_operation *operation);
/* There is one. */
void iocp_operations_remove_first(iocp_operations *operations);
/* Moves those that `matches` says, or all of them if it is NULL, behind `taken`. Returns how many. */
uint32_t iocp_operations_take(iocp_operations *operations,
	int (*matches)(const iocp_operation *operation, const void *with), const void *with, iocp_operations *taken);
/* For the above. `with` points to the `overlapped`, and is the heap. */
int iocp_operation_has_overlapped(const iocp_operation *operation, const void *overlapped);
int iocp_operation_uses_heap(const iocp_operation *operation, const void *heap);
/* Whether the heap whose block it uses was destroyed. Who finds not, under the lock of a queue, and appends it there,
** leaves it to be found by who destroys the heap. */
int iocp_operation_lost_heap(const iocp_operation *operation);
/* The number of an errno. */
int iocp_number_of(int code);
/* NULL: out of memory. */
iocp_operation *iocp_operation_new(enum iocp_operation_kind kind, uintptr_t overlapped);
/* The same, in memory of the caller's unless that is NULL: for what may be done at once, and then sends no packet. */
iocp_operation *iocp_operation_brief(iocp_operation *memory, enum iocp_operation_kind kind, uintptr_t overlapped);
/* It uses `size` bytes, least..most or IOCP_REST, from `at` on of the block at `address`. IOCP_INVALID, IOCP_NOMEM: it
** does not. No lock is held. */
int iocp_operation_use(
	iocp_operation *operation, const void *address, size_t at, size_t size, size_t least, size_t most, int alone);
/* It goes on after the call: what is left of borrowed data is copied. 0: no memory. */
int iocp_operation_own(iocp_operation *operation);
/* The same, and one in the caller's memory becomes another. 0: no memory, and it is what it was. */
int iocp_operation_keep(iocp_operation **operation);
/* Frees it and lets go of what it holds. No lock is held, since that may free a heap. */
void iocp_operation_drop(iocp_operation *operation);
/* It has ended, with this number or 0. */
void iocp_finish(iocp_finished *finished, iocp_operation *operation, int number);
/* Those of `more`, which is empty then, come behind. */
void iocp_finished_join(iocp_finished *finished, iocp_finished *more);
/* Lets go of what those operations hold, but not of the operations: before others know that they have ended. No lock is
** held. */
void iocp_finished_let_go(iocp_finished *finished);
void iocp_finished_drop(iocp_finished *finished);
/* Appends their packets to the queue, each with the mark in its code. With `room` in the queue they are copied, and the
** operations are left; without, since memory is out, the operations themselves become the queue's, and none is left.
** They have let go. */
void iocp_finished_append(iocp_finished *finished, iocp_queue *queue, int32_t mark, int room);

#pragma GCC visibility pop

#endif
