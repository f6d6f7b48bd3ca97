/*
** object.h - the live-object table: how a number names a port, heap or thread, and how long each of them lives.
*/

#ifndef IOCP_OBJECT_H
#define IOCP_OBJECT_H

#include <stdint.h>

#include "core/atomic.h"
#include "core/api.h"

#pragma GCC visibility push(hidden)

enum iocp_kind {
	IOCP_KIND_PORT = 1,
	IOCP_KIND_HEAP = 2,
	IOCP_KIND_THREAD = 4,
	IOCP_KIND_PRIVATE_HEAP = 8 /* a port's own; no script opens or finds it */
};

enum { IOCP_SLOT_BITS = 22 }; /* of a handle: 4,194,304 objects */

/* What is freed when its last reference goes, which may drop the last one to another. */
typedef struct iocp_mortal {
	void (*free)(struct iocp_mortal *);
	struct iocp_mortal *next; /* that is to be freed */
} iocp_mortal;

/* The slot of the table that a handle names: one object's at a time. */
static inline uint32_t iocp_handle_slot(iocp_handle handle)
{
	return (uint32_t)handle & ((UINT32_C(1) << IOCP_SLOT_BITS) - 1);
}

/* The first member of every port, heap and thread. */
typedef struct iocp_object {
	iocp_mortal mortal;
	_Atomic uint32_t references;
	enum iocp_kind kind; /* fixed at birth, as are those below */
	iocp_handle handle;
	const void *native; /* what adopt knows it by: on Linux its own address, on Windows the kernel's HANDLE */
	void (*free)(struct iocp_object *); /* called with the last reference, without any lock */
} iocp_object;

/* Enters an object with one reference into the table. IOCP_NOMEM. */
int iocp_object_register(iocp_object *object, enum iocp_kind kind, const void *native, void (*release)(iocp_object *));
/* The same for one that stands for something of the system's that others made: where a live object of the kind stands
** for that already, *object becomes that one, with a new reference, and the given one is not entered. */
int iocp_object_adopt(iocp_object **object, enum iocp_kind kind, const void *native, void (*release)(iocp_object *));
/* What adopt knows it by; NULL once it is revoked. */
const void *iocp_object_native(const iocp_object *object);
/* From now on nothing opens the handle. Safe to repeat. References go on living. */
void iocp_object_revoke(iocp_object *object);
/* Frees it, at once or, where the calling thread is freeing another one, after that: a chain of any length takes no
** stack. */
void iocp_free_in_turn(iocp_mortal *mortal);
void iocp_object_retain(iocp_object *object);
void iocp_object_release(iocp_object *object);
/* A new reference to the live object of that kind, or one of those kinds, which the handle, or the native one, names;
** NULL if there is none. */
iocp_object *iocp_object_open(iocp_handle handle, unsigned kinds);
iocp_object *iocp_object_find(const void *native, enum iocp_kind kind);

#pragma GCC visibility pop

#endif
