/*
** operation.h - the records of operations that the kernel has: what the OVERLAPPED of each is the beginning of.
**
** They lie in one range of addresses, so that a look at a packet's `lpOverlapped` tells a record from a number that
** somebody posted.
*/

#ifndef IOCP_WINDOWS_OPERATION_H
#define IOCP_WINDOWS_OPERATION_H

#include "windows/windows.h"

typedef struct iocp_operation iocp_operation;

typedef struct iocp_operation_type {
	/* The kernel's packet for it was taken from `port`, and is in *packet: makes it the caller's, and frees the record.
	** 0: there is none for the caller. 1: there is one. No lock is held. */
	int (*end)(iocp_operation *operation, iocp_port *port, iocp_packet *packet);
	/* Has the object's operations on this heap's blocks end soon. */
	void (*stop)(iocp_object *object, iocp_heap *heap);
} iocp_operation_type;

struct iocp_operation {
	OVERLAPPED system; /* the kernel's from the call that starts it until its packet is queued */
	const iocp_operation_type *type;
	iocp_object *object;           /* whose operation it is: a reference; NULL: the record is free */
	iocp_operation *older, *newer; /* of the object, under its lock; of free ones `older` is the next */
	uintptr_t overlapped;          /* the caller's */
	iocp_heap *heap;               /* with a hold on the block at `address`, or NULL; from create to free */
	const void *address;
	int alone; /* how it is held */
};

enum { IOCP_OPERATION_SIZE = 160 }; /* bytes that a record has, what its type adds included */
enum { IOCP_LARGEST_TRANSFER = 0x7ffffffe };

/* How an operation has ended, or that it has not. */
typedef struct iocp_outcome {
	int pending;
	int32_t code; /* a number, or 0 */
	uint32_t bytes;
} iocp_outcome;

/* The operations of an object that have begun and not ended, in the order of their calls; under its lock. */
typedef struct iocp_operations {
	iocp_operation *newest, *oldest;
} iocp_operations;

void iocp_operations_add(iocp_operations *operations, iocp_operation *operation);
void iocp_operations_remove(iocp_operations *operations, iocp_operation *operation);

/* Before all else here. IOCP_OK or IOCP_NOMEM. */
int iocp_operation_begin(void);
/* A record, zeroed but for these, with a new reference to the object. IOCP_INVALID: `overlapped` cannot be a caller's.
** IOCP_NOMEM. */
int iocp_operation_create(
	const iocp_operation_type *type, iocp_object *object, uintptr_t overlapped, iocp_operation **operation);
/* The record of one that uses address[at .. at + *size - 1] of a live block, `alone` if that is said. IOCP_REST as
** *size becomes what the block has from `at` on. IOCP_INVALID also: that is not to be had. No lock is held. */
int iocp_operation_create_on(const iocp_operation_type *type, iocp_object *object, uintptr_t overlapped,
	const void *address, size_t at, size_t *size, int alone, iocp_operation **operation);
/* Gives up its block already, if it has one. No lock is held, here and in the next. */
void iocp_operation_let_go(iocp_operation *operation);
/* Gives up what it holds. */
void iocp_operation_free(iocp_operation *operation);
/* Whether the number is an address in the records' range. */
int iocp_operation_is_near(uintptr_t overlapped);
/* The record of an operation that the kernel has, or had, if that is what a packet's `lpOverlapped` is; else NULL. */
iocp_operation *iocp_operation_of(uintptr_t overlapped);

#endif
