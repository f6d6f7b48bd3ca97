/*
** echo.c - an echo server over iocp.h: one port, and threads that know nothing else. A connection's state lies in a
** block; the packets name the block. With READY behind the buffer's size a connection that waits has no buffer: it asks
** for readiness.
*/

#define _GNU_SOURCE
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iocp.h"

enum { ACCEPTS = 16 /* pending */, LISTENER = 1 /* its key; clients' are their handles */ };
enum waits_for { ACCEPTED, READINESS, DATA, ROOM };

typedef struct connection {
	iocp_socket *socket;
	enum waits_for waits_for; /* written before the operation is begun: another thread may get its packet at once */
	void *block;              /* where the buffer is: in this block, or in one that it has while it needs it */
	size_t at;
} connection;

static arguments given;
static int by_readiness;
static iocp_port *port;
static iocp_heap *heap;
static iocp_socket *listener;

static void need(int r, const char *what)
{
	if (r != IOCP_OK) {
		fprintf(stderr, "%s: %d\n", what, r);
		exit(1);
	}
}

static void end(connection *c)
{
	(void)iocp_socket_close(c->socket);
	iocp_socket_release(c->socket);
	if (c->block && c->block != c)
		(void)iocp_heap_free(heap, c->block);
	(void)iocp_heap_free(heap, c);
}

static void accept_one(void)
{
	void *block;
	connection *c;
	need(iocp_heap_alloc(heap, sizeof(*c) + (by_readiness ? 0 : given.buffer), 0, &block), "iocp_heap_alloc");
	c = block;
	*c = (connection){.waits_for = ACCEPTED, .block = by_readiness ? NULL : block, .at = by_readiness ? 0 : sizeof(*c)};
	need(iocp_socket_create(IOCP_INET, IOCP_STREAM, &c->socket), "iocp_socket_create");
	need(iocp_socket_accept(listener, c->socket, NULL, 0, (uintptr_t)c, NULL), "iocp_socket_accept");
}

static int receive(connection *c)
{
	if (!c->block)
		need(iocp_heap_alloc(heap, given.buffer, 0, &c->block), "iocp_heap_alloc");
	c->waits_for = DATA;
	return iocp_socket_receive(c->socket, c->block, c->at, given.buffer, (uintptr_t)c, NULL);
}

static int wait_for_message(connection *c)
{
	if (!by_readiness)
		return receive(c);
	if (c->block)
		(void)iocp_heap_free(heap, c->block);
	c->block = NULL;
	c->waits_for = READINESS;
	return iocp_socket_ready(c->socket, IOCP_SIDE_READ, (uintptr_t)c, NULL);
}

/* What the system takes at once needs no packet. */
static int echo(connection *c, size_t bytes)
{
	int64_t done;
	int r;
	c->waits_for = ROOM;
	r = iocp_socket_send(c->socket, c->block, c->at, bytes, (uintptr_t)c, &done);
	return r == IOCP_OK && done >= 0 ? wait_for_message(c) : r;
}

static int advance(connection *c, size_t bytes)
{
	switch (c->waits_for) {
	case ACCEPTED:
		accept_one();
		need(iocp_socket_set_option(c->socket, IOCP_OPTION_NODELAY, 1), "IOCP_OPTION_NODELAY");
		return wait_for_message(c);
	case READINESS:
		return receive(c);
	case DATA:
		return bytes > 0 ? echo(c, bytes) : IOCP_CLOSED;
	default:
		return wait_for_message(c);
	}
}

static void *run(void *unused)
{
	iocp_packet packet;
	for (;;) {
		int r = iocp_port_dequeue(port, &packet, IOCP_INFINITE);
		connection *c = (connection *)packet.overlapped;
		if (r == IOCP_INTERRUPTED)
			continue; /* a debugger */
		need(r, "iocp_port_dequeue");
		if (packet.code != 0 && packet.key == LISTENER)
			accept_one();
		if (packet.code != 0 || advance(c, packet.bytes) != IOCP_OK)
			end(c);
	}
	return unused;
}

int main(int argc, char **argv)
{
	int i;
	by_readiness = argc == 5 && strcmp(argv[3], "READY") == 0;
	if (by_readiness)
		argv[--argc - 1] = argv[4];
	given = server_arguments(argc, argv);
	need(iocp_port_create(0, &port), "iocp_port_create");
	need(iocp_heap_create(0, 0, &heap), "iocp_heap_create");
	need(iocp_socket_create(IOCP_INET, IOCP_STREAM, &listener), "iocp_socket_create");
	need(iocp_socket_set_option(listener, IOCP_OPTION_REUSEADDR, 1), "IOCP_OPTION_REUSEADDR");
	need(iocp_socket_bind(listener, "127.0.0.1", given.port), "iocp_socket_bind");
	need(iocp_socket_listen(listener, 0), "iocp_socket_listen");
	need(iocp_socket_associate(listener, port, LISTENER), "iocp_socket_associate");
	for (i = 0; i < ACCEPTS; i++)
		accept_one();
	run_threads(given.threads, run, NULL);
	return 0;
}
