/*
** file_sync.c - syncing. The system's call for that waits, so a thread of the system's pool makes it, and posts the
** packet that the kernel would.
*/

#include "windows/file.h"

enum { RETRY = 1 /* ms until the kernel is asked again whether it has memory */ };

/* Whether it is to be done. */
static int begin(iocp_file *file, iocp_file_request *request)
{
	int wanted;
	iocp_lock_acquire(&file->lock);
	request->runs = 1;
	wanted = !request->stopped;
	iocp_lock_release(&file->lock);
	return wanted;
}

/* The number that says why it failed, or 0. */
static int32_t sync(HANDLE system)
{
	DWORD error = FlushFileBuffers(system) ? 0 : GetLastError();
	/* It was not opened for writing, so nothing of its is to be waited for. */
	return error == 0 || error == ERROR_ACCESS_DENIED ? 0 : iocp_io_error_of(error);
}

static DWORD WINAPI run(void *data)
{
	iocp_file_request *request = data;
	iocp_file *file = iocp_file_of(request);
	int32_t code = begin(file, request) ? sync(file->system) : IOCP_ECANCELED;
	iocp_packet packet = {file->key, (uintptr_t)request, 0, code};
	HANDLE port = request->port;
	int r;
	iocp_file_leave(file);
	/* From here on the record may be somebody else's, and the port is there until its packet was taken. */
	while ((r = iocp_port_post(port, &packet)) == IOCP_NOMEM)
		Sleep(RETRY);
	if (r != IOCP_OK) /* but not one of others, who have closed it */
		iocp_file_request_drop(request);
	return 0;
}

/* The lock is held, here and in the next. */
static iocp_outcome start_sync(iocp_file *file, iocp_file_request *request)
{
	iocp_outcome outcome = {0};
	if (!file->has_offsets) {
		outcome.code = IOCP_EINVAL;
		return outcome;
	}
	request->port = file->port->system;
	file->users++; /* that thread */
	outcome.pending = QueueUserWorkItem(run, request, WT_EXECUTELONGFUNCTION);
	if (!outcome.pending) {
		file->users--; /* not the last: the caller is one */
		outcome.code = IOCP_ENOMEM;
	}
	return outcome;
}

static int stop_sync(iocp_file_request *request)
{
	return !request->runs;
}

static const iocp_file_call syncing = {.start = start_sync, .stop = stop_sync, .ordered = 1};

int iocp_file_sync(iocp_file *file, uintptr_t overlapped, int64_t *done)
{
	iocp_file_request *request;
	int r = iocp_file_request_make(file, &syncing, overlapped, &request);
	return r == IOCP_OK ? iocp_file_request_run(request, done) : r;
}
