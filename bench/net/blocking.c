/*
** blocking.c - an echo server with a thread for each connection, which reads and writes: the shortest way there is from
** one message to the next.
*/

#define _GNU_SOURCE
#include "net.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static arguments given;

static int send_all(int descriptor, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(descriptor, data, size, MSG_NOSIGNAL);
		if (n < 0)
			return 0;
		data += n;
		size -= (size_t)n;
	}
	return 1;
}

static void *serve(void *argument)
{
	char *buffer = allocate(given.buffer);
	int descriptor = (int)(intptr_t)argument;
	ssize_t n;
	while ((n = recv(descriptor, buffer, given.buffer, 0)) > 0)
		if (!send_all(descriptor, buffer, (size_t)n))
			break;
	close(descriptor);
	free(buffer);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener, descriptor;
	given = server_arguments(argc, argv);
	listener = listen_at(given.port, 0, 0);
	while ((descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_t thread;
		set_nodelay(descriptor);
		or_die(pthread_create(&thread, NULL, serve, (void *)(intptr_t)descriptor) == 0, "pthread_create");
		pthread_detach(thread);
	}
	or_die(0, "accept4");
	return 0;
}
