/*
** transfer.c - who does the transfers that would wait: the system by itself where it has a ring for that, else up to
** THREADS threads of the library, which also do what the ring refuses.
**
** Ownership: an operation is on one of the two queues, where a cancel finds it, or it belongs to the thread that took
** it off. The threads need nothing from who started them. Those without work end after LINGER; the ring's stays.
**
** Locking: `lock` guards the queues and the counts. The system is called outside of it.
*/

#include "core/features.h"

#include "native/transfer.h"

#include <errno.h>
#include <unistd.h>

#include "core/os.h"
#include "native/poll.h"

enum {
	THREADS = 16,
	LINGER = 5000 /* ms without anything to do after which a thread ends */
};

static iocp_lock lock;
static iocp_operations for_threads, for_ring;
static uint32_t queued, threads, idle; /* queued: for the threads */
static _Atomic uint32_t bell;          /* futex: changes when something is queued for the threads */
static iocp_prim_ring *ring;           /* fixed by `look_for_ring`; NULL: there is none */
static int ring_sleeps;                /* its thread is to be told what is queued for it */
static iocp_operations refused;        /* that nobody does, with the number in their code */
static int refusing;                   /* somebody tells their files */

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static size_t left_of(const iocp_operation *operation)
{
	return operation->size - operation->packet.bytes;
}

/* A part of it is done. Whether that was the last, since it is whole or the file has ended. */
static int moved(iocp_operation *operation, size_t bytes)
{
	operation->packet.bytes += (uint32_t)bytes;
	operation->data += bytes;
	operation->of.transfer.offset += bytes;
	return bytes == 0 || left_of(operation) == 0;
}

/* What has come of an operation's last part: IOCP_DONE, a number, or IOCP_MORE. */
static int outcome_of(iocp_operation *operation, int64_t result)
{
	if (result == -EINTR)
		return IOCP_MORE;
	if (result < 0)
		return iocp_number_of((int)-result);
	if (!moved(operation, (size_t)result))
		return IOCP_MORE;
	/* A device that takes nothing, and does not say why. */
	return operation->kind == IOCP_WRITE && left_of(operation) ? IOCP_ENOSPC : IOCP_DONE;
}

/* It has ended, with this number or 0. No lock is held. */
static void end(iocp_operation *operation, int number)
{
	((iocp_source *)operation->of.transfer.of)->calls->transferred(operation, number);
}

/* ---- what nobody does -------------------------------------------------------------------------------------------- */

/* The operation ends with this number. Its file may come with the next in turn, which is refused too: by who tells the
** first, so that a long row of them takes no stack. */
static void refuse(iocp_operation *operation, int number)
{
	int others;
	operation->packet.code = number;
	iocp_lock_acquire(&lock);
	iocp_operations_append(&refused, operation);
	others = refusing;
	refusing = 1;
	while (!others && (operation = refused.first)) {
		iocp_operations_remove_first(&refused);
		iocp_lock_release(&lock);
		end(operation, operation->packet.code);
		iocp_lock_acquire(&lock);
	}
	if (!others)
		refusing = 0;
	iocp_lock_release(&lock);
}

