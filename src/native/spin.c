/*
** spin.c - whether a thread that waits spins before it sleeps, and for how long; and what a wake-up takes here.
**
** A thread that sleeps costs the one who serves it a system call, and itself the time until it runs again, so a
** waiter first looks at its word for a while, if that has paid lately. Waits of one kind (a port's, a thread's for
** semaphores) keep an account, iocp_spinning. What a spin takes of the processor is owed; if it was served, less
** what the sleep would have taken. Who owes too much is `off`. Then each sleep pays a thirty-second of what it takes
** itself, and so much beside a thread that only sleeps is all that spins may take for long. Out of debt, a wait that
** was served before a spin had ended begins anew; half out of it, one that was served so soon that a spin had saved
** time. The first is how one side of a ping-pong begins, whose other side sleeps too; the second is how that one
** joins. In a trickle, whose messages are further apart than what a sleep takes, every spin is served in time, and
** still they end.
**
** All of it follows from what a wake-up takes, which differs from machine to machine, and drifts. Each sleep on a port
** is a measurement. The estimate goes a step up or down as the last one took longer or less, so it follows the median:
** one that found its processor busy for milliseconds moves it no further than any other. If most do, there is no
** processor to spare, and nobody spins.
**
** Locking: none. The estimate and the accounts are hints: every access is relaxed, and an update that is lost to
** another does no harm.
*/

#include "native/native.h"

enum {
	WAKE_FIRST = 40000, /* ns, until it is known */
	WAKE_LEAST = 4000,
	WAKE_BUSY = 100000, /* one that takes longer waited for its processor */
	WAKE_MOST = 200000,
	STEP = 32,        /* the estimate's steps: one part in so many */
	SPINS_IN_DEBT = 3 /* so many spins in vain may be owed */
};

static _Atomic int32_t wake_time = WAKE_FIRST;

int32_t iocp_wake_time(void)
{
	return atomic_load_explicit(&wake_time, memory_order_relaxed);
}

void iocp_wake_took(int64_t ns)
{
	int32_t now = iocp_wake_time();
	int32_t next = ns > now ? now + now / STEP : now - now / STEP;
	next = next < WAKE_LEAST ? WAKE_LEAST : next > WAKE_MOST ? WAKE_MOST : next;
	atomic_store_explicit(&wake_time, next, memory_order_relaxed);
}

int iocp_spin_is_off(const iocp_spinning *spinning)
{
	return iocp_wake_time() > WAKE_BUSY || atomic_load_explicit(&spinning->off, memory_order_relaxed);
}

/* The longest spin. When the other side of a ping-pong sleeps, its answer comes after it was woken, and then some. */
static int32_t limit(void)
{
	return iocp_wake_time() / 8 * 13;
}

/* What a sleep takes of the processors' time, at the least. */
static int32_t sleep_cost(void)
{
	return iocp_wake_time() / 4;
}

static void set_owed(iocp_spinning *spinning, int64_t owed)
{
	int64_t most = (int64_t)limit() * (SPINS_IN_DEBT + 1);
	owed = owed < 0 ? 0 : owed > most ? most : owed;
	atomic_store_explicit(&spinning->owed, (int32_t)owed, memory_order_relaxed);
}

static void set_off(iocp_spinning *spinning, uint32_t off)
{
	atomic_store_explicit(&spinning->off, off, memory_order_relaxed);
}

static int32_t owed(const iocp_spinning *spinning)
{
	return atomic_load_explicit(&spinning->owed, memory_order_relaxed);
}

static int is_served(const iocp_context *context)
{
	/* Relaxed: iocp_wait looks again with acquire. */
	return atomic_load_explicit(&context->waiter.word, memory_order_relaxed) == IOCP_SERVED;
}

void iocp_spin(iocp_context *context, iocp_spinning *spinning, int64_t started, int64_t deadline)
{
	enum { LOOKS = 16 }; /* a look and a pause take up to 30 ns, reading the clock as long */
	int64_t now = started, end = started + limit();
	int served;
	if (end > deadline)
		end = deadline;
	do {
		int i;
		for (i = 0; !(served = is_served(context)) && i < LOOKS; i++)
			iocp_relax();
		if (served)
			break;
		now = iocp_prim_nanoseconds();
	} while (now < end && !iocp_context_cancelled(context));
	set_owed(spinning, owed(spinning) + (now - started) - (served ? sleep_cost() : 0));
	if (owed(spinning) > SPINS_IN_DEBT * limit())
		set_off(spinning, 1);
}

void iocp_spin_slept(iocp_spinning *spinning, int64_t served_after)
{
	int32_t debt;
	set_owed(spinning, owed(spinning) - sleep_cost() / 32);
	debt = owed(spinning);
	if ((debt == 0 && served_after < limit()) || (debt <= SPINS_IN_DEBT * limit() / 2 && served_after < sleep_cost()))
		set_off(spinning, 0);
}
