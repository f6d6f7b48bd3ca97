/*
** atomic.c - a 64-bit integer that threads share, and wait for: iocp.h.
**
** Order: all accesses to the value are sequentially consistent, so that a history of several atomics has one order too.
**
** Waiting: `lock` guards the list of threads that wait. No wake-up is lost: a thread looks at the value under the lock
** before it joins the list, and a wake takes the lock after the value was changed. So the look comes after the change,
** and sees it, or the thread is on the list when the wake takes from it. A port that asks is in the event's list before
** the value is looked at, and a wake tells the event after the value was changed: the same argument, with timer.c's
** lock. A thread on the list that is cancelled or times out is off it by the same lock that a wake needs, so no wake is
** spent on one that has left (native/wait.c, windows/wait.c).
**
** Limits. A sum that may not leave +-2^53 is no single instruction, but for small summands while the value is within
** FAR: then the sum is within the limit, and the line that threads contend for need not be read first. `wide` says that
** it may be beyond, and stays set. Whoever puts a value beyond sets it before; who adds a small summand and finds the
** sum there, behind it: until that is seen each thread adds one more at most, and 2^20 threads could not reach the
** limit from FAR. Only who looked at `wide` before somebody else put a large value there adds to that unawares; he
** finds it in the sum, and takes it back.
**
** The value has its cache line to itself: who adds does not disturb who waits, or copies references.
*/

#include <stdlib.h>

#include "core/os.h"
#include "work/work.h"

enum { CACHE_LINE = 64 };

#define FAR (INT64_C(1) << 52)
#define SMALL (INT64_C(1) << 32)

struct iocp_atomic {
	iocp_object object;
	iocp_lock lock;
	iocp_waiters waiters;
	iocp_event woken;      /* for ports */
	_Atomic uint32_t wide; /* the value was beyond FAR, or is just to be, and may be there */
	char before[CACHE_LINE];
	_Atomic int64_t value;
	char after[CACHE_LINE];
};

/* ---- the value --------------------------------------------------------------------------------------------------- */

static int is_within(int64_t value, int64_t limit)
{
	return value >= -limit && value <= limit;
}

/* The value is this, or is to be. */
static void announce(iocp_atomic *atomic, int64_t value)
{
	/* Relaxed: see the top for who comes too late to read it. */
	if (!is_within(value, FAR))
		atomic_store_explicit(&atomic->wide, 1, memory_order_relaxed);
}

int64_t iocp_atomic_get(const iocp_atomic *atomic)
{
	return atomic_load_explicit(&atomic->value, memory_order_seq_cst);
}

void iocp_atomic_set(iocp_atomic *atomic, int64_t value)
{
	announce(atomic, value);
	atomic_store_explicit(&atomic->value, value, memory_order_seq_cst);
}

int64_t iocp_atomic_exchange(iocp_atomic *atomic, int64_t value)
{
	announce(atomic, value);
	return atomic_exchange_explicit(&atomic->value, value, memory_order_seq_cst);
}

static int compare_exchange(iocp_atomic *atomic, int64_t *expected, int64_t value)
{
	announce(atomic, value);
	return atomic_compare_exchange_strong_explicit(
		&atomic->value, expected, value, memory_order_seq_cst, memory_order_seq_cst);
}

int iocp_atomic_compare_exchange(iocp_atomic *atomic, int64_t *expected, int64_t value)
{
	return compare_exchange(atomic, expected, value);
}

/* Atomics wrap; a sum of two signed integers that overflows has no meaning in C. */
static int64_t add(iocp_atomic *atomic, int64_t by)
{
	uint64_t found = (uint64_t)atomic_fetch_add_explicit(&atomic->value, by, memory_order_seq_cst);
	return (int64_t)(found + (uint64_t)by);
}

int64_t iocp_atomic_add(iocp_atomic *atomic, int64_t by)
{
	int64_t value = add(atomic, by);
	announce(atomic, value);
	return value;
}

static int overflows(int64_t a, int64_t b)
{
	return b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b;
}

