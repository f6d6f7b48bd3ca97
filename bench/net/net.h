/*
** net.h - what the programs here share. Each server's arguments are THREADS BUFFER PORT: how many threads serve, how
** many bytes they receive at once, and where, on 127.0.0.1.
*/

#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* ---- net.c ------------------------------------------------------------------------------------------------------- */

typedef struct arguments {
	int threads;
	size_t buffer;
	uint16_t port;
} arguments;

/* The program ends, and says what failed and errno's text, unless it is good. */
void or_die(int good, const char *what);
void *allocate(size_t size);
arguments server_arguments(int argc, char **argv);
/* 127.0.0.`last`, at the port. */
struct sockaddr_in loopback(int last, uint16_t port);
/* A socket that listens, with SOCK_* in flags; `shared`: others listen at the same port, and the system chooses. */
int listen_at(uint16_t port, int flags, int shared);
/* What is sent is not held back for what was sent before. */
void set_nodelay(int descriptor);
/* Runs it in `count` threads, of which the caller is one. */
void run_threads(int count, void *(*run)(void *), void *argument);
double seconds_now(void);

/* ---- child.c: the server that is measured ------------------------------------------------------------------------ */

enum { THREADS_TOLD = 64 }; /* of so many of the server's threads it is known what each used */

typedef struct usage {
	double at;                 /* the time, s */
	double cpu, user;          /* processor time of the server's process, s; the part outside the system, roughly */
	double busiest;            /* of usage_since: the share of the thread that used most, among those that serve */
	long switches, own;        /* how often its threads, or this program's, waited */
	double each[THREADS_TOLD]; /* s */
	long identifiers[THREADS_TOLD];
	int threads;
} usage;

/* Starts the command, which serves at a port that is chosen here, its last argument, and waits until it does. It ends
** with this program. Returns the port. */
uint16_t start_server(char **command);
/* The server is to be idle: what runs is told with the next tick of the clock. */
usage usage_now(void);
usage usage_since(const usage *before);
/* Bytes of memory that the server's process has for itself. */
double memory_of_server(void);

#endif
