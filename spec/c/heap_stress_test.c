/*
** heap_stress_test.c - threads that do all there is to do to a few heaps, at random and at once: allocate, resize with
** the tail cleared, free each other's blocks, copy in and out, lock, walk, validate, and destroy the heap under the
** others.
**
** heap_stress_test [SECONDS [SEED]]: as long as that (half a second), beginning with that seed.
*/

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "iocp.h"

enum { THREADS = 6, PLACES = 4, KEPT = 32, EXCHANGED = 64, STEPS = 3000, MAXIMUM = 4000000 };

static double seconds = 0.5;
static unsigned seed;

#define REQUIRE(holds) ((holds) ? (void)0 : broken(#holds, __LINE__))

static void broken(const char *what, int line)
{
	fprintf(stderr, "line %d does not hold, seed %u: %s\n", line, seed, what);
	abort();
}

/* ---- heaps ------------------------------------------------------------------------------------------------------- */

/* A heap and what only its lock guards. The place has a reference, and so has each block that is kept. */
typedef struct shared_heap {
	iocp_heap *heap;
	_Atomic int references;
	int inside; /* by the heap's lock */
} shared_heap;

static pthread_mutex_t places_mutex = PTHREAD_MUTEX_INITIALIZER;
static shared_heap *places[PLACES];

static shared_heap *make_shared(int place)
{
	shared_heap *s = calloc(1, sizeof(*s));
	REQUIRE(s);
	REQUIRE(iocp_heap_create(0, place % 2 ? MAXIMUM : 0, &s->heap) == IOCP_OK);
	s->references = 1;
	return s;
}

static void drop_shared(shared_heap *s)
{
	if (--s->references == 0) {
		iocp_heap_release(s->heap);
		free(s);
	}
}

/* The heap at that place, with a reference; where `fresh` is given it takes the place. */
static shared_heap *take_shared(int place, shared_heap *fresh)
{
	shared_heap *s;
	pthread_mutex_lock(&places_mutex);
	s = places[place];
	if (fresh)
		places[place] = fresh;
	else
		s->references++;
	pthread_mutex_unlock(&places_mutex);
	return s;
}

