/*
** object.c - the live-object table.
**
** A handle is generation * 2^22 + slot. A slot's generation grows each time an object leaves it and the slot is retired
** before the generation would pass 2^30, so a handle is below 2^52 (a double holds it) and never names two objects.
**
** Ownership: the table holds no reference. An object stays in it until it is revoked (closed, destroyed) or its last
** reference goes, whichever comes first.
**
** Locking: `table_lock` guards the slots. It is taken to create, open, list, revoke and free, never to post, get or
** allocate. The table itself lies in blocks that are never moved or freed; memory for one is obtained before the lock
** is taken.
*/

#include "core/object.h"

#include <stdlib.h>

#include "core/os.h"

enum { BLOCK_BITS = 10, BLOCK_SLOTS = 1 << BLOCK_BITS, BLOCKS = 1 << (IOCP_SLOT_BITS - BLOCK_BITS) };

#define LAST_GENERATION ((UINT32_C(1) << 30) - 1)
#define NO_SLOT UINT32_MAX

typedef struct slot {
	iocp_object *object;      /* NULL: free */
	uint32_t generation : 31; /* of the object in it, or of the next one */
	uint32_t announced : 1;   /* the object in it was */
	uint32_t next_free;
} slot;

static iocp_lock table_lock;
static slot *blocks[BLOCKS];
static uint32_t slots_used;           /* slots that were ever taken */
static uint32_t first_free = NO_SLOT; /* stack of slots given back */

static slot *slot_at(uint32_t index)
{
	return &blocks[index >> BLOCK_BITS][index & (BLOCK_SLOTS - 1)];
}

/* The slot that `handle` names, if an object is in it. The lock is held. */
static slot *slot_of(iocp_handle handle)
{
	uint32_t index = iocp_handle_slot(handle);
	slot *s;
	if (index >= slots_used)
		return NULL;
	s = slot_at(index);
	return s->object && s->generation == handle >> IOCP_SLOT_BITS ? s : NULL;
}

/* The lock is held. NO_SLOT: the next block is missing, or the table is full. */
static uint32_t take_slot(void)
{
	uint32_t index = first_free;
	if (index != NO_SLOT) {
		first_free = slot_at(index)->next_free;
		return index;
	}
	if (slots_used == (uint32_t)BLOCKS * BLOCK_SLOTS || !blocks[slots_used >> BLOCK_BITS])
		return NO_SLOT;
	index = slots_used++;
	slot_at(index)->generation = 1;
	return index;
}

static void free_object(iocp_deferred *deferred)
{
	iocp_object *object = (iocp_object *)deferred; /* its first member */
	object->free(object);
}

/* In the table the lock is held, and the object cannot be freed before it is revoked under the same lock. */
iocp_object *iocp_object_try_retain(iocp_object *object)
{
	/* Acquire: whoever finds 0 here comes after all that was done with a reference. */
	uint32_t count = atomic_load_explicit(&object->counted.references, memory_order_acquire);
	while (count != 0) {
		/* Relaxed: the lock under which it was found orders its birth before this. */
		if (atomic_compare_exchange_weak_explicit(
				&object->counted.references, &count, count + 1, memory_order_relaxed, memory_order_relaxed))
			return object;
	}
	return NULL;
}

/* The lock is held. */
static iocp_object *find_native(const void *native, enum iocp_kind kind)
{
	iocp_object *object = NULL;
	uint32_t i;
	for (i = 0; i < slots_used && !object; i++) {
		iocp_object *candidate = slot_at(i)->object;
		if (candidate && candidate->native == native && candidate->counted.kind == kind)
			object = iocp_object_try_retain(candidate);
	}
	return object;
}

/* Enters *entered into the table. With `live` only if there is none with the same native; else *entered becomes that
** one, with a new reference. */
static int enter(iocp_object **entered, const void *native, int live)
{
	iocp_object *object = *entered, *found = NULL;
	slot *spare = NULL;
	uint32_t index = NO_SLOT;
	object->native = native;
	iocp_lock_acquire(&table_lock);
	while (!(live && (found = find_native(native, object->counted.kind))) && (index = take_slot()) == NO_SLOT) {
		uint32_t block = slots_used >> BLOCK_BITS;
		if (block < BLOCKS && spare) {
			blocks[block] = spare;
			spare = NULL;
			continue;
		}
		iocp_lock_release(&table_lock);
		if (block >= BLOCKS || !(spare = calloc(BLOCK_SLOTS, sizeof(slot))))
			return IOCP_NOMEM;
		iocp_lock_acquire(&table_lock);
	}
	if (found) {
		*entered = found;
	} else {
		slot_at(index)->object = object;
		slot_at(index)->announced = 0;
		object->handle = (iocp_handle)slot_at(index)->generation << IOCP_SLOT_BITS | index;
	}
	iocp_lock_release(&table_lock);
	free(spare); /* two threads may bring a block at once */
	return IOCP_OK;
}

