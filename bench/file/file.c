/*
** file.c - how a workload is chosen and measured, and where it reads.
*/

#define _GNU_SOURCE
#include "file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "net/net.h"

static double cpu_now(void)
{
	struct rusage used;
	or_die(getrusage(RUSAGE_SELF, &used) == 0, "getrusage");
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
		   + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int run_workload(const workload *workloads, int argc, char **argv)
{
	for (; workloads->name; workloads++) {
		if (argc >= 2 && strcmp(workloads->name, argv[1]) == 0) {
			double began = seconds_now(), cpu = cpu_now();
			double count = (double)workloads->run(argc > 2 ? argv[2] : "");
			printf("time %.4f cpu %.4f\n", (seconds_now() - began) * 1e6 / count, (cpu_now() - cpu) * 1e6 / count);
			return 0;
		}
	}
	fprintf(stderr, "usage: %s WORKLOAD [MODE], see bench/file/file.h\n", argv[0]);
	return 2;
}

uint64_t place_of(size_t i)
{
	return i % CACHED * SMALL;
}

/* Source: Marsaglia, "Xorshift RNGs", 2003. */
uint64_t any_place(void)
{
	static uint64_t state;
	if (state == 0)
		state = (uint64_t)(seconds_now() * 1e9) | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % (SIZE / SMALL) * SMALL;
}

const char *path_of(size_t i)
{
	static char path[sizeof(FILE_PATH) + 20];
	snprintf(path, sizeof(path), FILE_PATH "%zu", i);
	return path;
}

int open_device(void)
{
	int descriptor = open(DATA, O_RDONLY | O_DIRECT | O_CLOEXEC);
	or_die(descriptor >= 0, "open with O_DIRECT");
	return descriptor;
}
