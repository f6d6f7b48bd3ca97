/*
** file_operation.c - how an operation of a file begins and ends, and how it is stopped; who uses the handle meanwhile.
**
** An operation is in its file's list from before the system is called until it has ended. What is done at once, or
** fails at once, ends in the call: the kernel sends no packet for it, so one is posted here, unless the caller wants
** none. All else ends when its packet is taken.
**
** The port. While the system is called without the file's lock the port may be closed, or lose its last reference. So
** the call holds a reference, and counts among those who use the kernel's port: its end comes behind that, and finds
** what is to be waited for.
**
** Ownership: a record holds a reference to its file. See operation.h, and file.h for its owners.
*/

#include "windows/file.h"

#include <stdlib.h>

/* ---- using the handle -------------------------------------------------------------------------------------------- */

int iocp_file_enter(iocp_file *file)
{
	int r;
	iocp_lock_acquire(&file->lock);
	r = file->closed ? IOCP_INVALID : IOCP_OK;
	file->users += r == IOCP_OK;
	iocp_lock_release(&file->lock);
	return r;
}

void iocp_file_leave(iocp_file *file)
{
	HANDLE system = INVALID_HANDLE_VALUE;
	iocp_lock_acquire(&file->lock);
	if (--file->users == 0 && file->closed) {
		system = file->system;
		file->system = INVALID_HANDLE_VALUE;
	}
	iocp_lock_release(&file->lock);
	if (system != INVALID_HANDLE_VALUE && !file->adopted)
		CloseHandle(system);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static int end(iocp_operation *operation, iocp_port *port, iocp_packet *packet);
static void stop_on(iocp_object *object, iocp_heap *heap);

static const iocp_operation_type requests = {end, stop_on};

int iocp_file_request_make(
	iocp_file *file, const iocp_file_call *call, uintptr_t overlapped, iocp_file_request **request)
{
	iocp_operation *operation;
	int r = iocp_operation_create(&requests, &file->object, overlapped, &operation);
	if (r != IOCP_OK)
		return r;
	*request = (iocp_file_request *)operation;
	(*request)->call = call;
	return IOCP_OK;
}

int iocp_file_request_make_on(iocp_file *file, const iocp_file_call *call, const void *address, size_t at, size_t size,
	int alone, uintptr_t overlapped, iocp_file_request **request)
{
	iocp_operation *operation;
	int r = iocp_operation_create_on(&requests, &file->object, overlapped, address, at, &size, alone, &operation);
	if (r != IOCP_OK)
		return r;
	*request = (iocp_file_request *)operation;
	(*request)->call = call;
	(*request)->data = (char *)(uintptr_t)address + at;
	(*request)->size = (uint32_t)size;
	return IOCP_OK;
}

void iocp_file_request_free(iocp_file_request *request)
{
	free(request->memory);
	iocp_operation_free(&request->operation);
}

void iocp_file_request_drop(iocp_file_request *request)
{
	iocp_file *file = iocp_file_of(request);
	iocp_lock_acquire(&file->lock);
	iocp_operations_remove(&file->operations, &request->operation);
	iocp_lock_release(&file->lock);
	iocp_file_request_free(request);
}

/* ---- stopping ---------------------------------------------------------------------------------------------------- */

static int is_on(const iocp_file_request *request, const void *heap)
{
	return request->operation.heap == heap;
}

static int has_overlapped(const iocp_file_request *request, const void *overlapped)
{
	return request->operation.overlapped == *(const uintptr_t *)overlapped;
}

/* The lock is held, here and in the next. */
static int stop(iocp_file *file, iocp_file_request *request)
{
	/* The handle is gone once all calls have returned, and the system has stopped them all by then. */
	int asked = request->call->stop
					? request->call->stop(request)
					: file->system != INVALID_HANDLE_VALUE && CancelIoEx(file->system, &request->operation.system);
	if (asked)
		request->stopped = 1;
	return asked;
}

/* From the newest on: none is done in the place of one before it. */
uint32_t iocp_file_stop(iocp_file *file, int (*chosen)(const iocp_file_request *, const void *), const void *data)
{
	iocp_operation *one;
	uint32_t count = 0;
	for (one = file->operations.newest; one; one = one->older) {
		iocp_file_request *request = (iocp_file_request *)one;
		if (!chosen || chosen(request, data))
			count += stop(file, request) != 0;
	}
	return count;
}

static void stop_on(iocp_object *object, iocp_heap *heap)
{
	iocp_file *file = (iocp_file *)object;
	iocp_lock_acquire(&file->lock);
	iocp_file_stop(file, is_on, heap);
	iocp_lock_release(&file->lock);
}

uint32_t iocp_file_cancel(iocp_file *file, const uintptr_t *overlapped)
{
	uint32_t count;
	iocp_lock_acquire(&file->lock);
	count = iocp_file_stop(file, overlapped ? has_overlapped : NULL, overlapped);
	iocp_lock_release(&file->lock);
	return count;
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

/* Whether it is started with the lock held. */
static int is_ordered(const iocp_file *file, const iocp_file_request *request)
{
	return !file->has_offsets || file->appends || request->call->ordered;
}

/* A reference to the file's port, which is entered, or why there is none to be had; *port may be a reference then, too,
** or NULL. The lock is held. */
static int use_port(iocp_file *file, iocp_port **port)
{
	*port = NULL;
	if (file->closed || (!file->port && !file->ended))
		return IOCP_INVALID;
	if (file->port)
		*port = (iocp_port *)iocp_object_try_retain(&file->port->object);
	return *port && iocp_port_enter(*port) ? IOCP_OK : IOCP_CLOSED;
}

/* It has ended, or begun anew. The lock is held, here and in the next. */
static void finish(iocp_file *file, iocp_file_request *request, iocp_outcome *outcome)
{
	if (request->call->ended)
		request->call->ended(file, request, outcome);
	if (!outcome->pending && outcome->code && (request->stopped || file->closed))
		outcome->code = IOCP_ECANCELED;
}

/* The call that starts it has returned. 1: the record is not needed any more. */
static int returned(iocp_file *file, iocp_file_request *request, iocp_port *port, iocp_outcome *outcome)
{
	iocp_heap *heap;
	request->returned = 1;
	if (!outcome->pending)
		finish(file, request, outcome);
	if (!outcome->pending) {
		iocp_operations_remove(&file->operations, &request->operation);
		return 1;
	}
	iocp_port_expect(port, 1); /* it may be -1 until now, if the packet was taken already */
	if (request->taken)
		return request->given_up;
	heap = request->operation.heap;
	/* Who closes, or destroys the heap, looks for its operations after that, and finds none that the kernel has not got
	** yet: either he has stopped this one, or it is seen here. */
	if (file->closed || file->ended || (heap && !iocp_heap_native(heap)))
		stop(file, request);
	return 0;
}

/* The lock is held, and may have been released meanwhile. As `returned`. */
static int start(iocp_file *file, iocp_file_request *request, iocp_port *port, iocp_outcome *outcome)
{
	int ordered = is_ordered(file, request);
	file->users++;
	iocp_operations_add(&file->operations, &request->operation);
	if (!ordered)
		iocp_lock_release(&file->lock);
	*outcome = request->call->start(file, request);
	if (!ordered)
		iocp_lock_acquire(&file->lock);
	return returned(file, request, port, outcome);
}

int iocp_file_request_run(iocp_file_request *request, int64_t *done)
{
	iocp_file *file = iocp_file_of(request);
	uintptr_t overlapped = request->operation.overlapped;
	iocp_outcome outcome = {0};
	iocp_port *port;
	int r, over = 1;
	iocp_lock_acquire(&file->lock);
	r = use_port(file, &port);
	if (r == IOCP_OK)
		over = start(file, request, port, &outcome);
	iocp_lock_release(&file->lock);
	if (over)
		iocp_file_request_free(request);
	if (r == IOCP_OK) {
		iocp_packet packet = {file->key, overlapped, outcome.bytes, outcome.code};
		iocp_file_leave(file);
		if (!outcome.pending && !done)
			iocp_port_complete(port, &packet);
		iocp_port_leave(port);
	}
	iocp_port_release(port);
	if (r != IOCP_OK || !done)
		return r;
	if (outcome.code)
		return outcome.code;
	*done = outcome.pending ? -1 : (int64_t)outcome.bytes;
	return IOCP_OK;
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

/* Its packet was taken while the call that started it has not returned. Whoever gets the packet may free the block. */
static void give_up_early(iocp_file *file, iocp_file_request *request)
{
	int over;
	iocp_operation_let_go(&request->operation);
	iocp_lock_acquire(&file->lock);
	request->given_up = 1;
	over = request->returned;
	iocp_lock_release(&file->lock);
	if (over)
		iocp_file_request_free(request);
}

static int end(iocp_operation *operation, iocp_port *port, iocp_packet *packet)
{
	iocp_file_request *request = (iocp_file_request *)operation;
	iocp_file *file = iocp_file_of(request);
	iocp_outcome outcome = {0, packet->code, packet->bytes};
	int has_returned, mine;
	iocp_lock_acquire(&file->lock);
	finish(file, request, &outcome);
	if (outcome.pending) {
		iocp_port_expect(port, 1);
	} else {
		iocp_operations_remove(&file->operations, operation);
		request->taken = 1;
	}
	has_returned = request->returned;
	mine = !outcome.pending && !file->ended;
	iocp_lock_release(&file->lock);
	*packet = (iocp_packet){packet->key, operation->overlapped, outcome.bytes, outcome.code};
	if (!outcome.pending && has_returned)
		iocp_file_request_free(request);
	else if (!outcome.pending)
		give_up_early(file, request);
	return mine;
}
