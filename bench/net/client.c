/*
** client.c - measures an echo server: opens connections to it, has one message on its way in each, and tells what that
** took.
**
** Usage: client WORKLOAD CONNECTIONS SIZE SECONDS COMMAND... starts the command, which is given the port as its last
** argument, and prints lines of a name and a number each. WORKLOAD is one of
**   turn     each connection in turn: a blocking write, then reads. With one connection that is the round trip
**   trickle  the same, but a hundred times a second
**   echo     all connections at once
**   accept   the same, with a new connection for each message, which is then reset
**   idle     opens the connections, and leaves them alone
**
** The figures: rate, messages a second; cpu and user, the server's processor time, and its part outside the system, us
** a message; switches and own, how often the server's threads, and this one, waited for each; busiest, the share of the
** server's busiest thread; memory, the server's bytes for each idle connection.
*/

#define _GNU_SOURCE
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, SCRATCH = 65536, BEFORE_MEMORY = 1000, FEW = 50, ADDRESSES = 200 };

enum state { CLOSED, CONNECTING, CONNECTED };

typedef struct peer {
	int descriptor, number;
	enum state state;
	size_t sent, received; /* of the message on its way */
} peer;

static uint16_t port;
static int connections, set, resets;
static size_t size;
static char *message;
static double until;  /* no message is begun any more */
static long messages; /* that came back */
static int on_their_way;

/* ---- in turn ----------------------------------------------------------------------------------------------------- */

static void round_trip(int descriptor)
{
	static char scratch[SCRATCH];
	size_t done = 0;
	or_die(send(descriptor, message, size, 0) == (ssize_t)size, "send");
	while (done < size) {
		ssize_t n = recv(descriptor, scratch, sizeof(scratch), 0);
		or_die(n > 0, "recv");
		done += (size_t)n;
	}
	messages++;
}

static void run_in_turn(const int *descriptors, double duration, double pause)
{
	double next = seconds_now();
	int i = 0;
	until = next + duration;
	while (seconds_now() < until) {
		round_trip(descriptors[i++ % connections]);
		if (pause > 0) {
			struct timespec at;
			next += pause;
			at = (struct timespec){(time_t)next, (long)((next - (double)(time_t)next) * 1e9)};
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		}
	}
}

