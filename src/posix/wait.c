/*
** wait.c - waiting on a word where the system has nothing for that: a parking lot.
**
** Who waits hangs a node that lies on its stack into the row that the word's address chooses, and sleeps on the node's
** semaphore: of what POSIX has, that alone ends with EINTR when a signal comes, and may be posted by a signal handler.
** macOS has declared such semaphores without having them, and has Mach's, which do the same.
**
** No lost wake-up: the word is looked at under the row's lock. Who changes the word wakes afterwards, under the same
** lock: either it finds the node, or its change happened-before the look. A node is posted to under the lock, and its
** owner takes the lock once more before it leaves: so nobody touches it when it has gone.
**
** A handler may wake, also one that runs in a thread which holds a row's lock, were it not that such a thread takes no
** signals meanwhile.
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#ifdef __APPLE__
#include <mach/mach.h>
#else
#include <semaphore.h>
#endif

#define NANOSECONDS INT64_C(1000000000)

/* ---- a semaphore ------------------------------------------------------------------------------------------------- */

/* new_bed: 0, the system has none. sleep_until: 0, ETIMEDOUT, EINTR, or EAGAIN: it is to be called again. */

#ifdef __APPLE__

typedef semaphore_t bed;

static int new_bed(bed *b)
{
	return semaphore_create(mach_task_self(), b, SYNC_POLICY_FIFO, 0) == KERN_SUCCESS;
}

static void forget_bed(bed *b)
{
	semaphore_destroy(mach_task_self(), *b);
}

static void rouse(bed *b)
{
	semaphore_signal(*b);
}

/* A signal's handler ends it with KERN_ABORTED. */
static int sleep_until(bed *b, int64_t deadline)
{
	const int64_t most = INT32_MAX * NANOSECONDS;
	int64_t left = deadline - iocp_prim_nanoseconds();
	mach_timespec_t time;
	kern_return_t r;
	left = left < 0 ? 0 : left > most ? most : left;
	time = (mach_timespec_t){(unsigned)(left / NANOSECONDS), (clock_res_t)(left % NANOSECONDS)};
	r = deadline == IOCP_FOREVER ? semaphore_wait(*b) : semaphore_timedwait(*b, time);
	return r == KERN_SUCCESS ? 0 : r == KERN_ABORTED ? EINTR : left == most ? EAGAIN : ETIMEDOUT;
}

#else

typedef sem_t bed;

static int new_bed(bed *b)
{
	return sem_init(b, 0, 0) == 0;
}

static void forget_bed(bed *b)
{
	sem_destroy(b);
}

static void rouse(bed *b)
{
	sem_post(b);
}

/* On the clock that semaphores have, which may be set: so a wait goes in steps of a second at most. */
static int sleep_until(bed *b, int64_t deadline)
{
	int64_t left = deadline - iocp_prim_nanoseconds();
	struct timespec until;
	if (deadline == IOCP_FOREVER)
		return sem_wait(b) == 0 ? 0 : errno;
	if (left <= 0)
		return sem_trywait(b) == 0 ? 0 : ETIMEDOUT;
	if (left > NANOSECONDS)
		left = NANOSECONDS;
	clock_gettime(CLOCK_REALTIME, &until);
	left += until.tv_nsec;
	until.tv_sec += (time_t)(left / NANOSECONDS);
	until.tv_nsec = (long)(left % NANOSECONDS);
	if (sem_timedwait(b, &until) == 0)
		return 0;
	return errno == ETIMEDOUT && iocp_prim_nanoseconds() < deadline ? EAGAIN : errno;
}

#endif

/* ---- the lot ----------------------------------------------------------------------------------------------------- */

enum { ROWS = 256 };

typedef struct parked {
	const void *word;
	int woken; /* it is off the row */
	bed bed;
	struct parked *next;
} parked;

typedef struct row {
	atomic_flag lock;
	parked *first;
} row;

static row rows[ROWS]; /* zeroed: unlocked */

static row *row_of(const void *word)
{
	return &rows[((uintptr_t)word >> 2) * UINT64_C(0x9E3779B97F4A7C15) >> 56];
}

/* Acquire and release: what one thread did under the lock happens-before what the next one does. */
static void lock(row *r, sigset_t *before)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
	while (atomic_flag_test_and_set_explicit(&r->lock, memory_order_acquire))
		sched_yield();
}

static void unlock(row *r, const sigset_t *before)
{
	atomic_flag_clear_explicit(&r->lock, memory_order_release);
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Takes it off the row, unless that was done. The lock is held. */
static void leave(row *r, parked *self)
{
	parked **place = &r->first;
	if (self->woken)
		return;
	while (*place != self)
		place = &(*place)->next;
	*place = self->next;
}

int iocp_prim_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	row *r = row_of(word);
	parked self = {.word = word};
	sigset_t before;
	int result;
	if (!new_bed(&self.bed))
		return 0; /* there are too many: whoever waits looks again and again */
	lock(r, &before);
	/* Relaxed: see the top. */
	if (atomic_load_explicit(word, memory_order_relaxed) != expected) {
		unlock(r, &before);
		forget_bed(&self.bed);
		return EAGAIN;
	}
	self.next = r->first;
	r->first = &self;
	unlock(r, &before);
	do
		result = sleep_until(&self.bed, deadline);
	while (result == EAGAIN);
	lock(r, &before);
	leave(r, &self);
	unlock(r, &before);
	forget_bed(&self.bed);
	return self.woken ? 0 : result;
}

void iocp_prim_wake(_Atomic uint32_t *word)
{
	row *r = row_of(word);
	sigset_t before;
	parked **place, *one;
	int saved = errno;
	lock(r, &before);
	for (place = &r->first; (one = *place) && one->word != word; place = &one->next)
		;
	if (one) {
		*place = one->next;
		one->woken = 1;
		rouse(&one->bed);
	}
	unlock(r, &before);
	errno = saved;
}
