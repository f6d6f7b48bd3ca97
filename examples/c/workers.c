/*
** workers.c - the first article's program in C: workers that know nothing but two numbers, a port's and a heap's
** handle, share work, and whoever takes a message frees it.
**
**   cc workers.c $(pkg-config --cflags --libs iocp) -o workers && ./workers
*/

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iocp.h>

enum { WORKERS = 4, MESSAGES = 100000, QUIT = 0 };

typedef struct message {
	uint32_t number;
	char text[44];
} message;

/* What a worker is told when it starts. */
typedef struct assignment {
	iocp_handle port, heap;
	uint64_t handled; /* written by the worker, read once it was joined */
} assignment;

static void check(int code, const char *what)
{
	char text[256];
	if (code == IOCP_OK)
		return;
	iocp_error_text(code, text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

static int work(iocp_thread *thread, void *data)
{
	assignment *mine = (assignment *)data;
	iocp_port *port;
	iocp_heap *heap;
	iocp_packet packet;
	(void)thread;
	check(iocp_port_open(mine->port, &port), "open the port");
	check(iocp_heap_open(mine->heap, &heap), "open the heap");
	while (iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_OK && packet.key != QUIT) {
		mine->handled++;
		check(iocp_heap_free(heap, (void *)packet.key), "free");
	}
	iocp_heap_release(heap);
	iocp_port_release(port);
	return IOCP_OK;
}

int main(void)
{
	assignment assignments[WORKERS];
	iocp_thread *threads[WORKERS];
	iocp_heap_info info;
	iocp_port *port;
	iocp_heap *heap;
	uint64_t handled = 0;
	uint32_t i;
	check(iocp_port_create(0, &port), "create a port");
	check(iocp_heap_create(0, 0, &heap), "create a heap");
	for (i = 0; i < WORKERS; i++) {
		iocp_thread_options options;
		memset(&options, 0, sizeof(options));
		options.size = sizeof(options);
		options.main = work;
		options.data = &assignments[i];
		options.name = "worker";
		assignments[i].port = iocp_port_handle(port);
		assignments[i].heap = iocp_heap_handle(heap);
		assignments[i].handled = 0;
		check(iocp_thread_create(&options, &threads[i]), "create a thread");
	}
	for (i = 1; i <= MESSAGES; i++) {
		void *block;
		check(iocp_heap_alloc(heap, sizeof(message), 0, &block), "alloc");
		((message *)block)->number = i;
		check(iocp_port_enqueue(port, (uintptr_t)block, sizeof(message), 0), "enqueue");
	}
	for (i = 0; i < WORKERS; i++)
		check(iocp_port_enqueue(port, QUIT, 0, 0), "enqueue");
	for (i = 0; i < WORKERS; i++) {
		check(iocp_thread_join(threads[i], IOCP_INFINITE), "join");
		handled += assignments[i].handled;
		iocp_thread_release(threads[i]);
	}
	info.size = sizeof(info);
	check(iocp_heap_stats(heap, &info), "stats");
	printf("iocp %s: %" PRIu64 " messages handled, %" PRIu64 " blocks left\n", iocp_version(), handled, info.blocks);
	iocp_heap_release(heap);
	iocp_port_release(port);
	return handled == MESSAGES && info.blocks == 0 ? 0 : 1;
}
