/*
** wake.c - how the threads that a port has served are woken, and which of those that wait spins instead of sleeping.
**
** One wake-up at a time. Waking costs the waker microseconds, and it takes tens of them until the woken thread runs;
** if a poster woke a thread for each packet, it would do nothing else. So only one thread a port is `in_flight`: served
** and being woken. Others that are served meanwhile, asleep, go on the list `deferred`; a thread that has woken up
** wakes the next, the one that was served first, before it returns. Why nobody is forgotten: a thread on the list has
** one in flight before it, and every thread that slept reports, under the lock, when it is awake for whatever reason:
** if it is in flight it passes that on to the next, if it is still on the list it leaves it. If a thread is in flight
** for much longer than that takes, because its processor is busy, the next one served takes its place and is woken;
** without further posts those on the list wait for the first to be scheduled.
**
** The spin (spin.c) comes before the sleep. At most one thread a port does, the `spinner`, until it is served or falls
** asleep, and never if the last poster ran on this processor: it cannot run while we spin.
**
** Locking: the port's lock guards `in_flight`, `deferred` and `poster_cpu`; `no_spin` and `spinner` are hints.
*/

#include "native/port.h"

enum { TOO_LONG = 3 }; /* wake times until a thread that is being woken is given up */

_Atomic uint32_t *iocp_wake_or_defer(iocp_port *port, iocp_waiter *waiter)
{
	int64_t now = iocp_prim_nanoseconds();
	if (port->in_flight && now - port->in_flight_since < TOO_LONG * (int64_t)iocp_wake_time()) {
		waiter->deferred = 1;
		iocp_waiters_push(&port->deferred, waiter);
		return NULL;
	}
	port->in_flight = waiter;
	port->in_flight_since = now;
	return iocp_leader_wake_word(port, waiter);
}

/* The caller slept, was served, and is awake. Returns when its waker was called; 0: somebody else is awaited, or it is
** not known what that time would say. */
static int64_t pass_on_wake(iocp_port *port, iocp_waiter *waiter, int *watch)
{
	iocp_waiter *next = NULL;
	_Atomic uint32_t *asleep = NULL;
	int64_t woken = 0;
	iocp_lock_acquire(&port->lock);
	iocp_leader_end(port, waiter); /* it may have been made the leader in its sleep */
	if (waiter->deferred) {
		iocp_waiters_remove(&port->deferred, waiter);
	} else if (port->in_flight == waiter) {
		if (port->poster_cpu != iocp_prim_processor())
			woken = port->in_flight_since;
		next = port->deferred.oldest;
		port->in_flight = next;
		if (next) {
			iocp_waiters_remove(&port->deferred, next);
			next->deferred = 0;
			port->in_flight_since = iocp_prim_nanoseconds();
			asleep = iocp_leader_wake_word(port, next);
		}
	}
	*watch = iocp_port_begins_to_stick(port);
	iocp_lock_release(&port->lock);
	if (asleep)
		iocp_port_wake(port, asleep);
	return woken;
}

int iocp_spin_begins(iocp_port *port)
{
	if (iocp_leader_is_due(port)) /* the caller is to lead, and would not see events meanwhile */
		return 0;
	if (iocp_spin_is_off(&port->spinning) || atomic_load_explicit(&port->no_spin, memory_order_relaxed)
		|| atomic_load_explicit(&port->spinner, memory_order_relaxed) || port->poster_cpu == iocp_prim_processor())
		return 0;
	atomic_store_explicit(&port->spinner, 1, memory_order_relaxed);
	return 1;
}

int iocp_wake_wait(iocp_port *port, iocp_context *context, double ms, int spins, iocp_turn turn, int *watch)
{
	int off = iocp_spin_is_off(&port->spinning) && !atomic_load_explicit(&port->no_spin, memory_order_relaxed);
	/* The clock is not asked always: it is slow on some machines. */
	int64_t started = spins || off ? iocp_prim_nanoseconds() : 0;
	int64_t deadline = iocp_deadline(ms), woken;
	int r;
	*watch = 0;
	if (spins) {
		iocp_spin(context, &port->spinning, started, deadline);
		atomic_store_explicit(&port->spinner, 0, memory_order_relaxed);
	}
	r = iocp_wait_or_lead(context, &port->waiters, &port->lock, deadline, turn, port);
	if (!context->waiter.slept || r != IOCP_OK)
		return r;
	woken = pass_on_wake(port, &context->waiter, watch);
	if (woken) {
		iocp_wake_took(iocp_prim_nanoseconds() - woken);
		if (off)
			iocp_spin_slept(&port->spinning, woken - started);
	}
	return r;
}

void iocp_port_set_spin(iocp_port *port, int on)
{
	atomic_store_explicit(&port->no_spin, !on, memory_order_relaxed);
}
