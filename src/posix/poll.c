/*
** poll.c - a set of descriptors to wait for, by poll(2), and a pipe as its alarm.
**
** poll tells what is, again and again; a set tells what becomes. So what was told of a descriptor is not asked for any
** more until its user has met the end of it (iocp_prim_set_used), or adds or changes it. A member of which nothing is
** asked is left out.
**
** Members stand in a table by their descriptors. One thread at a time waits, in `asked`, which is its own and made anew
** each time; what others change meanwhile makes it begin anew, by the pipe.
**
** Locking: `lock` guards the table and the flags; poll is called outside of it.
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST = 64, PRIORITY_TOLD = 8 /* beside IOCP_PRIM_* in `open` */ };

typedef struct member {
	uint64_t name; /* 0: there is none */
	uint8_t what;  /* IOCP_PRIM_*: what it is here for, */
	uint8_t open;  /* and what of it was not told yet */
} member;

typedef struct members {
	pthread_mutex_t lock;
	member *table;
	size_t capacity;
	int waits;   /* somebody is in poll */
	int alarmed; /* the next wait ends, or the one that is */
	struct pollfd *asked;
	uint64_t *names; /* of those */
	size_t room;     /* for how many */
} members;

int iocp_prim_set_open(iocp_prim_set *set)
{
	members *m = calloc(1, sizeof(*m));
	int ends[2], r = m ? pthread_mutex_init(&m->lock, NULL) : ENOMEM;
	if (r != 0 || iocp_prim_pipe(ends) != 0) {
		r = r ? r : errno;
		free(m);
		return r;
	}
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
	*set = (iocp_prim_set){.set = ends[0], .alarm = ends[1], .own = m};
	return 0;
}