static void refuse_all(iocp_operations *operations, int number)
{
	iocp_operation *operation;
	while ((operation = operations->first)) {
		iocp_operations_remove_first(operations);
		refuse(operation, number);
	}
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static int64_t do_part(const iocp_operation *operation)
{
	int descriptor = operation->of.transfer.descriptor;
	off_t offset = (off_t)operation->of.transfer.offset;
	ssize_t n;
	if (operation->kind == IOCP_READ)
		n = pread(descriptor, operation->data, left_of(operation), offset);
	else if (operation->kind == IOCP_WRITE)
		n = pwrite(descriptor, operation->data, left_of(operation), offset);
	else
		n = iocp_prim_sync(descriptor);
	return n < 0 ? -errno : n;
}

static void do_all(iocp_operation *operation)
{
	int outcome;
	do
		outcome = outcome_of(operation, do_part(operation));
	while (outcome == IOCP_MORE);
	end(operation, outcome);
}

/* Waits for work. NULL: there was none for long, and the thread is no longer counted. */
static iocp_operation *next_for_thread(void)
{
	int64_t deadline = iocp_deadline(LINGER);
	iocp_operation *operation;
	int r = 0;
	iocp_lock_acquire(&lock);
	while (!for_threads.first && r != ETIMEDOUT) {
		uint32_t seen = atomic_load_explicit(&bell, memory_order_relaxed); /* changed under the lock */
		idle++;
		iocp_lock_release(&lock);
		r = iocp_prim_wait(&bell, seen, deadline);
		iocp_lock_acquire(&lock);
		idle--;
	}
	operation = for_threads.first;
	if (operation) {
		iocp_operations_remove_first(&for_threads);
		queued--;
	} else {
		threads--;
	}
	iocp_lock_release(&lock);
	return operation;
}

static void *work(void *argument)
{
	iocp_operation *operation;
	iocp_prim_name_thread("iocp file");
	while ((operation = next_for_thread()))
		do_all(operation);
	return argument;
}

/* No thread could be started, with this code. If there is none at all, nobody would come to what is queued. */
static void start_failed(int code)
{
	iocp_operations left = {NULL, NULL};
	iocp_lock_acquire(&lock);
	if (--threads == 0) {
		(void)iocp_operations_take(&for_threads, NULL, NULL, &left);
		queued = 0;
	}
	iocp_lock_release(&lock);
	refuse_all(&left, iocp_number_of(code));
}

/* Appends it, unless its heap has been destroyed. */
static int append(iocp_operations *operations, iocp_operation *operation)
{
	if (iocp_operation_lost_heap(operation))
		return 0;
	iocp_operations_append(operations, operation);
	return 1;
}

static void give_to_threads(iocp_operation *operation)
{
	int kept, fresh = 0, r = 0;
	iocp_lock_acquire(&lock);
	kept = append(&for_threads, operation);
	if (kept) {
		queued++;
		fresh = queued > idle && threads < THREADS;
		threads += (uint32_t)fresh;
		atomic_fetch_add_explicit(&bell, 1, memory_order_relaxed); /* under the lock */
	}
	iocp_lock_release(&lock);
	if (!kept)
		refuse(operation, IOCP_ECANCELED);
	else if (!fresh)
		iocp_prim_wake(&bell);
	else if ((r = iocp_start_detached(work)) != 0)
		start_failed(r);
}

/* ---- the ring's thread ------------------------------------------------------------------------------------------- */

static void give_to_ring(iocp_operation *operation)
{
	int kept, sleeps;
	iocp_lock_acquire(&lock);
	kept = append(&for_ring, operation);
	sleeps = kept && ring_sleeps;
	if (sleeps)
		ring_sleeps = 0;
	iocp_lock_release(&lock);
	if (!kept)
		refuse(operation, IOCP_ECANCELED);
	else if (sleeps)
		iocp_prim_ring_alarm(ring);
}

static void add_to_ring(iocp_operation *operation)
{
	iocp_prim_transfer transfer = {
		.action = operation->kind == IOCP_READ    ? IOCP_PRIM_PREAD
				  : operation->kind == IOCP_WRITE ? IOCP_PRIM_PWRITE
												  : IOCP_PRIM_FDATASYNC,
		.descriptor = operation->of.transfer.descriptor,
		.data = operation->data,
		.size = left_of(operation),
		.offset = operation->of.transfer.offset,
		.name = operation,
	};
	iocp_prim_ring_add(ring, &transfer);
}

/* Fills the ring, in which `inside` are. Returns how many are then. */
static size_t fill_ring(size_t inside)
{
	iocp_operations taken = {NULL, NULL};
	iocp_operation *operation;
	iocp_lock_acquire(&lock);
	while (for_ring.first && inside < IOCP_PRIM_RING_ROOM) {
		operation = for_ring.first;
		iocp_operations_remove_first(&for_ring);
		iocp_operations_append(&taken, operation);
		inside++;
	}
	ring_sleeps = inside < IOCP_PRIM_RING_ROOM; /* else what ends wakes it */
	iocp_lock_release(&lock);
	while ((operation = taken.first)) {
		iocp_operations_remove_first(&taken);
		add_to_ring(operation);
	}
	return inside;
}

/* A part of the operation has ended. Whether the operation has left the ring. */
static int end_in_ring(iocp_operation *operation, int64_t result)
{
	int outcome;
	if (result == -EAGAIN || result == -EOPNOTSUPP) {
		give_to_threads(operation); /* some files do nothing without a thread */
		return 1;
	}
	outcome = outcome_of(operation, result);
	if (outcome == IOCP_MORE)
		add_to_ring(operation);
	else
		end(operation, outcome);
	return outcome != IOCP_MORE;
}

static void *run_ring(void *argument)
{
	iocp_prim_transferred ended[IOCP_PRIM_RING_ROOM];
	size_t inside = 0;
	iocp_prim_name_thread("iocp ring");
	for (;;) {
		size_t i, count;
		inside = fill_ring(inside);
		count = iocp_prim_ring_wait(ring, ended, IOCP_PRIM_RING_ROOM);
		for (i = 0; i < count; i++)
			inside -= (size_t)end_in_ring(ended[i].name, ended[i].result);
	}
	return argument;
}

static void look_for_ring(void)
{
	ring = iocp_prim_ring_open();
	if (ring && iocp_start_detached(run_ring) != 0) {
		iocp_prim_ring_close(ring);
		ring = NULL;
	}
}

/* ---- asked for --------------------------------------------------------------------------------------------------- */

void iocp_transfer_begin(iocp_operation *operation)
{
	static pthread_once_t looked = PTHREAD_ONCE_INIT; /* what it writes happens-before its return to everybody */
	pthread_once(&looked, look_for_ring);
	if (ring)
		give_to_ring(operation);
	else
		give_to_threads(operation);
}

static int is_meant(const iocp_operation *operation, const void *with)
{
	const iocp_transfers *which = with;
	return operation->of.transfer.of == which->of
		   && (!which->overlapped || iocp_operation_has_overlapped(operation, which->overlapped))
		   && (!which->heap || iocp_operation_uses_heap(operation, which->heap));
}

uint32_t iocp_transfers_cancel(const iocp_transfers *which)
{
	iocp_operations taken = {NULL, NULL};
	uint32_t count;
	iocp_lock_acquire(&lock);
	count = iocp_operations_take(&for_threads, is_meant, which, &taken);
	queued -= count;
	count += iocp_operations_take(&for_ring, is_meant, which, &taken);
	iocp_lock_release(&lock);
	refuse_all(&taken, IOCP_ECANCELED);
	return count;
}
