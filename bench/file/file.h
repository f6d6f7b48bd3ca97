/*
** file.h - what the programs here share. Each is run as PROGRAM WORKLOAD [MODE], in the folder of the sources, and
** prints what an operation of the workload took: `time`, and the process' processor time, `cpu`, us.
**
**   cached    READS reads of SMALL bytes from what is in memory, one after the other
**   random    BATCHES times IN_FLIGHT reads of SMALL bytes from anywhere on the device; what they took
**   files     FILES files of FILE_SIZE bytes are opened, read and closed, ROUNDS times; what each took
**   device    all of the large file from the device, PART bytes at a time
**   memory    the same from memory
*/

#ifndef BENCH_FILE_H
#define BENCH_FILE_H

#include <stddef.h>
#include <stdint.h>

#define DATA "build/file/data"        /* SIZE bytes */
#define FILE_PATH "build/file/small/" /* its number is behind that */

enum {
	READS = 200000,
	SMALL = 4096,
	CACHED = 1024, /* reads of `cached` are of so many places, at the beginning */
	BATCHES = 64,
	IN_FLIGHT = 32,
	FILES = 1000,
	FILE_SIZE = 16384,
	ROUNDS = 5,
	PART = 256 * 1024,
	PARTS = 4096, /* of the large file */
	PARTS_IN_FLIGHT = 4
};

#define SIZE ((uint64_t)PARTS * PART)

/* The workload's function: runs it, and returns how many operations it has done. */
typedef struct workload {
	const char *name;
	size_t (*run)(const char *mode);
} workload;

/* What main is to do with a list that ends with NULL. */
int run_workload(const workload *workloads, int argc, char **argv);
/* Where read i of `cached` begins. */
uint64_t place_of(size_t i);
/* Where a read of `random` begins: another place each time, also in each run. */
uint64_t any_place(void);
/* The path of small file i, in memory that the next call uses again. */
const char *path_of(size_t i);
/* The large file, opened past the system's memory. */
int open_device(void);

#endif
