/*
** busy_test.c - blocks that operations of I/O use: nobody frees, resizes or moves them, and what happens to a heap that
** is destroyed meanwhile.
*/

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/busy.h"
#include "iocp.h"

enum { SHARED = 0, ALONE = 1 };
enum { MOST = (1 << 18) - 2 }; /* operations that use a block at once */

static const size_t sizes[] = {0, 1, 100, 8176, 8177, 100000, 524288, 600000, 3000000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static iocp_heap *heap;
static void *blocks[SIZES];
static iocp_heap *cancelled; /* what the hook was called for, and how often */
static int cancels;

static void note_cancel(iocp_heap *of)
{
	cancelled = of;
	cancels++;
}

static int set_up(void **state)
{
	size_t i;
	(void)state;
	cancelled = NULL;
	cancels = 0;
	if (iocp_heap_create(0, 0, &heap) != IOCP_OK)
		return -1;
	for (i = 0; i < SIZES; i++)
		if (iocp_heap_alloc(heap, sizes[i], IOCP_ZERO, &blocks[i]) != IOCP_OK)
			return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	iocp_heap_release(heap);
	return 0;
}

static int hold(const void *address, int alone)
{
	iocp_heap *of = NULL;
	size_t size;
	int r = iocp_block_hold(address, alone, &of, &size);
	if (r == IOCP_OK)
		assert_ptr_equal(of, heap);
	return r;
}

static void let_go(const void *address, int alone)
{
	iocp_block_let_go(heap, address, alone);
}

static uint64_t live_blocks(iocp_heap *of)
{
	iocp_heap_info info = {.size = sizeof(info)};
	assert_int_equal(iocp_heap_stats(of, &info), IOCP_OK);
	return info.blocks;
}

/* ---- one block --------------------------------------------------------------------------------------------------- */

static void assert_nobody_ends_it(void *block, size_t size)
{
	void *moved;
	assert_int_equal(iocp_heap_free(heap, block), IOCP_INVALID);
	assert_int_equal(iocp_heap_realloc(heap, block, size, 0, &moved), IOCP_INVALID);
	assert_int_equal(iocp_heap_realloc(heap, block, size / 2, 0, &moved), IOCP_INVALID);
	assert_int_equal(iocp_heap_realloc(heap, block, size + 5000, IOCP_ZERO, &moved), IOCP_INVALID);
	assert_int_equal(iocp_heap_realloc(heap, block, 2000000, 0, &moved), IOCP_INVALID);
	assert_int_equal(live_blocks(heap), SIZES);
}

static int is_listed(const void *block, size_t size)
{
	iocp_block list[SIZES];
	size_t count, i;
	assert_int_equal(iocp_heap_walk(heap, list, SIZES, &count), IOCP_OK);
	assert_int_equal(count, SIZES);
	for (i = 0; i < count; i++)
		if (list[i].address == (uintptr_t)block && list[i].size == size)
			return 1;
	return 0;
}

static void assert_it_lives(void *block, size_t size)
{
	size_t found;
	char byte = 'b';
	assert_int_equal(iocp_heap_size(heap, block, &found), IOCP_OK);
	assert_int_equal(found, size);
	assert_int_equal(iocp_heap_validate(heap, block), IOCP_OK);
	assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
	assert_true(is_listed(block, size));
	if (size) {
		assert_int_equal(iocp_heap_write(heap, block, size - 1, &byte, 1), IOCP_OK);
		byte = 0;
		assert_int_equal(iocp_heap_read(heap, block, size - 1, &byte, 1), IOCP_OK);
		assert_int_equal(byte, 'b');
	}
	assert_int_equal(iocp_heap_read(heap, block, size, &byte, 1), IOCP_INVALID);
}

static void a_busy_block_lives_and_stays(void **state)
{
	size_t i;
	int alone;
	(void)state;
	for (i = 0; i < SIZES; i++) {
		for (alone = 0; alone < 2; alone++) {
			iocp_heap *of = NULL;
			size_t size = 0;
			assert_int_equal(iocp_block_hold(blocks[i], alone, &of, &size), IOCP_OK);
			assert_ptr_equal(of, heap);
			assert_int_equal(size, sizes[i]);
			assert_nobody_ends_it(blocks[i], sizes[i]);
			assert_it_lives(blocks[i], sizes[i]);
			let_go(blocks[i], alone);
			assert_it_lives(blocks[i], sizes[i]);
		}
	}
	for (i = 0; i < SIZES; i++)
		assert_int_equal(iocp_heap_free(heap, blocks[i]), IOCP_OK);
	assert_int_equal(live_blocks(heap), 0);
}

static void many_share_a_block_and_one_has_it_alone(void **state)
{
	size_t i;
	(void)state;
	for (i = 0; i < SIZES; i++) {
		assert_int_equal(hold(blocks[i], SHARED), IOCP_OK);
		assert_int_equal(hold(blocks[i], SHARED), IOCP_OK);
		assert_int_equal(hold(blocks[i], ALONE), IOCP_INVALID);
		let_go(blocks[i], SHARED);
		assert_int_equal(hold(blocks[i], ALONE), IOCP_INVALID);
		assert_nobody_ends_it(blocks[i], sizes[i]);
		let_go(blocks[i], SHARED);
		assert_int_equal(hold(blocks[i], ALONE), IOCP_OK);
		assert_int_equal(hold(blocks[i], ALONE), IOCP_INVALID);
		assert_int_equal(hold(blocks[i], SHARED), IOCP_INVALID);
		let_go(blocks[i], ALONE);
		assert_int_equal(iocp_heap_realloc(heap, blocks[i], sizes[i] + 1, 0, &blocks[i]), IOCP_OK);
	}
}

static void the_count_has_an_end(void **state)
{
	size_t i;
	int n;
	(void)state;
	for (i = 1; i < SIZES; i += 3) { /* a small one, a medium one, a large one */
		for (n = 0; n < MOST; n++)
			assert_int_equal(hold(blocks[i], SHARED), IOCP_OK);
		assert_int_equal(hold(blocks[i], SHARED), IOCP_NOMEM);
		assert_int_equal(hold(blocks[i], ALONE), IOCP_INVALID);
		assert_it_lives(blocks[i], sizes[i]);
		for (n = 0; n < MOST; n++)
			let_go(blocks[i], SHARED);
		assert_int_equal(iocp_heap_realloc(heap, blocks[i], sizes[i] + 1, 0, &blocks[i]), IOCP_OK);
	}
}

static void only_live_blocks_can_be_held(void **state)
{
	char *memory = malloc(100);
	int on_the_stack;
	size_t i;
	(void)state;
	assert_int_equal(hold(NULL, SHARED), IOCP_INVALID);
	assert_int_equal(hold(memory, SHARED), IOCP_INVALID);
	assert_int_equal(hold(&on_the_stack, ALONE), IOCP_INVALID);
	assert_int_equal(hold((const void *)UINTPTR_MAX, ALONE), IOCP_INVALID);
	for (i = 0; i < SIZES; i++) {
		assert_int_equal(hold((char *)blocks[i] + 1, SHARED), IOCP_INVALID);
		assert_int_equal(hold((char *)blocks[i] + 16, ALONE), IOCP_INVALID);
		assert_int_equal(iocp_heap_free(heap, blocks[i]), IOCP_OK);
		assert_int_equal(hold(blocks[i], SHARED), IOCP_INVALID);
		assert_int_equal(hold(blocks[i], ALONE), IOCP_INVALID);
	}
	free(memory);
}

/* ---- heaps ------------------------------------------------------------------------------------------------------- */

static void any_heap_of_the_process_will_do(void **state)
{
	iocp_heap *process, *own, *of;
	iocp_port *port;
	void *ours, *theirs;
	size_t size;
	(void)state;
	assert_int_equal(iocp_heap_process(&process), IOCP_OK);
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	assert_int_equal(iocp_port_heap(port, &own), IOCP_OK);
	assert_int_equal(iocp_heap_alloc(process, 10, 0, &ours), IOCP_OK);
	assert_int_equal(iocp_heap_alloc(own, 20, 0, &theirs), IOCP_OK);
	assert_int_equal(iocp_block_hold(ours, ALONE, &of, &size), IOCP_OK);
	assert_true(of == process && size == 10);
	assert_int_equal(iocp_block_hold(ours, SHARED, &of, &size), IOCP_INVALID);
	assert_int_equal(iocp_heap_free(process, ours), IOCP_INVALID);
	assert_int_equal(iocp_heap_destroy(process), IOCP_INVALID);
	iocp_block_let_go(process, ours, ALONE);
	assert_int_equal(iocp_heap_free(process, ours), IOCP_OK);
	assert_int_equal(iocp_block_hold(theirs, SHARED, &of, &size), IOCP_OK);
	assert_true(of == own && size == 20);
	iocp_port_close(port);
	iocp_port_release(port); /* the operation keeps the heap */
	memset(theirs, 1, 20);
	iocp_block_let_go(own, theirs, SHARED);
	assert_int_equal(iocp_block_hold(theirs, SHARED, &of, &size), IOCP_INVALID);
	iocp_heap_release(process);
}

static void the_last_operation_ends_a_heap_that_nobody_has(void **state)
{
	(void)state;
	assert_int_equal(hold(blocks[2], ALONE), IOCP_OK);
	assert_int_equal(hold(blocks[7], SHARED), IOCP_OK);
	iocp_heap_release(heap);
	memset(blocks[2], 1, sizes[2]);
	let_go(blocks[2], ALONE);
	memset(blocks[7], 1, sizes[7]);
	let_go(blocks[7], SHARED);
	assert_int_equal(hold(blocks[7], SHARED), IOCP_INVALID);
	assert_int_equal(cancels, 0);
	assert_int_equal(iocp_heap_create(0, 0, &heap), IOCP_OK);
}

static void a_destroyed_heap_has_its_memory_until_the_last_operation_ends(void **state)
{
	size_t i, size;
	void *fresh;
	(void)state;
	for (i = 0; i < SIZES; i += 2) {
		assert_int_equal(hold(blocks[i], SHARED), IOCP_OK);
		assert_int_equal(hold(blocks[i], SHARED), IOCP_OK);
	}
	assert_int_equal(iocp_heap_lock(heap), IOCP_OK); /* destroying ends that too */
	assert_int_equal(iocp_heap_destroy(heap), IOCP_OK);
	assert_ptr_equal(cancelled, heap);
	assert_int_equal(cancels, 1);
	assert_int_equal(iocp_heap_destroy(heap), IOCP_INVALID);
	assert_int_equal(iocp_heap_alloc(heap, 1, 0, &fresh), IOCP_INVALID);
	for (i = 0; i < SIZES; i++) {
		assert_int_equal(hold(blocks[i], SHARED), IOCP_INVALID);
		assert_int_equal(iocp_heap_size(heap, blocks[i], &size), IOCP_INVALID);
		assert_int_equal(iocp_heap_free(heap, blocks[i]), IOCP_INVALID);
	}
	for (i = 0; i < SIZES; i += 2) {
		memset(blocks[i], 7, sizes[i]);
		let_go(blocks[i], SHARED);
	}
	for (i = 0; i < SIZES; i += 2) {
		memset(blocks[i], 8, sizes[i]);
		let_go(blocks[i], SHARED);
	}
	assert_int_equal(hold(blocks[0], SHARED), IOCP_INVALID);
	assert_int_equal(cancels, 1);
}

static void an_idle_heap_is_destroyed_without_the_hook(void **state)
{
	(void)state;
	assert_int_equal(hold(blocks[3], ALONE), IOCP_OK);
	let_go(blocks[3], ALONE);
	assert_int_equal(iocp_heap_destroy(heap), IOCP_OK);
	assert_int_equal(cancels, 0);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void *let_both_go(void *unused)
{
	let_go(blocks[1], SHARED);
	let_go(blocks[8], ALONE);
	return unused;
}

static void letting_go_waits_for_no_lock(void **state)
{
	pthread_t thread;
	(void)state;
	assert_int_equal(hold(blocks[1], SHARED), IOCP_OK);
	assert_int_equal(hold(blocks[8], ALONE), IOCP_OK);
	assert_int_equal(iocp_heap_lock(heap), IOCP_OK);
	assert_int_equal(pthread_create(&thread, NULL, let_both_go, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(iocp_heap_free(heap, blocks[1]), IOCP_OK);
	assert_int_equal(iocp_heap_free(heap, blocks[8]), IOCP_OK);
	assert_int_equal(iocp_heap_unlock(heap), IOCP_OK);
}

static void *receive(void *block)
{
	*(char *)block = 1; /* not memset, which a sanitizer may not see */
	let_go(block, ALONE);
	return NULL;
}

/* What the operation wrote it wrote before the block is anybody else's, also where only this thread enters the heap. */
static void who_frees_comes_after_the_operation(void **state)
{
	char *block, *next;
	int i;
	(void)state;
	for (i = 0; i < 50; i++) {
		pthread_t thread;
		assert_int_equal(iocp_heap_alloc(heap, 100, 0, (void **)&block), IOCP_OK);
		assert_int_equal(hold(block, ALONE), IOCP_OK);
		assert_int_equal(pthread_create(&thread, NULL, receive, block), 0);
		while (iocp_heap_free(heap, block) != IOCP_OK)
			iocp_yield();
		assert_int_equal(iocp_heap_alloc(heap, 100, 0, (void **)&next), IOCP_OK);
		*next = 2;
		pthread_join(thread, NULL);
		assert_int_equal(*next, 2);
		assert_int_equal(iocp_heap_free(heap, next), IOCP_OK);
	}
}

enum { USERS = 3, ROUNDS = 20, STEPS = 500, PLACES = 6 };

#define REQUIRE(holds) ((holds) ? (void)0 : abort())

/* Blocks that the users take from, without asking whose they are or whether they live. What they do to the first byte
** is atomic, since a block may have become another one at the same address. */
static _Atomic(_Atomic char *) places[PLACES];
static _Atomic int stopped;
static _Atomic int met; /* how often a block was in use when it was to be freed */

/* What a send or a receive does: it uses the memory that it holds, whatever the others do to the block. */
static void *use_blocks(void *number)
{
	unsigned random = (unsigned)(uintptr_t)number;
	while (!atomic_load(&stopped)) {
		_Atomic char *block = atomic_load_explicit(&places[rand_r(&random) % PLACES], memory_order_relaxed);
		int alone = rand_r(&random) % 2;
		iocp_heap *of;
		size_t size;
		char byte;
		if (iocp_block_hold((void *)block, alone, &of, &size) != IOCP_OK)
			continue;
		if (alone)
			atomic_store_explicit(block, (char)random, memory_order_relaxed);
		byte = atomic_load_explicit(block, memory_order_relaxed);
		if (random % 16 == 0)
			iocp_yield();
		REQUIRE(atomic_load_explicit(block, memory_order_relaxed) == byte);
		(void)atomic_load_explicit(block + size - 1, memory_order_relaxed);
		iocp_block_let_go(of, (void *)block, alone);
	}
	return NULL;
}

static size_t some_size(unsigned *random)
{
	static const unsigned limits[] = {200, 9000, 100000, 700000};
	return 1 + (size_t)rand_r(random) % limits[rand_r(random) % 4];
}

/* Frees what the users use, and allocates anew. */
static void end_blocks(iocp_heap *of, unsigned *random)
{
	int i;
	for (i = 0; i < STEPS; i++) {
		_Atomic(_Atomic char *) *place = &places[rand_r(random) % PLACES];
		void *block = (void *)atomic_load_explicit(place, memory_order_relaxed), *fresh;
		if (block && iocp_heap_free(of, block) != IOCP_OK) {
			atomic_fetch_add(&met, 1);
			continue;
		}
		REQUIRE(iocp_heap_alloc(of, some_size(random), 0, &fresh) == IOCP_OK);
		atomic_store_explicit(place, (_Atomic char *)fresh, memory_order_relaxed);
		if (i % 8 == 0)
			iocp_yield();
	}
}

static void operations_frees_and_destruction_at_once(void **state)
{
	pthread_t threads[USERS];
	unsigned random = 1;
	int round, i;
	(void)state;
	atomic_store(&stopped, 0);
	for (i = 0; i < USERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_blocks, (void *)(uintptr_t)(i + 1)), 0);
	for (round = 0; round < ROUNDS; round++) {
		iocp_heap *of;
		REQUIRE(iocp_heap_create(0, 0, &of) == IOCP_OK);
		for (i = 0; i < PLACES; i++)
			atomic_store_explicit(&places[i], NULL, memory_order_relaxed);
		end_blocks(of, &random);
		if (round % 2)
			REQUIRE(iocp_heap_destroy(of) == IOCP_OK);
		iocp_heap_release(of);
	}
	atomic_store(&stopped, 1);
	for (i = 0; i < USERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(met > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_busy_block_lives_and_stays),
		TEST(many_share_a_block_and_one_has_it_alone),
		TEST(the_count_has_an_end),
		TEST(only_live_blocks_can_be_held),
		TEST(any_heap_of_the_process_will_do),
		TEST(the_last_operation_ends_a_heap_that_nobody_has),
		TEST(a_destroyed_heap_has_its_memory_until_the_last_operation_ends),
		TEST(an_idle_heap_is_destroyed_without_the_hook),
		TEST(letting_go_waits_for_no_lock),
		TEST(who_frees_comes_after_the_operation),
		TEST(operations_frees_and_destruction_at_once),
	};
	iocp_busy_set_cancel(note_cancel);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
