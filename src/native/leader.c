/*
** leader.c - which of the threads that wait for packets does so in the port's set of descriptors.
**
** Of the threads parked on a port that has I/O one leads: it waits in the set, the others sleep on their words. What
** comes of the events that it gets is queued as packets, of which it takes its share and leaves; the rest goes to
** others, by the rules that packets have. The role is then due, and the next that parks takes it, mostly the same
** thread, back from its work: so a request costs no switch of threads. If all that wait are asleep already, the watcher
** wakes the newest as the leader, within its period; if nobody waits, it looks for events itself.
**
** One rule: only who has the role waits in the set, and it keeps the role until it is out for good, also when it was
** served. The alarm ends one wait and is gone then; with two threads inside it might end the wrong one. As it is, an
** alarm ends the wait that it is for, or comes so late that the thread has left and a later leader has a turn for
** nothing. Nobody sleeps through one.
**
** Whoever serves a parked leader finds ARMED: it has not gone in and will not, so the role is taken from it at once; or
** POLLING: the alarm wakes it, and it gives the role back itself. Who is made the leader in its sleep (ASLEEP ->
** POLLING) is woken by its word, finds out, and leads. A thread that is ARMED is never made the leader: it could be
** served without knowing that it was. A cancel finds POLLING, leaves the word as it is and uses the alarm.
**
** Where the role is left for microseconds, a hundred thousand times a second, the watcher (watch.c) has a turn now and
** then. Where looks at the set are further apart the port is armed: the watcher sleeps until the set has something that
** nobody waits for; who leads next disarms it. That takes two short calls of the system a look, and an idle process
** nothing at all. Both calls are made under the port's lock, since the late one of a thread that leads might undo what
** the next that leaves has done; neither waits. Where a leader, or a look, takes the event of which the watcher was
** told, it has a turn for nothing.
**
** What was harvested is queued also if the leader was served meanwhile, or gives up: events come only once. At most
** AHEAD packets of I/O are queued: then nobody leads until some are taken.
**
** Locking: the port's lock guards `leader`, `queued`, `taken`, `looked_at`, `apart` and `armed`. Events are waited for,
** and operations advanced, without it. spec/model/leader.pml is this protocol as a model.
*/

#include "native/port.h"

enum {
	AHEAD = 256,       /* packets of I/O in the queue beyond which nobody looks for more */
	SELDOM = 5000000,  /* ns from look to look: the watcher's turns, every few milliseconds, cost more than to arm */
	PAUSE = 100000000, /* ns: a longer one counts as this in the average of the last ones, */
	SHARE = 8          /* of which the newest is one part in so many */
};

int iocp_leader_may_go_on(const iocp_poll *poll)
{
	return poll->queued < AHEAD;
}

int iocp_leader_is_due(iocp_port *port)
{
	const iocp_poll *poll = iocp_poll_of(port);
	return poll && !poll->leader && !port->closed && iocp_leader_may_go_on(poll)
		   && atomic_load_explicit(&poll->used, memory_order_relaxed);
}

/* ---- whom events reach while nobody leads ------------------------------------------------------------------------ */

static int64_t average_with(const iocp_poll *poll, int64_t now)
{
	int64_t last = now - poll->looked_at;
	return poll->apart + ((last < PAUSE ? last : PAUSE) - poll->apart) / SHARE;
}

void iocp_leader_looked(iocp_poll *poll)
{
	int64_t now = iocp_prim_nanoseconds();
	poll->apart = average_with(poll, now);
	poll->looked_at = now;
	poll->taken = 0;
}

void iocp_leader_was_missed(iocp_poll *poll)
{
	if (iocp_prim_nanoseconds() - poll->looked_at < SELDOM)
		poll->apart = 0;
}

int iocp_leader_is_seldom(const iocp_poll *poll)
{
	return average_with(poll, iocp_prim_nanoseconds()) >= SELDOM;
}

int iocp_leader_arms(iocp_port *port)
{
	iocp_poll *poll = iocp_poll_of(port);
	/* The average as it is, since the clock may be slow: the look that is over counts already. */
	if (!poll->armed && poll->apart >= SELDOM)
		poll->armed = iocp_watch_arm(&poll->set, port->object.handle);
	return poll->armed;
}

/* The watcher is to see to the port's I/O, in its turns. */
static int needs_watch(iocp_port *port)
{
	iocp_poll *poll = iocp_poll_of(port);
	return poll && (iocp_poll_has_starved(poll) || (iocp_leader_is_due(port) && !iocp_leader_arms(port)));
}

int iocp_port_begins_to_stick(iocp_port *port)
{
	if (port->watched || !((iocp_port_is_stuck(port) && iocp_watch_is_possible()) || needs_watch(port)))
		return 0;
	port->watched = 1;
	return 1;
}

/* ---- the role ---------------------------------------------------------------------------------------------------- */

void iocp_leader_take(iocp_port *port, iocp_waiter *waiter)
{
	iocp_poll *poll = iocp_poll_of(port);
	poll->leader = waiter;
	if (poll->armed)
		iocp_watch_disarm(&poll->set, port->object.handle);
	poll->armed = 0;
}

int iocp_leader_begin(iocp_port *port, iocp_waiter *waiter)
{
	if (!iocp_leader_is_due(port))
		return 0;
	iocp_leader_take(port, waiter);
	return 1;
}

void iocp_leader_end(iocp_port *port, const iocp_waiter *waiter)
{
	iocp_poll *poll = iocp_poll_of(port);
	if (poll && poll->leader == waiter)
		poll->leader = NULL;
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

_Atomic uint32_t *iocp_leader_wake_word(iocp_port *port, iocp_waiter *waiter)
{
	iocp_poll *poll = iocp_poll_of(port);
	return poll && poll->leader == waiter ? &poll->alarm : &waiter->word;
}

void iocp_port_wake(iocp_port *port, _Atomic uint32_t *word)
{
	iocp_poll *poll = iocp_poll_of(port);
	if (poll && word == &poll->alarm)
		iocp_prim_set_alarm(&poll->set);
	else
		iocp_prim_wake(word);
}

void iocp_leader_nudge(iocp_context *context)
{
	iocp_port *port;
	/* Relaxed: it has not changed since the word was POLLING, or the thread is out of the set. A handle, since the port
	** may be gone by then; if it is closed, that wakes everybody. */
	if (iocp_port_open(atomic_load_explicit(&context->belongs_to, memory_order_relaxed), &port) != IOCP_OK)
		return;
	if (iocp_poll_of(port))
		iocp_prim_set_alarm(&iocp_poll_of(port)->set);
	iocp_port_release(port);
}