static int *connect_blocking(void)
{
	int *descriptors = allocate(sizeof(int) * (size_t)connections);
	struct sockaddr_in address = loopback(1, port);
	int i;
	for (i = 0; i < connections; i++) {
		descriptors[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		or_die(descriptors[i] >= 0, "socket");
		or_die(connect(descriptors[i], (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
		set_nodelay(descriptors[i]);
	}
	return descriptors;
}

/* ---- all at once ------------------------------------------------------------------------------------------------- */

/* Connections come from several addresses, since one has not enough ports for all. */
static void open_peer(peer *p)
{
	const int yes = 1;
	struct sockaddr_in from = loopback(2 + p->number % ADDRESSES, 0), to = loopback(1, port);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = p}};
	p->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	p->state = CONNECTING;
	or_die(p->descriptor >= 0, "socket");
	or_die(setsockopt(p->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes)) == 0, "setsockopt");
	set_nodelay(p->descriptor);
	or_die(bind(p->descriptor, (struct sockaddr *)&from, sizeof(from)) == 0, "bind");
	or_die(connect(p->descriptor, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS, "connect");
	or_die(epoll_ctl(set, EPOLL_CTL_ADD, p->descriptor, &event) == 0, "epoll_ctl");
}

/* Without a trace: no port of ours is left in TIME_WAIT. */
static void reset_peer(peer *p)
{
	const struct linger at_once = {1, 0};
	or_die(setsockopt(p->descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0, "SO_LINGER");
	close(p->descriptor);
	p->state = CLOSED;
}

static void send_on(peer *p)
{
	while (p->sent < size) {
		ssize_t n = send(p->descriptor, message + p->sent, size - p->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		or_die(n >= 0, "send");
		p->sent += (size_t)n;
	}
}

static void begin_message(peer *p)
{
	on_their_way++;
	p->sent = p->received = 0;
	if (p->state == CLOSED)
		open_peer(p);
	else
		send_on(p);
}

static void receive(peer *p)
{
	static char scratch[SCRATCH];
	ssize_t n;
	do {
		n = recv(p->descriptor, scratch, sizeof(scratch), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		or_die(n > 0, "recv");
		p->received += (size_t)n;
	} while (n == SCRATCH);
	if (p->received < size)
		return;
	or_die(p->received == size, "more came back than was sent");
	if (resets)
		reset_peer(p);
	messages++;
	on_their_way--;
	if (seconds_now() < until)
		begin_message(p);
}

static void advance(peer *p, uint32_t events)
{
	if (p->state == CONNECTING) {
		int error = 0;
		socklen_t length = sizeof(error);
		or_die(getsockopt(p->descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0, "SO_ERROR");
		errno = error;
		or_die(error == 0, "connect");
		if (!(events & EPOLLOUT))
			return;
		p->state = CONNECTED;
	}
	send_on(p);
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		receive(p);
}

/* Begins a message everywhere, and others while there is time; returns when all have come back. */
static void run_at_once(peer *peers, int count, double duration)
{
	struct epoll_event events[EVENTS];
	int i, n;
	until = seconds_now() + duration;
	for (i = 0; i < count; i++)
		begin_message(&peers[i]);
	while (on_their_way > 0) {
		n = epoll_wait(set, events, EVENTS, 10000);
		or_die(n > 0, "no message comes back");
		for (i = 0; i < n; i++)
			advance(events[i].data.ptr, events[i].events);
	}
}

/* They are opened with their first messages. */
static peer *make_peers(void)
{
	peer *peers = allocate(sizeof(*peers) * (size_t)connections);
	int i;
	set = epoll_create1(EPOLL_CLOEXEC);
	or_die(set >= 0, "epoll_create1");
	for (i = 0; i < connections; i++)
		peers[i].number = i;
	return peers;
}

/* ---- workloads --------------------------------------------------------------------------------------------------- */

static void print_figures(const usage *before)
{
	usage used = usage_since(before);
	double all = (double)messages;
	printf("rate %.1f\ncpu %.4f\nuser %.4f\nswitches %.4f\nown %.4f\nbusiest %.4f\n", all / (until - before->at),
		used.cpu / all * 1e6, used.user / all * 1e6, (double)used.switches / all, (double)used.own / all, used.busiest);
}

static void measure_in_turn(double duration, double pause)
{
	const int *descriptors = connect_blocking();
	usage before;
	run_in_turn(descriptors, duration / 4, pause);
	messages = 0;
	before = usage_now();
	run_in_turn(descriptors, duration, pause);
	print_figures(&before);
}

static void measure_at_once(double duration)
{
	peer *peers = make_peers();
	usage before;
	run_at_once(peers, connections, duration / 4);
	messages = 0;
	before = usage_now();
	run_at_once(peers, connections, duration);
	print_figures(&before);
}

/* A few at a time: what a server needs only while messages are on their way is not counted. */
static void open_idle(peer *peers, int from, int to)
{
	const struct timespec rest = {1, 0};
	for (; from < to; from += FEW)
		run_at_once(peers + from, to - from < FEW ? to - from : FEW, 0);
	nanosleep(&rest, NULL);
}

/* The first thousand are there before: what they need that is not for each. */
static void measure_idle(void)
{
	peer *peers = make_peers();
	double before;
	or_die(connections > BEFORE_MEMORY, "more than 1000 connections");
	open_idle(peers, 0, BEFORE_MEMORY);
	before = memory_of_server();
	open_idle(peers, BEFORE_MEMORY, connections);
	printf("memory %.1f\n", (memory_of_server() - before) / (connections - BEFORE_MEMORY));
}

/* As many descriptors as the system gives, for the server too. */
static void raise_limit(void)
{
	struct rlimit limit;
	or_die(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	or_die(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

int main(int argc, char **argv)
{
	const char *workload = argc > 5 ? argv[1] : "";
	double duration = argc > 5 ? atof(argv[4]) : 0;
	connections = argc > 5 ? atoi(argv[2]) : 0;
	size = argc > 5 ? strtoull(argv[3], NULL, 10) : 0;
	if (connections < 1 || size < 1 || duration <= 0) {
		fprintf(stderr, "usage: client WORKLOAD CONNECTIONS SIZE SECONDS COMMAND...\n");
		return 2;
	}
	raise_limit();
	message = memset(allocate(size), 'x', size);
	port = start_server(argv + 5);
	if (strcmp(workload, "turn") == 0)
		measure_in_turn(duration, 0);
	else if (strcmp(workload, "trickle") == 0)
		measure_in_turn(duration, 0.01);
	else if (strcmp(workload, "idle") == 0)
		measure_idle();
	else {
		resets = strcmp(workload, "accept") == 0;
		measure_at_once(duration);
	}
	return 0;
}
