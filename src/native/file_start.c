/*
** file_start.c - the operations of iocp.h. What a disk has in memory is read, and what needs no wait is written, by the
** caller at once; the rest goes to others (transfer.c). What has no offsets is tried, and queued.
**
** Ownership: an operation is the call's until it is queued in the file, under its lock, or given to others.
*/

#include "core/features.h"

#include "native/file.h"

#include <errno.h>
#include <sys/stat.h>

#include "native/port.h"

enum { MOST = INT32_MAX - 1 };

/* ---- how a call ends --------------------------------------------------------------------------------------------- */

/* Whether operations may begin. The lock is held. */
static int may_begin(const iocp_file *file)
{
	if (file->closed || !file->associated)
		return IOCP_INVALID;
	return file->port_ended ? IOCP_CLOSED : IOCP_OK;
}

/* The operation, which the caller gives away, has ended with this number; or `r`: it has not begun. */
static int conclude(iocp_handle port, iocp_operation *operation, int number, int r, int64_t *done)
{
	iocp_finished finished = {NULL, NULL, 0};
	if (r == IOCP_OK && !done) {
		iocp_finish(&finished, operation, number);
		iocp_finished_post(port, &finished);
		return IOCP_OK;
	}
	if (r == IOCP_OK && number == 0)
		*done = operation->packet.bytes;
	iocp_operation_drop(operation);
	return r == IOCP_OK ? number : r;
}

static int goes_on(int64_t *done)
{
	if (done)
		*done = -1;
	return IOCP_OK;
}

/* ---- what goes by readiness -------------------------------------------------------------------------------------- */

/* Tries it, and queues it, or what it has become, if it has to wait. The lock is held. Returns as iocp_file_try. */
static int try_or_queue(iocp_file *file, iocp_operation **given)
{
	iocp_operation *operation = *given;
	iocp_operations *operations = iocp_file_queue_of(file, operation);
	int in_vain = file->interest && !(file->possible & operation->side) && !file->hangs && !file->adopted;
	int outcome = IOCP_WAIT, number;
	if (!operations->first && !in_vain)
		outcome = iocp_file_try(file, operation);
	if (outcome >= 0)
		return outcome;
	if (!iocp_operation_keep(given))
		return IOCP_ENOMEM;
	operation = *given;
	number = iocp_file_expect(file, operation->side, outcome == IOCP_MORE);
	if (number == 0 && iocp_operation_lost_heap(operation))
		number = IOCP_ECANCELED;
	if (number == 0)
		iocp_operations_append(operations, operation);
	return number == 0 ? IOCP_WAIT : number;
}

static int begin_by_readiness(iocp_file *file, iocp_operation *operation, int64_t *done)
{
	int outcome = IOCP_WAIT, r;
	iocp_handle port;
	iocp_lock_acquire(&file->lock);
	port = file->port;
	operation->packet.key = file->key;
	r = may_begin(file);
	if (r == IOCP_OK)
		outcome = operation->kind == IOCP_SYNC ? IOCP_EINVAL : try_or_queue(file, &operation);
	iocp_lock_release(&file->lock);
	return r == IOCP_OK && outcome == IOCP_WAIT ? goes_on(done) : conclude(port, operation, outcome, r, done);
}

/* ---- what has offsets -------------------------------------------------------------------------------------------- */

/* Whether the file ends where the operation is now; `nothing`: as a read says, which some systems say too early. Of
** what is made up as it is read the size is 0, and only a read can tell. */
static int is_at_end(const iocp_operation *operation, int descriptor, int nothing)
{
	struct stat told;
	uint64_t size;
	if (fstat(descriptor, &told) != 0 || !S_ISREG(told.st_mode))
		return 0;
	size = (uint64_t)told.st_size;
	return operation->of.transfer.offset >= size && (size > 0 || nothing);
}

/* A part of it, outside the lock. IOCP_WAIT: the rest is for others. */
static int do_at_once(iocp_file *file, iocp_operation *operation)
{
	int descriptor = operation->of.transfer.descriptor, reads = operation->kind == IOCP_READ;
	int untold = atomic_load_explicit(&file->untold, memory_order_relaxed) & operation->side;
	int64_t offset = (int64_t)operation->of.transfer.offset;
	size_t left = operation->size - operation->packet.bytes;
	ssize_t n;
	if (operation->kind == IOCP_SYNC || untold || (!reads && file->appends))
		return IOCP_WAIT;
	if (left == 0)
		return IOCP_DONE;
	n = reads ? iocp_prim_read_at_once(descriptor, operation->data, left, offset)
			  : iocp_prim_write_at_once(descriptor, operation->data, left, offset);
	if (n < 0 && errno == EOPNOTSUPP)
		atomic_fetch_or_explicit(&file->untold, operation->side, memory_order_relaxed);
	if (n < 0)
		return errno == EAGAIN || errno == EOPNOTSUPP || errno == EINTR ? IOCP_WAIT : iocp_number_of(errno);
	operation->packet.bytes += (uint32_t)n;
	operation->data += n;
	operation->of.transfer.offset += (uint64_t)n;
	if ((size_t)n == left || (reads && is_at_end(operation, descriptor, n == 0)))
		return IOCP_DONE;
	return n == 0 ? IOCP_WAIT : IOCP_MORE;
}

