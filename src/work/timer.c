/*
** timer.c - packets that are posted later: when it is time, a heap of deadlines with one thread that waits for the
** earliest; or when an event (core/event.h) happens, a list for each.
**
** Ownership: a pending timer holds a reference to its port, until it is posted, dropped or cancelled. The thread is
** started with the first that has a time, and stays; with nothing pending it waits for ever.
**
** Locking: `lock` guards everything here, and is taken under any other. Packets are posted, and ports dropped, outside
** it. A timer is pending exactly while it is in the heap or in a list; whoever takes it out, the thread, who makes the
** event happen, or a cancel, is the one who disposes of it, so a cancel that succeeds means that it will never arrive.
**
** Events. What an event calls when it happens is set with its first timer, and is iocp_event_over from then on that it
** has happened. Who adds a timer looks at that under the lock: if it is not over yet, who makes it happen takes the
** lock after this, and finds the timer. The timers of one that happens again and again stay in its list. Each is posted
** once a round, and goes to the list's end then: whatever is added or cancelled meanwhile, those at the front are left.
**
** What is called in place of a packet has no port, and holds nothing here: whoever takes it out has its key.
**
** The thread waits for `bell` with a timeout: whoever adds a timer that is the earliest posts there, after it has
** released the lock. No deadline is overslept: the thread computes its timeout under the lock, so a timer that is added
** later finds its deadline still ahead of what the thread waits for, and rings.
**
** Memory: 48 bytes a timer and 16 in the heap; 40 for the list of an event. Both arrays double, outside the lock.
*/

#include <stdlib.h>
#include <string.h>

#include "core/os.h"
#include "core/semaphore.h"
#include "work/work.h"

enum { LEAST = 64, AT_ONCE = 64, RETRY = 10 /* ms */ };

#define NOWHERE UINT32_MAX

/* In an array that is never shrunk. The timers of an event are a ring with its head, which is one without a port. */
typedef struct timer {
	iocp_port *port;         /* NULL: free, a head, or */
	void (*call)(uintptr_t); /* this is called in the thread with `key`, instead of a packet */
	uintptr_t key, overlapped;
	uint32_t bytes;      /* of what happens again and again, which has none: the round in which it was posted */
	uint32_t place;      /* where in the heap it is, or the next in the ring, or the next free one */
	uint32_t previous;   /* in the ring; NOWHERE: it is in the heap */
	uint32_t generation; /* grows each time the timer is freed: an old iocp_timer names it no more */
} timer;

typedef struct deadline {
	double at; /* on iocp_clock */
	uint32_t index;
} deadline;

static iocp_lock lock;
static timer *timers;
static deadline *heap; /* a binary heap: the earliest first; among equals, in any order */
static uint32_t capacity, pending, first_free = NOWHERE;
static uint32_t used = 1, taken = 1; /* ever, and now; the first is nobody's, so that 0 names no timer and no ring */
static iocp_semaphore bell;          /* rung when the earliest deadline has changed */
static _Atomic int started;          /* a thread was, and none need be */
static int running;                  /* one is: of several that were started at once, the first */

/* ---- the heap; the lock is held ---------------------------------------------------------------------------------- */

static void put(uint32_t place, deadline d)
{
	heap[place] = d;
	timers[d.index].place = place;
}

