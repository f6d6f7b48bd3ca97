/*
** harvest.c - what the set of descriptors brings: the leader's turn, looks on the way, and the watcher's turn. Who
** leads, and the rules of that: leader.c.
*/

#include "native/port.h"

enum {
	LOOK_PACKETS = 64,   /* so many gets, or so long, after a look the next get looks, whatever is queued */
	LOOK_TIME = 2000000, /* ns; also after which the watcher takes a role that is due for left, or has gone on enough */
	LED_PERIODS = 4      /* between turns of the watcher at a port that mostly has a leader */
};

static iocp_waiter looking; /* its address is the leader of a port at which the watcher looks */

/* ---- what was harvested ------------------------------------------------------------------------------------------ */

/* Queues the packets, if there are any, and takes the port's lock. What is left of the operations is to be dropped once
** it is released. */
static void lock_and_queue(iocp_port *port, iocp_poll *poll, iocp_finished *finished)
{
	int r = iocp_port_lock_for(port, finished->count);
	if (r == IOCP_CLOSED) {
		iocp_lock_acquire(&port->lock);
	} else {
		port->posted += finished->count;
		poll->queued += (uint32_t)finished->count;
		iocp_finished_append(finished, &port->queue, IOCP_IO_MARK, r == IOCP_OK);
		if (port->queue.count > port->peak)
			port->peak = port->queue.count;
	}
	/* Also of those that did not become the port's packets: it is closed, and they end without. */
	iocp_leader_looked(poll);
}

/* The leader, which is parked, takes what is queued, and is served. */
static void serve_itself(iocp_port *port, iocp_poll *poll, iocp_context *context, iocp_after_unlock *after)
{
	iocp_waiter *waiter = &context->waiter;
	iocp_waiters_remove(&port->waiters, waiter);
	waiter->count = iocp_port_take(port, waiter->packets, waiter->max, &after->garbage);
	waiter->result = IOCP_OK;
	waiter->slept = 0; /* nobody woke it: there is nothing to report */
	iocp_slot_set(port, context, IOCP_SLOT_HELD);
	/* Relaxed: its own thread reads it next. Under the lock, like every SERVED. */
	atomic_store_explicit(&waiter->word, IOCP_SERVED, memory_order_relaxed);
	poll->leader = NULL;
}

/* The leader comes out of the set with these. */
static void queue_harvest(iocp_port *port, iocp_poll *poll, iocp_context *context, iocp_finished *finished)
{
	iocp_waiter *waiter = &context->waiter;
	iocp_after_unlock after;
	iocp_after_unlock_begin(&after);
	lock_and_queue(port, poll, finished);
	/* Relaxed: SERVED is only ever written under this lock. */
	if (atomic_load_explicit(&waiter->word, memory_order_relaxed) == IOCP_SERVED) {
		; /* it holds its packets already; these are for others, and it leaves the role as it reports */
	} else if (port->queue.count && iocp_port_has_slot(port)) {
		serve_itself(port, poll, context, &after);
	} else if (!iocp_leader_may_go_on(poll)) {
		waiter->leads = 0;
		/* Sequentially consistent, as each step of the word that a cancel may meet. */
		atomic_store_explicit(&waiter->word, IOCP_ARMED, memory_order_seq_cst);
		poll->leader = NULL;
	}
	iocp_port_settle(port, &after);
	iocp_port_unlock(port, &after);
	iocp_finished_drop(finished);
}

int iocp_leader_turn(void *state, iocp_context *context, int64_t deadline)
{
	iocp_port *port = state;
	iocp_poll *poll = iocp_poll_of(port);
	iocp_finished finished = {NULL, NULL, 0};
	int why = iocp_poll_harvest(poll, deadline, &finished);
	if (finished.count == 0)
		return why;
	queue_harvest(port, poll, context, &finished);
	return 0;
}

/* ---- looking on the way ------------------------------------------------------------------------------------------ */

int iocp_leader_should_look(iocp_port *port, double ms)
{
	const iocp_poll *poll = iocp_poll_of(port);
	if (!iocp_leader_is_due(port))
		return 0;
	if (!port->queue.count)
		return ms == 0; /* else it parks, and leads */
	return poll->taken >= LOOK_PACKETS || iocp_prim_nanoseconds() - poll->looked_at > LOOK_TIME;
}

/* As the leader that `as` stands for. The lock is held, and is released meanwhile. */
static void look(iocp_port *port, iocp_poll *poll, iocp_waiter *as)
{
	iocp_finished finished = {NULL, NULL, 0};
	iocp_after_unlock after;
	iocp_after_unlock_begin(&after);
	poll->leader = as;
	iocp_lock_release(&port->lock);
	(void)iocp_poll_harvest(poll, 0, &finished);
	lock_and_queue(port, poll, &finished);
	poll->leader = NULL;
	iocp_port_settle(port, &after);
	iocp_port_unlock(port, &after);
	iocp_finished_drop(&finished);
	iocp_lock_acquire(&port->lock);
}

