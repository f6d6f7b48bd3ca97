/*
** heap_test.c - the heap without Lua: every size, the arithmetic of size classes, and stress for the sanitizers.
*/

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "iocp.h"

enum { THREADS = 4 };

static iocp_heap *heap;

static int new_heap(void **state)
{
	(void)state;
	return iocp_heap_create(0, 0, &heap);
}

static int drop_heap(void **state)
{
	(void)state;
	iocp_heap_destroy(heap);
	iocp_heap_release(heap);
	return 0;
}

static uint64_t live_blocks(void)
{
	iocp_heap_info info = {.size = sizeof(info)};
	assert_int_equal(iocp_heap_stats(heap, &info), IOCP_OK);
	return info.blocks;
}

static void every_size_is_found_again(void **state)
{
	size_t size, found, step;
	for (size = 0; size < 700000; size += step) {
		char *blocks[3];
		int i;
		step = size < 9000 ? 1 : 4001;
		for (i = 0; i < 3; i++) {
			assert_int_equal(iocp_heap_alloc(heap, size, 0, (void **)&blocks[i]), IOCP_OK);
			assert_int_equal((uintptr_t)blocks[i] % 16, 0);
			memset(blocks[i], i, size);
			assert_int_equal(iocp_heap_size(heap, blocks[i], &found), IOCP_OK);
			assert_int_equal(found, size);
		}
		for (i = 0; i < 3; i++) {
			assert_true(size == 0 || (blocks[i][0] == i && blocks[i][size - 1] == i));
			assert_int_equal(iocp_heap_free(heap, blocks[i] + 1), IOCP_INVALID);
		}
		assert_int_equal(iocp_heap_destroy(heap), IOCP_OK);
		iocp_heap_release(heap);
		assert_int_equal(iocp_heap_create(0, 0, &heap), IOCP_OK);
	}
	(void)state;
}

static void only_starts_of_live_blocks_are_blocks(void **state)
{
	static const size_t sizes[] = {1, 48, 100, 1000, 5000, 8176};
	size_t i, j;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		enum { COUNT = 500 };
		static char *blocks[COUNT];
		for (j = 0; j < COUNT; j++)
			assert_int_equal(iocp_heap_alloc(heap, sizes[i], 0, (void **)&blocks[j]), IOCP_OK);
		for (j = 1; j < COUNT; j += 2)
			assert_int_equal(iocp_heap_free(heap, blocks[j]), IOCP_OK);
		for (j = 0; j < COUNT; j++) {
			size_t k;
			assert_int_equal(iocp_heap_validate(heap, blocks[j]), j % 2 ? IOCP_INVALID : IOCP_OK);
			for (k = 1; k < sizes[i] && k < 64; k++)
				assert_int_equal(iocp_heap_validate(heap, blocks[j] + k), IOCP_INVALID);
		}
		assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
		for (j = 0; j < COUNT; j += 2)
			assert_int_equal(iocp_heap_free(heap, blocks[j]), IOCP_OK);
	}
	assert_int_equal(live_blocks(), 0);
	(void)state;
}

static void memory_goes_back_while_the_heap_lives(void **state)
{
	enum { COUNT = 100000 };
	static void *blocks[COUNT];
	iocp_heap_info full = {.size = sizeof(full)}, empty = {.size = sizeof(empty)};
	int round, i;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < COUNT; i++)
			assert_int_equal(iocp_heap_alloc(heap, 100, 0, &blocks[i]), IOCP_OK);
		iocp_heap_stats(heap, &full);
		for (i = 0; i < COUNT; i++)
			assert_int_equal(iocp_heap_free(heap, blocks[i]), IOCP_OK);
		iocp_heap_stats(heap, &empty);
		assert_true(empty.reserved <= full.reserved / 2);
		assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
	}
	(void)state;
}

