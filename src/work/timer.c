/*
** timer.c - packets that are posted later: a heap of deadlines, and one thread that waits for the earliest.
**
** Ownership: a pending timer holds a reference to its port, until it is posted, dropped or cancelled. The thread is
** started with the first timer and stays; with nothing pending it waits for ever.
**
** Locking: `lock` guards everything here. Packets are posted, and ports dropped, outside it. A timer is pending exactly
** while it is in the heap; whoever takes it out, the thread or a cancel, is the one who disposes of it, so a cancel
** that succeeds means that it will never arrive.
**
** The thread waits for `bell` with a timeout: whoever adds a timer that is the earliest posts there, after it has
** released the lock. No deadline is overslept: the thread computes its timeout under the lock, so a timer that is added
** later finds its deadline still ahead of what the thread waits for, and rings.
**
** Memory: 40 bytes a timer and 16 in the heap. Both arrays double, outside the lock.
*/

#include <stdlib.h>
#include <string.h>

#include "core/os.h"
#include "core/semaphore.h"
#include "work/work.h"

enum { LEAST = 64, AT_ONCE = 64, RETRY = 10 /* ms */ };

#define NOWHERE UINT32_MAX

/* In an array that is never shrunk; `place` is where in the heap it is, or the next free one. */
typedef struct timer {
	iocp_port *port; /* NULL: free */
	uintptr_t key, overlapped;
	uint32_t bytes;
	uint32_t place;
	uint32_t generation; /* grows each time the timer is freed: an old iocp_timer names it no more */
} timer;

typedef struct deadline {
	double at; /* on iocp_clock */
	uint32_t index;
} deadline;

static iocp_lock lock;
static timer *timers;
static deadline *heap; /* a binary heap: the earliest first; among equals, in any order */
static uint32_t capacity, used, pending, first_free = NOWHERE;
static iocp_semaphore bell; /* rung when the earliest deadline has changed */
static _Atomic int started; /* a thread was, and none need be */
static int running;         /* one is: of several that were started at once, the first */

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

/* Takes a timer out of the heap, and frees it. Its port's reference is the caller's. */
static timer take_out(uint32_t index)
{
	timer taken = timers[index];
	deadline last = heap[--pending];
	if (taken.place < pending) {
		if (taken.place > 0 && heap[(taken.place - 1) / 2].at > last.at)
			sift_up(taken.place, last);
		else
			sift_down(taken.place, last);
	}
	timers[index].port = NULL;
	timers[index].generation++;
	timers[index].place = first_free;
	first_free = index;
	return taken;
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

/* Posts it. Where there is no memory, it is late; a closed port drops it as it dropped its queue. */
static void post(const timer *t)
{
	const iocp_packet packet = {.key = t->key, .overlapped = t->overlapped, .bytes = t->bytes};
	int r;
	while ((r = iocp_port_enqueue(t->port, t->key, t->bytes, t->overlapped)) == IOCP_NOMEM)
		(void)iocp_sleep(RETRY);
	if (r == IOCP_CLOSED)
		(void)iocp_port_putback(t->port, &packet, 1);
	iocp_port_release(t->port);
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
			post(&due[i]);
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

/* Takes the lock with room for one more. IOCP_NOMEM: without the lock. */
static int lock_with_room(void)
{
	for (;;) {
		timer *more_timers;
		deadline *more_heap;
		void *old_timers = NULL, *old_heap = NULL;
		uint32_t wanted;
		iocp_lock_acquire(&lock);
		if (first_free != NOWHERE || used < capacity)
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

int iocp_port_enqueue_after(iocp_port *port, const iocp_packet *packet, double ms, iocp_timer *handle)
{
	deadline d;
	int earliest, r = start();
	if (r == IOCP_OK)
		r = lock_with_room();
	if (r != IOCP_OK)
		return r;
	d.index = first_free;
	if (d.index != NOWHERE) {
		first_free = timers[d.index].place;
	} else {
		d.index = used++;
		timers[d.index].generation = 1;
	}
	d.at = iocp_clock() + (ms > 0 ? ms : 0);
	timers[d.index].port = iocp_port_retain(port);
	timers[d.index].key = packet->key;
	timers[d.index].overlapped = packet->overlapped;
	timers[d.index].bytes = packet->bytes;
	*handle = (iocp_timer)timers[d.index].generation << 32 | d.index;
	sift_up(pending++, d);
	earliest = heap[0].index == d.index;
	iocp_lock_release(&lock);
	if (earliest)
		iocp_semaphore_post(&bell);
	return IOCP_OK;
}

/* The lock is held. */
static int names_pending(iocp_timer handle)
{
	uint32_t index = (uint32_t)handle;
	return index < used && timers[index].port && timers[index].generation == (uint32_t)(handle >> 32);
}

int iocp_timer_is_pending(iocp_timer handle)
{
	int is_pending;
	iocp_lock_acquire(&lock);
	is_pending = names_pending(handle);
	iocp_lock_release(&lock);
	return is_pending;
}

int iocp_timer_cancel(iocp_timer handle)
{
	iocp_port *port = NULL;
	iocp_lock_acquire(&lock);
	if (names_pending(handle))
		port = take_out((uint32_t)handle).port;
	iocp_lock_release(&lock);
	iocp_port_release(port);
	return port ? IOCP_OK : IOCP_INVALID;
}
