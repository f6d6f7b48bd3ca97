/*
** socket_test.c - sockets on the port without Lua: what only C can say, and stress for the sanitizers.
*/

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend.h"
#include "core/io_error.h"
#include "iocp.h"

enum { SOON = 10000 /* ms: longer is a hang */, LATER = 30 /* ms: what has not come by then does not come */ };

static iocp_port *port;
static iocp_heap *heap;

static int set_up(void **state)
{
	(void)state;
	return iocp_port_create(0, &port) || iocp_heap_create(0, 0, &heap);
}

static int tear_down(void **state)
{
	iocp_heap_info info = {.size = sizeof(info)};
	(void)state;
	iocp_port_close(port);
	iocp_port_release(port);
	if (iocp_heap_stats(heap, &info) == IOCP_OK && info.blocks != 0)
		return 1;
	iocp_heap_release(heap);
	return 0;
}

/* ---- little helpers ---------------------------------------------------------------------------------------------- */

static iocp_packet next_packet(void)
{
	iocp_packet packet = {0};
	assert_int_equal(iocp_port_dequeue(port, &packet, SOON), IOCP_OK);
	return packet;
}

static void no_packet(void)
{
	iocp_packet packet;
	assert_int_equal(iocp_port_dequeue(port, &packet, LATER), IOCP_TIMEOUT);
}

static void expect_packet(uintptr_t key, uint32_t bytes, uintptr_t overlapped, int code)
{
	iocp_packet packet = next_packet();
	assert_int_equal(packet.code, code);
	assert_int_equal(packet.key, key);
	assert_int_equal(packet.bytes, bytes);
	assert_int_equal(packet.overlapped, overlapped);
}

static void *block(size_t size)
{
	void *address;
	assert_int_equal(iocp_heap_alloc(heap, size, IOCP_ZERO, &address), IOCP_OK);
	return address;
}

static void end_block(void *address)
{
	assert_int_equal(iocp_heap_free(heap, address), IOCP_OK);
}

static iocp_socket *make(int family, int type, uintptr_t key)
{
	iocp_socket *made;
	assert_int_equal(iocp_socket_create(family, type, &made), IOCP_OK);
	if (key)
		assert_int_equal(iocp_socket_associate(made, port, key), IOCP_OK);
	return made;
}

static void end(iocp_socket *socket)
{
	assert_int_equal(iocp_socket_close(socket), IOCP_OK);
	iocp_socket_release(socket);
}

static uint16_t listen_at(iocp_socket *listener, const char *host)
{
	char own[128];
	uint16_t number;
	assert_int_equal(iocp_socket_bind(listener, host, 0), IOCP_OK);
	assert_int_equal(iocp_socket_listen(listener, 16), IOCP_OK);
	assert_int_equal(iocp_socket_address(listener, 0, own, sizeof(own), &number), IOCP_OK);
	return number;
}

/* Two ends of a connection over `host`: keys 2 and 3. */
static void connect_over(int family, const char *host, iocp_socket *ends[2])
{
	iocp_socket *listener = make(family, IOCP_STREAM, 1);
	uint16_t number = listen_at(listener, host);
	int i;
	ends[0] = make(family, IOCP_STREAM, 2);
	assert_int_equal(iocp_socket_create(family, IOCP_STREAM, &ends[1]), IOCP_OK);
	assert_int_equal(iocp_socket_accept(listener, ends[1], NULL, IOCP_UNASSOCIATED, 77, NULL), IOCP_OK);
	assert_int_equal(iocp_socket_connect(ends[0], host, number, 78, NULL), IOCP_OK);
	for (i = 0; i < 2; i++) {
		iocp_packet packet = next_packet();
		assert_int_equal(packet.code, 0);
		assert_true((packet.key == 1 && packet.overlapped == 77) || (packet.key == 2 && packet.overlapped == 78));
	}
	assert_int_equal(iocp_socket_associate(ends[1], port, 3), IOCP_OK);
	end(listener);
}