/* Large blocks that were freed are kept for the next ones, but not many, and none of a heap with a maximum. */
static void large_blocks_are_kept_within_a_limit(void **state)
{
	enum { COUNT = 30, SIZE = 1 << 20, LEFT = 8 * (SIZE + 4096) };
	char *blocks[COUNT], *again;
	iocp_heap *limited;
	iocp_heap_info info = {.size = sizeof(info)};
	int i, j;
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(iocp_heap_alloc(heap, SIZE, IOCP_ZERO, (void **)&blocks[i]), IOCP_OK);
		memset(blocks[i], 'x', SIZE);
	}
	for (i = 0; i < COUNT; i++)
		assert_int_equal(iocp_heap_free(heap, blocks[i]), IOCP_OK);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(iocp_heap_free(heap, blocks[i]), IOCP_INVALID);
		assert_int_equal(iocp_heap_validate(heap, blocks[i]), IOCP_INVALID);
	}
	iocp_heap_stats(heap, &info);
	assert_true(info.reserved <= LEFT);
	assert_int_equal(live_blocks(), 0);
	assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
	assert_int_equal(iocp_heap_alloc(heap, SIZE - 10000, IOCP_ZERO, (void **)&again), IOCP_OK);
	for (j = 0; j < SIZE - 10000; j++)
		assert_int_equal(again[j], 0);
	assert_int_equal(iocp_heap_realloc(heap, again, SIZE, IOCP_ZERO, (void **)&again), IOCP_OK);
	for (j = 0; j < SIZE; j++)
		assert_int_equal(again[j], 0);
	assert_int_equal(iocp_heap_free(heap, again), IOCP_OK);
	assert_int_equal(iocp_heap_create(0, 3 * SIZE, &limited), IOCP_OK);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(iocp_heap_alloc(limited, (size_t)(SIZE + 100000 * (i % 3)), 0, (void **)&again), IOCP_OK);
		assert_int_equal(iocp_heap_free(limited, again), IOCP_OK);
	}
	iocp_heap_stats(limited, &info);
	assert_int_equal(info.reserved, 0);
	iocp_heap_release(limited);
	(void)state;
}

/* ---- stress ------------------------------------------------------------------------------------------------------ */

enum { SLOTS = 512, ROUNDS = 20000 };
static _Atomic(void *) slots[SLOTS];

/* Takes a block out of a slot, checks and frees or resizes it, and puts a new one in. */
static void *exchange_blocks(void *which)
{
	unsigned seed = (unsigned)(uintptr_t)which;
	int i;
	for (i = 0; i < ROUNDS; i++) {
		size_t size = (size_t)rand_r(&seed) % (rand_r(&seed) % 100 == 0 ? 700000 : 400) + sizeof(size_t);
		void *block, *old;
		if (iocp_heap_alloc(heap, size, rand_r(&seed) % 2 ? IOCP_ZERO : 0, &block) != IOCP_OK)
			abort();
		*(size_t *)block = size;
		old = atomic_exchange(&slots[rand_r(&seed) % SLOTS], block); /* orders what each thread wrote */
		if (!old)
			continue;
		if (iocp_heap_size(heap, old, &size) != IOCP_OK || *(size_t *)old != size)
			abort();
		if (rand_r(&seed) % 4 == 0 && iocp_heap_realloc(heap, old, size / 2 + 300, IOCP_ZERO, &old) != IOCP_OK)
			abort();
		if (iocp_heap_free(heap, old) != IOCP_OK || iocp_heap_free(heap, (char *)old + 3) != IOCP_INVALID)
			abort();
	}
	return NULL;
}

static void blocks_cross_threads(void **state)
{
	pthread_t threads[THREADS];
	uintptr_t i;
	iocp_block blocks[1];
	size_t count;
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, exchange_blocks, (void *)(i + 1));
	for (i = 0; i < 50; i++) {
		assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
		assert_int_equal(iocp_heap_walk(heap, blocks, 1, &count), IOCP_OK);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < SLOTS; i++)
		assert_int_equal(iocp_heap_free(heap, atomic_exchange(&slots[i], NULL)), IOCP_OK);
	assert_int_equal(live_blocks(), 0);
	assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
	(void)state;
}

static void *use_until_destroyed(void *which)
{
	size_t size = (size_t)(uintptr_t)which;
	char copy[8] = "content";
	for (;;) {
		void *block;
		int r = iocp_heap_alloc(heap, size, 0, &block);
		if (r == IOCP_OK)
			r = iocp_heap_write(heap, block, 0, copy, sizeof(copy));
		if (r == IOCP_OK)
			r = iocp_heap_read(heap, block, 0, copy, sizeof(copy));
		if (r == IOCP_OK)
			r = iocp_heap_free(heap, block);
		if (r == IOCP_INVALID)
			return NULL;
		if (r != IOCP_OK)
			abort();
	}
}

