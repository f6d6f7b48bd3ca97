/*
** file_transfer.c - reading and writing.
**
** The end of a file or pipe is an error here, at once or by a packet, and no bytes elsewhere.
*/

#include "windows/file.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the system says ---------------------------------------------------------------------------------------- */

/* What a call of the system's has come to that has just succeeded, or not. Where it sends a packet the record may be
** somebody else's by now. */
static iocp_outcome outcome_of(const iocp_file *file, const iocp_file_request *request, int succeeded)
{
	DWORD error = succeeded ? 0 : GetLastError();
	iocp_outcome outcome = {0};
	/* A warning sends one, as a success does. */
	outcome.pending = error == ERROR_IO_PENDING || (!file->skips && (succeeded || error == ERROR_MORE_DATA));
	if (!outcome.pending && succeeded)
		outcome.bytes = (uint32_t)request->operation.system.InternalHigh;
	else if (!outcome.pending) /* it was not opened for this */
		outcome.code = error == ERROR_ACCESS_DENIED ? IOCP_EBADF : iocp_io_error_of(error);
	return outcome;
}

/* Where it begins; what has no offsets wants 0. */
static void set_offset(iocp_file_request *request, uint64_t offset)
{
	request->operation.system = (OVERLAPPED){.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static iocp_outcome start_read(iocp_file *file, iocp_file_request *request)
{
	set_offset(request, file->has_offsets ? request->offset : 0);
	return outcome_of(
		file, request, ReadFile(file->system, request->data, request->size, NULL, &request->operation.system));
}

static int is_end(const iocp_file *file, int32_t code)
{
	return code == iocp_io_error_of(ERROR_HANDLE_EOF) || (code == IOCP_EPIPE && !file->has_offsets);
}

static void read_ended(iocp_file *file, iocp_file_request *request, iocp_outcome *outcome)
{
	/* Somebody wrote nothing into a pipe, which is not its end. */
	while (!outcome->pending && !outcome->code && outcome->bytes == 0 && file->is_pipe && !file->closed && !file->ended)
		*outcome = start_read(file, request);
	if (!outcome->pending && is_end(file, outcome->code))
		outcome->code = 0;
}

static const iocp_file_call reading = {.start = start_read, .ended = read_ended};

/* The offset is one, if the file has any. */
static int is_offset(const iocp_file *file, uint64_t offset)
{
	return !file->has_offsets || offset <= INT64_MAX;
}

int iocp_file_read(
	iocp_file *file, void *address, size_t at, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done)
{
	iocp_file_request *request;
	int r = IOCP_INVALID;
	if (is_offset(file, offset))
		r = iocp_file_request_make_on(file, &reading, address, at, size, 1, overlapped, &request);
	if (r != IOCP_OK)
		return r;
	request->offset = offset;
	return iocp_file_request_run(request, done);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static iocp_outcome start_write(iocp_file *file, iocp_file_request *request)
{
	if (request->size == 0) /* who reads from a pipe would take it for the end */
		return (iocp_outcome){0};
	/* All bits set mean the end. A file that appends is not opened for writing elsewhere. */
	set_offset(request, file->appends ? UINT64_MAX : file->has_offsets ? request->offset : 0);
	return outcome_of(
		file, request, WriteFile(file->system, request->data, request->size, NULL, &request->operation.system));
}

static const iocp_file_call writing = {.start = start_write};

int iocp_file_write(
	iocp_file *file, const void *address, size_t at, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done)
{
	iocp_file_request *request;
	int r = IOCP_INVALID;
	if (file->appends || is_offset(file, offset))
		r = iocp_file_request_make_on(file, &writing, address, at, size, 0, overlapped, &request);
	if (r != IOCP_OK)
		return r;
	request->offset = offset;
	return iocp_file_request_run(request, done);
}

int iocp_file_write_copy(
	iocp_file *file, const void *data, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done)
{
	iocp_file_request *request;
	int r = IOCP_INVALID;
	if (size <= IOCP_LARGEST_TRANSFER && (file->appends || is_offset(file, offset)))
		r = iocp_file_request_make(file, &writing, overlapped, &request);
	if (r != IOCP_OK)
		return r;
	request->memory = malloc(size ? size : 1);
	if (!request->memory) {
		iocp_file_request_free(request);
		return IOCP_NOMEM;
	}
	memcpy(request->memory, data, size);
	request->data = request->memory;
	request->size = (uint32_t)size;
	request->offset = offset;
	return iocp_file_request_run(request, done);
}
