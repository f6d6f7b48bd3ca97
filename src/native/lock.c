/*
** lock.c - the lock of os.h on a futex: 0 free, 1 held, 2 held and somebody may sleep.
**
** Why nobody sleeps for ever: a thread sleeps only if the word is 2, checked by the kernel at once with falling asleep.
** Whoever releases a 2 wakes one sleeper, and that one takes the lock by writing 2, so it wakes the next in turn; only
** a thread that never slept writes 1. If such a one gets in before the woken sleeper, that writes 2 and sleeps again.
*/

#include "native/native.h"

/* A critical section of ours is some 20 ns, and a `pause` takes from 1 to 40 ns on today's processors. Before a thread
** sleeps it looks for LOOKS times, first after FIRST pauses, which mostly is late enough where two threads meet by
** chance. If it was not, the other side is at work: each change of sides moves half a dozen cache lines, so it pays to
** let it do a hundred items before the next look; one that comes too soon takes the lines from it for one. */
enum { LOOKS = 6, FIRST = 16, NEXT = 256 };

static void pause_for(int pauses)
{
	while (pauses-- > 0)
		iocp_relax();
}

void iocp_lock_acquire(iocp_lock *lock)
{
	uint32_t state = 0;
	int look;
	/* Acquire, here and below: pairs with the release in iocp_lock_release. */
	if (atomic_compare_exchange_strong_explicit(&lock->state, &state, 1, memory_order_acquire, memory_order_relaxed))
		return;
	for (look = 0; look < LOOKS; look++) {
		pause_for(look ? NEXT : FIRST);
		state = 0;
		if (atomic_load_explicit(&lock->state, memory_order_relaxed) == 0
			&& atomic_compare_exchange_weak_explicit(
				&lock->state, &state, 1, memory_order_acquire, memory_order_relaxed))
			return;
	}
	while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0)
		iocp_prim_wait(&lock->state, 2, IOCP_FOREVER);
}

void iocp_lock_release(iocp_lock *lock)
{
	/* Release: what was done under the lock happens-before the next acquire. */
	if (atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2)
		iocp_prim_wake(&lock->state);
}
