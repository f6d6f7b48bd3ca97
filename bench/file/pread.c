/*
** pread.c - the yardstick: calls of the system that wait, in one thread. It also makes the files.
**
** Workload `prepare` makes what is not there. The mode of `cached` may be `nowait`: the call that says what is not in
** memory instead of waiting for it, as a read through the port has to begin.
*/

#define _GNU_SOURCE
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/net.h"

static int open_file(const char *path)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	or_die(descriptor >= 0, path);
	return descriptor;
}

static void read_at(int descriptor, void *to, size_t size, uint64_t offset)
{
	or_die(pread(descriptor, to, size, (off_t)offset) == (ssize_t)size, "pread");
}

static size_t run_cached(const char *mode)
{
	int nowait = strcmp(mode, "nowait") == 0, descriptor = open_file(DATA);
	struct iovec to = {allocate(SMALL), SMALL};
	size_t i;
	for (i = 0; i < READS; i++)
		if (nowait)
			or_die(preadv2(descriptor, &to, 1, (off_t)place_of(i), RWF_NOWAIT) == SMALL, "preadv2");
		else
			read_at(descriptor, to.iov_base, SMALL, place_of(i));
	return READS;
}

static size_t run_random(const char *mode)
{
	int descriptor = open_device();
	void *to = aligned_alloc(SMALL, SMALL);
	size_t i;
	(void)mode;
	for (i = 0; i < (size_t)BATCHES * IN_FLIGHT; i++)
		read_at(descriptor, to, SMALL, any_place());
	return BATCHES;
}

static size_t run_files(const char *mode)
{
	void *to = allocate(FILE_SIZE);
	size_t i;
	(void)mode;
	for (i = 0; i < (size_t)ROUNDS * FILES; i++) {
		int descriptor = open_file(path_of(i % FILES));
		read_at(descriptor, to, FILE_SIZE, 0);
		close(descriptor);
	}
	return ROUNDS * FILES;
}

static size_t read_all(int descriptor)
{
	void *to = aligned_alloc(SMALL, PART);
	size_t i;
	for (i = 0; i < PARTS; i++)
		read_at(descriptor, to, PART, (uint64_t)i * PART);
	return 1;
}

static size_t run_device(const char *mode)
{
	(void)mode;
	return read_all(open_device());
}

static size_t run_memory(const char *mode)
{
	(void)mode;
	return read_all(open_file(DATA));
}

static void make_file(const char *path, uint64_t size, size_t part)
{
	char *text = allocate(part);
	struct stat told;
	int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	uint64_t at;
	or_die(descriptor >= 0 && fstat(descriptor, &told) == 0, path);
	for (at = (uint64_t)told.st_size == size ? size : 0; at < size; at += part) {
		memset(text, 'a' + (int)(at / part % 26), part);
		or_die(pwrite(descriptor, text, part, (off_t)at) == (ssize_t)part, "pwrite");
	}
	or_die(fsync(descriptor) == 0 && close(descriptor) == 0, "fsync");
	free(text);
}

static size_t run_prepare(const char *mode)
{
	size_t i;
	(void)mode;
	or_die(mkdir(FILE_PATH, 0777) == 0 || errno == EEXIST, FILE_PATH);
	for (i = 0; i < FILES; i++)
		make_file(path_of(i), FILE_SIZE, FILE_SIZE);
	make_file(DATA, SIZE, PART);
	return 1;
}

int main(int argc, char **argv)
{
	static const workload workloads[] = {{"cached", run_cached}, {"random", run_random}, {"files", run_files},
		{"device", run_device}, {"memory", run_memory}, {"prepare", run_prepare}, {NULL, NULL}};
	return run_workload(workloads, argc, argv);
}
