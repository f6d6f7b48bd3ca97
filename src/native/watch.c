/*
** watch.c - notices threads that block in foreign code while they have a slot: in a socket library, os.execute, io.read.
**
** A port is watched while packets are queued there, threads are parked and no slot is free: then one blocked thread keeps
** another from working. One thread of the process, the watcher, looks every PERIOD at the threads that belong to such
** ports; the kernel says of each whether it runs (R: runs, spins, yields) or not (S, D, T: sleeps, reads, is stopped). Who
** was found blocked twice in a row loses the slot until it is found running, or gets again. Where nothing is stuck,
** nobody looks, and a watcher with nothing to look after ends.
**
** Ownership: the list of watched ports holds a reference to each. A port's `watched` is set, under the port's lock, by
** whoever finds it stuck, and reset by the watcher, which then has taken it off the list, or where there is no watcher to be
** had: then the next post or get that finds the port stuck tries again.
**
** Locking: `watch_lock` guards the list and `running`. The watcher holds the lock of all contexts while it looks, so that
** none of the threads ends, and the port's lock within that.
*/

#include "native/native.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "native/port.h"

enum {
	PERIOD = 5,       /* ms */
	LINGER = 1000,    /* ms without anything to do after which the watcher ends */
	RETRY = 5,        /* ms from a failed start of the watcher to the next */
	LOOKS = 2,        /* in a row, until a thread counts as blocked */
	STACK = 64 * 1024 /* bytes */
};

static iocp_lock watch_lock;
static iocp_port *watched;
static int running;
static int64_t not_before;    /* ns: when the watcher may be started again */
static _Atomic uint32_t work; /* futex: changes when a port is added */

enum answer { UNKNOWN, NO, YES };

/* Whether this system tells which threads block. UNKNOWN: it cannot be asked now, which says nothing of the next time. */
static enum answer system_tells(void)
{
	/* Relaxed: whoever finds it unknown asks again and gets the same answer. */
	static _Atomic int answer;
	int known = atomic_load_explicit(&answer, memory_order_relaxed);
	if (known == UNKNOWN) {
		enum iocp_prim_state mine = iocp_prim_thread_state(iocp_prim_thread_id());
		known = mine == IOCP_PRIM_RUNS ? YES : mine == IOCP_PRIM_UNKNOWN ? UNKNOWN : NO;
		if (known != UNKNOWN)
			atomic_store_explicit(&answer, known, memory_order_relaxed);
	}
	return (enum answer)known;
}

int iocp_watch_works(void)
{
	return system_tells() == YES;
}

/* ---- the watcher ------------------------------------------------------------------------------------------------- */

typedef struct look {
	iocp_port *port;
	iocp_aftermath aftermath; /* until the lock of all contexts is released */
} look;

static void look_at(void *state, iocp_context *context)
{
	look *l = state;
	iocp_port *port = l->port;
	enum iocp_prim_state seen = iocp_prim_thread_state(context->id);
	iocp_lock_acquire(&port->lock);
	/* Relaxed: written under the port's lock. */
	if (port->closed || atomic_load_explicit(&context->belongs_to, memory_order_relaxed) != port->object.handle) {
		; /* nothing here any more: see slot.c */
	} else if (seen == IOCP_PRIM_UNKNOWN || seen == IOCP_PRIM_UNTOLD) {
		; /* nobody knows: what is known of it stays */
	} else if (seen == IOCP_PRIM_RUNS) {
		if (context->slot == IOCP_SLOT_RELEASED)
			iocp_slot_set(port, context, IOCP_SLOT_HELD);
		context->blocked_looks = 0;
	} else if (context->slot == IOCP_SLOT_HELD && ++context->blocked_looks >= LOOKS) {
		iocp_slot_set(port, context, IOCP_SLOT_RELEASED);
		/* Under the same holding of the lock: a post must not find a free slot beside older packets. */
		iocp_port_settle(port, &l->aftermath);
	}
	iocp_lock_release(&port->lock);
}