void iocp_prim_set_close(iocp_prim_set *set)
{
	members *m = set->own;
	close(set->set);
	close(set->alarm);
	pthread_mutex_destroy(&m->lock);
	free(m->table);
	free(m->asked);
	free(m->names);
	free(m);
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

static void ring(const iocp_prim_set *set)
{
	const char one = 0;
	ssize_t written = write(set->alarm, &one, 1); /* a full pipe wakes as well */
	(void)written;
}

/* Who waits begins anew. The lock is held. */
static void begin_anew(const iocp_prim_set *set, const members *m)
{
	if (m->waits)
		ring(set);
}

/* The lock is held. 0: out of memory. */
static int has_place(members *m, size_t place)
{
	size_t capacity = m->capacity ? m->capacity : LEAST;
	member *table;
	if (place < m->capacity)
		return 1;
	while (capacity <= place)
		capacity *= 2;
	table = realloc(m->table, capacity * sizeof(*table));
	if (!table)
		return 0;
	memset(table + m->capacity, 0, (capacity - m->capacity) * sizeof(*table));
	m->table = table;
	m->capacity = capacity;
	return 1;
}

static int put(const iocp_prim_set *set, int descriptor, uint32_t what, uint64_t name)
{
	members *m = set->own;
	int r = 0;
	pthread_mutex_lock(&m->lock);
	if (!has_place(m, (size_t)descriptor))
		r = ENOMEM;
	else
		m->table[descriptor] = (member){name, (uint8_t)what, (uint8_t)(what | IOCP_PRIM_ENDED)};
	begin_anew(set, m);
	pthread_mutex_unlock(&m->lock);
	return r;
}

int iocp_prim_set_add(const iocp_prim_set *set, int descriptor, uint32_t what, uint64_t name)
{
	return put(set, descriptor, what, name);
}

int iocp_prim_set_change(const iocp_prim_set *set, int descriptor, uint32_t what, uint64_t name)
{
	return put(set, descriptor, what, name);
}

void iocp_prim_set_used(const iocp_prim_set *set, int descriptor, uint32_t what)
{
	members *m = set->own;
	member *one;
	pthread_mutex_lock(&m->lock);
	one = (size_t)descriptor < m->capacity ? &m->table[descriptor] : NULL;
	if (one && one->what & what & ~(uint32_t)one->open) {
		one->open |= (uint8_t)(one->what & what);
		begin_anew(set, m);
	}
	pthread_mutex_unlock(&m->lock);
}

void iocp_prim_set_remove(const iocp_prim_set *set, int descriptor)
{
	members *m = set->own;
	pthread_mutex_lock(&m->lock);
	if ((size_t)descriptor < m->capacity)
		m->table[descriptor] = (member){0, 0, 0};
	begin_anew(set, m);
	pthread_mutex_unlock(&m->lock);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* The lock is held. 0: out of memory. */
static int has_room(members *m, size_t count)
{
	struct pollfd *asked;
	uint64_t *names;
	if (count <= m->room)
		return 1;
	asked = realloc(m->asked, 2 * count * sizeof(*asked));
	if (asked)
		m->asked = asked;
	names = realloc(m->names, 2 * count * sizeof(*names));
	if (names)
		m->names = names;
	if (!asked || !names)
		return 0;
	m->room = 2 * count;
	return 1;
}

static short events_of(const member *one)
{
	uint32_t open = one->what & one->open;
	return (short)((open & IOCP_PRIM_READ ? POLLIN : 0) | (open & IOCP_PRIM_WRITE ? POLLOUT : 0)
				   | (open && !(one->open & PRIORITY_TOLD) ? POLLPRI : 0));
}

/* Fills `asked`: the pipe, and the members of which something is to be told. How many; 0: out of memory. The lock is
** held. */
static size_t ask(const iocp_prim_set *set, members *m)
{
	size_t i, count = 1;
	for (i = 0; i < m->capacity; i++)
		count += m->table[i].name != 0;
	if (!has_room(m, count))
		return 0;
	m->asked[0] = (struct pollfd){.fd = set->set, .events = POLLIN};
	count = 1;
	for (i = 0; i < m->capacity; i++) {
		short events = m->table[i].name ? events_of(&m->table[i]) : 0;
		if (!events)
			continue;
		m->asked[count] = (struct pollfd){.fd = (int)i, .events = events};
		m->names[count++] = m->table[i].name;
	}
	return count;
}

static uint32_t what_of(short events)
{
	return (events & POLLIN ? (uint32_t)IOCP_PRIM_READ : 0) | (events & POLLOUT ? (uint32_t)IOCP_PRIM_WRITE : 0)
		   | (events & (POLLPRI | POLLHUP | POLLERR | POLLNVAL) ? (uint32_t)IOCP_PRIM_ENDED : 0);
}

/* The lock is held. How many events there are. */
static size_t tell(members *m, size_t count, iocp_prim_event *events, size_t max)
{
	size_t i, told = 0;
	for (i = 1; i < count && told < max; i++) {
		member *one = &m->table[m->asked[i].fd];
		uint32_t what = what_of(m->asked[i].revents);
		if (!what || one->name != m->names[i]) /* it has gone since, or is another's */
			continue;
		/* An end makes everything possible: it is told once. */
		one->open &= (uint8_t)(what & IOCP_PRIM_ENDED ? PRIORITY_TOLD : ~what);
		if (m->asked[i].revents & POLLPRI)
			one->open |= PRIORITY_TOLD;
		events[told++] = (iocp_prim_event){one->name, what};
	}
	return told;
}

/* poll's milliseconds: those above. One near the end of time is for ever. */
static int left_until(int64_t deadline)
{
	const int64_t millisecond = 1000000;
	int64_t left;
	if (deadline == 0 || deadline >= IOCP_FOREVER - 1)
		return deadline == 0 ? 0 : -1;
	left = deadline - iocp_prim_nanoseconds();
	left = left > 0 ? (left + millisecond - 1) / millisecond : 0;
	return left < INT32_MAX ? (int)left : INT32_MAX;
}

/* Once. *again: it is to begin anew. */
static size_t wait_once(
	const iocp_prim_set *set, members *m, iocp_prim_event *events, size_t max, int64_t deadline, int *why, int *again)
{
	char drained[64];
	size_t told = 0, count;
	int n;
	pthread_mutex_lock(&m->lock);
	count = ask(set, m);
	m->waits = 1;
	pthread_mutex_unlock(&m->lock);
	n = poll(m->asked, count, count ? left_until(deadline) : 1);
	*why = n > 0 ? 0 : n == 0 ? ETIMEDOUT : EINTR;
	pthread_mutex_lock(&m->lock);
	m->waits = 0;
	if (n > 0) {
		while (m->asked[0].revents && read(set->set, drained, sizeof(drained)) == (ssize_t)sizeof(drained))
			;
		told = tell(m, count, events, max);
	}
	*again = n > 0 && told == 0 && !m->alarmed;
	if (n > 0)
		m->alarmed = 0;
	pthread_mutex_unlock(&m->lock);
	return told;
}

size_t iocp_prim_set_wait(const iocp_prim_set *set, iocp_prim_event *events, size_t max, int64_t deadline, int *why)
{
	size_t told;
	int again;
	do
		told = wait_once(set, set->own, events, max, deadline, why, &again);
	while (again);
	return told;
}

void iocp_prim_set_alarm(const iocp_prim_set *set)
{
	members *m = set->own;
	pthread_mutex_lock(&m->lock);
	m->alarmed = 1;
	ring(set);
	pthread_mutex_unlock(&m->lock);
}

int iocp_prim_set_takes(int descriptor)
{
	return isatty(descriptor);
}

/* ---- for others: poll has no descriptor that stands for several -------------------------------------------------- */

/* So the watcher is not told, and has its turns instead. */
int iocp_prim_set_tell(const iocp_prim_set *outer, const iocp_prim_set *set, uint64_t name, int tells)
{
	(void)outer, (void)set, (void)name, (void)tells;
	return ENOTSUP;
}

int iocp_prim_pollable_open(iocp_prim_pollable *pollable, const iocp_prim_set *set)
{
	(void)pollable, (void)set;
	return ENOTSUP;
}

void iocp_prim_pollable_close(iocp_prim_pollable *pollable)
{
	(void)pollable;
}

void iocp_prim_pollable_raise(const iocp_prim_pollable *pollable)
{
	(void)pollable;
}

void iocp_prim_pollable_lower(const iocp_prim_pollable *pollable)
{
	(void)pollable;
}
