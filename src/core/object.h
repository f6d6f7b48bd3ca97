/*
** object.h - the live-object table: how a number names a port, heap, thread or pool, and how long each object lives.
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
	IOCP_KIND_PRIVATE_HEAP = 8, /* a port's own; no script opens or finds it */
	IOCP_KIND_POOL = 16,
	IOCP_KIND_TASK = 32, /* has no name: it would cost each submit the table's lock, and lives as long as a message */
	IOCP_KIND_SOCKET = 64,
	IOCP_KIND_LOOKUP = 128, /* has none either */
	IOCP_KIND_FILE = 256,
	IOCP_KIND_PROCESS = 512, /* has none either */
	IOCP_KIND_ATOMIC = 1024,
	IOCP_KIND_DICT = 2048,
	IOCP_KIND_ARRAY = 4096,
	IOCP_KIND_FROZEN = 8192
};

enum { IOCP_SLOT_BITS = 22 }; /* of a handle: 4,194,304 objects */

/* The beginning of what holds references to others, so that freeing it may drop the last one to another, and so on: see
** iocp_free_in_turn. */
typedef struct iocp_deferred {
	void (*free)(struct iocp_deferred *);
	struct iocp_deferred *next; /* that waits for its turn */
} iocp_deferred;

/* The slot of the table that a handle names: one object's at a time. */
static inline uint32_t iocp_handle_slot(iocp_handle handle)
{
	return (uint32_t)handle & ((UINT32_C(1) << IOCP_SLOT_BITS) - 1);
}

/* What every object has: it is the first member of its iocp_object. What never has a name, and of which there are many,
** may have no more than this. */
typedef struct iocp_counted {
	iocp_deferred deferred;
	_Atomic uint32_t references;
	enum iocp_kind kind;                 /* fixed at birth, as is what follows */
	void (*last)(struct iocp_counted *); /* called when the last reference has gone, without any lock */
} iocp_counted;

enum { IOCP_NAMELESS = IOCP_KIND_TASK }; /* kinds that have no more */

/* The first member of every object but those. */
typedef struct iocp_object {
	iocp_counted counted;
	_Atomic uint32_t revoked; /* 1: it was; for iocp_object_is_open */
	iocp_handle handle;       /* fixed at birth, as are those below; 0: it never was in the table */
	const void *native;       /* what adopt knows it by: on Linux its own address, on Windows the kernel's HANDLE */
	void (*free)(struct iocp_object *); /* of one that was registered: called by the above, in its turn */
} iocp_object;

/* An object with one reference and without a name. What `last` frees that may hold other objects is to take its
** turn. */
void iocp_counted_begin(iocp_counted *counted, enum iocp_kind kind, void (*last)(iocp_counted *));
void iocp_object_begin(iocp_object *object, enum iocp_kind kind, void (*last)(iocp_counted *));
/* Enters one that has begun into the table, by which it has a name: while nobody else knows it. IOCP_NOMEM. */
int iocp_object_enter(iocp_object *object, const void *native);
/* Both, for one that is freed in turn. IOCP_NOMEM. */
int iocp_object_register(iocp_object *object, enum iocp_kind kind, const void *native, void (*release)(iocp_object *));
/* The same for one that stands for something of the system's that others made: where a live object of the kind stands
** for that already, *object becomes that one, with a new reference, and the given one is not entered. */
int iocp_object_adopt(iocp_object **object, enum iocp_kind kind, const void *native, void (*release)(iocp_object *));
/* What adopt knows it by; NULL once it is revoked. */
const void *iocp_object_native(const iocp_object *object);
/* From now on adopt and find know a live object by this. */
void iocp_object_set_native(iocp_object *object, const void *native);
/* Walks the live objects of these kinds, in no order: a new reference to one whose slot is *place or above, and *place
** is where to go on; NULL: there are no more. Those that come or go meanwhile may be met or not. */
iocp_object *iocp_object_next(uint32_t *place, unsigned kinds);
/* From now on it is listed, as its maker is done with it. Safe to repeat. */
void iocp_object_announce(const iocp_object *object);
/* New references to the objects of that kind that were announced, in no order, up to `capacity`. Returns how many there
** are. */
uint32_t iocp_object_list(enum iocp_kind kind, void **objects, uint32_t capacity);
/* From now on nothing opens the handle. Safe to repeat. References go on living. */
void iocp_object_revoke(iocp_object *object);
/* Whether it was not; without the table's lock. */
int iocp_object_is_open(const iocp_object *object);
/* Frees it, at once or, where the calling thread is freeing another one, after that: a chain of any length takes no
** stack. */
void iocp_free_in_turn(iocp_deferred *deferred);
void iocp_counted_retain(iocp_counted *counted);
void iocp_counted_release(iocp_counted *counted);
void iocp_object_retain(iocp_object *object);
/* A reference for whoever has none, but knows that the object is not freed meanwhile; NULL if its last one is going. */
iocp_object *iocp_object_try_retain(iocp_object *object);
void iocp_object_release(iocp_object *object);
/* A new reference to the live object of that kind, or one of those kinds, which the handle, or the native one, names;
** NULL if there is none. */
iocp_object *iocp_object_open(iocp_handle handle, unsigned kinds);
iocp_object *iocp_object_find(const void *native, enum iocp_kind kind);

#pragma GCC visibility pop

#endif
