/*
** wake.c - what it takes to wake a thread that waits on a port, with sockets and without.
**
** Usage: wake plain|follower|leader COUNT posts COUNT times to the thread that waits since last, which sleeps: on a
** port without sockets, as one of two while the other leads, or as the leader. Prints the medians of `call`, the time
** that the post took, and of `latency`, the time from the post to the thread's return, us, and `cpu`, the processor
** time of all threads for each.
*/

#define _GNU_SOURCE
#include "net.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iocp.h"

static iocp_port *port;
static size_t count;
static double *calls, *latencies;

static void need(int good)
{
	or_die(good, "iocp");
}

static double cpu_now(void)
{
	struct timespec used;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2] * 1e6;
}

/* A packet's key is its number, from 1 on; when it was posted lies in that place, and is replaced by how long ago. */
static void *get(void *unused)
{
	iocp_packet packet;
	while (iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_OK)
		latencies[packet.key - 1] = seconds_now() - latencies[packet.key - 1];
	return unused;
}

static void start_getter(void)
{
	pthread_t ignored;
	iocp_port_info info = {.size = sizeof(info)};
	uint32_t before;
	iocp_port_stats(port, &info);
	before = info.waiting;
	or_die(pthread_create(&ignored, NULL, get, NULL) == 0, "pthread_create");
	while (info.waiting == before)
		iocp_port_stats(port, &info);
}

/* One that nothing comes to. */
static void add_socket(void)
{
	iocp_socket *socket;
	need(iocp_socket_create(IOCP_INET, IOCP_DATAGRAM, &socket) == IOCP_OK);
	need(iocp_socket_associate(socket, port, 0) == IOCP_OK);
	need(iocp_socket_bind(socket, "127.0.0.1", 0) == IOCP_OK);
	need(iocp_socket_ready(socket, IOCP_SIDE_READ, 0, NULL) == IOCP_OK);
}

int main(int argc, char **argv)
{
	const struct timespec pause = {0, 200000};
	const char *way = argc == 3 ? argv[1] : "";
	double cpu;
	size_t i;
	count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	if (count == 0 || (strcmp(way, "plain") != 0 && strcmp(way, "follower") != 0 && strcmp(way, "leader") != 0)) {
		fprintf(stderr, "usage: wake plain|follower|leader COUNT\n");
		return 2;
	}
	calls = allocate(count * sizeof(*calls));
	latencies = allocate(count * sizeof(*latencies));
	need(iocp_port_create(2, &port) == IOCP_OK);
	iocp_port_set_spin(port, 0);
	if (strcmp(way, "plain") != 0)
		add_socket();
	if (strcmp(way, "follower") == 0)
		start_getter();
	start_getter();
	cpu = cpu_now();
	for (i = 0; i < count; i++) {
		nanosleep(&pause, NULL);
		latencies[i] = calls[i] = seconds_now();
		need(iocp_port_enqueue(port, i + 1, 0, 0) == IOCP_OK);
		calls[i] = seconds_now() - calls[i];
	}
	cpu = (cpu_now() - cpu) / (double)count * 1e6;
	nanosleep(&pause, NULL);
	printf("call %.3f\nlatency %.3f\ncpu %.3f\n", median(calls), median(latencies), cpu);
	return 0;
}
