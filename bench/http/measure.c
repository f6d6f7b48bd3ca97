/*
** measure.c - what a server used while a client asked it.
**
** Usage: measure "CLIENT" SERVER...: starts the server, which is given the port as its last argument, runs the client,
** a shell's command in which PORT is put in place of every %s, twice, of which the first warms up, and prints what the
** client printed, then lines of a name and a number each: used, the processor time of the server and its children, s;
** memory, bytes that they have for themselves.
*/

#define _GNU_SOURCE
#include "../net/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The client's command with the port in it. */
static char *command_for(const char *format, unsigned port)
{
	size_t size = strlen(format) * 4 + 1;
	char *command = allocate(size), *at = command;
	const char *from = format, *next;
	while ((next = strstr(from, "%s")) != NULL) {
		at += snprintf(at, size - (size_t)(at - command), "%.*s%u", (int)(next - from), from, port);
		from = next + 2;
	}
	snprintf(at, size - (size_t)(at - command), "%s", from);
	return command;
}

static void run_client(const char *command, int is_shown)
{
	char line[512];
	FILE *pipe = popen(command, "re");
	or_die(pipe != NULL, command);
	while (fgets(line, sizeof(line), pipe))
		if (is_shown)
			fputs(line, stdout);
	if (pclose(pipe) != 0) {
		fprintf(stderr, "%s failed\n", command);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	usage before;
	char *client;
	if (argc < 3) {
		fprintf(stderr, "usage: %s CLIENT SERVER...\n", argv[0]);
		return 2;
	}
	client = command_for(argv[1], start_server(argv + 2));
	run_client(client, 0);
	before = usage_now();
	run_client(client, 1);
	before = usage_since(&before);
	printf("used %.6f\nmemory %.0f\n", before.cpu, memory_of_server());
	return 0;
}
