/*
** epoll.c - the yardstick: an echo server over epoll as one writes it who wants it fast. Each thread has a listener of
** its own at the same port, and a set of descriptors; connections are registered once, edge-triggered, read and written
** at once, and not read again after a short count.
*/

#define _GNU_SOURCE
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64 };

typedef struct connection {
	int descriptor;
	char *rest; /* what the system had no room for */
	size_t sent, size;
} connection;

static arguments given;

static void end(connection *c)
{
	close(c->descriptor);
	free(c->rest);
	free(c);
}

/* Sends on, where a send before stopped. 0: there is still no room. */
static int send_rest(connection *c)
{
	while (c->sent < c->size) {
		ssize_t n = send(c->descriptor, c->rest + c->sent, c->size - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			break; /* what failed is seen by the next receive */
		c->sent += (size_t)n;
	}
	free(c->rest);
	c->rest = NULL;
	return 1;
}

/* Sends, and keeps what there is no room for. 0: it failed. */
static int echo(connection *c, const char *buffer, size_t size)
{
	ssize_t n = send(c->descriptor, buffer, size, MSG_NOSIGNAL);
	if (n == (ssize_t)size)
		return 1;
	if (n < 0 && errno != EAGAIN)
		return 0;
	c->sent = 0;
	c->size = size - (n < 0 ? 0 : (size_t)n);
	c->rest = allocate(c->size);
	memcpy(c->rest, buffer + (size - c->size), c->size);
	return 1;
}

static void serve(connection *c, uint32_t events, char *buffer)
{
	while (!c->rest || send_rest(c)) {
		ssize_t n = recv(c->descriptor, buffer, given.buffer, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 || !echo(c, buffer, (size_t)n)) {
			end(c);
			return;
		}
		/* The end may come with the last data, in one edge. */
		if ((size_t)n < given.buffer && !c->rest && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
			return;
	}
}

static void accept_all(int set, int listener)
{
	int descriptor;
	while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
		connection *c = allocate(sizeof(*c));
		set_nodelay(descriptor);
		c->descriptor = descriptor;
		event.data.ptr = c;
		or_die(epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl");
	}
}

static void *run(void *unused)
{
	struct epoll_event events[EVENTS] = {{.events = EPOLLIN}}; /* the listener's has no connection */
	char *buffer = allocate(given.buffer);
	int listener = listen_at(given.port, SOCK_NONBLOCK, given.threads > 1);
	int set = epoll_create1(EPOLL_CLOEXEC);
	or_die(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, listener, events) == 0, "epoll");
	for (;;) {
		int i, count = epoll_wait(set, events, EVENTS, -1);
		for (i = 0; i < count; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr, events[i].events, buffer);
			else
				accept_all(set, listener);
		}
	}
	return unused;
}

int main(int argc, char **argv)
{
	given = server_arguments(argc, argv);
	run_threads(given.threads, run, NULL);
	return 0;
}