void iocp_leader_look(iocp_port *port, iocp_context *context)
{
	look(port, iocp_poll_of(port), &context->waiter); /* it is not parked, so nobody serves it */
}

/* ---- the watcher's turn ------------------------------------------------------------------------------------------ */

/* Makes the newest parked thread the leader, if it sleeps: the word to wake, or NULL. The lock is held. */
static _Atomic uint32_t *promote(iocp_port *port)
{
	iocp_waiter *newest = port->waiters.newest;
	uint32_t asleep = IOCP_ASLEEP;
	/* Sequentially consistent: a cancel that finds POLLING uses the alarm. See wait.c. */
	if (!newest || !iocp_leader_is_due(port)
		|| !atomic_compare_exchange_strong_explicit(
			&newest->word, &asleep, IOCP_POLLING, memory_order_seq_cst, memory_order_seq_cst))
		return NULL;
	iocp_leader_take(port, newest);
	return &newest->word;
}

/* Accepts that wait for descriptors. No lock is held. */
static void feed(iocp_port *port, iocp_poll *poll)
{
	iocp_finished finished = {NULL, NULL, 0};
	iocp_after_unlock after;
	iocp_after_unlock_begin(&after);
	iocp_poll_retry(poll, &finished);
	if (!finished.count)
		return;
	lock_and_queue(port, poll, &finished);
	iocp_port_settle(port, &after);
	iocp_port_unlock(port, &after);
	iocp_finished_drop(&finished);
}

/* While operations move, without a pause, until other ports are to have their turn. The lock is held, and is released
** meanwhile. */
static void look_while_it_moves(iocp_port *port, iocp_poll *poll)
{
	int64_t end = iocp_prim_nanoseconds() + LOOK_TIME;
	uint64_t events;
	do {
		events = poll->events; /* ours, as long as nobody leads */
		look(port, poll, &looking);
		/* In this order: who leads counts without the lock. */
		poll->moves = !port->waiters.newest && iocp_leader_is_due(port) && poll->events != events;
	} while (poll->moves && poll->looked_at < end);
}

/* Nobody but the watcher holds a reference, and so nobody will ever get from the port. */
static int is_forgotten(const iocp_port *port)
{
	/* Relaxed: whoever opens it by its handle meanwhile keeps it, and has it watched with the next get. */
	return atomic_load_explicit(&port->object.counted.references, memory_order_relaxed) == 1;
}

/* Where operations move, as soon as others had their turn. Where a look found nothing, and nobody came, or there is a
** leader and looks are seldom, not before the port is armed and has something. Where the role is left and taken all the
** time, in a period; less often if a leader is found each time: most of the turns are for nothing there. The lock is
** held. */
static int periods_to_next(iocp_port *port, iocp_poll *poll, int due, int looked)
{
	int starved = iocp_poll_has_starved(poll);
	poll->led = due || starved ? 0 : poll->led + 1;
	if (port->closed || is_forgotten(port))
		return 0;
	if (poll->moves)
		return IOCP_WATCH_SOON;
	if (iocp_port_is_stuck(port) || starved)
		return 1;
	if (iocp_leader_is_due(port))
		return !looked || !iocp_leader_arms(port);
	return iocp_leader_is_seldom(poll) ? 0 : poll->led >= LED_PERIODS ? LED_PERIODS : 1;
}

int iocp_leader_watch(iocp_port *port)
{
	iocp_poll *poll = iocp_poll_of(port);
	_Atomic uint32_t *asleep;
	int due, left, looks, periods;
	if (iocp_poll_has_starved(poll))
		feed(port, poll);
	iocp_lock_acquire(&port->lock);
	due = iocp_leader_is_due(port);
	/* Who looked just now is mostly back in a moment: another thread in its place would take the work away from it. */
	left = due && iocp_prim_nanoseconds() - poll->looked_at > LOOK_TIME;
	looks = (left || (due && poll->moves)) && !port->waiters.newest;
	poll->moves = 0;
	if (looks)
		look_while_it_moves(port, poll);
	asleep = left ? promote(port) : NULL;
	periods = periods_to_next(port, poll, due, looks);
	/* In the section in which that was seen: who leaves the role behind it has the port watched anew. */
	port->watched = periods != 0;
	iocp_lock_release(&port->lock);
	if (asleep)
		iocp_prim_wake(asleep);
	return periods;
}
