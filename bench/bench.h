/*
** bench.h - what the files of the benchmark in C share.
**
** Each workload runs over one of two queues: the port of iocp.h (`ours`), or the yardstick of yardstick.c; and
** allocates from one of two heaps: ours, or malloc. So both sides run the same loops.
*/

#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/atomic.h"
#include "iocp.h"

enum { BLOCK = 48, LARGEST_BATCH = 4096 };

/* ---- main.c ------------------------------------------------------------------------------------------------------ */

extern iocp_port *port;
extern iocp_heap *heap;
extern int ours;
extern int spins;        /* whether the port's threads spin, which is for its workloads to set */
extern size_t parameter; /* the workload's third argument, 0 if left out */

/* The seconds between the two are what the program prints. stop returns main's result. */
void start(void);
int stop(void);
/* The halves of stop. */
double elapsed(void);
int print_seconds(double seconds);
void *or_die(void *memory);

void push(uintptr_t key);
void push_many(const uintptr_t *keys, size_t count);
uintptr_t pop(void);
/* Waits for the first of up to `max`. */
size_t pop_many(uintptr_t *keys, size_t max);
size_t queued(void);
/* How many threads wait in a pop. */
size_t waiting(void);

void *allocate(size_t size);
void release(void *block);
/* What the process has in memory, bytes. */
size_t resident(void);

/* ---- yardstick.c ------------------------------------------------------------------------------------------------- */

void deque_push_many(const uintptr_t *keys, size_t count);
size_t deque_pop_many(uintptr_t *keys, size_t max);
size_t deque_count(void);
size_t deque_waiting(void);

/* ---- workloads: each takes how many items, and prints ------------------------------------------------------------ */

/* port.c */
int run_keys(size_t count);
int run_batches(size_t count);
int run_article(size_t count);
int run_strings(size_t count);
int run_pair(size_t count);
int run_depth(size_t count);
int run_backlog_in(size_t count);
int run_backlog_out(size_t count);
int run_packet_bytes(size_t count);
int run_idle(size_t milliseconds);
int run_trickle(size_t rate);

/* pingpong.c */
int run_ping_pong(size_t count);
int run_ping_pong_on_futexes(size_t count);
int run_ping_pong_on_words(size_t count);

/* heap.c */
int run_pairs(size_t count);
int run_across(size_t count);
int run_destroy(size_t count);
int run_create(size_t count);
int run_footprint(size_t count);

#endif