static void destroying_races_with_use(void **state)
{
	int round;
	for (round = 0; round < 100; round++) {
		pthread_t threads[3];
		uintptr_t sizes[3] = {48, 20000, 700000};
		int i;
		for (i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, use_until_destroyed, (void *)sizes[i]);
		iocp_sleep(round % 3);
		assert_int_equal(iocp_heap_destroy(heap), IOCP_OK);
		for (i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		iocp_heap_release(heap);
		assert_int_equal(iocp_heap_create(0, 0, &heap), IOCP_OK);
	}
	(void)state;
}

static uint64_t shared; /* guarded by the heap's lock alone */

static void *count_locked(void *unused)
{
	int i;
	for (i = 0; i < 2000; i++) {
		void *block;
		if (iocp_heap_lock(heap) != IOCP_OK)
			abort();
		shared++;
		if (iocp_heap_alloc(heap, 10, 0, &block) != IOCP_OK || iocp_heap_free(heap, block) != IOCP_OK)
			abort();
		iocp_heap_unlock(heap);
		if (iocp_heap_alloc(heap, 10, 0, &block) != IOCP_OK || iocp_heap_free(heap, block) != IOCP_OK)
			abort();
	}
	return unused;
}

static void the_lock_excludes(void **state)
{
	pthread_t threads[THREADS];
	int i;
	shared = 0;
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, count_locked, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(shared, THREADS * 2000);
	(void)state;
}

/* ---- without memory ---------------------------------------------------------------------------------------------- */

static _Thread_local int without_memory;

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
enum { CAN_REFUSE = 1 };
extern void *__libc_calloc(size_t count, size_t size);
void *calloc(size_t count, size_t size)
{
	return without_memory ? NULL : __libc_calloc(count, size);
}
#else
enum { CAN_REFUSE = 0 };
#endif

enum { GIVEN = 2000 };
static void *given[GIVEN];

/* In a thread that no allocation succeeds in: what needs no memory itself works. Its results are codes. */
static void *free_without_memory(void *unused)
{
	char few[4] = "";
	size_t size = 0;
	int i, r = IOCP_OK;
	without_memory = 1;
	for (i = 0; i < GIVEN && r == IOCP_OK; i++) {
		r = iocp_heap_size(heap, given[i], &size);
		if (r == IOCP_OK)
			r = iocp_heap_read(heap, given[i], 0, few, sizeof(few));
		if (r == IOCP_OK)
			r = iocp_heap_free(heap, given[i]);
		if (r == IOCP_OK && (size != (i % 2 ? 100u : 20000u) || iocp_heap_free(heap, given[i]) != IOCP_INVALID))
			abort();
	}
	without_memory = 0;
	(void)unused;
	return (void *)(intptr_t)r;
}

static _Atomic int enough;

static void *pairs_until_enough(void *unused)
{
	while (!enough) {
		void *block;
		if (iocp_heap_alloc(heap, 100, 0, &block) != IOCP_OK || iocp_heap_free(heap, block) != IOCP_OK)
			abort();
	}
	return unused;
}

static void freeing_takes_no_memory(void **state)
{
	pthread_t thread, another;
	void *result;
	int i;
	(void)state;
	if (!CAN_REFUSE)
		skip();
	for (i = 0; i < GIVEN; i++)
		assert_int_equal(iocp_heap_alloc(heap, i % 2 ? 100 : 20000, IOCP_ZERO, &given[i]), IOCP_OK);
	pthread_create(&another, NULL, pairs_until_enough, NULL);
	pthread_create(&thread, NULL, free_without_memory, NULL);
	pthread_join(thread, &result);
	enough = 1;
	pthread_join(another, NULL);
	assert_int_equal((intptr_t)result, IOCP_OK);
	assert_int_equal(live_blocks(), 0);
	/* A thread that has no memory to wait in waits for the heap's lock all the same. */
	for (i = 0; i < GIVEN; i++)
		assert_int_equal(iocp_heap_alloc(heap, i % 2 ? 100 : 20000, IOCP_ZERO, &given[i]), IOCP_OK);
	assert_int_equal(iocp_heap_lock(heap), IOCP_OK);
	pthread_create(&thread, NULL, free_without_memory, NULL);
	iocp_sleep(50);
	assert_int_equal(live_blocks(), GIVEN);
	assert_int_equal(iocp_heap_unlock(heap), IOCP_OK);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, IOCP_OK);
	assert_int_equal(live_blocks(), 0);
	assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
}

/* ---- many heaps -------------------------------------------------------------------------------------------------- */

