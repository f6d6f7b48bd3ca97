/*
** native.h - what the files of this folder share: the context that every thread has, and how it waits.
*/

#ifndef IOCP_NATIVE_H
#define IOCP_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "core/api.h"
#include "core/atomic.h"
#include "core/object.h"
#include "core/os.h"
#include "native/prim.h"

#pragma GCC visibility push(hidden) /* calls within the library need no detour through its symbol table */

/* ---- wait.c: what a thread is to this library --------------------------------------------------------------- */

/* A thread waiting for something: a packet, a thread's end, a heap's lock. Each thread has one, in its context, since
** it can wait for one thing at a time. While it is on a list, that list's lock guards all but `word`. */
typedef struct iocp_waiter {
	_Atomic uint32_t word; /* IOCP_ARMED and so on; the futex the thread sleeps on */
	int result;            /* what the one who serves it decided: a result code */
	int slept;             /* the waiter's own: it slept during this wait, and was woken */
	int leads;             /* the waiter's own, on a port: it is to wait in the set of descriptors */
	int deferred;          /* on a port: it was served, and its wake-up is another thread's to do */
	iocp_packet *packets;  /* and, on a port, where to what it hands over goes, */
	size_t max, count;     /* of how many at most, and how many it was */
	struct iocp_waiter *newer, *older;
} iocp_waiter;

/* ASLEEP: its word wakes it. POLLING: it waits in a port's set of descriptors, whose alarm wakes it. */
enum { IOCP_ARMED = 1, IOCP_ASLEEP = 2, IOCP_SERVED = 3, IOCP_POLLING = 4 };

/* What the waits in one place know of spinning: see spin.c. A zeroed one is as good as new. */
typedef struct iocp_spinning {
	_Atomic int32_t owed; /* ns: what spins took of the processors beyond what they saved */
	_Atomic uint32_t off; /* 1 while that is too much */
} iocp_spinning;

struct iocp_cache;

/* A heap that a thread has magazines of. */
typedef struct iocp_cached {
	iocp_handle heap; /* 0: none */
	struct iocp_cache *cache;
} iocp_cached;

/* Why waits end: for good, or for as long as what the thread does is cancelled. */
enum iocp_cancel { IOCP_CANCEL_THREAD = 1, IOCP_CANCEL_WORK = 2 };

/* What a thread has at the port that it belongs to: see slot.c. */
enum iocp_slot { IOCP_SLOT_NONE, IOCP_SLOT_HELD, IOCP_SLOT_BLOCKED, IOCP_SLOT_RELEASED };

struct iocp_context;

/* What a thread is to the port that it belongs to: calls that the thread itself makes, but for the last. */
typedef struct iocp_membership {
	void (*leave)(struct iocp_context *);   /* it belongs to no port any more */
	void (*block)(struct iocp_context *);   /* it is about to wait for something else than the port */
	void (*unblock)(struct iocp_context *); /* it goes on */
	void (*nudge)(struct iocp_context *);   /* its word is IOCP_POLLING: it is to look at it. Any thread, no lock */
} iocp_membership;

/* One for every thread that ever waited or used a heap; the thread's own except where said. */
typedef struct iocp_context {
	iocp_waiter waiter;
	iocp_spinning spinning;      /* of its waits for semaphores */
	int shielded;                /* as iocp_shield says */
	iocp_heap *locked;           /* heaps whose lock it holds, with a reference each; see heap/cache.c */
	_Atomic uint32_t cancelled;  /* bits of enum iocp_cancel, set by any thread */
	_Atomic uint64_t belongs_to; /* handle of the port that it got from last, or 0; any thread may read it */
	enum iocp_slot slot;         /* there; guarded by that port's lock, as is the next */
	uint32_t blocked_looks;      /* how often in a row the watcher found it blocked */
	uint32_t blocking;           /* depth of iocp_block_enter */
	uint64_t id;                 /* the system's number of the thread */
	iocp_thread *thread;         /* the module's thread this is, or NULL for one that others made */
	iocp_cached *caches;         /* a table of `capacity` entries: heap/cache.c */
	uint32_t capacity;
	void (*forget_heaps)(struct iocp_context *); /* when it ends; NULL: it has no heaps */
	const iocp_membership *membership;           /* NULL: it never got from a port */
	struct iocp_context *next, *previous;        /* list of all contexts, under wait.c's lock */
} iocp_context;

/* Thread-local: 24 bytes, since a dlopen'ed library's static storage is scarce. A stale `heap` never matches one that
** lives, as handles are not used twice. */
typedef struct iocp_local {
	iocp_context *context;
	iocp_handle heap;
	struct iocp_cache *cache;
} iocp_local;

