/*
** net.c - listening, threads, and what else every program here needs.
*/

#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

void or_die(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

void *allocate(size_t size)
{
	void *memory = calloc(1, size);
	or_die(memory != NULL, "calloc");
	return memory;
}

arguments server_arguments(int argc, char **argv)
{
	arguments given = {0, 0, 0};
	if (argc == 4)
		given = (arguments){atoi(argv[1]), strtoull(argv[2], NULL, 10), (uint16_t)atoi(argv[3])};
	if (given.threads < 1 || given.buffer < 1 || given.port == 0) {
		fprintf(stderr, "usage: %s THREADS BUFFER PORT\n", argv[0]);
		exit(2);
	}
	return given;
}

struct sockaddr_in loopback(int last, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)last);
	return address;
}

int listen_at(uint16_t port, int flags, int shared)
{
	const int yes = 1;
	struct sockaddr_in address = loopback(1, port);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	or_die(listener >= 0, "socket");
	or_die(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0, "SO_REUSEADDR");
	or_die(!shared || setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) == 0, "SO_REUSEPORT");
	or_die(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	or_die(listen(listener, SOMAXCONN) == 0, "listen");
	return listener;
}

void set_nodelay(int descriptor)
{
	const int yes = 1;
	or_die(setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) == 0, "TCP_NODELAY");
}

void run_threads(int count, void *(*run)(void *), void *argument)
{
	int i;
	for (i = 1; i < count; i++) {
		pthread_t ignored;
		or_die(pthread_create(&ignored, NULL, run, argument) == 0, "pthread_create");
	}
	(void)run(argument);
}

double seconds_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