/* The addition step by step: what would leave the limits is never there to be seen. */
static int64_t add_if_within(iocp_atomic *atomic, int64_t by, int64_t limit)
{
	int64_t found = iocp_atomic_get(atomic);
	do {
		if (overflows(found, by) || !is_within(found + by, limit))
			return INT64_MIN;
	} while (!compare_exchange(atomic, &found, found + by));
	return found + by;
}

int64_t iocp_atomic_add_within(iocp_atomic *atomic, int64_t by, int64_t limit)
{
	int64_t value;
	/* Relaxed: see the top. */
	if (!is_within(by, SMALL) || atomic_load_explicit(&atomic->wide, memory_order_relaxed))
		return add_if_within(atomic, by, limit);
	value = add(atomic, by);
	if (is_within(value, FAR))
		return value;
	announce(atomic, value);
	if (is_within(value, limit))
		return value;
	(void)add(atomic, -by); /* others have put a large value there just now */
	return INT64_MIN;
}

int64_t iocp_atomic_max(iocp_atomic *atomic, int64_t value)
{
	int64_t found = iocp_atomic_get(atomic);
	while (found < value)
		if (compare_exchange(atomic, &found, value))
			return value;
	return found;
}

int64_t iocp_atomic_min(iocp_atomic *atomic, int64_t value)
{
	int64_t found = iocp_atomic_get(atomic);
	while (found > value)
		if (compare_exchange(atomic, &found, value))
			return value;
	return found;
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

static void free_atomic(iocp_object *object)
{
	iocp_atomic *atomic = (iocp_atomic *)object; /* its first member */
	iocp_event_happen(&atomic->woken);           /* who asked and has no reference is to look, too */
	free(atomic);
}

int iocp_atomic_create(int64_t initial, iocp_atomic **atomic)
{
	iocp_atomic *made = calloc(1, sizeof(*made));
	int r;
	if (!made)
		return IOCP_NOMEM;
	announce(made, initial);
	/* Relaxed: nobody else knows it yet. */
	atomic_store_explicit(&made->value, initial, memory_order_relaxed);
	r = iocp_object_register(&made->object, IOCP_KIND_ATOMIC, made, free_atomic);
	if (r == IOCP_OK)
		*atomic = made;
	else
		free(made);
	return r;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

int iocp_atomic_wait(iocp_atomic *atomic, int64_t expected, double ms)
{
	int r = iocp_waiters_ready();
	iocp_lock_acquire(&atomic->lock);
	if (iocp_atomic_get(atomic) != expected)
		r = IOCP_OK; /* to a thread that is cancelled, too: it need not wait to know */
	else if (r == IOCP_OK && ms != 0)
		return iocp_waiters_join(&atomic->waiters, &atomic->lock, ms); /* releases the lock */
	else if (r == IOCP_OK)
		r = IOCP_TIMEOUT;
	iocp_lock_release(&atomic->lock);
	return r;
}

uint32_t iocp_atomic_wake(iocp_atomic *atomic, uint32_t count)
{
	uint32_t woken = 0, waited;
	iocp_lock_acquire(&atomic->lock);
	waited = atomic->waiters.count; /* those who come back to wait meanwhile are not meant */
	while (woken < count && woken < waited && atomic->waiters.count) {
		iocp_waiters_serve_oldest(&atomic->waiters, &atomic->lock, IOCP_OK); /* releases the lock */
		woken++;
		iocp_lock_acquire(&atomic->lock);
	}
	iocp_lock_release(&atomic->lock);
	iocp_event_tell(&atomic->woken);
	return woken;
}

int iocp_atomic_notify(
	iocp_atomic *atomic, int64_t expected, iocp_port *port, uintptr_t key, uintptr_t overlapped, iocp_timer *timer)
{
	const iocp_packet packet = {.key = key, .overlapped = overlapped};
	int r = iocp_event_notify(&atomic->woken, port, &packet, timer);
	if (r == IOCP_OK && iocp_atomic_get(atomic) != expected)
		iocp_event_tell(&atomic->woken);
	return r;
}
