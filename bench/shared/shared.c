/*
** What bench/shared.lua is measured beside, in C: over iocp.h, and by what C11 has itself.
** shared WORKLOAD prints "time" and "cpu", nanoseconds of one operation: elapsed time, and that of all processors, by
** all operations of all threads.
*/

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iocp.h"

enum { ADDS = 20000000, SIZE = 512, MOST_THREADS = 2 };

static iocp_atomic *counter;
static _Alignas(64) _Atomic int64_t bare;

static double begun, cpu_begun; /* ns */

static double cpu(void)
{
	return (double)clock() * (1e9 / CLOCKS_PER_SEC);
}

static void start(void)
{
	begun = iocp_clock() * 1e6;
	cpu_begun = cpu();
}

static void tell(double operations)
{
	double used = cpu() - cpu_begun;
	printf("time %g cpu %g\n", (iocp_clock() * 1e6 - begun) / operations, used / operations);
}

/* ---- atomics ----------------------------------------------------------------------------------------------------- */

static void *add_over_iocp(void *unused)
{
	int i;
	(void)unused;
	for (i = 0; i < ADDS; i++)
		iocp_atomic_add(counter, 1);
	return NULL;
}

static void *add_bare(void *unused)
{
	int i;
	(void)unused;
	for (i = 0; i < ADDS; i++)
		atomic_fetch_add_explicit(&bare, 1, memory_order_seq_cst); /* lock xadd */
	return NULL;
}

static void adds(void *(*body)(void *), int threads)
{
	pthread_t thread[MOST_THREADS];
	int i;
	if (iocp_atomic_create(0, &counter) != IOCP_OK)
		exit(1);
	start();
	for (i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, body, NULL))
			exit(1);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	tell((double)ADDS * threads);
}

/* ---- a product of matrices --------------------------------------------------------------------------------------- */

/* As in shared.lua: b lies column by column. */
static void matrix(void)
{
	double *a = malloc(sizeof(double) * SIZE * SIZE), *b = malloc(sizeof(double) * SIZE * SIZE);
	double *c = malloc(sizeof(double) * SIZE * SIZE);
	int i, j, k;
	if (!a || !b || !c)
		exit(1);
	for (i = 0; i < SIZE * SIZE; i++) {
		a[i] = (i % 7 - 3) / 2.0;
		b[i] = (i % 5 - 2) / 4.0;
	}
	start();
	for (i = 0; i < SIZE; i++) {
		for (j = 0; j < SIZE; j++) {
			const double *x = a + (size_t)i * SIZE, *y = b + (size_t)j * SIZE;
			double sum = 0;
			for (k = 0; k < SIZE; k++)
				sum += x[k] * y[k];
			c[i * SIZE + j] = sum;
		}
	}
	tell((double)SIZE * SIZE * SIZE);
	fprintf(stderr, "%g\n", c[SIZE * SIZE - 1]);
	free(a);
	free(b);
	free(c);
}

int main(int count, char **arguments)
{
	const char *workload = count > 1 ? arguments[1] : "";
	if (strcmp(workload, "add") == 0)
		adds(add_over_iocp, 1);
	else if (strcmp(workload, "add-bare") == 0)
		adds(add_bare, 1);
	else if (strcmp(workload, "contended") == 0)
		adds(add_over_iocp, 2);
	else if (strcmp(workload, "contended-bare") == 0)
		adds(add_bare, 2);
	else if (strcmp(workload, "matrix") == 0)
		matrix();
	else
		return 2;
	return 0;
}