/* Whether a call went well; else it was destroyed, for good, or, if `may_lack`, had no room. */
static int went_well(const shared_heap *s, int r, int may_lack)
{
	iocp_heap_info info = {.size = sizeof(info)};
	if (r == IOCP_INVALID)
		REQUIRE(iocp_heap_stats(s->heap, &info) == IOCP_INVALID);
	else
		REQUIRE(r == IOCP_OK || (may_lack && r == IOCP_NOMEM));
	return r == IOCP_OK;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* Bytes up to `filled` are `mark`, the others up to `size` are 0. */
typedef struct kept_block {
	shared_heap *s; /* NULL: none */
	char *address;
	size_t size, filled;
	char mark;
} kept_block;

static _Atomic(kept_block *) exchanged[EXCHANGED];

static size_t some_size(unsigned *random)
{
	static const unsigned limits[] = {50, 400, 9000, 100000, 1500000};
	unsigned kind = (unsigned)rand_r(random) % 100;
	return (size_t)rand_r(random) % limits[kind < 60 ? 0 : kind < 80 ? 1 : kind < 90 ? 2 : kind < 98 ? 3 : 4];
}

static void forget(kept_block *b)
{
	if (b->s)
		drop_shared(b->s);
	b->s = NULL;
}

/* All of it if it is small, else both ends and the seam. */
static void check_content(kept_block *b)
{
	size_t i, step = b->size < 1000 ? 1 : b->size / 50;
	char byte;
	for (i = 0; i < b->size; i += step) {
		if (!went_well(b->s, iocp_heap_read(b->s->heap, b->address, i, &byte, 1), 0)) {
			forget(b);
			return;
		}
		REQUIRE(byte == (i < b->filled ? b->mark : 0));
	}
}

static void allocate(kept_block *b, unsigned *random)
{
	shared_heap *s = take_shared(rand_r(random) % PLACES, NULL);
	size_t size = some_size(random);
	void *address;
	if (!went_well(s, iocp_heap_alloc(s->heap, size, IOCP_ZERO, &address), 1)) {
		drop_shared(s);
		return;
	}
	*b = (kept_block){s, address, size, 0, 0};
}

static void resize(kept_block *b, unsigned *random)
{
	size_t size = some_size(random);
	void *address;
	int r = iocp_heap_realloc(b->s->heap, b->address, size, IOCP_ZERO, &address);
	REQUIRE(r != IOCP_NOMEM || size > b->size);
	if (went_well(b->s, r, 1)) {
		b->address = address;
		b->size = size;
		b->filled = b->filled < size ? b->filled : size;
	} else if (r == IOCP_INVALID) {
		forget(b);
	}
}

static void fill(kept_block *b, unsigned *random)
{
	char bytes[4096];
	size_t length = b->size < sizeof(bytes) ? b->size : sizeof(bytes);
	char mark = (char)rand_r(random);
	memset(bytes, mark, length);
	if (b->filled > length || !went_well(b->s, iocp_heap_write(b->s->heap, b->address, 0, bytes, length), 0))
		return;
	b->filled = length;
	b->mark = mark;
}

static void end(kept_block *b)
{
	int r;
	REQUIRE(iocp_heap_free(b->s->heap, b->address + 3) == IOCP_INVALID);
	r = iocp_heap_free(b->s->heap, b->address);
	(void)went_well(b->s, r, 0);
	forget(b);
}

/* Another thread goes on with the block, and this one with another's. */
static void exchange(kept_block *b, unsigned *random)
{
	kept_block *mine = malloc(sizeof(*mine)), *other;
	REQUIRE(mine);
	*mine = *b;
	b->s = NULL;
	other = atomic_exchange(&exchanged[rand_r(random) % EXCHANGED], mine);
	if (other)
		*b = *other;
	free(other);
}

/* ---- the whole of a heap ----------------------------------------------------------------------------------------- */

static void lock(shared_heap *s)
{
	iocp_heap_info before = {.size = sizeof(before)}, after = before;
	if (!went_well(s, iocp_heap_lock(s->heap), 0))
		return;
	REQUIRE(s->inside++ == 0);
	REQUIRE(iocp_heap_stats(s->heap, &before) == IOCP_OK);
	iocp_yield();
	REQUIRE(iocp_heap_stats(s->heap, &after) == IOCP_OK);
	REQUIRE(before.blocks == after.blocks && before.bytes == after.bytes);
	REQUIRE(s->inside-- == 1);
	REQUIRE(iocp_heap_unlock(s->heap) == IOCP_OK);
}

static void look_at_all(shared_heap *s)
{
	iocp_block blocks[16];
	size_t count;
	(void)went_well(s, iocp_heap_walk(s->heap, blocks, 16, &count), 0);
	(void)went_well(s, iocp_heap_validate(s->heap, NULL), 0);
}

static void destroy(int place)
{
	shared_heap *s = take_shared(place, make_shared(place));
	REQUIRE(iocp_heap_destroy(s->heap) == IOCP_OK);
	REQUIRE(iocp_heap_destroy(s->heap) == IOCP_INVALID);
	drop_shared(s);
}

static void do_to_heap(unsigned *random)
{
	int place = rand_r(random) % PLACES, what = rand_r(random) % 16;
	shared_heap *s = take_shared(place, NULL);
	if (what == 0)
		destroy(place);
	else if (what < 8)
		lock(s);
	else
		look_at_all(s);
	drop_shared(s);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void *work(void *number)
{
	kept_block kept[KEPT] = {{NULL, NULL, 0, 0, 0}};
	unsigned random = (unsigned)(uintptr_t)number;
	int i;
	for (i = 0; i < STEPS; i++) {
		kept_block *b = &kept[rand_r(&random) % KEPT];
		int what = rand_r(&random) % 100;
		if (what < 2)
			do_to_heap(&random);
		else if (!b->s)
			allocate(b, &random);
		else if (what < 30)
			resize(b, &random);
		else if (what < 50)
			fill(b, &random);
		else if (what < 65)
			check_content(b);
		else if (what < 80)
			exchange(b, &random);
		else
			end(b);
	}
	for (i = 0; i < KEPT; i++)
		if (kept[i].s)
			end(&kept[i]);
	return NULL;
}

static void end_all(void)
{
	iocp_heap_info info = {.size = sizeof(info)};
	int i;
	for (i = 0; i < EXCHANGED; i++) {
		kept_block *b = atomic_exchange(&exchanged[i], NULL);
		if (b)
			end(b);
		free(b);
	}
	for (i = 0; i < PLACES; i++) {
		REQUIRE(iocp_heap_validate(places[i]->heap, NULL) == IOCP_OK);
		REQUIRE(iocp_heap_stats(places[i]->heap, &info) == IOCP_OK && info.blocks == 0 && info.bytes == 0);
		REQUIRE(places[i]->references == 1);
		drop_shared(places[i]);
	}
}

static void everything_at_once(void **state)
{
	double until = iocp_clock() + seconds * 1000;
	pthread_t threads[THREADS];
	unsigned next = seed;
	int i;
	(void)state;
	for (i = 0; i < PLACES; i++)
		places[i] = make_shared(i);
	do { /* threads that end leave their magazines to others */
		for (i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)next++), 0);
		for (i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
	} while (iocp_clock() < until);
	end_all();
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(everything_at_once)};
	seed = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 10) : (unsigned)time(NULL);
	if (count > 1)
		seconds = strtod(arguments[1], NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