static void pair_of(iocp_socket *ends[2])
{
	assert_int_equal(iocp_socket_pair(ends), IOCP_OK);
	assert_int_equal(iocp_socket_associate(ends[0], port, 2), IOCP_OK);
	assert_int_equal(iocp_socket_associate(ends[1], port, 3), IOCP_OK);
}

/* ---- what one operation does ------------------------------------------------------------------------------------- */

static void exchange(iocp_socket *ends[2])
{
	char *in = block(100), *out = block(100);
	memcpy(out, "hello", 5);
	assert_int_equal(iocp_socket_receive(ends[1], in, 0, 100, 5, NULL), IOCP_OK);
	no_packet();
	assert_int_equal(iocp_socket_send(ends[0], out, 0, 5, 6, NULL), IOCP_OK);
	{
		iocp_packet first = next_packet(), second = next_packet();
		assert_true(first.overlapped + second.overlapped == 11);
		assert_true(first.bytes == 5 && second.bytes == 5 && !first.code && !second.code);
	}
	assert_memory_equal(in, "hello", 5);
	assert_int_equal(iocp_socket_send_copy(ends[1], "back", 4, 0, NULL), IOCP_OK);
	expect_packet(3, 4, 0, 0);
	assert_int_equal(iocp_socket_receive(ends[0], in, 10, 90, 9, NULL), IOCP_OK);
	expect_packet(2, 4, 9, 0);
	assert_memory_equal(in + 10, "back", 4);
	assert_int_equal(iocp_socket_shutdown(ends[0], IOCP_SIDE_WRITE), IOCP_OK);
	assert_int_equal(iocp_socket_receive(ends[1], in, 0, 100, 7, NULL), IOCP_OK);
	expect_packet(3, 0, 7, 0);
	assert_int_equal(iocp_socket_receive(ends[1], in, 0, 100, 7, NULL), IOCP_OK); /* again and again */
	expect_packet(3, 0, 7, 0);
	assert_int_equal(iocp_socket_send_copy(ends[1], "half", 4, 1, NULL), IOCP_OK); /* the other half goes on */
	expect_packet(3, 4, 1, 0);
	assert_int_equal(iocp_socket_send_copy(ends[0], "x", 1, 1, NULL), IOCP_EPIPE);
	end_block(in);
	end_block(out);
	end(ends[0]);
	end(ends[1]);
	no_packet();
}

static void both_ways_over_inet(void **state)
{
	iocp_socket *ends[2];
	connect_over(IOCP_INET, "127.0.0.1", ends);
	exchange(ends);
	(void)state;
}

static void both_ways_over_inet6(void **state)
{
	iocp_socket *ends[2];
	connect_over(IOCP_INET6, "::1", ends);
	exchange(ends);
	connect_over(IOCP_INET6, "127.0.0.1", ends); /* which inet6 takes, too */
	exchange(ends);
	(void)state;
}

static void both_ways_over_a_pair(void **state)
{
	iocp_socket *ends[2];
	pair_of(ends);
	exchange(ends);
	(void)state;
}

static void at_once_without_a_packet(void **state)
{
	iocp_socket *ends[2];
	int64_t done = 0;
	char *in = block(8);
	pair_of(ends);
	assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, &done), IOCP_OK);
	assert_int_equal(done, -1);
	assert_int_equal(iocp_socket_send_copy(ends[1], "1234", 4, 2, &done), IOCP_OK);
	assert_int_equal(done, 4);
	expect_packet(2, 4, 1, 0);
	assert_int_equal(iocp_socket_send_copy(ends[1], "56", 2, 2, &done), IOCP_OK);
	/* What an event has not told yet is not known to be in vain before the first look. */
	assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, &done), IOCP_OK);
	if (done == -1)
		expect_packet(2, 2, 1, 0);
	else
		assert_int_equal(done, 2);
	end(ends[1]);
	assert_int_equal(iocp_socket_ready(ends[0], IOCP_SIDE_READ, 4, NULL), IOCP_OK);
	expect_packet(2, 0, 4, 0);
	end_block(in);
	end(ends[0]);
	no_packet();
	(void)state;
}

