/*
** poll.c - a set of descriptors to wait for: epoll, and an eventfd as its alarm.
**
** The eventfd is never read: nobody depends on its count, and each write is a new edge, also where the count is not 0.
** It would take 2^64 - 2 writes to fill it. Source: epoll(7), eventfd(2).
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2 /* Linux 5.11 */
#define SYS_epoll_pwait2 441
#endif

enum { EVENTS_AT_ONCE = 64 };

static int control(const iocp_prim_set *set, int operation, int descriptor, uint32_t events, uint64_t name)
{
	struct epoll_event event = {.events = events, .data.u64 = name};
	return epoll_ctl(set->set, operation, descriptor, &event) == 0 ? 0 : errno;
}

int iocp_prim_set_open(iocp_prim_set *set)
{
	int r;
	set->set = epoll_create1(EPOLL_CLOEXEC);
	if (set->set < 0)
		return errno;
	set->alarm = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = set->alarm < 0 ? errno : control(set, EPOLL_CTL_ADD, set->alarm, EPOLLIN | EPOLLET, 0);
	if (r != 0) {
		if (set->alarm >= 0)
			close(set->alarm);
		close(set->set);
	}
	return r;
}

void iocp_prim_set_close(iocp_prim_set *set)
{
	close(set->alarm);
	close(set->set);
}

static uint32_t events_of(uint32_t what)
{
	return EPOLLET | EPOLLRDHUP | EPOLLPRI | (what & IOCP_PRIM_READ ? EPOLLIN : 0)
		   | (what & IOCP_PRIM_WRITE ? EPOLLOUT : 0);
}

int iocp_prim_set_add(const iocp_prim_set *set, int descriptor, uint32_t what, uint64_t name)
{
	return control(set, EPOLL_CTL_ADD, descriptor, events_of(what), name);
}

int iocp_prim_set_change(const iocp_prim_set *set, int descriptor, uint32_t what, uint64_t name)
{
	return control(set, EPOLL_CTL_MOD, descriptor, events_of(what), name);
}

void iocp_prim_set_used(const iocp_prim_set *set, int descriptor, uint32_t what)
{
	(void)set, (void)descriptor, (void)what; /* the kernel keeps edges by itself */
}

void iocp_prim_set_remove(const iocp_prim_set *set, int descriptor)
{
	(void)control(set, EPOLL_CTL_DEL, descriptor, 0, 0);
}

/* epoll_wait to the nanosecond, or, where the kernel has none, to the millisecond above. */
static int wait_for(const iocp_prim_set *set, struct epoll_event *events, int max, int64_t ns)
{
	static _Atomic int coarse; /* relaxed: whoever finds it unset asks the kernel again */
	const int64_t second = 1000000000, millisecond = 1000000;
	struct timespec left = {(time_t)(ns / second), (long)(ns % second)};
	if (ns == 0 || ns == IOCP_FOREVER)
		return epoll_wait(set->set, events, max, ns == 0 ? 0 : -1);
	if (!atomic_load_explicit(&coarse, memory_order_relaxed)) {
		long n = syscall(SYS_epoll_pwait2, set->set, events, max, &left, NULL, 0);
		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return (int)n;
		atomic_store_explicit(&coarse, 1, memory_order_relaxed);
	}
	ns = (ns + millisecond - 1) / millisecond;
	return epoll_wait(set->set, events, max, ns < INT32_MAX ? (int)ns : INT32_MAX);
}

/* How long to wait until the deadline. One near the end of time is for ever. */
static int64_t left_until(int64_t deadline)
{
	int64_t now;
	if (deadline == 0 || deadline >= IOCP_FOREVER - 1)
		return deadline == 0 ? 0 : IOCP_FOREVER;
	now = iocp_prim_nanoseconds();
	return deadline > now ? deadline - now : 0;
}

static uint32_t what_of(uint32_t events)
{
	return (events & EPOLLIN ? (uint32_t)IOCP_PRIM_READ : 0) | (events & EPOLLOUT ? (uint32_t)IOCP_PRIM_WRITE : 0)
		   | (events & (EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR) ? (uint32_t)IOCP_PRIM_ENDED : 0);
}

size_t iocp_prim_set_wait(const iocp_prim_set *set, iocp_prim_event *events, size_t max, int64_t deadline, int *why)
{
	struct epoll_event got[EVENTS_AT_ONCE];
	size_t count = 0;
	int i, n = wait_for(set, got, max < EVENTS_AT_ONCE ? (int)max : EVENTS_AT_ONCE, left_until(deadline));
	for (i = 0; i < n; i++)
		if (got[i].data.u64 != 0)
			events[count++] = (iocp_prim_event){got[i].data.u64, what_of(got[i].events)};
	*why = n > 0 ? 0 : n == 0 ? ETIMEDOUT : EINTR;
	return count;
}

/* With EPOLLONESHOT an event switches it off. */
int iocp_prim_set_tell(const iocp_prim_set *outer, const iocp_prim_set *set, uint64_t name, int tells)
{
	uint32_t events = EPOLLONESHOT | (tells ? (uint32_t)EPOLLIN : 0);
	int r = control(outer, EPOLL_CTL_MOD, set->set, events, name);
	return r == ENOENT ? control(outer, EPOLL_CTL_ADD, set->set, events, name) : r;
}

int iocp_prim_set_takes(int descriptor)
{
	iocp_prim_set set;
	int r;
	set.set = epoll_create1(EPOLL_CLOEXEC);
	if (set.set < 0)
		return 0;
	r = control(&set, EPOLL_CTL_ADD, descriptor, EPOLLIN, 0);
	close(set.set);
	return r == 0;
}

static void add_one(int descriptor)
{
	const uint64_t one = 1;
	ssize_t written = write(descriptor, &one, sizeof(one)); /* fails only if 2^64 - 2 were written before */
	(void)written;
}

void iocp_prim_set_alarm(const iocp_prim_set *set)
{
	add_one(set->alarm);
}

/* ---- for others -------------------------------------------------------------------------------------------------- */

/* An epoll set with the set and an eventfd in it, neither of them edge-triggered. */
int iocp_prim_pollable_open(iocp_prim_pollable *pollable, const iocp_prim_set *set)
{
	struct epoll_event readable = {.events = EPOLLIN};
	int r;
	pollable->descriptor = epoll_create1(EPOLL_CLOEXEC);
	if (pollable->descriptor < 0)
		return errno;
	pollable->raised = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (pollable->raised < 0) {
		r = errno;
		close(pollable->descriptor);
		return r;
	}
	if (epoll_ctl(pollable->descriptor, EPOLL_CTL_ADD, set->set, &readable) == 0
		&& epoll_ctl(pollable->descriptor, EPOLL_CTL_ADD, pollable->raised, &readable) == 0)
		return 0;
	r = errno;
	iocp_prim_pollable_close(pollable);
	return r;
}

void iocp_prim_pollable_close(iocp_prim_pollable *pollable)
{
	close(pollable->raised);
	close(pollable->descriptor);
}

void iocp_prim_pollable_raise(const iocp_prim_pollable *pollable)
{
	add_one(pollable->raised);
}

void iocp_prim_pollable_lower(const iocp_prim_pollable *pollable)
{
	uint64_t count;
	ssize_t got = read(pollable->raised, &count, sizeof(count)); /* it does not wait */
	(void)got;
}