/* One thread over more heaps than it keeps magazines of. */
static void many_heaps_in_one_thread(void **state)
{
	enum { HEAPS = 2000 };
	static iocp_heap *heaps[HEAPS];
	static void *blocks[HEAPS];
	int i, round;
	for (i = 0; i < HEAPS; i++)
		assert_int_equal(iocp_heap_create(0, 0, &heaps[i]), IOCP_OK);
	for (round = 0; round < 5; round++) {
		for (i = 0; i < HEAPS; i++)
			assert_int_equal(iocp_heap_alloc(heaps[i], (size_t)(i * 10), 0, &blocks[i]), IOCP_OK);
		for (i = 0; i < HEAPS; i++) {
			assert_int_equal(iocp_heap_free(heaps[(i + 1) % HEAPS], blocks[i]), IOCP_INVALID);
			assert_int_equal(iocp_heap_free(heaps[i], blocks[i]), IOCP_OK);
		}
	}
	for (i = 0; i < HEAPS; i++) {
		assert_int_equal(iocp_heap_validate(heaps[i], NULL), IOCP_OK);
		iocp_heap_release(heaps[i]);
	}
	(void)state;
}

/* Nanoseconds for a pair of alloc and free over that many heaps in turn. */
static double pair_time(iocp_heap **heaps, int count)
{
	enum { PAIRS = 20000 };
	double start = iocp_clock();
	int i;
	for (i = 0; i < PAIRS; i++) {
		void *block;
		assert_int_equal(iocp_heap_alloc(heaps[i % count], 48, 0, &block), IOCP_OK);
		assert_int_equal(iocp_heap_free(heaps[i % count], block), IOCP_OK);
	}
	return (iocp_clock() - start) * 1e6 / PAIRS;
}

static void hundreds_of_heaps_in_turn_are_as_quick_as_a_few(void **state)
{
	enum { HEAPS = 500, FEW = 10 };
	iocp_heap *heaps[HEAPS];
	double few = 1e9, many = 1e9;
	int i;
	for (i = 0; i < HEAPS; i++)
		assert_int_equal(iocp_heap_create(0, 0, &heaps[i]), IOCP_OK);
	for (i = 0; i < 10; i++) {
		double a = pair_time(heaps, FEW), b = pair_time(heaps, HEAPS);
		few = a < few ? a : few;
		many = b < many ? b : many;
	}
	if (many > few * 6) /* more memory is touched; a cache that is fetched each time takes 15 times as long */
		fail_msg("%.0f ns with %d heaps, %.0f ns with %d", many, HEAPS, few, FEW);
	for (i = 0; i < HEAPS; i++)
		iocp_heap_release(heaps[i]);
	(void)state;
}

static void the_process_heap_stays(void **state)
{
	iocp_heap *a, *b;
	assert_int_equal(iocp_heap_process(&a), IOCP_OK);
	assert_int_equal(iocp_heap_process(&b), IOCP_OK);
	assert_ptr_equal(a, b);
	assert_int_equal(iocp_heap_destroy(a), IOCP_INVALID);
	iocp_heap_release(a);
	iocp_heap_release(b);
	assert_int_equal(iocp_heap_process(&b), IOCP_OK);
	assert_ptr_equal(a, b);
	iocp_heap_release(b);
	(void)state;
}

/* Queued messages name its blocks. */
static void a_ports_own_heap_stays(void **state)
{
	iocp_port *port;
	iocp_heap *own;
	void *block;
	size_t size;
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	assert_int_equal(iocp_port_heap(port, &own), IOCP_OK);
	assert_int_equal(iocp_heap_alloc(own, 48, 0, &block), IOCP_OK);
	assert_int_equal(iocp_heap_destroy(own), IOCP_INVALID);
	assert_int_equal(iocp_heap_size(own, block, &size), IOCP_OK);
	iocp_port_release(port);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_size_is_found_again, new_heap, drop_heap),
		cmocka_unit_test_setup_teardown(only_starts_of_live_blocks_are_blocks, new_heap, drop_heap),
		cmocka_unit_test_setup_teardown(memory_goes_back_while_the_heap_lives, new_heap, drop_heap),
		cmocka_unit_test_setup_teardown(large_blocks_are_kept_within_a_limit, new_heap, drop_heap),
		cmocka_unit_test_setup_teardown(blocks_cross_threads, new_heap, drop_heap),
		cmocka_unit_test_setup_teardown(destroying_races_with_use, new_heap, drop_heap),
		cmocka_unit_test_setup_teardown(the_lock_excludes, new_heap, drop_heap),
		cmocka_unit_test_setup_teardown(freeing_takes_no_memory, new_heap, drop_heap),
		cmocka_unit_test(many_heaps_in_one_thread),
		cmocka_unit_test(hundreds_of_heaps_in_turn_are_as_quick_as_a_few),
		cmocka_unit_test(the_process_heap_stays),
		cmocka_unit_test(a_ports_own_heap_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