static void refused(void **state)
{
	iocp_socket *listener = make(IOCP_INET, IOCP_STREAM, 1), *client = make(IOCP_INET, IOCP_STREAM, 2);
	uint16_t number = listen_at(listener, "127.0.0.1");
	end(listener);
	assert_int_equal(iocp_socket_connect(client, "127.0.0.1", number, 4, NULL), IOCP_OK);
	expect_packet(2, 0, 4, IOCP_ECONNREFUSED);
	assert_int_equal(iocp_socket_connect(client, "nowhere", 1, 4, NULL), IOCP_EINVAL);
	end(client);
	no_packet();
	(void)state;
}

static void blocks_are_busy(void **state)
{
	iocp_socket *ends[2];
	char *in = block(8);
	void *moved;
	size_t size = 0;
	pair_of(ends);
	assert_int_equal(iocp_socket_receive(ends[0], in, 4, 5, 1, NULL), IOCP_INVALID); /* past its end */
	assert_int_equal(iocp_socket_receive(ends[0], in + 1, 0, 1, 1, NULL), IOCP_INVALID);
	assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, NULL), IOCP_OK);
	assert_int_equal(iocp_heap_free(heap, in), IOCP_INVALID);
	assert_int_equal(iocp_heap_realloc(heap, in, 100, 0, &moved), IOCP_INVALID);
	assert_int_equal(iocp_heap_size(heap, in, &size), IOCP_OK);
	assert_int_equal(size, 8);
	assert_int_equal(iocp_socket_send(ends[0], in, 0, 8, 1, NULL), IOCP_INVALID); /* a receive has it alone */
	assert_int_equal(iocp_socket_cancel(ends[0], NULL), 1);
	expect_packet(2, 0, 1, IOCP_ECANCELED);
	end_block(in);
	end(ends[0]);
	end(ends[1]);
	(void)state;
}

static void a_destroyed_heap_ends_its_operations(void **state)
{
	iocp_socket *ends[2];
	iocp_heap *other;
	void *in;
	pair_of(ends);
	assert_int_equal(iocp_heap_create(0, 0, &other), IOCP_OK);
	assert_int_equal(iocp_heap_alloc(other, 8, 0, &in), IOCP_OK);
	assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, NULL), IOCP_OK);
	assert_int_equal(iocp_heap_destroy(other), IOCP_OK);
	expect_packet(2, 0, 1, IOCP_ECANCELED);
	assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, NULL), IOCP_INVALID);
	iocp_heap_release(other);
	end(ends[0]);
	end(ends[1]);
	(void)state;
}

static void cancelled_by_overlapped(void **state)
{
	iocp_socket *ends[2];
	char *in[3];
	uintptr_t i, second = 1;
	pair_of(ends);
	for (i = 0; i < 3; i++) {
		in[i] = block(8);
		assert_int_equal(iocp_socket_receive(ends[0], in[i], 0, 8, i, NULL), IOCP_OK);
	}
	assert_int_equal(iocp_socket_cancel(ends[0], &second), 1);
	expect_packet(2, 0, 1, IOCP_ECANCELED);
	assert_int_equal(iocp_socket_send_copy(ends[1], "a", 1, 0, NULL), IOCP_OK);
	(void)next_packet();
	(void)next_packet();
	assert_int_equal(in[0][0], 'a');
	assert_int_equal(iocp_socket_cancel(ends[0], &second), 0);
	assert_int_equal(iocp_socket_close(ends[0]), IOCP_OK);
	expect_packet(2, 0, 2, IOCP_ECANCELED);
	assert_int_equal(iocp_socket_close(ends[0]), IOCP_INVALID);
	assert_int_equal(iocp_socket_receive(ends[0], in[0], 0, 8, 1, NULL), IOCP_INVALID);
	iocp_socket_release(ends[0]);
	end(ends[1]);
	for (i = 0; i < 3; i++)
		end_block(in[i]);
	(void)state;
}

