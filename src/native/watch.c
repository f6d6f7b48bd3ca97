/*
** watch.c - the watcher: one thread of the process that looks after things now and then, after a PERIOD or as many as a
** thing says, for as long as there are any; then it ends. What is watched are ports where a thread that blocks in
** foreign code (a socket library, os.execute, io.read) may keep others from their work: slot.c.
**
** Ownership: what is watched is on the list, and is its owner's again, who then may add it anew, once its `look` has
** returned 0 or its `give_up` was called.
**
** Locking: `watch_lock` guards the list and `running`. Neither call is made under it.
*/

#include "native/watch.h"

enum {
	PERIOD = 5,    /* ms */
	LINGER = 1000, /* ms without anything to do after which the watcher ends */
	RETRY = 5      /* ms from a failed start of the watcher to the next */
};

static iocp_lock watch_lock;
static iocp_watched *watched;
static int running;
static int64_t not_before;    /* ns: when the watcher may be started again */
static _Atomic uint32_t work; /* futex: changes when a port is added */

enum answer { UNKNOWN, NO, YES };

/* Whether this system tells which threads block. UNKNOWN: it cannot be asked now, which says nothing of the next time.
** Relaxed: whoever finds it unknown asks again and gets the same answer. */
static _Atomic int answer;

int iocp_watch_works(void)
{
	int known = atomic_load_explicit(&answer, memory_order_relaxed);
	if (known == UNKNOWN) {
		enum iocp_prim_state mine = iocp_prim_thread_state(iocp_prim_thread_id());
		known = mine == IOCP_PRIM_RUNS ? YES : mine == IOCP_PRIM_UNKNOWN ? UNKNOWN : NO;
		if (known != UNKNOWN)
			atomic_store_explicit(&answer, known, memory_order_relaxed);
	}
	return known == YES;
}

int iocp_watch_is_possible(void)
{
	return atomic_load_explicit(&answer, memory_order_relaxed) != NO;
}

/* ---- the watcher ------------------------------------------------------------------------------------------------- */

/* Puts it on the list, to be looked at so many periods from now, or soon. The lock is held. */
static void list(iocp_watched *item, int periods)
{
	item->at = periods == IOCP_WATCH_SOON ? iocp_prim_nanoseconds() : iocp_deadline(PERIOD * periods);
	item->next = watched;
	watched = item;
}

/* Looks after each whose time has come. The lock is held, but not meanwhile. */
static void look_after_all(void)
{
	iocp_watched *item = watched, *next;
	int64_t now = iocp_prim_nanoseconds();
	watched = NULL;
	iocp_lock_release(&watch_lock);
	for (; item; item = next) {
		int periods = 0, early = item->at > now;
		next = item->next; /* once it is no longer watched another may add it again */
		if (!early)
			periods = item->calls->look(item);
		iocp_lock_acquire(&watch_lock);
		if (periods) {
			list(item, periods);
		} else if (early) {
			item->next = watched;
			watched = item;
		}
		iocp_lock_release(&watch_lock);
	}
	iocp_lock_acquire(&watch_lock);
}

/* When somebody is to be looked after; IOCP_FOREVER: nobody. The lock is held. */
static int64_t next_time(void)
{
	const iocp_watched *item;
	int64_t at = IOCP_FOREVER;
	for (item = watched; item; item = item->next)
		if (item->at < at)
			at = item->at;
	return at;
}

static void *watch(void *argument)
{
	iocp_prim_name_thread("iocp watcher");
	iocp_lock_acquire(&watch_lock);
	for (;;) {
		/* Relaxed: changed under the lock. */
		uint32_t seen = atomic_load_explicit(&work, memory_order_relaxed);
		int64_t at = next_time();
		int linger = at == IOCP_FOREVER;
		iocp_lock_release(&watch_lock);
		iocp_prim_wait(&work, seen, linger ? iocp_deadline(LINGER) : at); /* one that is added ends it */
		iocp_lock_acquire(&watch_lock);
		if (linger && !watched)
			break;
		look_after_all();
	}
	running = 0;
	iocp_lock_release(&watch_lock);
	return argument;
}

/* Adds it to the list, and makes it the watcher's work. 1: the caller is to start the watcher. */
static int add(iocp_watched *item)
{
	int first = !running;
	list(item, 1);
	running = 1;
	atomic_fetch_add_explicit(&work, 1, memory_order_relaxed); /* under the lock */
	return first;
}

/* The watcher could not be started: nobody watches what is on the list. */
static void start_failed(void)
{
	iocp_watched *item, *next;
	iocp_lock_acquire(&watch_lock);
	running = 0;
	not_before = iocp_deadline(RETRY);
	item = watched;
	watched = NULL;
	iocp_lock_release(&watch_lock);
	for (; item; item = next) {
		next = item->next; /* once it is no longer watched another may add it again */
		item->calls->give_up(item);
	}
}

void iocp_watch(iocp_watched *item)
{
	int too_soon, first = 0;
	iocp_lock_acquire(&watch_lock);
	too_soon = !running && iocp_prim_nanoseconds() < not_before;
	if (!too_soon)
		first = add(item);
	iocp_lock_release(&watch_lock);
	if (too_soon)
		item->calls->give_up(item);
	else if (!first)
		iocp_prim_wake(&work);
	else if (iocp_start_detached(watch) != 0)
		start_failed();
}
