/*
** file_test.c - files under everything at once: reads, writes, syncs and appends by four threads, pipes between them,
** cancels, closes, heaps that are destroyed, ports that are closed. Each operation ends in one packet, and nothing is
** lost. With the system's ring, or without where IOCP_NO_URING=1. For the sanitizers, too; `IOCP_SECONDS` makes it
** longer.
*/

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/io_error.h"
#include "iocp.h"

enum { WORKERS = 4, FILES = 6, SIZE = 6000, ROOM = 40 * SIZE, HANG = 20000 /* ms */ };

static iocp_port *port;
static iocp_heap *heap;
static iocp_file *_Atomic files[FILES];
static atomic_uint started, ended, stop;

/* In any thread, where cmocka's asserts end the process without a word. */
#define must(condition)                                                                                                \
	((condition) ? (void)0 : (fprintf(stderr, "file_test.c:%d: not so: %s\n", __LINE__, #condition), abort()))

static double seconds(void)
{
	const char *text = getenv("IOCP_SECONDS");
	return text ? atof(text) : 1;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static iocp_file *new_file(iocp_port *to)
{
	iocp_file *file;
	must(iocp_file_temporary(&file) == IOCP_OK);
	must(iocp_file_associate(file, to, 7) == IOCP_OK);
	return file;
}

/* One operation, whose block is freed with its packet, or here if there is to be none. */
static void begin(iocp_file *file, uint32_t *state)
{
	uint64_t offset = next_random(state) % ROOM;
	uint32_t what = next_random(state) % 8;
	void *block = NULL;
	int r;
	if (what < 7)
		must(iocp_heap_alloc(heap, SIZE, IOCP_ZERO, &block) == IOCP_OK);
	atomic_fetch_add(&started, 1);
	r = what < 3   ? iocp_file_read(file, block, 0, SIZE, offset, (uintptr_t)block, NULL)
		: what < 7 ? iocp_file_write(file, block, 0, IOCP_REST, offset, (uintptr_t)block, NULL)
				   : iocp_file_sync(file, 0, NULL);
	if (r != IOCP_OK) {
		must(r == IOCP_INVALID); /* closed by another */
		atomic_fetch_sub(&started, 1);
		must(iocp_heap_free(heap, block) == IOCP_OK);
	}
}

static void take(double ms)
{
	iocp_packet packet;
	int r = iocp_port_dequeue(port, &packet, ms);
	must(r == IOCP_OK || r == IOCP_TIMEOUT);
	if (r != IOCP_OK)
		return;
	must(packet.key == 7 && (packet.code == 0 || packet.code == IOCP_ECANCELED));
	must(iocp_heap_free(heap, (void *)packet.overlapped) == IOCP_OK);
	atomic_fetch_add(&ended, 1);
}

static void *work(void *seed)
{
	uint32_t state = (uint32_t)(uintptr_t)seed;
	while (!atomic_load(&stop)) {
		size_t i = next_random(&state) % FILES;
		iocp_file *file = atomic_exchange(&files[i], NULL);
		if (file) {
			uint32_t what = next_random(&state) % 32;
			iocp_file_retain(file);
			atomic_store(&files[i], file); /* others use it at the same time */
			begin(file, &state);
			if (what == 0)
				(void)iocp_file_cancel(file, NULL);
			if (what == 1 && iocp_file_close(file) == IOCP_OK) {
				iocp_file *mine = atomic_exchange(&files[i], new_file(port));
				iocp_file_release(mine);
			}
			iocp_file_release(file);
		}
		take(next_random(&state) % 4 ? 0 : 1);
	}
	return NULL;
}

static void every_operation_ends_in_one_packet(void **unused)
{
	pthread_t threads[WORKERS];
	size_t i;
	double end = iocp_clock() + seconds() * 1000, late;
	(void)unused;
	assert_int_equal(iocp_port_create(WORKERS, &port), IOCP_OK);
	assert_int_equal(iocp_heap_create(0, 0, &heap), IOCP_OK);
	for (i = 0; i < FILES; i++)
		files[i] = new_file(port);
	for (i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
	while (iocp_clock() < end)
		iocp_sleep(10);
	atomic_store(&stop, 1);
	for (i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	for (late = iocp_clock() + HANG; ended < started && iocp_clock() < late;)
		take(1);
	assert_int_equal(ended, started);
	assert_int_equal(iocp_heap_validate(heap, NULL), IOCP_OK);
	for (i = 0; i < FILES; i++) {
		iocp_file *file = files[i];
		if (file) {
			(void)iocp_file_close(file);
			iocp_file_release(file);
		}
	}
	iocp_port_close(port);
	iocp_port_release(port);
	iocp_heap_release(heap);
}

/* ---- the end of a heap, a port, a file, in the middle of things -------------------------------------------------- */

static void ends_in_the_middle(void **unused)
{
	double end = iocp_clock() + seconds() * 1000;
	uint32_t round;
	(void)unused;
	for (round = 0; iocp_clock() < end; round++) {
		static char text[SIZE];
		iocp_port *own;
		iocp_heap *its;
		iocp_file *file, *pipe[2];
		void *block;
		size_t i;
		assert_int_equal(iocp_port_create(1, &own), IOCP_OK);
		assert_int_equal(iocp_heap_create(0, 0, &its), IOCP_OK);
		assert_int_equal(iocp_file_pipe(pipe), IOCP_OK);
		assert_int_equal(iocp_file_associate(pipe[0], own, 1), IOCP_OK);
		assert_int_equal(iocp_heap_alloc(its, SIZE, 0, &block), IOCP_OK);
		assert_int_equal(iocp_file_read(pipe[0], block, 0, IOCP_REST, 0, 1, NULL), IOCP_OK);
		assert_int_equal(iocp_file_create("/tmp/iocp-file-test",
							 round % 2 ? IOCP_FILE_APPEND | IOCP_FILE_CREATE
									   : IOCP_FILE_WRITE | IOCP_FILE_CREATE | IOCP_FILE_TRUNCATE,
							 &file),
			IOCP_OK);
		assert_int_equal(iocp_file_associate(file, own, 1), IOCP_OK);
		for (i = 0; i < 30; i++) {
			assert_int_equal(iocp_heap_put(its, text, SIZE, &block), IOCP_OK);
			assert_int_equal(iocp_file_write(file, block, 0, IOCP_REST, i * SIZE, i, NULL), IOCP_OK);
		}
		if (round % 3 == 0)
			iocp_heap_destroy(its);
		if (round % 5 < 3)
			iocp_port_close(own);
		if (round % 7 < 5)
			(void)iocp_file_close(file);
		iocp_file_release(file);
		iocp_file_release(pipe[0]);
		iocp_file_release(pipe[1]);
		iocp_heap_release(its);
		iocp_port_release(own);
	}
	unlink("/tmp/iocp-file-test");
}

/* The system's descriptors are all there again, some time after the last operation. */
static void leaves_no_descriptor(void **unused)
{
	int first = dup(0), last;
	double late = iocp_clock() + HANG;
	(void)unused;
	close(first);
	do {
		iocp_file *pipe[2];
		assert_int_equal(iocp_file_pipe(pipe), IOCP_OK);
		last = (int)iocp_file_native(pipe[0]);
		iocp_file_release(pipe[0]);
		iocp_file_release(pipe[1]);
		iocp_sleep(1);
	} while (last > 20 && iocp_clock() < late);
	assert_in_range(last, 3, 20);
}

/* Past the system's memory everything has to wait for the device, which no call leaves to it: others do that. */
static void does_not_wait_for_a_device(void **state)
{
	enum { SECTOR = 4096, BLOCK = 16384 /* begins at a multiple of that */ };
	char path[] = "./file_test-XXXXXX"; /* where /tmp is memory this would show nothing */
	int descriptor = mkostemp(path, O_DIRECT | O_CLOEXEC), i;
	(void)state;
	if (descriptor < 0)
		skip(); /* this file system has no such thing */
	must(unlink(path) == 0);
	must(iocp_port_create(0, &port) == IOCP_OK && iocp_heap_create(0, 0, &heap) == IOCP_OK);
	for (i = 0; i < 2; i++) {
		iocp_file *file;
		iocp_packet packet;
		void *block;
		int64_t done = 0;
		must(iocp_file_adopt((uintptr_t)descriptor, &file) == IOCP_OK);
		must(iocp_file_associate(file, port, 7) == IOCP_OK);
		must(iocp_heap_alloc(heap, BLOCK, IOCP_ZERO, &block) == IOCP_OK);
		must((i == 0 ? iocp_file_write(file, block, 0, SECTOR, 0, 9, &done)
					 : iocp_file_read(file, block, 0, SECTOR, 0, 9, &done))
			 == IOCP_OK);
		assert_int_equal(done, -1);
		must(iocp_port_dequeue(port, &packet, HANG) == IOCP_OK && packet.overlapped == 9);
		assert_int_equal(packet.code, 0);
		assert_int_equal(packet.bytes, SECTOR);
		must(iocp_file_close(file) == IOCP_OK);
		iocp_file_release(file);
	}
	close(descriptor);
	iocp_port_release(port);
	iocp_heap_release(heap);
}

int main(int count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_ends_in_one_packet),
		cmocka_unit_test(ends_in_the_middle),
		cmocka_unit_test(leaves_no_descriptor),
		cmocka_unit_test(does_not_wait_for_a_device),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL), status;
	if (r != 0 || getenv("IOCP_NO_URING"))
		return r;
	/* The same without a ring. The new process has one thread, and no trace of this one's. */
	(void)count;
	fflush(NULL);
	setenv("IOCP_NO_URING", "1", 1);
	if (fork() == 0) {
		setenv("CMOCKA_MESSAGE_OUTPUT", "STDOUT", 1); /* who counts results has had its plan already */
		execv(arguments[0], arguments);
		_exit(127);
	}
	return wait(&status) > 0 && status == 0 ? 0 : 1;
}