/* Where the C library sets room aside for it, found without a call; others refuse to load a library that asks so. */
#ifdef __GLIBC__
#define IOCP_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define IOCP_THREAD_LOCAL _Thread_local
#endif
extern IOCP_THREAD_LOCAL iocp_local iocp_this_thread;

/* The deadline `ms` from now; IOCP_FOREVER for a negative, huge or NaN `ms`. */
int64_t iocp_deadline(double ms);

/* The calling thread's context, made at first use; NULL if memory is out. */
iocp_context *iocp_context_make(void);
static inline iocp_context *iocp_context_get(void)
{
	iocp_context *context = iocp_this_thread.context;
	return context ? context : iocp_context_make();
}
/* For the module's own threads, whose context is part of the thread object. */
void iocp_context_begin(iocp_context *context, iocp_thread *thread);
void iocp_context_end(iocp_context *context);
/* Calls visit(state, context) for each thread that belongs to the port. None of them ends meanwhile. */
void iocp_context_each(iocp_handle port, void (*visit)(void *state, iocp_context *context), void *state);

/* Waiting, in two steps. (1) Under the lock of what is waited for: iocp_waiters_wait. (2) Without it: iocp_wait, which
** sleeps and then, under the lock again, takes the waiter off the list or finds that it was served meanwhile, so that
** what it was given is never lost. */
void iocp_waiters_wait(iocp_waiters *waiters, iocp_waiter *waiter);
/* The list itself. */
void iocp_waiters_push(iocp_waiters *waiters, iocp_waiter *waiter);
void iocp_waiters_remove(iocp_waiters *waiters, iocp_waiter *waiter);
/* Takes the newest off and serves it with `result`. If it sleeps (or polls), its word is returned, to be given to
** iocp_prim_wake once the lock is released; else NULL. */
_Atomic uint32_t *iocp_waiters_serve(iocp_waiters *waiters, int result);
/* Waits to be served: returns `result` of iocp_waiters_serve, or IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED and the
** waiter is off the list. */
int iocp_wait(iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline);
/* The same, of a thread that is to lead, or is made to while it waits: instead of sleeping it calls turn(state,
** context, deadline), which waits until something happens, the deadline (ETIMEDOUT) or a signal (EINTR). */
typedef int (*iocp_turn)(void *state, iocp_context *context, int64_t deadline);
int iocp_wait_or_lead(
	iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline, iocp_turn turn, void *state);
/* As iocp_wait, for whatever is not a get: meanwhile the thread does not count at the port that it belongs to. It spins
** first as `spinning` allows, unless that is NULL. */
int iocp_wait_without_slot(
	iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline, iocp_spinning *spinning);

static inline int iocp_context_cancelled(const iocp_context *context)
{
	/* Sequentially consistent: pairs with iocp_context_cancel, see the top of wait.c. */
	return atomic_load_explicit(&context->cancelled, memory_order_seq_cst) && !context->shielded;
}
void iocp_context_cancel(iocp_context *context, enum iocp_cancel why);
/* Takes IOCP_CANCEL_WORK back. */
void iocp_context_resume(iocp_context *context);

/* ---- detached.c -------------------------------------------------------------------------------------------------- */

/* Starts a thread that calls body(NULL), which gets no signals and nobody joins. 0 or the system's code. */
int iocp_start_detached(void *(*body)(void *));
/* What the system takes for a stack of so many bytes: not less than it asks for, in whole pages. */
size_t iocp_stack_size(size_t wanted);

/* ---- spin.c ------------------------------------------------------------------------------------------------------ */

/* From a wake until the woken thread runs, ns, on another processor than the waker's. */
int32_t iocp_wake_time(void);
/* It took that long, this time. */
void iocp_wake_took(int64_t ns);
int iocp_spin_is_off(const iocp_spinning *spinning);
/* Between the two steps of a wait, unless it is off: looks at the word until it is served, cancelled, or enough. */
void iocp_spin(iocp_context *context, iocp_spinning *spinning, int64_t started, int64_t deadline);
/* It is off, and a wait slept, and was served so many ns after it had begun. */
void iocp_spin_slept(iocp_spinning *spinning, int64_t served_after);

/* ---- heap/heap.c ------------------------------------------------------------------------------------------------- */

/* A heap with one reference that no handle and no address names: a port's own. IOCP_NOMEM. */
int iocp_heap_create_private(iocp_heap **heap);

#pragma GCC visibility pop

#endif