static void sift_up(uint32_t place, deadline d)
{
	while (place > 0 && heap[(place - 1) / 2].at > d.at) {
		put(place, heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(place, d);
}

static void sift_down(uint32_t place, deadline d)
{
	for (;;) {
		uint32_t child = place * 2 + 1;
		if (child >= pending)
			break;
		if (child + 1 < pending && heap[child + 1].at < heap[child].at)
			child++;
		if (heap[child].at >= d.at)
			break;
		put(place, heap[child]);
		place = child;
	}
	put(place, d);
}

static void remove_deadline(uint32_t place)
{
	deadline last = heap[--pending];
	if (place < pending) {
		if (place > 0 && heap[(place - 1) / 2].at > last.at)
			sift_up(place, last);
		else
			sift_down(place, last);
	}
}

/* ---- timers; the lock is held ------------------------------------------------------------------------------------ */

/* One that there is room for, and its name. */
static uint32_t new_timer(iocp_port *port, const iocp_packet *packet, iocp_timer *name)
{
	uint32_t index = first_free;
	if (index != NOWHERE) {
		first_free = timers[index].place;
	} else {
		index = used++;
		timers[index].generation = 1;
	}
	taken++;
	timers[index].port = port ? iocp_port_retain(port) : NULL;
	timers[index].call = NULL;
	timers[index].key = packet->key;
	timers[index].overlapped = packet->overlapped;
	timers[index].bytes = packet->bytes;
	*name = (iocp_timer)timers[index].generation << 32 | index;
	return index;
}

static void free_timer(uint32_t index)
{
	timers[index].port = NULL;
	timers[index].call = NULL;
	timers[index].generation++;
	timers[index].place = first_free;
	first_free = index;
	taken--;
}

/* At the end of a ring. */
static void link_timer(uint32_t head, uint32_t index)
{
	timers[index].place = head;
	timers[index].previous = timers[head].previous;
	timers[timers[head].previous].place = index;
	timers[head].previous = index;
}

static void unlink_timer(const timer *t)
{
	timers[t->previous].place = t->place;
	timers[t->place].previous = t->previous;
}

/* Takes one out of the heap or its ring, and frees it. Its port's reference is the caller's. */
static timer take_out(uint32_t index)
{
	timer out = timers[index];
	if (out.previous == NOWHERE)
		remove_deadline(out.place);
	else
		unlink_timer(&out);
	free_timer(index);
	return out;
}

/* ---- posting ----------------------------------------------------------------------------------------------------- */

/* IOCP_OK, IOCP_NOMEM, or IOCP_CLOSED: a closed port drops it as it dropped its queue. */
static int post_once(iocp_port *port, const iocp_packet *packet)
{
	int r = iocp_port_enqueue(port, packet->key, packet->bytes, packet->overlapped);
	if (r == IOCP_CLOSED)
		(void)iocp_port_putback(port, packet, 1);
	return r;
}

/* Posts one that was taken out, or is a copy with a reference to the port of its own. Where there is no memory, it is
** late. 0: the port is closed. */
static int post(const timer *t, uint32_t bytes)
{
	const iocp_packet packet = {.key = t->key, .overlapped = t->overlapped, .bytes = bytes};
	int r;
	if (t->call) {
		t->call(t->key);
		return 1;
	}
	while ((r = post_once(t->port, &packet)) == IOCP_NOMEM)
		(void)iocp_sleep(RETRY);
	iocp_port_release(t->port);
	return r == IOCP_OK;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* Takes up to `max` timers that are due out; *wait: how long until the next is, in milliseconds. */
static int take_due(timer *due, int max, double *wait)
{
	double now = iocp_clock();
	int count = 0;
	iocp_lock_acquire(&lock);
	while (count < max && pending && heap[0].at <= now)
		due[count++] = take_out(heap[0].index);
	*wait = pending == 0 ? IOCP_INFINITE : heap[0].at > now ? heap[0].at - now : 0;
	iocp_lock_release(&lock);
	return count;
}

static int run(iocp_thread *thread, void *data)
{
	timer due[AT_ONCE];
	double wait;
	int mine, r = IOCP_OK;
	(void)thread, (void)data;
	iocp_lock_acquire(&lock);
	mine = !running;
	running = 1;
	iocp_lock_release(&lock);
	while (mine && r != IOCP_CLOSED) { /* which never happens */
		int count = take_due(due, AT_ONCE, &wait), i;
		for (i = 0; i < count; i++)
			(void)post(&due[i], due[i].bytes);
		if (count == 0 && wait != 0) /* after posting it looks again: time has passed */
			r = iocp_semaphore_wait(&bell, wait);
	}
	return IOCP_OK;
}

/* Makes sure that the thread runs: whoever gets IOCP_OK has seen one start. Callers who race for it may start one each,
** of which one goes on. */
static int start(void)
{
	const iocp_thread_options options = {.size = sizeof(options), .main = run, .name = "iocp timers"};
	iocp_thread *thread;
	int r;
	/* Relaxed, here and below: it says nothing about anything else. */
	if (atomic_load_explicit(&started, memory_order_relaxed))
		return IOCP_OK;
	r = iocp_thread_create(&options, &thread);
	if (r != IOCP_OK)
		return r;
	atomic_store_explicit(&started, 1, memory_order_relaxed);
	iocp_thread_release(thread);
	return IOCP_OK;
}

/* ---- adding and cancelling --------------------------------------------------------------------------------------- */

/* Takes the lock with room for so many more. IOCP_NOMEM: without the lock. */
static int lock_with_room(uint32_t more)
{
	for (;;) {
		timer *more_timers;
		deadline *more_heap;
		void *old_timers = NULL, *old_heap = NULL;
		uint32_t wanted;
		iocp_lock_acquire(&lock);
		if (taken + more <= capacity)
			return IOCP_OK;
		wanted = capacity ? capacity * 2 : LEAST;
		iocp_lock_release(&lock);
		more_timers = wanted ? malloc(wanted * sizeof(*more_timers)) : NULL; /* 0: 2^32 are pending */
		more_heap = wanted ? malloc(wanted * sizeof(*more_heap)) : NULL;
		if (!more_timers || !more_heap) {
			free(more_timers);
			free(more_heap);
			return IOCP_NOMEM;
		}
		iocp_lock_acquire(&lock);
		if (wanted > capacity) { /* nobody was faster */
			if (capacity) {
				memcpy(more_timers, timers, capacity * sizeof(*timers));
				memcpy(more_heap, heap, pending * sizeof(*heap));
			}
			old_timers = timers;
			old_heap = heap;
			timers = more_timers;
			heap = more_heap;
			capacity = wanted;
			more_timers = NULL;
			more_heap = NULL;
		}
		iocp_lock_release(&lock);
		free(more_timers);
		free(more_heap);
		free(old_timers);
		free(old_heap);
	}
}

static int add(iocp_port *port, const iocp_packet *packet, void (*call)(uintptr_t), double ms, iocp_timer *name)
{
	deadline d;
	int earliest, r = start();
	if (r == IOCP_OK)
		r = lock_with_room(1);
	if (r != IOCP_OK)
		return r;
	d.at = iocp_clock() + (ms > 0 ? ms : 0);
	d.index = new_timer(port, packet, name);
	timers[d.index].previous = NOWHERE;
	timers[d.index].call = call;
	sift_up(pending++, d);
	earliest = heap[0].index == d.index;
	iocp_lock_release(&lock);
	if (earliest)
		iocp_semaphore_post(&bell);
	return IOCP_OK;
}

int iocp_port_enqueue_after(iocp_port *port, const iocp_packet *packet, double ms, iocp_timer *name)
{
	return add(port, packet, NULL, ms, name);
}

int iocp_call_after(void (*call)(uintptr_t key), uintptr_t key, double ms, iocp_timer *name)
{
	const iocp_packet packet = {.key = key};
	return add(NULL, &packet, call, ms, name);
}

/* The lock is held. */
static int names_pending(iocp_timer name)
{
	uint32_t index = (uint32_t)name;
	return index > 0 && index < used && (timers[index].port || timers[index].call)
		   && timers[index].generation == (uint32_t)(name >> 32);
}

int iocp_timer_is_pending(iocp_timer name)
{
	int is_pending;
	iocp_lock_acquire(&lock);
	is_pending = names_pending(name);
	iocp_lock_release(&lock);
	return is_pending;
}

int iocp_timer_cancel(iocp_timer name)
{
	timer out = {.port = NULL};
	iocp_event *empty = NULL;
	iocp_lock_acquire(&lock);
	if (names_pending(name)) {
		out = take_out((uint32_t)name);
		if (out.previous == out.place) /* it was alone with the head */
			empty = (iocp_event *)timers[out.place].key;
	}
	if (empty && !empty->left)
		empty = NULL; /* its memory may go, with the lock */
	iocp_lock_release(&lock);
	iocp_port_release(out.port);
	if (empty)
		empty->left(empty);
	return out.port || out.call ? IOCP_OK : IOCP_INVALID;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* What an event calls: posts what is in its list, in the order in which it was added. */
static void post_all(iocp_event *event)
{
	timer due[AT_ONCE];
	int count, i;
	do {
		uint32_t head;
		count = 0;
		iocp_lock_acquire(&lock);
		head = event->list;
		while (head && count < AT_ONCE && timers[head].place != head)
			due[count++] = take_out(timers[head].place);
		if (head && timers[head].place == head) {
			free_timer(head);
			event->list = 0;
		}
		iocp_lock_release(&lock);
		for (i = 0; i < count; i++)
			(void)post(&due[i], 0);
	} while (count == AT_ONCE);
}

/* Adds a timer to the event's list. The lock is held, and there is room for two. */
static void add_to_list(iocp_event *event, iocp_port *port, const iocp_packet *packet, iocp_timer *name)
{
	const iocp_packet head = {.key = (uintptr_t)event};
	iocp_timer unused;
	uint32_t index;
	if (!event->list) {
		event->list = new_timer(NULL, &head, &unused);
		timers[event->list].place = timers[event->list].previous = event->list;
	}
	index = new_timer(port, packet, name);
	timers[index].bytes = timers[event->list].bytes; /* the round under way is not for it */
	link_timer(event->list, index);
}

/* Whether one in the event's list is for this port. The lock is held. */
static int is_told(const iocp_event *event, const iocp_port *port)
{
	uint32_t index;
	if (!event->list)
		return 0;
	for (index = timers[event->list].place; index != event->list; index = timers[index].place)
		if (timers[index].port == port)
			return 1;
	return 0;
}

/* As iocp_event_notify; `once`: IOCP_INVALID for a port that is to be told already. */
static int notify(iocp_event *event, iocp_port *port, const iocp_packet *packet, int once, iocp_timer *name)
{
	void (*call)(iocp_event *) = NULL;
	int r = lock_with_room(2);
	if (r != IOCP_OK)
		return r;
	if (once && is_told(event, port)) {
		iocp_lock_release(&lock);
		return IOCP_INVALID;
	}
	/* Release: pairs with iocp_event_happen. Acquire: what happened before the event comes before who is told now. */
	if (!atomic_compare_exchange_strong_explicit(
			&event->call, &call, post_all, memory_order_acq_rel, memory_order_acquire)
		&& call == iocp_event_over) {
		iocp_lock_release(&lock);
		*name = 0;
		return post_once(port, packet) == IOCP_NOMEM ? IOCP_NOMEM : IOCP_OK;
	}
	add_to_list(event, port, packet, name);
	iocp_lock_release(&lock);
	return IOCP_OK;
}

int iocp_event_notify(iocp_event *event, iocp_port *port, const iocp_packet *packet, iocp_timer *name)
{
	return notify(event, port, packet, 0, name);
}

/* Copies up to `max` that were not posted in this round or one that another thread began meanwhile, each with a
** reference to its port; names[] are theirs. A round's end is the head, which has the newest. */
static int take_round(const iocp_event *event, uint32_t *round, timer *due, iocp_timer *names, int max)
{
	uint32_t head, index;
	int count = 0;
	iocp_lock_acquire(&lock);
	head = event->list;
	if (head && !*round)
		*round = ++timers[head].bytes;
	while (head && count < max && (int32_t)(timers[index = timers[head].place].bytes - *round) < 0) {
		timers[index].bytes = *round;
		due[count] = timers[index];
		names[count] = (iocp_timer)due[count].generation << 32 | index;
		(void)iocp_port_retain(due[count].port);
		unlink_timer(&due[count++]);
		link_timer(head, index);
	}
	iocp_lock_release(&lock);
	return count;
}

int iocp_event_post(iocp_event *event)
{
	timer due[AT_ONCE];
	iocp_timer names[AT_ONCE];
	uint32_t round = 0; /* unknown */
	int count, i, posted = 0;
	do {
		count = take_round(event, &round, due, names, AT_ONCE);
		for (i = 0; i < count; i++) {
			if (post(&due[i], 0))
				posted++;
			else
				(void)iocp_timer_cancel(names[i]);
		}
	} while (count == AT_ONCE);
	return posted;
}

int iocp_event_is_asked(const iocp_event *event)
{
	int asked;
	iocp_lock_acquire(&lock);
	asked = event->list && timers[event->list].place != event->list;
	iocp_lock_release(&lock);
	return asked;
}

int iocp_thread_notify(iocp_thread *thread, iocp_port *port, uintptr_t key, uintptr_t overlapped, iocp_timer *name)
{
	const iocp_packet packet = {.key = key, .overlapped = overlapped};
	iocp_event *end;
	int r = iocp_thread_end_event(thread, &end);
	return r == IOCP_OK ? iocp_event_notify(end, port, &packet, name) : r;
}

int iocp_semaphore_notify(iocp_semaphore *semaphore, iocp_port *port, const iocp_packet *packet, iocp_timer *name)
{
	int r = iocp_event_notify(&semaphore->ready, port, packet, name);
	if (r == IOCP_OK && iocp_semaphore_is_ready(semaphore))
		iocp_event_tell(&semaphore->ready);
	return r;
}

int iocp_port_notify(iocp_port *port, iocp_port *target, uintptr_t key, uintptr_t overlapped, iocp_timer *name)
{
	const iocp_packet packet = {.key = key, .overlapped = overlapped};
	iocp_event *event = iocp_port_ready_event(port);
	int ready = 0, r = notify(event, target, &packet, 1, name);
	if (r != IOCP_OK)
		return r;
	r = iocp_port_ask(port, &ready);
	if (r != IOCP_OK)
		(void)iocp_timer_cancel(*name);
	else if (ready)
		iocp_event_tell(event);
	return r;
}

double iocp_wall_time(void)
{
	return iocp_system_time();
}
