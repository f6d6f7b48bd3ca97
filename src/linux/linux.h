/*
** linux.h - what the files of this folder share: futex calls, time, and the context every thread has.
**
** Included first, because it asks the C library for everything Linux has.
*/

#ifndef IOCP_LINUX_H
#define IOCP_LINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/api.h"
#include "core/atomic.h"
#include "core/handle.h"
#include "core/os.h"

#pragma GCC visibility push(hidden) /* calls within the library need no detour through its symbol table */

#define IOCP_FOREVER INT64_MAX /* a deadline that never comes */

/* ---- system.c: the system calls -------------------------------------------------------------------------------- */

/* Sleeps while *word is `expected`, until a wake, the deadline (CLOCK_MONOTONIC nanoseconds) or a signal.
** Returns 0, ETIMEDOUT, EINTR or EAGAIN; 0 may be spurious. */
int iocp_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);
/* Wakes at most one sleeper. The word is not accessed, so its memory may be gone. */
void iocp_futex_wake(_Atomic uint32_t *word);
int64_t iocp_nanoseconds(void);
/* The deadline `ms` from now; IOCP_FOREVER for a negative, huge or NaN `ms`. */
int64_t iocp_deadline(double ms);
/* Whether the kernel can make every running thread of this process pass a full memory barrier. */
int iocp_process_barrier_works(void);
/* Makes them do so. 0: it did not, since this process denies itself the call by now; from then on the above says no. */
int iocp_process_barrier(void);
/* Makes them do so without the kernel's call for it, which takes milliseconds. */
void iocp_process_barrier_slowly(void);

enum { IOCP_SMALL_PAGE = 4096, IOCP_HUGE_PAGE = 2 << 20 };

/* Maps `bytes`, a multiple of IOCP_SMALL_PAGE, at a multiple of `alignment`, a power of two from IOCP_SMALL_PAGE on; of
** IOCP_HUGE_PAGE for huge pages, if the system has any. NULL: out of memory. */
void *iocp_map(size_t bytes, size_t alignment);
/* Gives it back, or whole pages of it. */
void iocp_unmap(void *address, size_t bytes);
/* Gives back the memory of mapped pages, which are zeroes afterwards unless they are locked in memory. */
void iocp_forget_content(void *address, size_t bytes);

/* ---- context.c: what a thread is to this library --------------------------------------------------------------- */

/* A thread waiting for something: a packet, a thread's end, a heap's lock. Each thread has one, in its context, since it
** can wait for one thing at a time. While it is on a list, that list's lock guards all but `word`. */
typedef struct iocp_waiter {
	_Atomic uint32_t word; /* IOCP_ARMED, IOCP_ASLEEP or IOCP_SERVED; the futex the thread sleeps on */
	int result;            /* what the one who serves it decided: a result code */
	int slept;             /* the waiter's own: its word was IOCP_ASLEEP during this wait */
	int deferred;          /* on a port: it was served, and its wake-up is another thread's to do */
	iocp_packet *packets;  /* and, on a port, where to what it hands over goes, */
	size_t max, count;     /* of how many at most, and how many it was */
	struct iocp_waiter *newer, *older;
} iocp_waiter;

enum { IOCP_ARMED = 1, IOCP_ASLEEP = 2, IOCP_SERVED = 3 };

/* A list of waiters, pushed at the newest end, guarded by the lock of what they wait for. */
typedef struct iocp_waiters {
	iocp_waiter *newest, *oldest;
	uint32_t count;
} iocp_waiters;

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

/* One for every thread that ever waited or used a heap; the thread's own except where said. */
typedef struct iocp_context {
	iocp_waiter waiter;
	uint32_t shielded;           /* while not 0, neither a cancel nor a signal ends a wait: they count afterwards */
	iocp_heap *locked;           /* heaps whose lock it holds, with a reference each; see heap_cache.c */
	_Atomic uint32_t cancelled;  /* bits of enum iocp_cancel, set by any thread */
	_Atomic uint64_t belongs_to; /* handle of the port that it got from last, or 0; read by watch.c */
	enum iocp_slot slot;         /* there; guarded by that port's lock, as is the next */
	uint32_t blocked_looks;      /* how often in a row watch.c found it blocked */
	uint32_t blocking;           /* depth of iocp_block_enter */
	pid_t id;                    /* the system's number of the thread */
	iocp_thread *thread;         /* the module's thread this is, or NULL for one that others made */
	iocp_cached *caches;         /* a table of `capacity` entries: heap_cache.c */
	uint32_t capacity;
	struct iocp_context *next, *previous; /* list of all contexts, under context.c's lock */
} iocp_context;

/* Thread-local: 24 bytes, since a dlopen'ed library's static storage is scarce. A stale `heap` never matches one that
** lives, as handles are not used twice. */
typedef struct iocp_local {
	iocp_context *context;
	iocp_handle heap;
	struct iocp_cache *cache;
} iocp_local;

extern _Thread_local iocp_local iocp_this_thread __attribute__((tls_model("initial-exec")));

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

/* Waiting, in two steps. (1) Under the lock of what is waited for: iocp_waiters_wait. (2) Without it: iocp_wait, which sleeps
** and then, under the lock again, takes the waiter off the list or finds that it was served meanwhile, so that what it was
** given is never lost. */
void iocp_waiters_wait(iocp_waiters *waiters, iocp_waiter *waiter);
/* The list itself. */
void iocp_waiters_push(iocp_waiters *waiters, iocp_waiter *waiter);
void iocp_waiters_remove(iocp_waiters *waiters, iocp_waiter *waiter);
/* Takes the newest off and serves it with `result`. If it sleeps, its word is returned, to be given to iocp_futex_wake
** once the lock is released; else NULL. */
_Atomic uint32_t *iocp_waiters_serve(iocp_waiters *waiters, int result);
/* Waits to be served: returns `result` of iocp_waiters_serve, or IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED and the
** waiter is off the list. Spins until `spin_end`, unless that is 0. */
int iocp_wait(iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline, int64_t spin_end);
/* The same, for whatever is not a get: without a slot for the time (slot.c). */
int iocp_wait_without_slot(iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline);
/* Serves all of them with `result`; for lists whose end nobody waits behind a lock for. Takes the lock itself. */
void iocp_waiters_serve_all(iocp_waiters *waiters, iocp_lock *lock, int result);

static inline int iocp_context_cancelled(const iocp_context *context)
{
	/* Sequentially consistent: pairs with iocp_context_cancel, see the top of context.c. */
	return atomic_load_explicit(&context->cancelled, memory_order_seq_cst) && !context->shielded;
}
void iocp_context_cancel(iocp_context *context, enum iocp_cancel why);
/* Takes IOCP_CANCEL_WORK back. */
void iocp_context_resume(iocp_context *context);

/* ---- slot.c ------------------------------------------------------------------------------------------------------ */

/* A thread that ends belongs to no port any more. */
void iocp_slot_leave(iocp_context *context);

/* ---- watch.c ----------------------------------------------------------------------------------------------------- */

/* Whether this system tells which threads block. */
int iocp_watch_works(void);

/* ---- heap_cache.c ------------------------------------------------------------------------------------------------ */

/* Gives back every magazine of a thread that ends, and unlocks the heaps it holds locked. */
void iocp_heap_forget(iocp_context *context);

#pragma GCC visibility pop

#endif
