/*
** iocp.c - the same over iocp.h, in one thread. The mode of `cached` and `files`: `packet`, where each read sends one,
** also if it is done at once.
*/

#include "file.h"

#include <stdlib.h>
#include <string.h>

#include "iocp.h"
#include "net/net.h"

static iocp_port *port;
static iocp_heap *heap;

static void need(int r)
{
	or_die(r == IOCP_OK, "iocp");
}

static void *block_of(size_t size)
{
	void *block;
	need(iocp_heap_alloc(heap, size, 0, &block));
	return block;
}

static iocp_file *associated(iocp_file *file)
{
	need(iocp_file_associate(file, port, 1));
	return file;
}

static iocp_file *open_file(const char *path)
{
	iocp_file *file;
	need(iocp_file_create(path, IOCP_FILE_READ, &file));
	return associated(file);
}

static iocp_file *adopt_device(void)
{
	iocp_file *file;
	need(iocp_file_adopt((uintptr_t)open_device(), &file));
	return associated(file);
}

/* Begins a read that ends with a packet. */
static void begin(iocp_file *file, void *block, size_t size, uint64_t offset)
{
	need(iocp_file_read(file, block, 0, size, offset, (uintptr_t)block, NULL));
}

/* Takes the packet of a read; its block. */
static void *end(size_t size)
{
	iocp_packet packet;
	need(iocp_port_dequeue(port, &packet, IOCP_INFINITE));
	or_die(packet.code == IOCP_OK && packet.bytes == size, "read");
	return (void *)packet.overlapped;
}

static void read_one(iocp_file *file, void *block, size_t size, uint64_t offset, int sends)
{
	int64_t done = -1;
	if (sends)
		begin(file, block, size, offset);
	else
		need(iocp_file_read(file, block, 0, size, offset, (uintptr_t)block, &done));
	if (done < 0)
		end(size);
	else
		or_die((size_t)done == size, "read");
}

static int sends(const char *mode)
{
	return strcmp(mode, "packet") == 0;
}

static size_t run_cached(const char *mode)
{
	iocp_file *file = open_file(DATA);
	void *block = block_of(SMALL);
	size_t i;
	for (i = 0; i < READS; i++)
		read_one(file, block, SMALL, place_of(i), sends(mode));
	return READS;
}

static size_t run_random(const char *mode)
{
	iocp_file *file = adopt_device();
	void *blocks[IN_FLIGHT];
	size_t i, batch;
	(void)mode;
	for (i = 0; i < IN_FLIGHT; i++)
		blocks[i] = block_of(FILE_SIZE); /* the heap begins those at multiples of that */
	for (batch = 0; batch < BATCHES; batch++) {
		for (i = 0; i < IN_FLIGHT; i++)
			begin(file, blocks[i], SMALL, any_place());
		for (i = 0; i < IN_FLIGHT; i++)
			(void)end(SMALL);
	}
	return BATCHES;
}

static size_t run_files(const char *mode)
{
	void *block = block_of(FILE_SIZE);
	size_t i;
	for (i = 0; i < (size_t)ROUNDS * FILES; i++) {
		iocp_file *file = open_file(path_of(i % FILES));
		read_one(file, block, FILE_SIZE, 0, sends(mode));
		need(iocp_file_close(file));
		iocp_file_release(file);
	}
	return ROUNDS * FILES;
}

static size_t read_all(iocp_file *file)
{
	size_t begun, ended;
	for (begun = 0; begun < PARTS_IN_FLIGHT; begun++)
		begin(file, block_of(PART), PART, (uint64_t)begun * PART);
	for (ended = 0; ended < PARTS; ended++) {
		void *block = end(PART);
		if (begun < PARTS)
			begin(file, block, PART, (uint64_t)begun++ * PART);
	}
	return 1;
}

static size_t run_device(const char *mode)
{
	(void)mode;
	return read_all(adopt_device());
}

static size_t run_memory(const char *mode)
{
	(void)mode;
	return read_all(open_file(DATA));
}

int main(int argc, char **argv)
{
	static const workload workloads[] = {{"cached", run_cached}, {"random", run_random}, {"files", run_files},
		{"device", run_device}, {"memory", run_memory}, {NULL, NULL}};
	need(iocp_port_create(0, &port));
	need(iocp_heap_create(0, 0, &heap));
	return run_workload(workloads, argc, argv);
}
