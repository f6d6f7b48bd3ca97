/*
** file.c - a file's life: made, associated, closed.
**
** Ownership: as a socket, an associated file is a member of its port's poll, which has a reference to it. What waits in
** the file for an event or its turn needs none: port's end and close end it. An operation that others do (transfer.c)
** has one, and counts as away: the descriptor stays open until the last has come back, so that its number is nobody
** else's meanwhile. Of an adopted file with offsets the descriptor is a copy, since its owner may close his after our
** close.
**
** Locking: a file's lock is not held while another's is taken, nor while an operation is given to others or dropped.
*/

#include "core/features.h"

#include "native/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/port.h"

/* ---- how it ends ------------------------------------------------------------------------------------------------- */

/* The last reference has gone, so nothing is away. */
static void free_file(iocp_object *object)
{
	iocp_file *file = (iocp_file *)object;
	if (file->descriptor >= 0 && file->owned)
		close(file->descriptor);
	free(file);
}

static void cancel_transfers(const iocp_file *file)
{
	(void)iocp_transfers_cancel(&(iocp_transfers){.of = &file->source.object});
}

static void port_ended(iocp_source *source, iocp_poll *poll)
{
	iocp_file *file = (iocp_file *)source;
	iocp_finished dropped = {NULL, NULL, 0};
	iocp_lock_acquire(&file->lock);
	if (file->interest)
		iocp_prim_set_remove(&poll->set, file->descriptor);
	file->interest = 0;
	file->poll = NULL;
	file->port_ended = 1;
	(void)iocp_file_end(file, NULL, NULL, &dropped);
	iocp_lock_release(&file->lock);
	iocp_finished_drop(&dropped);
	cancel_transfers(file);
}

static void advance(iocp_source *source, uint32_t what, iocp_finished *finished)
{
	iocp_file_advance((iocp_file *)source, what, finished);
}

static void end_heap(iocp_source *source, const iocp_heap *heap)
{
	iocp_file *file = (iocp_file *)source;
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port;
	iocp_lock_acquire(&file->lock);
	port = file->port;
	(void)iocp_file_end(file, iocp_operation_uses_heap, heap, &finished);
	iocp_lock_release(&file->lock);
	iocp_finished_post(port, &finished);
	(void)iocp_transfers_cancel(&(iocp_transfers){.of = &file->source.object, .heap = heap});
}

uint32_t iocp_file_cancel(iocp_file *file, const uintptr_t *overlapped)
{
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port;
	uint32_t count;
	iocp_lock_acquire(&file->lock);
	port = file->port;
	count = iocp_file_end(file, overlapped ? iocp_operation_has_overlapped : NULL, overlapped, &finished);
	iocp_lock_release(&file->lock);
	iocp_finished_post(port, &finished);
	return count + iocp_transfers_cancel(&(iocp_transfers){.of = &file->source.object, .overlapped = overlapped});
}

int iocp_file_close(iocp_file *file)
{
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port;
	int left = 0;
	iocp_object_revoke(&file->source.object);
	iocp_lock_acquire(&file->lock);
	if (file->closed) {
		iocp_lock_release(&file->lock);
		return IOCP_INVALID;
	}
	port = file->port;
	if (file->interest)
		iocp_prim_set_remove(&file->poll->set, file->descriptor);
	file->interest = 0;
	(void)iocp_file_end(file, NULL, NULL, &finished);
	if (file->poll) {
		left = iocp_poll_leave(file->poll, &file->source);
		if (file->owned)
			iocp_poll_feed(file->poll);
	}
	file->poll = NULL;
	file->closed = 1;
	iocp_file_close_unused(file);
	iocp_lock_release(&file->lock);
	iocp_finished_post(port, &finished);
	cancel_transfers(file);
	if (left)
		iocp_object_release(&file->source.object);
	return IOCP_OK;
}

/* ---- made -------------------------------------------------------------------------------------------------------- */

