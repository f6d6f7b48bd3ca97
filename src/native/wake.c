/*
** wake.c - how the threads that a port has served are woken, and when one that waits spins instead of sleeping.
**
** One wake-up at a time. Waking costs the waker microseconds, and it takes some 29 us until the woken thread runs; if a
** poster woke a thread for each packet, it would do nothing else. So only one thread a port is `in_flight`: served and
** being woken. Others that are served meanwhile, asleep, go on the list `deferred`; a thread that has woken up wakes
** the next, the one that was served first, before it returns. Why nobody is forgotten: a thread on the list has one in
** flight before it, and every thread that slept reports, under the lock, when it is awake for whatever reason: if it is
** in flight it passes that on to the next, if it is still on the list it leaves it. If a thread is in flight for longer
** than IN_FLIGHT_LIMIT, because its processor is busy, the next one served takes its place and is woken; without
** further posts those on the list wait for the first to be scheduled.
**
** The spin. A thread that parks costs its poster a system call and itself some 29 us of waking, so a waiter first looks
** at its word for a while, if that has paid lately: at most one thread a port does, never if the last poster ran on
** this processor (it cannot run while we spin), after a spin that paid for twice as long as before, after one in vain
** for half as long, down to not at all; then a packet that comes soon after a park starts it again. It spins for at
** most IOCP_SPIN_LIMIT, so no wait costs more than twice what it had to; much less, and little delays of the other side
** end the spins.
**
** Locking: the port's lock guards `in_flight`, `deferred` and `poster_cpu`; `no_spin`, `spinner` and `spin` are hints.
*/

#include "native/port.h"

enum {
	SPIN_LEAST = 600,        /* ns: a shorter one does not pay */
	SPIN_START = 5000,       /* ns */
	SOON = 60000,            /* ns from park to running again, of which the waking takes about half */
	IN_FLIGHT_LIMIT = 100000 /* ns */
};

_Atomic uint32_t *iocp_wake_or_defer(iocp_port *port, iocp_waiter *waiter)
{
	int64_t now = iocp_prim_nanoseconds();
	if (port->in_flight && now - port->in_flight_since < IN_FLIGHT_LIMIT) {
		waiter->deferred = 1;
		iocp_waiters_push(&port->deferred, waiter);
		return NULL;
	}
	port->in_flight = waiter;
	port->in_flight_since = now;
	return &waiter->word;
}

/* The caller slept, was served, and is awake. */
static void pass_on_wake(iocp_port *port, iocp_waiter *waiter)
{
	iocp_waiter *next = NULL;
	iocp_lock_acquire(&port->lock);
	if (waiter->deferred) {
		iocp_waiters_remove(&port->deferred, waiter);
	} else if (port->in_flight == waiter) {
		next = port->deferred.oldest;
		port->in_flight = next;
		if (next) {
			iocp_waiters_remove(&port->deferred, next);
			next->deferred = 0;
			port->in_flight_since = iocp_prim_nanoseconds();
		}
	}
	iocp_lock_release(&port->lock);
	if (next)
		iocp_prim_wake(&next->word);
}

int32_t iocp_spin_begins(iocp_port *port)
{
	int32_t spin = atomic_load_explicit(&port->spin, memory_order_relaxed);
	if (spin < SPIN_LEAST || atomic_load_explicit(&port->no_spin, memory_order_relaxed)
		|| atomic_load_explicit(&port->spinner, memory_order_relaxed) || port->poster_cpu == iocp_prim_processor())
		return 0;
	atomic_store_explicit(&port->spinner, 1, memory_order_relaxed);
	return spin;
}

/* The caller was the spinner, for `spun` ns at most; `paid`: it was handed packets before it slept. */
static void spin_ended(iocp_port *port, int32_t spun, int paid)
{
	int32_t next = !paid ? spun / 2 : spun * 2 < IOCP_SPIN_LIMIT ? spun * 2 : IOCP_SPIN_LIMIT;
	atomic_store_explicit(&port->spinner, 0, memory_order_relaxed);
	atomic_store_explicit(&port->spin, next, memory_order_relaxed);
}

/* Whether spins came to an end, so that somebody has to look how long threads sleep. */
static int spin_is_off(iocp_port *port)
{
	return atomic_load_explicit(&port->spin, memory_order_relaxed) < SPIN_LEAST;
}

int iocp_wake_wait(iocp_port *port, iocp_context *context, double ms, int32_t spin)
{
	/* The clock is not asked always: it is slow on some machines. */
	int64_t started = spin || spin_is_off(port) ? iocp_prim_nanoseconds() : 0;
	int64_t deadline = iocp_deadline(ms);
	int64_t spin_end = !spin ? 0 : started + spin < deadline ? started + spin : deadline;
	int r = iocp_wait(context, &port->waiters, &port->lock, deadline, spin_end);
	if (context->waiter.slept && r == IOCP_OK)
		pass_on_wake(port, &context->waiter);
	if (spin)
		spin_ended(port, spin, r == IOCP_OK && !context->waiter.slept);
	else if (started && r == IOCP_OK && iocp_prim_nanoseconds() - started < SOON)
		atomic_store_explicit(&port->spin, SPIN_START, memory_order_relaxed);
	return r;
}

void iocp_port_set_spin(iocp_port *port, int on)
{
	atomic_store_explicit(&port->no_spin, !on, memory_order_relaxed);
}