/* Whether the port is still stuck; if not, it is no longer watched. */
static int look_after(iocp_port *port)
{
	look l;
	int stuck;
	l.port = port;
	iocp_aftermath_begin(&l.aftermath);
	iocp_context_each(port->object.handle, look_at, &l);
	iocp_lock_acquire(&port->lock);
	stuck = port->queue.count && port->waiters.newest;
	if (!stuck)
		port->watched = 0;
	iocp_port_unlock(port, &l.aftermath);
	return stuck;
}

/* Looks after each port once. The lock is held, but not meanwhile. */
static void look_after_all(void)
{
	iocp_port *port = watched, *next;
	watched = NULL;
	iocp_lock_release(&watch_lock);
	for (; port; port = next) {
		next = port->next_watched; /* once it is no longer watched another may add it again */
		if (look_after(port)) {
			iocp_lock_acquire(&watch_lock);
			port->next_watched = watched;
			watched = port;
			iocp_lock_release(&watch_lock);
		} else {
			iocp_port_release(port);
		}
	}
	iocp_lock_acquire(&watch_lock);
}

static void *watch(void *argument)
{
	_Atomic uint32_t never = 0;
	iocp_prim_name_thread("iocp watcher");
	iocp_lock_acquire(&watch_lock);
	for (;;) {
		uint32_t seen;
		int linger = watched == NULL;
		if (watched)
			look_after_all();
		/* Relaxed: changed under the lock. */
		seen = atomic_load_explicit(&work, memory_order_relaxed);
		iocp_lock_release(&watch_lock);
		if (linger) /* a port that is added ends it */
			iocp_prim_wait(&work, seen, iocp_deadline(LINGER));
		else
			iocp_prim_wait(&never, 0, iocp_deadline(PERIOD));
		iocp_lock_acquire(&watch_lock);
		if (linger && !watched)
			break;
	}
	running = 0;
	iocp_lock_release(&watch_lock);
	return argument;
}

/* Starts the watcher. `running` was set by the caller. */
static int start(void)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t ignored;
	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return r;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK + (size_t)sysconf(_SC_THREAD_STACK_MIN));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&ignored, &attributes, watch, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}

/* Adds the port to the list, and makes it the watcher's work. 1: the caller is to start the watcher. */
static int add(iocp_port *port)
{
	int first = !running;
	iocp_port_retain(port);
	port->next_watched = watched;
	watched = port;
	running = 1;
	atomic_fetch_add_explicit(&work, 1, memory_order_relaxed); /* under the lock */
	return first;
}

/* Nobody watches the port, which was to be; whoever finds it stuck the next time tries again. */
static void unwatch(iocp_port *port)
{
	iocp_lock_acquire(&port->lock);
	port->watched = 0;
	iocp_lock_release(&port->lock);
}

/* The watcher could not be started: nobody watches what is on the list. */
static void start_failed(void)
{
	iocp_port *port, *next;
	iocp_lock_acquire(&watch_lock);
	running = 0;
	not_before = iocp_deadline(RETRY);
	port = watched;
	watched = NULL;
	iocp_lock_release(&watch_lock);
	for (; port; port = next) {
		next = port->next_watched; /* once it is no longer watched another may add it again */
		unwatch(port);
		iocp_port_release(port);
	}
}

void iocp_watch(iocp_port *port)
{
	enum answer tells = system_tells();
	int too_soon, first = 0;
	if (tells == NO) /* `watched` stays set: it is not tried again */
		return;
	iocp_lock_acquire(&watch_lock);
	too_soon = !running && iocp_prim_nanoseconds() < not_before;
	if (tells == YES && !too_soon)
		first = add(port);
	iocp_lock_release(&watch_lock);
	if (tells == UNKNOWN || too_soon)
		unwatch(port);
	else if (!first)
		iocp_prim_wake(&work);
	else if (start() != 0)
		start_failed();
}