void iocp_counted_begin(iocp_counted *counted, enum iocp_kind kind, void (*last)(iocp_counted *))
{
	counted->kind = kind;
	counted->last = last;
	/* Relaxed: nobody else knows it yet, and others come to know it through the table's lock or with a packet. */
	atomic_store_explicit(&counted->references, 1, memory_order_relaxed);
}

void iocp_object_begin(iocp_object *object, enum iocp_kind kind, void (*last)(iocp_counted *))
{
	atomic_store_explicit(&object->revoked, 0, memory_order_relaxed); /* as above */
	iocp_counted_begin(&object->counted, kind, last);
}

int iocp_object_enter(iocp_object *object, const void *native)
{
	return enter(&object, native, 0);
}

static void take_turn(iocp_counted *counted)
{
	iocp_free_in_turn(&counted->deferred);
}

static void begin_in_turn(iocp_object *object, enum iocp_kind kind, void (*release)(iocp_object *))
{
	iocp_object_begin(object, kind, take_turn);
	object->counted.deferred.free = free_object;
	object->free = release;
}

int iocp_object_register(iocp_object *object, enum iocp_kind kind, const void *native, void (*release)(iocp_object *))
{
	begin_in_turn(object, kind, release);
	return enter(&object, native, 0);
}

int iocp_object_adopt(iocp_object **object, enum iocp_kind kind, const void *native, void (*release)(iocp_object *))
{
	begin_in_turn(*object, kind, release);
	return enter(object, native, 1);
}

const void *iocp_object_native(const iocp_object *object)
{
	const void *native;
	iocp_lock_acquire(&table_lock);
	native = slot_of(object->handle) ? object->native : NULL;
	iocp_lock_release(&table_lock);
	return native;
}

void iocp_object_set_native(iocp_object *object, const void *native)
{
	iocp_lock_acquire(&table_lock);
	object->native = native;
	iocp_lock_release(&table_lock);
}

iocp_object *iocp_object_next(uint32_t *place, unsigned kinds)
{
	iocp_object *object = NULL;
	iocp_lock_acquire(&table_lock);
	for (; *place < slots_used && !object; ++*place) {
		iocp_object *candidate = slot_at(*place)->object;
		if (candidate && (candidate->counted.kind & kinds))
			object = iocp_object_try_retain(candidate);
	}
	iocp_lock_release(&table_lock);
	return object;
}

void iocp_object_revoke(iocp_object *object)
{
	slot *s;
	/* Relaxed: who asks for it has no other news of the object from this. */
	atomic_store_explicit(&object->revoked, 1, memory_order_relaxed);
	iocp_lock_acquire(&table_lock);
	s = slot_of(object->handle);
	if (s) {
		s->object = NULL;
		if (s->generation++ < LAST_GENERATION) {
			s->next_free = first_free;
			first_free = iocp_handle_slot(object->handle);
		}
	}
	iocp_lock_release(&table_lock);
}

int iocp_object_is_open(const iocp_object *object)
{
	/* Relaxed: see iocp_object_revoke. */
	return !atomic_load_explicit(&object->revoked, memory_order_relaxed);
}

void iocp_object_announce(const iocp_object *object)
{
	slot *s;
	iocp_lock_acquire(&table_lock);
	s = slot_of(object->handle);
	if (s)
		s->announced = 1;
	iocp_lock_release(&table_lock);
}

uint32_t iocp_object_list(enum iocp_kind kind, void **objects, uint32_t capacity)
{
	uint32_t i, count = 0;
	iocp_lock_acquire(&table_lock);
	for (i = 0; i < slots_used; i++) {
		const slot *s = slot_at(i);
		if (!s->object || s->object->counted.kind != kind || !s->announced)
			continue;
		if (count >= capacity)
			count++; /* perhaps it is just going */
		else if ((objects[count] = iocp_object_try_retain(s->object)))
			count++;
	}
	iocp_lock_release(&table_lock);
	return count;
}

void iocp_counted_retain(iocp_counted *counted)
{
	/* Relaxed: whoever retains holds a reference already. */
	atomic_fetch_add_explicit(&counted->references, 1, memory_order_relaxed);
}

void iocp_object_retain(iocp_object *object)
{
	iocp_counted_retain(&object->counted);
}

/* A thread that frees objects, on its stack. */
typedef struct turn {
	const void *thread;
	iocp_deferred *waiting;
	struct turn *next;
} turn;

static turn *turns; /* under the lock */

