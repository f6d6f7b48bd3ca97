/*
** watch.c - the watcher: one thread of the process that looks after things now and then, after a PERIOD or as many as a
** thing says, for as long as there are any. What is watched are ports where a thread that blocks in foreign code (a
** socket library, os.execute, io.read) may keep others from their work (slot.c), and ports whose set of descriptors
** nobody waits in (leader.c). Where nobody had to for long, the watcher sleeps until such a set has something: it is
** armed. With nothing to look at, and no set that might be armed, the watcher ends.
**
** It sleeps in a set of its own, which holds those that were ever armed; a set that is closed leaves it by that. What
** is on the list, and whoever adds to it, reaches the sleeper by the alarm: one that is raised between the look at the
** list and the sleep ends that at once.
**
** Ownership: what is watched is on the list, and is its owner's again, who then may add it anew, once its `look` has
** returned 0 or its `give_up` was called.
**
** Locking: `watch_lock` guards the list and what is below it. No call of others is made under it.
*/

#include "native/watch.h"

enum {
	PERIOD = 5,    /* ms */
	LINGER = 1000, /* ms without anything to do after which the watcher ends */
	RETRY = 5,     /* ms from a failed start of the watcher to the next */
	EVENTS_AT_ONCE = 16
};

static iocp_lock watch_lock;
static iocp_watched *watched;
static int running;
static int64_t not_before;    /* ns: when the watcher may be started again */
static iocp_prim_set sleeper; /* where the watcher sleeps; never closed, once it */
static int is_open;
static uint32_t kept; /* by so many it is kept from its end */
static iocp_watched *(*tell)(uint64_t name);

/* The watcher runs, and hears of what is armed. Relaxed: it is reset only while nobody keeps the watcher, under the
** lock that whoever does has taken since. */
static _Atomic int listens;

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

/* An armed set has something. No lock is held. */
static void hear(uint64_t name)
{
	iocp_watched *item, *(*told)(uint64_t);
	iocp_lock_acquire(&watch_lock);
	told = tell;
	iocp_lock_release(&watch_lock);
	item = told(name);
	iocp_lock_acquire(&watch_lock);
	if (item)
		list(item, IOCP_WATCH_SOON);
	iocp_lock_release(&watch_lock);
}

/* Sleeps until then, or until something is added, and hears what armed sets have to say. No lock is held. */
static void sleep_until(int64_t at)
{
	iocp_prim_event events[EVENTS_AT_ONCE];
	int why;
	size_t i, count = iocp_prim_set_wait(&sleeper, events, EVENTS_AT_ONCE, at, &why);
	for (i = 0; i < count; i++)
		hear(events[i].name);
}

static void *watch(void *argument)
{
	iocp_prim_name_thread("iocp watcher");
	iocp_lock_acquire(&watch_lock);
	atomic_store_explicit(&listens, 1, memory_order_relaxed);
	for (;;) {
		int64_t at = next_time();
		int lingers = at == IOCP_FOREVER && !kept;
		iocp_lock_release(&watch_lock);
		sleep_until(lingers ? iocp_deadline(LINGER) : at);
		iocp_lock_acquire(&watch_lock);
		if (lingers && !watched && !kept)
			break;
		look_after_all();
	}
	running = 0;
	atomic_store_explicit(&listens, 0, memory_order_relaxed);
	iocp_lock_release(&watch_lock);
	return argument;
}

/* Under the lock: the watcher has where to sleep. 0, or the system's code. */
static int open_sleeper(void)
{
	int r = is_open ? 0 : iocp_prim_set_open(&sleeper);
	is_open = r == 0;
	return r;
}

int iocp_watch_keep(iocp_watched *(*told)(uint64_t name))
{
	int r;
	iocp_lock_acquire(&watch_lock);
	r = open_sleeper();
	kept += r == 0;
	tell = told;
	iocp_lock_release(&watch_lock);
	return r;
}

void iocp_watch_let_end(void)
{
	iocp_lock_acquire(&watch_lock);
	if (--kept == 0)
		iocp_prim_set_alarm(&sleeper); /* the watcher is to look for how long it sleeps */
	iocp_lock_release(&watch_lock);
}

int iocp_watch_arm(const iocp_prim_set *set, uint64_t name)
{
	return atomic_load_explicit(&listens, memory_order_relaxed) && iocp_prim_set_tell(&sleeper, set, name, 1) == 0;
}

void iocp_watch_disarm(const iocp_prim_set *set, uint64_t name)
{
	(void)iocp_prim_set_tell(&sleeper, set, name, 0);
}

/* ---- what is watched --------------------------------------------------------------------------------------------- */

/* Adds it to the list, and makes it the watcher's work. 1: the caller is to start the watcher. */
static int add(iocp_watched *item)
{
	int first = !running;
	list(item, 1);
	running = 1;
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
	too_soon = (!running && iocp_prim_nanoseconds() < not_before) || open_sleeper() != 0;
	if (!too_soon)
		first = add(item);
	iocp_lock_release(&watch_lock);
	if (too_soon)
		item->calls->give_up(item);
	else if (!first)
		iocp_prim_set_alarm(&sleeper);
	else if (iocp_start_detached(watch) != 0)
		start_failed();
}
