/*
** main.c - what C does on this machine: the workloads of the benchmark over plain pthreads and libc, and over iocp.h.
**
** Usage: bench WORKLOAD COUNT [PARAMETER] prints one number, for most the seconds it took. bench/run.lua runs it beside
** the Lua scripts.
*/

#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

iocp_port *port;
iocp_heap *heap;
int ours, spins;
size_t parameter;

static double started;

void start(void)
{
	started = iocp_clock();
}

double elapsed(void)
{
	return (iocp_clock() - started) / 1000;
}

int print_seconds(double seconds)
{
	printf("%.9f\n", seconds);
	return 0;
}

int stop(void)
{
	return print_seconds(elapsed());
}

void *or_die(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- one queue, or the other ------------------------------------------------------------------------------------- */

void push(uintptr_t key)
{
	if (!ours)
		deque_push_many(&key, 1);
	else if (iocp_port_enqueue(port, key, BLOCK, 0) != IOCP_OK)
		abort();
}

void push_many(const uintptr_t *keys, size_t count)
{
	static iocp_packet packets[LARGEST_BATCH];
	size_t i;
	if (!ours) {
		deque_push_many(keys, count);
		return;
	}
	for (i = 0; i < count; i++)
		packets[i] = (iocp_packet){.key = keys[i]};
	if (iocp_port_enqueue_many(port, packets, count) != IOCP_OK)
		abort();
}

uintptr_t pop(void)
{
	iocp_packet packet;
	uintptr_t key;
	if (!ours) {
		(void)deque_pop_many(&key, 1);
		return key;
	}
	if (iocp_port_dequeue(port, &packet, IOCP_INFINITE) != IOCP_OK)
		abort();
	return packet.key;
}

size_t pop_many(uintptr_t *keys, size_t max)
{
	iocp_packet packets[LARGEST_BATCH];
	size_t count, i;
	if (!ours)
		return deque_pop_many(keys, max);
	if (iocp_port_dequeue_many(port, packets, max, &count, IOCP_INFINITE) != IOCP_OK)
		abort();
	for (i = 0; i < count; i++)
		keys[i] = packets[i].key;
	return count;
}

size_t queued(void)
{
	iocp_port_info info = {.size = sizeof(info)};
	if (!ours)
		return deque_count();
	iocp_port_stats(port, &info);
	return info.queued;
}

size_t waiting(void)
{
	iocp_port_info info = {.size = sizeof(info)};
	if (!ours)
		return deque_waiting();
	iocp_port_stats(port, &info);
	return info.waiting;
}

/* ---- one heap, or the other -------------------------------------------------------------------------------------- */

void *allocate(size_t size)
{
	void *block = NULL;
	if (!ours)
		return or_die(malloc(size));
	if (iocp_heap_alloc(heap, size, 0, &block) != IOCP_OK)
		abort();
	return block;
}

void release(void *block)
{
	if (!ours)
		free(block);
	else if (iocp_heap_free(heap, block) != IOCP_OK)
		abort();
}

size_t resident(void)
{
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*u %zu", &pages) != 1)
		abort();
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

static const struct workload {
	const char *name;
	int (*run)(size_t count);
	int ours, spins;
} workloads[] = {
	{"pair-iocp", run_pair, 1, 1},
	{"pair-pthread", run_pair, 0, 1},
	{"keys-iocp", run_keys, 1, 1},
	{"keys-pthread", run_keys, 0, 1},
	{"batches-iocp", run_batches, 1, 1},
	{"batches-pthread", run_batches, 0, 1},
	{"article-iocp", run_article, 1, 1},
	{"article-pthread", run_article, 0, 1},
	{"strings-iocp", run_strings, 1, 1},
	{"strings-pthread", run_strings, 0, 1},
	{"ping-pong-iocp", run_ping_pong, 1, 1},
	{"ping-pong-iocp-no-spin", run_ping_pong, 1, 0},
	{"ping-pong-futex", run_ping_pong_on_futexes, 0, 1},
	{"ping-pong-words", run_ping_pong_on_words, 0, 1},
	{"backlog-in-iocp", run_backlog_in, 1, 1},
	{"backlog-in-pthread", run_backlog_in, 0, 1},
	{"backlog-out-iocp", run_backlog_out, 1, 1},
	{"backlog-out-pthread", run_backlog_out, 0, 1},
	{"packet-bytes-iocp", run_packet_bytes, 1, 1},
	{"packet-bytes-pthread", run_packet_bytes, 0, 1},
	{"depth-iocp", run_depth, 1, 1},
	{"depth-pthread", run_depth, 0, 1},
	{"idle-iocp", run_idle, 1, 1},
	{"idle-pthread", run_idle, 0, 1},
	{"trickle-iocp", run_trickle, 1, 1},
	{"trickle-iocp-no-spin", run_trickle, 1, 0},
	{"pairs-iocp", run_pairs, 1, 1},
	{"pairs-malloc", run_pairs, 0, 1},
	{"across-iocp", run_across, 1, 1},
	{"across-malloc", run_across, 0, 1},
	{"destroy-iocp", run_destroy, 1, 1},
	{"destroy-malloc", run_destroy, 0, 1},
	{"create-iocp", run_create, 1, 1},
	{"footprint-iocp", run_footprint, 1, 1},
	{"footprint-malloc", run_footprint, 0, 1},
};

int main(int argc, char **argv)
{
	size_t i, count = argc >= 3 ? strtoull(argv[2], NULL, 10) : 0;
	parameter = argc >= 4 ? strtoull(argv[3], NULL, 10) : 0;
	for (i = 0; count > 0 && i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(argv[1], workloads[i].name) == 0) {
			ours = workloads[i].ours;
			spins = workloads[i].spins;
			if (iocp_port_create(0, &port) != IOCP_OK || iocp_heap_create(0, 0, &heap) != IOCP_OK)
				abort();
			return workloads[i].run(count);
		}
	}
	fprintf(stderr, "usage: bench WORKLOAD COUNT [PARAMETER]\n");
	return 2;
}