/* A port with a message that holds a port ...: the next one is freed by the outermost call. */
void iocp_free_in_turn(iocp_deferred *deferred)
{
	turn mine = {iocp_thread_key(), NULL, NULL}, *outer, **link;
	iocp_lock_acquire(&table_lock);
	for (outer = turns; outer && outer->thread != mine.thread; outer = outer->next)
		;
	if (outer) {
		deferred->next = outer->waiting;
		outer->waiting = deferred;
	} else {
		mine.next = turns;
		turns = &mine;
	}
	iocp_lock_release(&table_lock);
	while (!outer && deferred) {
		deferred->free(deferred);
		iocp_lock_acquire(&table_lock);
		deferred = mine.waiting;
		if (deferred) {
			mine.waiting = deferred->next;
		} else {
			for (link = &turns; *link != &mine; link = &(*link)->next)
				;
			*link = mine.next;
		}
		iocp_lock_release(&table_lock);
	}
}

void iocp_counted_release(iocp_counted *counted)
{
	/* Release: what this thread did to the object happens-before its end. Acquire: so for all the others' releases,
	** for the thread that drops the last one. */
	if (atomic_fetch_sub_explicit(&counted->references, 1, memory_order_acq_rel) == 1) {
		iocp_object *named = counted->kind & IOCP_NAMELESS ? NULL : (iocp_object *)counted; /* its first member */
		if (named && named->handle)
			iocp_object_revoke(named);
		counted->last(counted);
	}
}

void iocp_object_release(iocp_object *object)
{
	iocp_counted_release(&object->counted);
}

iocp_object *iocp_object_open(iocp_handle handle, unsigned kinds)
{
	iocp_object *object = NULL;
	slot *s;
	iocp_lock_acquire(&table_lock);
	s = slot_of(handle);
	if (s && (s->object->counted.kind & kinds))
		object = iocp_object_try_retain(s->object);
	iocp_lock_release(&table_lock);
	return object;
}

iocp_object *iocp_object_find(const void *native, enum iocp_kind kind)
{
	iocp_object *object;
	iocp_lock_acquire(&table_lock);
	object = find_native(native, kind);
	iocp_lock_release(&table_lock);
	return object;
}

/* ---- opening, keeping and dropping: the same for every noun of iocp.h, since each begins with its iocp_object ---- */

#define DEFINE_REFERENCE(noun, KIND)                                                                                   \
	int iocp_##noun##_open(iocp_handle handle, iocp_##noun **noun)                                                     \
	{                                                                                                                  \
		iocp_object *object = iocp_object_open(handle, KIND);                                                          \
		if (!object)                                                                                                   \
			return IOCP_INVALID;                                                                                       \
		*noun = (iocp_##noun *)object;                                                                                 \
		return IOCP_OK;                                                                                                \
	}                                                                                                                  \
	iocp_##noun *iocp_##noun##_retain(iocp_##noun *noun)                                                               \
	{                                                                                                                  \
		iocp_object_retain((iocp_object *)noun);                                                                       \
		return noun;                                                                                                   \
	}                                                                                                                  \
	void iocp_##noun##_release(iocp_##noun *noun)                                                                      \
	{                                                                                                                  \
		if (noun)                                                                                                      \
			iocp_object_release((iocp_object *)noun);                                                                  \
	}                                                                                                                  \
	iocp_handle iocp_##noun##_handle(const iocp_##noun *noun)                                                          \
	{                                                                                                                  \
		return ((const iocp_object *)noun)->handle;                                                                    \
	}

#define DEFINE_NATIVE(noun)                                                                                            \
	void *iocp_##noun##_native(iocp_##noun *noun)                                                                      \
	{                                                                                                                  \
		return (void *)(uintptr_t)iocp_object_native((const iocp_object *)noun);                                       \
	}

DEFINE_REFERENCE(port, IOCP_KIND_PORT)
DEFINE_REFERENCE(heap, IOCP_KIND_HEAP)
DEFINE_REFERENCE(thread, IOCP_KIND_THREAD)
DEFINE_REFERENCE(socket, IOCP_KIND_SOCKET)
DEFINE_REFERENCE(file, IOCP_KIND_FILE)
DEFINE_REFERENCE(atomic, IOCP_KIND_ATOMIC)
DEFINE_REFERENCE(dict, IOCP_KIND_DICT)
DEFINE_REFERENCE(array, IOCP_KIND_ARRAY)
DEFINE_NATIVE(port)
DEFINE_NATIVE(heap)
DEFINE_NATIVE(thread) /* a socket's is a number, as is a file's */

int iocp_socket_is_open(const iocp_socket *socket)
{
	return iocp_object_is_open((const iocp_object *)socket);
}

int iocp_file_is_open(const iocp_file *file)
{
	return iocp_object_is_open((const iocp_object *)file);
}
