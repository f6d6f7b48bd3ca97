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
** The value has its cache line to itself: who adds does not disturb who waits, or copies references.
*/

#include <stdlib.h>

#include "core/os.h"
#include "work/work.h"

enum { CACHE_LINE = 64 };

struct iocp_atomic {
	iocp_object object;
	iocp_lock lock;
	iocp_waiters waiters;
	iocp_event woken; /* for ports */
	char before[CACHE_LINE];
	_Atomic int64_t value;
	char after[CACHE_LINE];
};

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
	/* Relaxed: nobody else knows it yet. */
	atomic_store_explicit(&made->value, initial, memory_order_relaxed);
	r = iocp_object_register(&made->object, IOCP_KIND_ATOMIC, made, free_atomic);
	if (r == IOCP_OK)
		*atomic = made;
	else
		free(made);
	return r;
}

/* ---- the value --------------------------------------------------------------------------------------------------- */

int64_t iocp_atomic_get(const iocp_atomic *atomic)
{
	return atomic_load_explicit(&atomic->value, memory_order_seq_cst);
}

void iocp_atomic_set(iocp_atomic *atomic, int64_t value)
{
	atomic_store_explicit(&atomic->value, value, memory_order_seq_cst);
}

int64_t iocp_atomic_exchange(iocp_atomic *atomic, int64_t value)
{
	return atomic_exchange_explicit(&atomic->value, value, memory_order_seq_cst);
}

int iocp_atomic_compare_exchange(iocp_atomic *atomic, int64_t *expected, int64_t value)
{
	return atomic_compare_exchange_strong_explicit(
		&atomic->value, expected, value, memory_order_seq_cst, memory_order_seq_cst);
}

/* Atomics wrap; a sum of two signed integers that overflows has no meaning in C. */
static int64_t sum(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

int64_t iocp_atomic_add(iocp_atomic *atomic, int64_t by)
{
	return sum(atomic_fetch_add_explicit(&atomic->value, by, memory_order_seq_cst), by);
}

static int overflows(int64_t a, int64_t b)
{
	return b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b;
}

static int is_within(int64_t value, int64_t limit)
{
	return value >= -limit && value <= limit;
}

/* The addition step by step: what would leave the limits is never there to be seen. */
static int64_t add_if_within(iocp_atomic *atomic, int64_t by, int64_t limit)
{
	int64_t found = atomic_load_explicit(&atomic->value, memory_order_seq_cst);
	do {
		if (overflows(found, by) || !is_within(found + by, limit))
			return INT64_MIN;
	} while (!atomic_compare_exchange_weak_explicit(
		&atomic->value, &found, found + by, memory_order_seq_cst, memory_order_seq_cst));
	return found + by;
}

int64_t iocp_atomic_add_within(iocp_atomic *atomic, int64_t by, int64_t limit)
{
	const int64_t far = INT64_C(1) << 51; /* from any limit: one instruction does, which threads that race need not
										  ** repeat */
	int64_t value;
	/* Relaxed: it only chooses the way. */
	if (!is_within(by, far) || !is_within(atomic_load_explicit(&atomic->value, memory_order_relaxed), far))
		return add_if_within(atomic, by, limit);
	value = iocp_atomic_add(atomic, by);
	if (is_within(value, limit))
		return value;
	(void)iocp_atomic_add(atomic, -by); /* others moved it there just now */
	return INT64_MIN;
}

int64_t iocp_atomic_max(iocp_atomic *atomic, int64_t value)
{
	int64_t found = atomic_load_explicit(&atomic->value, memory_order_seq_cst);
	while (found < value)
		if (iocp_atomic_compare_exchange(atomic, &found, value))
			return value;
	return found;
}

int64_t iocp_atomic_min(iocp_atomic *atomic, int64_t value)
{
	int64_t found = atomic_load_explicit(&atomic->value, memory_order_seq_cst);
	while (found > value)
		if (iocp_atomic_compare_exchange(atomic, &found, value))
			return value;
	return found;
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