/* What the table knows a descriptor by. */
static const void *native_of(int descriptor)
{
	return (const void *)((uintptr_t)descriptor + 1);
}

/* Of what a descriptor is for. 0, or a number. */
static int examine(int descriptor, uint8_t *has_offsets, uint8_t *is_fifo)
{
	struct stat told;
	if (fstat(descriptor, &told) != 0)
		return iocp_number_of(errno);
	if (S_ISDIR(told.st_mode))
		return IOCP_EISDIR;
	*is_fifo = S_ISFIFO(told.st_mode) != 0;
	*has_offsets = S_ISREG(told.st_mode) || S_ISBLK(told.st_mode)
				   || (!*is_fifo && !S_ISSOCK(told.st_mode) && !iocp_prim_set_takes(descriptor));
	return 0;
}

/* Over a descriptor, not entered into the table yet. It is the file's, if `owned`, once this has returned IOCP_OK.
** IOCP_NOMEM, or a number. */
static int new_file(int descriptor, int owned, iocp_file **file)
{
	static const iocp_source_calls calls = {advance, port_ended, end_heap, iocp_file_transferred};
	iocp_file *made = calloc(1, sizeof(*made));
	int number;
	if (!made)
		return IOCP_NOMEM;
	number = examine(descriptor, &made->has_offsets, &made->is_fifo);
	if (number != 0) {
		free(made);
		return number;
	}
	iocp_source_begin(&made->source, &calls);
	made->descriptor = made->native = descriptor;
	made->owned = (uint8_t)owned;
	iocp_prim_hush(descriptor);
	made->adopted = !owned;
	made->possible = IOCP_PRIM_READ | IOCP_PRIM_WRITE;
	*file = made;
	return IOCP_OK;
}

/* A file over a descriptor that is given away. */
int iocp_file_take(int descriptor, iocp_file **file)
{
	iocp_file *made = NULL;
	int r = new_file(descriptor, 1, &made);
	if (r == IOCP_OK)
		r = iocp_object_register(&made->source.object, IOCP_KIND_FILE, native_of(descriptor), free_file);
	if (r != IOCP_OK) {
		free(made);
		close(descriptor);
		return r;
	}
	*file = made;
	return IOCP_OK;
}

static int flags_of(int mode)
{
	int writes = mode & (IOCP_FILE_WRITE | IOCP_FILE_APPEND);
	return (!writes                    ? O_RDONLY
			   : mode & IOCP_FILE_READ ? O_RDWR
									   : O_WRONLY)
		   | (mode & IOCP_FILE_APPEND ? O_APPEND : 0) | (mode & IOCP_FILE_CREATE ? O_CREAT : 0)
		   | (mode & IOCP_FILE_TRUNCATE ? O_TRUNC : 0) | (mode & IOCP_FILE_EXCLUSIVE ? O_EXCL : 0);
}

int iocp_file_create(const char *path, int mode, iocp_file **file)
{
	enum { ALL = 63, ANYBODY = 0666 };
	int flags = flags_of(mode), descriptor, r;
	iocp_file *made = NULL;
	if ((mode & ~ALL) || !(mode & (IOCP_FILE_READ | IOCP_FILE_WRITE | IOCP_FILE_APPEND)))
		return IOCP_INVALID;
	do /* a FIFO's, or a serial line's, does not wait for the other end */
		descriptor = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, ANYBODY);
	while (descriptor < 0 && errno == EINTR);
	if (descriptor < 0)
		return iocp_number_of(errno);
	r = iocp_file_take(descriptor, &made);
	if (r != IOCP_OK)
		return r;
	made->appends = made->has_offsets && (mode & IOCP_FILE_APPEND);
	if (made->has_offsets) /* where a device has to be waited for, those who do it are to wait */
		(void)fcntl(descriptor, F_SETFL, flags & O_APPEND);
	*file = made;
	return IOCP_OK;
}