/* It is counted as away. */
static int give_to_others(iocp_file *file, iocp_operation *operation, int64_t *done)
{
	int waits = 0;
	operation->of.transfer.of = &iocp_file_retain(file)->source.object;
	if (operation->kind == IOCP_WRITE && file->appends) {
		iocp_lock_acquire(&file->lock);
		waits = file->appending;
		file->appending = 1;
		if (waits)
			iocp_operations_append(&file->writing, operation);
		iocp_lock_release(&file->lock);
	}
	if (!waits)
		iocp_transfer_begin(operation);
	return goes_on(done);
}

static int begin_at_offset(iocp_file *file, iocp_operation *operation, int64_t *done)
{
	int outcome, r;
	iocp_handle port;
	iocp_lock_acquire(&file->lock);
	port = file->port;
	operation->packet.key = file->key;
	operation->of.transfer.descriptor = file->descriptor;
	r = may_begin(file);
	file->away += r == IOCP_OK;
	iocp_lock_release(&file->lock);
	if (r != IOCP_OK)
		return conclude(port, operation, 0, r, done);
	do
		outcome = do_at_once(file, operation);
	while (outcome == IOCP_MORE);
	if (outcome == IOCP_WAIT) {
		if (iocp_operation_keep(&operation))
			return give_to_others(file, operation, done);
		outcome = IOCP_ENOMEM;
	}
	iocp_lock_acquire(&file->lock);
	iocp_file_came_back(file);
	iocp_lock_release(&file->lock);
	return conclude(port, operation, outcome, IOCP_OK, done);
}

/* A write at the end has ended, and its packet is posted: the next may begin. */
static void pass_turn_on(iocp_file *file)
{
	iocp_operation *next;
	iocp_lock_acquire(&file->lock);
	next = file->writing.first;
	if (next)
		iocp_operations_remove_first(&file->writing);
	else
		file->appending = 0;
	iocp_lock_release(&file->lock);
	if (next)
		iocp_transfer_begin(next);
}

void iocp_file_transferred(iocp_operation *operation, int number)
{
	iocp_file *file = (iocp_file *)operation->of.transfer.of;
	int in_turn = operation->kind == IOCP_WRITE && file->appends;
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port;
	iocp_lock_acquire(&file->lock);
	port = file->port;
	iocp_file_came_back(file);
	iocp_lock_release(&file->lock);
	operation->of.transfer.of = NULL; /* ours from now on */
	iocp_finish(&finished, operation, number);
	iocp_finished_post(port, &finished);
	if (in_turn)
		pass_turn_on(file);
	iocp_file_release(file);
}

/* ---- the calls --------------------------------------------------------------------------------------------------- */

/* Begins an operation that has what it needs; it is given away. */
static int begin(iocp_file *file, iocp_operation *operation, uint32_t side, uint64_t offset, int64_t *done)
{
	operation->side = (uint8_t)side;
	operation->of.transfer.offset = offset;
	return file->has_offsets ? begin_at_offset(file, operation, done) : begin_by_readiness(file, operation, done);
}

/* The largest offset of a file. */
static int is_too_far(const iocp_file *file, uint64_t offset, size_t size)
{
	return file->has_offsets && !file->appends && offset > (uint64_t)INT64_MAX - size;
}

int iocp_file_read(
	iocp_file *file, void *address, size_t at, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done)
{
	iocp_operation brief, *operation;
	int r;
	if (offset > INT64_MAX)
		return IOCP_INVALID;
	operation = iocp_operation_brief(done ? &brief : NULL, IOCP_READ, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	r = iocp_operation_use(operation, address, at, size, 1, MOST, 1);
	if (r != IOCP_OK) {
		iocp_operation_drop(operation);
		return r;
	}
	if (is_too_far(file, offset, operation->size)) /* nothing is there */
		operation->size = (uint32_t)((uint64_t)INT64_MAX - offset);
	return begin(file, operation, IOCP_PRIM_READ, offset, done);
}

/* Begins a write, whose operation is given away. */
static int begin_write(iocp_file *file, iocp_operation *operation, uint64_t offset, int64_t *done)
{
	if (!is_too_far(file, offset, operation->size))
		return begin(file, operation, IOCP_PRIM_WRITE, offset, done);
	iocp_operation_drop(operation);
	return IOCP_EFBIG;
}

int iocp_file_write(
	iocp_file *file, const void *address, size_t at, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done)
{
	iocp_operation brief, *operation;
	int r;
	if (offset > INT64_MAX)
		return IOCP_INVALID;
	operation = iocp_operation_brief(done ? &brief : NULL, IOCP_WRITE, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	r = iocp_operation_use(operation, address, at, size, 1, MOST, 0);
	if (r == IOCP_OK)
		return begin_write(file, operation, offset, done);
	iocp_operation_drop(operation);
	return r;
}

int iocp_file_write_copy(
	iocp_file *file, const void *data, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done)
{
	iocp_operation brief, *operation;
	if (size > MOST || offset > INT64_MAX)
		return IOCP_INVALID;
	operation = iocp_operation_brief(done ? &brief : NULL, IOCP_WRITE, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	operation->data = (char *)(uintptr_t)data;
	operation->size = (uint32_t)size;
	operation->borrowed = 1;
	return begin_write(file, operation, offset, done);
}

int iocp_file_sync(iocp_file *file, uintptr_t overlapped, int64_t *done)
{
	iocp_operation *operation = iocp_operation_new(IOCP_SYNC, overlapped);
	return operation ? begin(file, operation, IOCP_PRIM_WRITE, 0, done) : IOCP_NOMEM;
}
