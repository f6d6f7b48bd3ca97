/*
** ring.c - transfers that need no thread while they wait: what is in memory already, by preadv2 and pwritev2, and a
** ring of io_uring.
**
** The ring's thread is the only one that submits, so its requests outlive the threads that asked for them. It sleeps in
** the system until something has ended; the alarm is a read of an eventfd among the requests. The queue of what has
** ended is larger than all requests together, so none is lost. Source: io_uring(7), io_uring_enter(2), readv(2).
**
** Neither files nor buffers are registered: of the processor's time for a read of 4 KiB past the system's memory, 32 in
** flight, 5.6 us, files save 0.3, buffers 0.5, both 0.8 (fio, medians of 7). Each file would have to be told to the
** ring when it is opened and closed, and a heap's memory be locked.
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif

/* ---- what is in memory ------------------------------------------------------------------------------------------- */

/* The kernel's RWF_NOWAIT. The calls by number: not every C library has them. */
enum { NOWAIT = 8 };

static ssize_t without_wait(ssize_t n)
{
	/* Older kernels, and filters of system calls, do not know the call or its flag. */
	if (n < 0 && (errno == ENOSYS || errno == EPERM))
		errno = EOPNOTSUPP;
	return n;
}

/* The calls of the C library are points where a thread may be cancelled, which costs two atomic operations and must not
** happen here. The offset goes in two halves, of which the upper one is ignored where a long holds both. */
static ssize_t at_once(long call, int descriptor, void *data, size_t size, int64_t offset)
{
	struct iovec memory = {data, size};
	return without_wait(syscall(call, descriptor, &memory, 1L, (long)offset, (long)(offset >> 32), NOWAIT));
}

/* No call leaves a direct transfer to its device: what is not to wait waits all the same. */
int iocp_prim_has_at_once(int flags)
{
	return !(flags & O_DIRECT);
}

ssize_t iocp_prim_read_at_once(int descriptor, void *data, size_t size, int64_t offset)
{
	return at_once(SYS_preadv2, descriptor, data, size, offset);
}

ssize_t iocp_prim_write_at_once(int descriptor, const void *data, size_t size, int64_t offset)
{
	return at_once(SYS_pwritev2, descriptor, (void *)(uintptr_t)data, size, offset);
}

/* ---- the ring ---------------------------------------------------------------------------------------------------- */

#ifdef IORING_FEAT_FAST_POLL /* Linux 5.7: with it came all that is used here */

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#define SYS_io_uring_register 427
#endif

enum { ENTRIES = IOCP_PRIM_RING_ROOM + 1 /* the alarm */ };

struct iocp_prim_ring {
	int ring, alarm;
	int listens;   /* the alarm is among the requests */
	uint64_t rung; /* what is read of it */
	char *queues;  /* shared with the kernel, as are the next */
	size_t queues_size;
	struct io_uring_sqe *requests;
	uint32_t filled; /* requests that were ever written: the tail, once it is published */
	_Atomic uint32_t *request_head, *request_tail, *ended_head, *ended_tail;
	uint32_t request_mask, ended_mask;
	struct io_uring_cqe *ended;
};

static _Atomic uint32_t *word_at(const iocp_prim_ring *ring, uint32_t offset)
{
	return (_Atomic uint32_t *)(void *)(ring->queues + offset);
}

static void *map(int ring, size_t size, off_t what)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);
	return memory == MAP_FAILED ? NULL : memory;
}

