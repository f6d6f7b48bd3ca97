/*
** yardstick.c - the queue that everybody would write: a growing ring under a mutex, and a condition variable signalled
** at each push.
*/

#include "bench.h"

#include <pthread.h>

static struct deque {
	pthread_mutex_t mutex;
	pthread_cond_t filled;
	uintptr_t *keys;
	size_t capacity, first, count, waiting;
} deque = {.mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void grow(struct deque *d)
{
	size_t i, capacity = d->capacity ? d->capacity * 2 : 1024;
	uintptr_t *keys = or_die(malloc(capacity * sizeof(*keys)));
	for (i = 0; i < d->count; i++)
		keys[i] = d->keys[(d->first + i) & (d->capacity - 1)];
	free(d->keys);
	d->keys = keys;
	d->capacity = capacity;
	d->first = 0;
}

void deque_push_many(const uintptr_t *keys, size_t count)
{
	struct deque *d = &deque;
	size_t i;
	pthread_mutex_lock(&d->mutex);
	for (i = 0; i < count; i++) {
		if (d->count == d->capacity)
			grow(d);
		d->keys[(d->first + d->count++) & (d->capacity - 1)] = keys[i];
	}
	pthread_mutex_unlock(&d->mutex);
	pthread_cond_signal(&d->filled);
}

size_t deque_pop_many(uintptr_t *keys, size_t max)
{
	struct deque *d = &deque;
	size_t taken;
	pthread_mutex_lock(&d->mutex);
	d->waiting++;
	while (d->count == 0)
		pthread_cond_wait(&d->filled, &d->mutex);
	d->waiting--;
	for (taken = 0; taken < max && d->count > 0; taken++, d->count--) {
		keys[taken] = d->keys[d->first];
		d->first = (d->first + 1) & (d->capacity - 1);
	}
	pthread_mutex_unlock(&d->mutex);
	return taken;
}

static size_t read_locked(const size_t *figure)
{
	size_t value;
	pthread_mutex_lock(&deque.mutex);
	value = *figure;
	pthread_mutex_unlock(&deque.mutex);
	return value;
}

size_t deque_count(void)
{
	return read_locked(&deque.count);
}

size_t deque_waiting(void)
{
	return read_locked(&deque.waiting);
}
