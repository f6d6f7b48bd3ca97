/*
** failing_core.c - the C library while allocations fail: what fails says so, what was accepted arrives, and afterwards
** everything works.
*/

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "iocp.h"

enum { PACKETS = 500, TIMERS = 70, THREADS = 3, BLOCKS = 100, LONG = 10000 /* ms */ };

/* What may come of a call while memory is out: 1, it was done; 0, it was not. Anything else ends the run. */
static int done(int r, const char *what)
{
	char text[256];
	if (r == IOCP_OK)
		return 1;
	if (r == IOCP_NOMEM || r > 0) /* of a thread that could not be started the system's code */
		return 0;
	iocp_error_text(r, text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	exit(EXIT_FAILURE);
}

static void must(int holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "%s\n", what);
		exit(EXIT_FAILURE);
	}
}

/* Calls that cannot fail once memory is back. */
static void sure(int r, const char *what)
{
	must(done(r, what), what);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

typedef struct packets {
	iocp_port *port;
	uint64_t posted, got; /* sums of keys */
} packets;

static void post_many(packets *p, uintptr_t first)
{
	iocp_packet many[16];
	size_t i;
	for (i = 0; i < 16; i++)
		many[i] = (iocp_packet){.key = first + i};
	if (done(iocp_port_enqueue_many(p->port, many, 16), "enqueue_many"))
		for (i = 0; i < 16; i++)
			p->posted += many[i].key;
}

static void take_some(packets *p, int give_back)
{
	iocp_packet many[8];
	size_t count, i;
	int r = iocp_port_dequeue_many(p->port, many, 8, &count, 0);
	if (r == IOCP_TIMEOUT || !done(r, "dequeue_many"))
		return;
	if (give_back && count > 1 && done(iocp_port_putback(p->port, many + 1, count - 1), "putback"))
		count = 1;
	for (i = 0; i < count; i++)
		p->got += many[i].key;
}

static void use_packets(packets *p)
{
	uintptr_t i;
	if (!done(iocp_port_create(1, &p->port), "create"))
		return;
	for (i = 1; i <= PACKETS; i++) {
		if (done(iocp_port_enqueue(p->port, i, 0, 0), "enqueue"))
			p->posted += i;
		if (i % 50 == 0)
			post_many(p, i * 1000);
		if (i % 3 == 0)
			take_some(p, i % 9 == 0);
	}
}

static void check_packets(packets *p)
{
	iocp_port_info info = {.size = sizeof(info)};
	if (!p->port)
		return;
	for (;;) {
		iocp_port_stats(p->port, &info);
		if (info.queued == 0)
			break;
		take_some(p, 0);
	}
	must(p->posted == p->got, "packets are lost");
	iocp_port_close(p->port);
	iocp_port_release(p->port);
	*p = (packets){NULL, 0, 0};
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

typedef struct blocks {
	iocp_heap *heap;
	char *block[BLOCKS];
	size_t size[BLOCKS];
} blocks;

static void fill(blocks *b, size_t i, size_t from)
{
	if (b->size[i] > from)
		memset(b->block[i] + from, (int)i, b->size[i] - from);
}

static void check_block(const blocks *b, size_t i)
{
	size_t at;
	for (at = 0; b->block[i] && at < b->size[i]; at += 1 + b->size[i] / 50)
		must(b->block[i][at] == (char)i, "a block's content has changed");
}

static void use_blocks(blocks *b)
{
	static const size_t sizes[] = {1, 48, 100, 1000, 5000, 8176, 20000, 300000, 600000, 3000000};
	size_t i;
	void *moved;
	if (!done(iocp_heap_create(100000, 0, &b->heap), "create"))
		return;
	for (i = 0; i < BLOCKS; i++) {
		b->size[i] = sizes[i % 10] + i;
		if (done(iocp_heap_alloc(b->heap, b->size[i], 0, (void **)&b->block[i]), "alloc"))
			fill(b, i, 0);
	}
	for (i = 0; i < BLOCKS; i++) {
		size_t size = sizes[(i + i / 10 % 3) % 10] + 7;
		if (b->block[i] && done(iocp_heap_realloc(b->heap, b->block[i], size, IOCP_ZERO, &moved), "realloc")) {
			size_t old = b->size[i];
			b->block[i] = moved;
			b->size[i] = size;
			fill(b, i, old);
		}
		check_block(b, i);
		if (i % 4 == 0 && b->block[i] && done(iocp_heap_free(b->heap, b->block[i]), "free"))
			b->block[i] = NULL;
	}
}

static void check_blocks(blocks *b)
{
	iocp_heap_info info = {.size = sizeof(info)};
	uint64_t count = 0;
	size_t i;
	if (!b->heap)
		return;
	sure(iocp_heap_validate(b->heap, NULL), "validate");
	for (i = 0; i < BLOCKS; i++) {
		count += b->block[i] != NULL;
		check_block(b, i);
	}
	sure(iocp_heap_stats(b->heap, &info), "stats");
	must(info.blocks == count, "the heap counts other blocks than there are");
	for (i = 0; i < BLOCKS; i += 2)
		sure(iocp_heap_free(b->heap, b->block[i]), "free");
	sure(iocp_heap_destroy(b->heap), "destroy");
	iocp_heap_release(b->heap);
	memset(b, 0, sizeof(*b));
}

/* ---- threads: two posters, and a consumer that frees what they send ---------------------------------------------- */

typedef struct exchange {
	iocp_port *port;
	iocp_heap *heap;
	iocp_thread *threads[THREADS];
	uint64_t sent[THREADS], received;
} exchange;

static exchange *shared;

static int send_blocks(iocp_thread *thread, void *data)
{
	uint64_t *sent = data;
	int i;
	(void)thread;
	for (i = 1; i <= 200; i++) {
		void *block;
		if (!done(iocp_heap_alloc(shared->heap, 48, 0, &block), "alloc"))
			continue;
		if (done(iocp_port_enqueue(shared->port, (uintptr_t)block, (uint32_t)i, 0), "enqueue"))
			*sent += (uint64_t)i;
		else
			while (!done(iocp_heap_free(shared->heap, block), "free"))
				;
	}
	return IOCP_OK;
}

static int receive_blocks(iocp_thread *thread, void *data)
{
	uint64_t *received = data;
	iocp_packet packet;
	int r;
	(void)thread;
	while ((r = iocp_port_dequeue(shared->port, &packet, IOCP_INFINITE)) != IOCP_CLOSED && r != IOCP_ABANDONED) {
		if (!done(r, "dequeue"))
			continue;
		*received += packet.bytes;
		while (!done(iocp_heap_free(shared->heap, (void *)packet.key), "free"))
			;
	}
	return IOCP_OK;
}

static void start(exchange *e, int i)
{
	iocp_thread_options options = {
		.size = sizeof(options), .main = i ? send_blocks : receive_blocks, .data = i ? &e->sent[i] : &e->received};
	if (!done(iocp_thread_create(&options, &e->threads[i]), "thread"))
		e->threads[i] = NULL;
}

static void use_threads(exchange *e)
{
	int i;
	shared = e;
	if (!done(iocp_port_create(0, &e->port), "port") || !done(iocp_heap_create(0, 0, &e->heap), "heap"))
		return;
	for (i = 0; i < THREADS; i++)
		start(e, i);
}

static void check_threads(exchange *e)
{
	iocp_port_info info = {.size = sizeof(info)};
	iocp_heap_info left = {.size = sizeof(left)};
	int i;
	if (e->heap) {
		if (!e->threads[0]) /* memory is back, and what was sent is still there */
			start(e, 0);
		for (i = 1; i < THREADS; i++)
			if (e->threads[i])
				sure(iocp_thread_join(e->threads[i], LONG), "join");
		for (i = 0; i < LONG; i++) {
			iocp_port_stats(e->port, &info);
			if (info.queued == 0)
				break;
			sure(iocp_sleep(1), "sleep");
		}
		must(info.queued == 0, "packets are left that nobody takes");
		iocp_port_close(e->port);
		sure(iocp_thread_join(e->threads[0], LONG), "join");
		must(e->received == e->sent[1] + e->sent[2], "messages are lost");
		sure(iocp_heap_stats(e->heap, &left), "stats");
		must(left.blocks == 0, "blocks are left");
	}
	for (i = 0; i < THREADS; i++)
		iocp_thread_release(e->threads[i]);
	iocp_heap_release(e->heap);
	iocp_port_release(e->port);
	memset(e, 0, sizeof(*e));
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

typedef struct timers {
	iocp_port *port;
	int set;
	iocp_port *closed; /* before they are due */
	int late;
	_Atomic int dropped;
} timers;

static void count_drop(iocp_port *port, const iocp_packet *packet, void *data)
{
	(void)port;
	(void)packet;
	((timers *)data)->dropped++;
}

static void use_late_timers(timers *t)
{
	int i;
	if (!done(iocp_port_create(0, &t->closed), "port"))
		return;
	iocp_port_set_discard(t->closed, count_drop, t);
	for (i = 1; i <= TIMERS / 4; i++) {
		const iocp_packet packet = {.key = (uintptr_t)i};
		iocp_timer timer;
		t->late += done(iocp_port_enqueue_after(t->closed, &packet, i % 5, &timer), "enqueue_after");
	}
	iocp_port_close(t->closed);
	(void)done(iocp_sleep(10), "sleep"); /* they are due while allocations fail */
}

static void use_timers(timers *t)
{
	int i;
	if (!done(iocp_port_create(0, &t->port), "port"))
		return;
	for (i = 1; i <= TIMERS; i++) {
		const iocp_packet packet = {.key = (uintptr_t)i};
		iocp_timer timer;
		if (done(iocp_port_enqueue_after(t->port, &packet, i % 5, &timer), "enqueue_after"))
			t->set++;
		else
			continue;
		if (i % 10 == 0 && iocp_timer_cancel(timer) == IOCP_OK)
			t->set--;
	}
	use_late_timers(t);
}

static void check_timers(timers *t)
{
	iocp_packet packet;
	int i;
	if (!t->port)
		return;
	for (; t->set > 0; t->set--)
		sure(iocp_port_dequeue(t->port, &packet, LONG), "a timer's packet does not come");
	must(iocp_port_dequeue(t->port, &packet, 20) == IOCP_TIMEOUT, "a timer's packet comes twice");
	for (i = 0; i < LONG && t->dropped < t->late; i++)
		sure(iocp_sleep(1), "sleep");
	must(t->dropped == t->late, "a timer's packet for a closed port is not dropped");
	iocp_port_release(t->closed);
	iocp_port_release(t->port);
	*t = (timers){0};
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

enum { READS = 8, MORE_THAN_A_PIPE_HOLDS = 200000 };

typedef struct files {
	iocp_port *port;
	iocp_heap *heap;
	iocp_file *pipe[2], *disk;
	void *blocks[READS];
	int begun; /* operations that end with a packet */
} files;

static int64_t at_once; /* what an operation that sends no packet if it is done at once has done; -1: it goes on */

static void count_begun(files *f, int r, const char *what)
{
	f->begun += done(r, what) && at_once < 0;
}

static void use_pipe(files *f)
{
	static const char text[MORE_THAN_A_PIPE_HOLDS] = {1};
	int i;
	for (i = 0; i < READS; i++) {
		if (!done(iocp_heap_alloc(f->heap, 100, 0, &f->blocks[i]), "alloc"))
			continue;
		count_begun(f, iocp_file_read(f->pipe[0], f->blocks[i], 0, IOCP_REST, 0, 1, &at_once), "read");
	}
	count_begun(f, iocp_file_write_copy(f->pipe[1], text, sizeof(text), 0, 2, &at_once), "write to a pipe");
}

static void use_disk(files *f)
{
	if (!done(iocp_file_temporary(&f->disk), "temporary")
		|| !done(iocp_file_associate(f->disk, f->port, 2), "associate"))
		return;
	count_begun(f, iocp_file_write_copy(f->disk, "text", 4, 0, 3, &at_once), "write");
	count_begun(f, iocp_file_sync(f->disk, 4, &at_once), "sync");
}

static void use_files(files *f)
{
	if (!done(iocp_port_create(0, &f->port), "port") || !done(iocp_heap_create(0, 0, &f->heap), "heap"))
		return;
	if (done(iocp_file_pipe(f->pipe), "pipe") && done(iocp_file_associate(f->pipe[0], f->port, 1), "associate")
		&& done(iocp_file_associate(f->pipe[1], f->port, 1), "associate"))
		use_pipe(f);
	use_disk(f);
}

static void end_file(iocp_file *file)
{
	if (file)
		sure(iocp_file_close(file), "close");
	iocp_file_release(file);
}

static void check_files(files *f)
{
	iocp_packet packet;
	int i, r;
	end_file(f->pipe[0]);
	end_file(f->pipe[1]);
	end_file(f->disk);
	for (; f->begun > 0; f->begun--)
		sure(iocp_port_dequeue(f->port, &packet, LONG), "a file's packet does not come");
	do
		r = f->port ? iocp_port_dequeue(f->port, &packet, 20) : IOCP_TIMEOUT;
	while (r == IOCP_INTERRUPTED);
	must(r == IOCP_TIMEOUT, "a file's packet comes twice");
	for (i = 0; i < READS; i++)
		if (f->blocks[i])
			sure(iocp_heap_free(f->heap, f->blocks[i]), "free of a read's block");
	if (f->heap)
		sure(iocp_heap_destroy(f->heap), "destroy");
	iocp_heap_release(f->heap);
	iocp_port_release(f->port);
	*f = (files){0};
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static packets some_packets;
static blocks some_blocks;
static exchange some_threads;
static timers some_timers;
static files some_files;

static void use_all(void)
{
	iocp_heap *heap = NULL;
	use_packets(&some_packets);
	use_blocks(&some_blocks);
	use_threads(&some_threads);
	use_timers(&some_timers);
	use_files(&some_files);
	if (done(iocp_heap_process(&heap), "the process' heap"))
		iocp_heap_release(heap);
}

static void check_all(void)
{
	check_threads(&some_threads);
	check_packets(&some_packets);
	check_blocks(&some_blocks);
	check_timers(&some_timers);
	check_files(&some_files);
}

static int script(void)
{
	failing_on();
	use_all();
	failing_off();
	check_all();
	use_all(); /* now nothing fails */
	must(some_timers.set > 0 && some_threads.threads[2] && some_packets.posted > 0 && some_files.begun > 0
			 && some_blocks.block[BLOCKS - 1],
		"memory is back, and calls fail");
	check_all();
	return 0;
}

int main(int count, char **arguments)
{
	return failing_main(script, count, arguments);
}