/* 0: there is no memory. */
static int map_queues(iocp_prim_ring *ring, const struct io_uring_params *told)
{
	size_t requests = told->sq_off.array + told->sq_entries * sizeof(uint32_t);
	size_t ended = told->cq_off.cqes + told->cq_entries * sizeof(struct io_uring_cqe);
	uint32_t *order, i;
	ring->queues_size = requests > ended ? requests : ended; /* one mapping for both */
	ring->queues = map(ring->ring, ring->queues_size, IORING_OFF_SQ_RING);
	ring->requests = map(ring->ring, ENTRIES * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	if (!ring->queues || !ring->requests)
		return 0;
	ring->request_head = word_at(ring, told->sq_off.head);
	ring->request_tail = word_at(ring, told->sq_off.tail);
	ring->ended_head = word_at(ring, told->cq_off.head);
	ring->ended_tail = word_at(ring, told->cq_off.tail);
	ring->request_mask = told->sq_entries - 1; /* both are powers of two */
	ring->ended_mask = told->cq_entries - 1;
	ring->ended = (struct io_uring_cqe *)(void *)(ring->queues + told->cq_off.cqes);
	order = (uint32_t *)(void *)(ring->queues + told->sq_off.array);
	for (i = 0; i < told->sq_entries; i++)
		order[i] = i;
	return 1;
}

/* Whether the kernel, or what stands between, does what is asked of it here. */
static int knows_requests(int ring)
{
	static const int needed[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC};
	enum { ALL = 256 };
	struct io_uring_probe *probe = calloc(1, sizeof(*probe) + ALL * sizeof(probe->ops[0]));
	size_t i;
	int knows = probe && syscall(SYS_io_uring_enter, ring, 0, 0, 0, NULL, (size_t)0) == 0
				&& syscall(SYS_io_uring_register, ring, IORING_REGISTER_PROBE, probe, ALL) == 0;
	for (i = 0; knows && i < sizeof(needed) / sizeof(needed[0]); i++)
		knows = needed[i] <= probe->last_op && (probe->ops[needed[i]].flags & IO_URING_OP_SUPPORTED);
	free(probe);
	return knows;
}

iocp_prim_ring *iocp_prim_ring_open(void)
{
	const uint32_t needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL;
	const char *refused = getenv("IOCP_NO_URING");
	struct io_uring_params told;
	iocp_prim_ring *ring = refused && strcmp(refused, "1") == 0 ? NULL : calloc(1, sizeof(*ring));
	if (!ring)
		return NULL;
	memset(&told, 0, sizeof(told));
	ring->alarm = -1;
	ring->ring = (int)syscall(SYS_io_uring_setup, ENTRIES, &told); /* close-on-exec */
	if (ring->ring >= 0)
		ring->alarm = eventfd(0, EFD_CLOEXEC);
	if (ring->alarm >= 0 && (told.features & needed) == needed && told.sq_entries == ENTRIES
		&& knows_requests(ring->ring) && map_queues(ring, &told))
		return ring;
	iocp_prim_ring_close(ring);
	return NULL;
}

void iocp_prim_ring_close(iocp_prim_ring *ring)
{
	if (ring->queues)
		munmap(ring->queues, ring->queues_size);
	if (ring->requests)
		munmap(ring->requests, ENTRIES * sizeof(struct io_uring_sqe));
	if (ring->alarm >= 0)
		close(ring->alarm);
	if (ring->ring >= 0)
		close(ring->ring);
	free(ring);
}

static void add(
	iocp_prim_ring *ring, int operation, int descriptor, void *data, size_t size, uint64_t offset, const void *name)
{
	struct io_uring_sqe *request = &ring->requests[ring->filled & ring->request_mask];
	memset(request, 0, sizeof(*request));
	request->opcode = (uint8_t)operation;
	request->fd = descriptor;
	request->addr = (uintptr_t)data;
	request->len = (uint32_t)size;
	request->off = offset;
	request->user_data = (uintptr_t)name;
	if (operation == IORING_OP_FSYNC)
		request->fsync_flags = IORING_FSYNC_DATASYNC;
	ring->filled++;
}

void iocp_prim_ring_add(iocp_prim_ring *ring, const iocp_prim_transfer *transfer)
{
	static const int operations[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC};
	if (transfer->action == IOCP_PRIM_FDATASYNC)
		add(ring, IORING_OP_FSYNC, transfer->descriptor, NULL, 0, 0, transfer->name);
	else
		add(ring, operations[transfer->action], transfer->descriptor, transfer->data, transfer->size, transfer->offset,
			transfer->name);
}

/* Takes those that have ended. *rung: the alarm was among them. */
static size_t take_ended(iocp_prim_ring *ring, iocp_prim_transferred *ended, size_t max, int *rung)
{
	/* Acquire: pairs with the kernel's release, so that what it wrote is seen. The head is ours alone. */
	uint32_t tail = atomic_load_explicit(ring->ended_tail, memory_order_acquire);
	uint32_t head = atomic_load_explicit(ring->ended_head, memory_order_relaxed);
	size_t count = 0;
	for (; head != tail && count < max; head++) {
		const struct io_uring_cqe *one = &ring->ended[head & ring->ended_mask];
		if (one->user_data == 0)
			*rung = 1;
		else
			ended[count++] = (iocp_prim_transferred){(void *)(uintptr_t)one->user_data, one->res};
	}
	/* Release: the kernel writes there again only after we have read. */
	atomic_store_explicit(ring->ended_head, head, memory_order_release);
	if (*rung)
		ring->listens = 0;
	return count;
}

/* Submits what was added, and waits for the first that ends if none has. Whatever the call fails with (a signal, no
** memory for the moment) is over the next time. */
static void enter(iocp_prim_ring *ring)
{
	uint32_t fresh, wait;
	if (!ring->listens)
		add(ring, IORING_OP_READ, ring->alarm, &ring->rung, sizeof(ring->rung), UINT64_MAX, NULL);
	ring->listens = 1;
	/* Release: the kernel sees the requests whole. Acquire: the head is what it has taken of them. The other two: as in
	** take_ended, which reads what is found here. */
	atomic_store_explicit(ring->request_tail, ring->filled, memory_order_release);
	fresh = ring->filled - atomic_load_explicit(ring->request_head, memory_order_acquire);
	wait = atomic_load_explicit(ring->ended_head, memory_order_relaxed)
		   == atomic_load_explicit(ring->ended_tail, memory_order_relaxed);
	if ((fresh || wait)
		&& syscall(SYS_io_uring_enter, ring->ring, fresh, wait, IORING_ENTER_GETEVENTS, NULL, (size_t)0) < 0)
		iocp_prim_yield();
}

size_t iocp_prim_ring_wait(iocp_prim_ring *ring, iocp_prim_transferred *ended, size_t max)
{
	int rung = 0;
	size_t count;
	do {
		enter(ring);
		count = take_ended(ring, ended, max, &rung);
	} while (count == 0 && !rung);
	return count;
}

void iocp_prim_ring_alarm(iocp_prim_ring *ring)
{
	const uint64_t one = 1;
	ssize_t written = write(ring->alarm, &one, sizeof(one)); /* is read long before it is full */
	(void)written;
}

#else

iocp_prim_ring *iocp_prim_ring_open(void)
{
	return NULL;
}

void iocp_prim_ring_close(iocp_prim_ring *ring)
{
	(void)ring;
}

void iocp_prim_ring_add(iocp_prim_ring *ring, const iocp_prim_transfer *transfer)
{
	(void)ring, (void)transfer;
}

size_t iocp_prim_ring_wait(iocp_prim_ring *ring, iocp_prim_transferred *ended, size_t max)
{
	(void)ring, (void)ended, (void)max;
	return 0;
}

void iocp_prim_ring_alarm(iocp_prim_ring *ring)
{
	(void)ring;
}

#endif
