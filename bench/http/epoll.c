/*
** epoll.c - the yardstick: what an HTTP server costs that does no more than it must. It takes the first empty line for
** the end of a request, and has one answer, made before, of as many bytes as the others'.
**
** Usage: epoll THREADS BYTES PORT, how many the body has. bench/net/net.h says more.
*/

#define _GNU_SOURCE
#include "../net/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, REQUEST = 4096 };

typedef struct connection {
	int descriptor;
	size_t received; /* of a request that is not whole */
	size_t unsent;   /* of answers */
	char request[REQUEST];
} connection;

static arguments given;
static char *answer;
static size_t size;

static void make_answer(void)
{
	int head;
	answer = allocate(given.buffer + 512);
	head = snprintf(answer, 512,
		"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
		"Content-Length: %zu\r\n\r\n",
		given.buffer);
	size = (size_t)head + given.buffer;
	memset(answer + head, 'x', given.buffer);
	if (given.buffer == 13)
		memcpy(answer + head, "Hello, world\n", 13);
}

static void end(connection *c)
{
	close(c->descriptor);
	free(c);
}

/* Sends what is owed. 0: it failed. */
static int send_answers(connection *c)
{
	while (c->unsent > 0) {
		size_t of_one = c->unsent % size ? c->unsent % size : size;
		ssize_t n = send(c->descriptor, answer + (size - of_one), of_one, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		c->unsent -= (size_t)n;
		if ((size_t)n < of_one)
			return 1;
	}
	return 1;
}

/* How many requests have come to their end; what is left of one moves to the front. */
static size_t count_requests(connection *c)
{
	size_t count = 0;
	char *at = c->request, *last = c->request + c->received, *empty;
	while ((empty = memmem(at, (size_t)(last - at), "\r\n\r\n", 4)) != NULL) {
		at = empty + 4;
		count++;
	}
	c->received = (size_t)(last - at);
	memmove(c->request, at, c->received);
	return count;
}

static void serve(connection *c)
{
	for (;;) {
		size_t room = REQUEST - c->received;
		ssize_t n;
		if (!send_answers(c) || room == 0)
			break;
		if (c->unsent > 0)
			return; /* the next edge is when there is room */
		n = recv(c->descriptor, c->request + c->received, room, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			break;
		c->received += (size_t)n;
		c->unsent = count_requests(c) * size;
		if (!send_answers(c))
			break;
		if ((size_t)n < room && c->unsent == 0)
			return;
	}
	end(c);
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
	int listener = listen_at(given.port, SOCK_NONBLOCK, given.threads > 1);
	int set = epoll_create1(EPOLL_CLOEXEC);
	or_die(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, listener, events) == 0, "epoll");
	for (;;) {
		int i, count = epoll_wait(set, events, EVENTS, -1);
		for (i = 0; i < count; i++) {
			if (events[i].data.ptr)
				serve(events[i].data.ptr);
			else
				accept_all(set, listener);
		}
	}
	return unused;
}

int main(int argc, char **argv)
{
	given = server_arguments(argc, argv);
	make_answer();
	run_threads(given.threads, run, NULL);
	return 0;
}