int iocp_file_temporary(iocp_file **file)
{
	const char *folder = getenv("TMPDIR");
	int descriptor = iocp_prim_temporary(folder && *folder ? folder : "/tmp");
	if (descriptor < 0)
		return iocp_number_of(errno);
	return iocp_file_take(descriptor, file);
}

int iocp_file_pipe(iocp_file *pair[2])
{
	int descriptors[2], i, r;
	iocp_file *reader;
	if (iocp_prim_pipe(descriptors) != 0)
		return iocp_number_of(errno);
	for (i = 0; i < 2; i++)
		(void)fcntl(descriptors[i], F_SETFL, O_NONBLOCK);
	r = iocp_file_take(descriptors[0], &reader);
	if (r != IOCP_OK) {
		close(descriptors[1]);
		return r;
	}
	r = iocp_file_take(descriptors[1], &pair[1]);
	if (r != IOCP_OK)
		iocp_file_release(reader);
	else
		pair[0] = reader;
	return r;
}

/* Its descriptor becomes a copy. 0 or a number. */
static int copy_descriptor(iocp_file *file)
{
	enum { BEHIND_STANDARD = 3 };
	int copy = fcntl(file->descriptor, F_DUPFD_CLOEXEC, BEHIND_STANDARD);
	if (copy < 0)
		return iocp_number_of(errno);
	file->descriptor = copy;
	file->owned = 1;
	return 0;
}

int iocp_file_adopt(uintptr_t native, iocp_file **file)
{
	int descriptor = native <= INT32_MAX ? (int)native : -1, r;
	int flags = descriptor >= 0 ? fcntl(descriptor, F_GETFL) : -1;
	iocp_file *made = NULL;
	iocp_object *entered;
	if (flags < 0)
		return IOCP_INVALID;
	r = new_file(descriptor, 0, &made);
	if (r == IOCP_OK && made->has_offsets)
		r = copy_descriptor(made);
	if (r != IOCP_OK) {
		free(made);
		return r;
	}
	made->appends = made->has_offsets && (flags & O_APPEND);
	if (made->has_offsets && !iocp_prim_has_at_once(flags))
		atomic_init(&made->untold, IOCP_PRIM_READ | IOCP_PRIM_WRITE);
	entered = &made->source.object;
	r = iocp_object_adopt(&entered, IOCP_KIND_FILE, native_of(descriptor), free_file);
	if (r != IOCP_OK || entered != &made->source.object)
		free_file(&made->source.object);
	if (r == IOCP_OK)
		*file = (iocp_file *)entered;
	return r;
}

int iocp_file_has_offsets(const iocp_file *file, int side)
{
	return file->has_offsets && !(side == IOCP_SIDE_WRITE && file->appends);
}

uintptr_t iocp_file_native(iocp_file *file)
{
	uintptr_t native = UINTPTR_MAX;
	iocp_lock_acquire(&file->lock);
	if (!file->closed)
		native = (uintptr_t)file->native;
	iocp_lock_release(&file->lock);
	return native;
}

/* ---- associated -------------------------------------------------------------------------------------------------- */

int iocp_file_associate(iocp_file *file, iocp_port *port, uintptr_t key)
{
	iocp_poll *poll;
	int r = iocp_port_poll(port, &poll);
	if (r != IOCP_OK)
		return r > 0 ? iocp_number_of(r) : r;
	iocp_lock_acquire(&file->lock);
	r = file->closed || file->associated ? IOCP_INVALID : iocp_poll_join(poll, &file->source, !file->has_offsets);
	if (r == IOCP_OK) {
		file->poll = poll;
		file->port = port->object.handle;
		file->key = key;
		file->associated = 1;
	}
	iocp_lock_release(&file->lock);
	if (r == IOCP_OK && !file->has_offsets) /* what is on a disk is for others to wait for: transfer.c */
		iocp_port_has_member(port);
	return r;
}