static void a_port_that_closes_ends_operations(void **state)
{
	iocp_socket *ends[2];
	char *in = block(8);
	pair_of(ends);
	assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, NULL), IOCP_OK);
	iocp_port_close(port);
	end_block(in);
	in = block(8);
	assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, NULL), IOCP_CLOSED);
	end_block(in);
	end(ends[0]);
	end(ends[1]);
	(void)state;
}

static void an_accepted_client_is_kept(void **state)
{
	iocp_socket *listener = make(IOCP_INET, IOCP_STREAM, 1), *client, *found;
	iocp_socket *outside = make(IOCP_INET, IOCP_STREAM, 2);
	uint16_t number = listen_at(listener, "127.0.0.1");
	iocp_handle handle;
	assert_int_equal(iocp_socket_create(IOCP_INET, IOCP_STREAM, &client), IOCP_OK);
	handle = iocp_socket_handle(client);
	assert_int_equal(iocp_socket_accept(listener, client, NULL, 0, 5, NULL), IOCP_OK);
	assert_int_equal(iocp_socket_accept(listener, client, NULL, 0, 5, NULL), IOCP_INVALID); /* not fresh */
	iocp_socket_release(client);
	assert_int_equal(iocp_socket_connect(outside, "127.0.0.1", number, 6, NULL), IOCP_OK);
	(void)next_packet();
	(void)next_packet();
	assert_int_equal(iocp_socket_open(handle, &found), IOCP_OK);
	assert_int_equal(iocp_socket_send_copy(found, "hi", 2, 0, NULL), IOCP_OK);
	expect_packet((uintptr_t)handle, 2, 0, 0);
	end(found);
	assert_int_equal(iocp_socket_open(handle, &found), IOCP_INVALID);
	end(outside);
	end(listener);
	(void)state;
}

static void a_client_that_no_packet_names_goes_with_its_last_reference(void **state)
{
	iocp_socket *listener = make(IOCP_INET, IOCP_STREAM, 1), *client, *found;
	iocp_socket *outside = make(IOCP_INET, IOCP_STREAM, 2);
	uint16_t number = listen_at(listener, "127.0.0.1");
	char *in = block(8);
	iocp_handle handle;
	int64_t done;
	assert_int_equal(iocp_socket_connect(outside, "127.0.0.1", number, 6, NULL), IOCP_OK);
	expect_packet(2, 0, 6, 0);
	assert_int_equal(iocp_socket_create(IOCP_INET, IOCP_STREAM, &client), IOCP_OK);
	handle = iocp_socket_handle(client);
	assert_int_equal(iocp_socket_accept(listener, client, NULL, IOCP_UNASSOCIATED, 5, &done), IOCP_OK);
	assert_int_equal(done, 0);
	iocp_socket_release(client);
	assert_int_equal(iocp_socket_open(handle, &found), IOCP_INVALID);
	assert_int_equal(iocp_socket_receive(outside, in, 0, 8, 7, NULL), IOCP_OK);
	expect_packet(2, 0, 7, 0); /* it is closed */
	end_block(in);
	end(outside);
	end(listener);
	(void)state;
}

/* As others have it, who mean to wait in their own accept. */
static void a_listener_that_waits_is_not_waited_for(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), i;
	iocp_socket *listener, *outside = make(IOCP_INET, IOCP_STREAM, 2), *clients[2];
	assert_true(
		theirs >= 0 && bind(theirs, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(theirs, 8) == 0);
	assert_int_equal(getsockname(theirs, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(iocp_socket_adopt((uintptr_t)theirs, &listener), IOCP_OK);
	assert_int_equal(iocp_socket_associate(listener, port, 1), IOCP_OK);
	for (i = 0; i < 2; i++) { /* one before there is a connection, and one more than there are */
		assert_int_equal(iocp_socket_create(IOCP_INET, IOCP_STREAM, &clients[i]), IOCP_OK);
		assert_int_equal(iocp_socket_accept(listener, clients[i], NULL, 0, 10 + (uintptr_t)i, NULL), IOCP_OK);
	}
	no_packet();
	assert_int_equal(iocp_socket_connect(outside, "127.0.0.1", ntohs(address.sin_port), 6, NULL), IOCP_OK);
	for (i = 0; i < 2; i++) {
		iocp_packet packet = next_packet();
		assert_int_equal(packet.code, 0);
		assert_true((packet.key == 1 && packet.overlapped == 10) || (packet.key == 2 && packet.overlapped == 6));
	}
	no_packet();
	assert_int_equal(fcntl(theirs, F_GETFL) & O_NONBLOCK, 0); /* it is as it was */
	assert_int_equal(iocp_socket_cancel(listener, NULL), 1);
	expect_packet(1, 0, 11, IOCP_ECANCELED);
	end(clients[0]);
	end(clients[1]);
	end(outside);
	end(listener);
	close(theirs);
	(void)state;
}

/* How often the watcher has waited; -1: there is none. */
static long waits_of_watcher(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	long waits = -1;
	assert_non_null(tasks);
	while (waits < 0 && (task = readdir(tasks))) {
		char path[320], line[128];
		int ours = 0;
		FILE *status;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		status = fopen(path, "r"); /* NULL: it is no thread, or not any more */
		while (status && fgets(line, sizeof(line), status)) {
			ours |= strcmp(line, "Name:\tiocp watcher\n") == 0;
			if (ours && sscanf(line, "voluntary_ctxt_switches: %ld", &waits) == 1)
				break;
		}
		if (status)
			fclose(status);
	}
	closedir(tasks);
	return waits;
}

static uint64_t queued(void)
{
	iocp_port_info info = {.size = sizeof(info)};
	iocp_port_stats(port, &info);
	return info.queued;
}

static void sleep_ms(int ms)
{
	const struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
	nanosleep(&time, NULL);
}

/* Nobody is in a get: the watcher sleeps until there is something, and sees to that. */
static void an_idle_port_costs_nothing(void **state)
{
	iocp_socket *ends[2];
	char *in;
	long before, waits = -1;
	int64_t done;
	int round, i;
	if (on_posix())
		skip(); /* poll has no descriptor that stands for several: the watcher looks now and then */
	in = block(8);
	pair_of(ends);
	for (round = 0; round < 3; round++) {
		assert_int_equal(iocp_socket_receive(ends[0], in, 0, 8, 1, NULL), IOCP_OK);
		for (i = 0, before = -2; before != waits; i++) {
			assert_true(i < SOON / 100);
			before = waits;
			sleep_ms(100);
			waits = waits_of_watcher();
		}
		assert_int_equal(queued(), 0);
		assert_int_equal(iocp_socket_send_copy(ends[1], "hello", 5, 0, &done), IOCP_OK);
		for (i = 0; queued() == 0; i++) {
			assert_true(i < SOON);
			sleep_ms(1);
		}
		expect_packet(2, 5, 1, 0);
	}
	end_block(in);
	end(ends[0]);
	end(ends[1]);
	(void)state;
}

static void datagrams(void **state)
{
	iocp_socket *a = make(IOCP_INET, IOCP_DATAGRAM, 1), *b = make(IOCP_INET, IOCP_DATAGRAM, 2);
	char host[64], *in = block(IOCP_PEER + 8), *out = block(IOCP_PEER + 100);
	uint16_t number;
	assert_int_equal(iocp_socket_bind(a, "127.0.0.1", 0), IOCP_OK);
	assert_int_equal(iocp_socket_address(a, 0, host, sizeof(host), &number), IOCP_OK);
	assert_int_equal(iocp_peer_write(out, "127.0.0.1", number), IOCP_OK);
	assert_int_equal(iocp_socket_receive_from(a, in, 8, 1, NULL), IOCP_OK);
	memcpy(out + IOCP_PEER, "0123456789", 10);
	assert_int_equal(iocp_socket_send_to(b, out, 4, 2, NULL), IOCP_OK);
	expect_packet(2, 4, 2, 0);
	expect_packet(1, 4, 1, 0);
	assert_memory_equal(in + IOCP_PEER, "0123", 4);
	assert_int_equal(iocp_peer_read(in, host, sizeof(host), &number), IOCP_OK);
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(iocp_socket_send_to(b, out, 0, 2, NULL), IOCP_OK); /* an empty one */
	expect_packet(2, 0, 2, 0);
	assert_int_equal(iocp_socket_receive_from(a, in, 8, 1, NULL), IOCP_OK);
	expect_packet(1, 0, 1, 0);
	assert_int_equal(iocp_socket_send_to(b, out, 10, 2, NULL), IOCP_OK); /* cut */
	expect_packet(2, 10, 2, 0);
	assert_int_equal(iocp_socket_receive_from(a, in, 8, 1, NULL), IOCP_OK);
	expect_packet(1, 8, 1, IOCP_EMSGSIZE);
	end_block(in);
	end_block(out);
	end(a);
	end(b);
	(void)state;
}

/* ---- much at once ------------------------------------------------------------------------------------------------ */

enum { LARGE = 8 << 20, LOADED = 3000, WORKERS = 4, CONNECTIONS = 20 };

static void a_large_send_goes_on_without_a_get(void **state)
{
	iocp_socket *ends[2];
	char *out = block(LARGE), *in = block(LARGE);
	size_t i, got = 0;
	for (i = 0; i < LARGE; i++)
		out[i] = (char)(i * 7 + i / 1000);
	pair_of(ends);
	assert_int_equal(iocp_socket_send(ends[0], out, 0, LARGE, 4, NULL), IOCP_OK);
	assert_int_equal(iocp_socket_shutdown(ends[0], IOCP_SIDE_WRITE), IOCP_OK); /* behind it */
	for (;;) {
		int64_t done = 0;
		assert_int_equal(iocp_socket_receive(ends[1], in, got, LARGE - got ? LARGE - got : 1, 5, &done), IOCP_OK);
		if (done == -1) {
			iocp_packet packet = next_packet();
			if (packet.overlapped == 4)
				packet = next_packet();
			assert_int_equal(packet.code, 0);
			done = packet.bytes;
		}
		got += (size_t)done;
		if (done == 0 || got == LARGE)
			break;
	}
	assert_int_equal(got, LARGE);
	assert_memory_equal(in, out, LARGE);
	end(ends[0]);
	end(ends[1]);
	end_block(in);
	end_block(out);
	(void)state;
}

static _Atomic int served;

/* An echo worker that knows the port alone: a key is a socket's handle, an overlapped its block. */
static void *echo(void *unused)
{
	iocp_packet packet;
	while (iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_OK && packet.overlapped != 0) {
		iocp_socket *socket;
		int64_t done;
		if (packet.code != 0 || packet.bytes == 0)
			continue;
		if (iocp_socket_open(packet.key, &socket) != IOCP_OK)
			continue;
		if (iocp_socket_send(socket, (void *)packet.overlapped, 0, packet.bytes, 0, &done) == IOCP_OK && done > 0) {
			served++;
			iocp_socket_receive(socket, (void *)packet.overlapped, 0, 64, packet.overlapped, NULL);
		}
		iocp_socket_release(socket);
	}
	return unused;
}

static void many_threads_serve_many_connections(void **state)
{
	pthread_t workers[WORKERS];
	iocp_socket *ends[CONNECTIONS][2];
	iocp_port *mine;
	char *blocks[CONNECTIONS], *in = block(64);
	int i, round;
	assert_int_equal(iocp_port_create(0, &mine), IOCP_OK);
	served = 0;
	for (i = 0; i < WORKERS; i++)
		pthread_create(&workers[i], NULL, echo, NULL);
	for (i = 0; i < CONNECTIONS; i++) {
		blocks[i] = block(64);
		assert_int_equal(iocp_socket_pair(ends[i]), IOCP_OK);
		assert_int_equal(iocp_socket_associate(ends[i][0], mine, (uintptr_t)i), IOCP_OK);
		assert_int_equal(iocp_socket_associate(ends[i][1], port, (uintptr_t)iocp_socket_handle(ends[i][1])), IOCP_OK);
		assert_int_equal(iocp_socket_receive(ends[i][1], blocks[i], 0, 64, (uintptr_t)blocks[i], NULL), IOCP_OK);
	}
	for (round = 0; round < LOADED; round++) {
		iocp_packet packet;
		int64_t done;
		i = round % CONNECTIONS;
		assert_int_equal(iocp_socket_send_copy(ends[i][0], "12345678", 8, 0, &done), IOCP_OK);
		assert_int_equal(done, 8);
		assert_int_equal(iocp_socket_receive(ends[i][0], in, 0, 64, 1, NULL), IOCP_OK);
		assert_int_equal(iocp_port_dequeue(mine, &packet, SOON), IOCP_OK);
		assert_true(packet.code == 0 && packet.bytes == 8 && packet.key == (uintptr_t)i);
	}
	for (i = 0; i < WORKERS; i++)
		iocp_port_enqueue(port, 0, 0, 0);
	for (i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	assert_int_equal(served, LOADED);
	for (i = 0; i < CONNECTIONS; i++) {
		uintptr_t key = (uintptr_t)iocp_socket_handle(ends[i][1]);
		end(ends[i][1]);
		expect_packet(key, 0, (uintptr_t)blocks[i], IOCP_ECANCELED);
		end(ends[i][0]);
		end_block(blocks[i]);
	}
	end_block(in);
	iocp_port_close(mine);
	iocp_port_release(mine);
	(void)state;
}

/* A read stops short where urgent data were, which are not read: what is behind comes all the same. */
static void urgent_data(void **state)
{
	iocp_socket *ends[2];
	char *in = block(64);
	int peer;
	connect_over(IOCP_INET, "127.0.0.1", ends);
	peer = (int)iocp_socket_native(ends[0]);
	assert_int_equal(iocp_socket_receive(ends[1], in, 0, 64, 1, NULL), IOCP_OK);
	no_packet();
	assert_int_equal(send(peer, "before", 6, 0), 6);
	assert_int_equal(send(peer, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(peer, "behind", 6, 0), 6);
	expect_packet(3, 6, 1, 0);
	assert_int_equal(iocp_socket_receive(ends[1], in, 0, 64, 2, NULL), IOCP_OK);
	expect_packet(3, 6, 2, 0);
	assert_memory_equal(in, "behind", 6);
	end(ends[0]);
	end(ends[1]);
	end_block(in);
	(void)state;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(both_ways_over_inet),
		TEST(both_ways_over_inet6),
		TEST(both_ways_over_a_pair),
		TEST(at_once_without_a_packet),
		TEST(refused),
		TEST(blocks_are_busy),
		TEST(a_destroyed_heap_ends_its_operations),
		TEST(cancelled_by_overlapped),
		TEST(a_port_that_closes_ends_operations),
		TEST(an_accepted_client_is_kept),
		TEST(a_client_that_no_packet_names_goes_with_its_last_reference),
		TEST(a_listener_that_waits_is_not_waited_for),
		TEST(an_idle_port_costs_nothing),
		TEST(datagrams),
		TEST(a_large_send_goes_on_without_a_get),
		TEST(many_threads_serve_many_connections),
		TEST(urgent_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
