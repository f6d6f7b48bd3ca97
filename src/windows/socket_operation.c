/*
** socket_operation.c - how an operation of a socket begins and ends, and how it is stopped.
**
** An operation that the kernel has is in its socket's list from its call until its packet is taken. What is done at
** once, or fails at once, never gets there: the kernel sends no packet for it (it was told to skip those, or the call
** failed), so one is posted here, unless the caller wants none.
**
** Ownership: a record holds a reference to its socket and to what its operation needs. See operation.h.
*/

#include "windows/socket.h"

#include <stdlib.h>

/* ---- records ----------------------------------------------------------------------------------------------------- */

static int end(iocp_operation *operation, iocp_port *port, iocp_packet *packet);
static void stop_on(iocp_object *object, iocp_heap *heap);

static const iocp_operation_type requests = {end, stop_on};

int iocp_request_make(iocp_socket *socket, const iocp_call *call, uintptr_t overlapped, iocp_request **request)
{
	iocp_operation *operation;
	int r = iocp_operation_create(&requests, &socket->object, overlapped, &operation);
	if (r != IOCP_OK)
		return r;
	*request = (iocp_request *)operation;
	(*request)->call = call;
	return IOCP_OK;
}

int iocp_request_make_on(iocp_socket *socket, const iocp_call *call, const void *address, size_t at, size_t size,
	uintptr_t overlapped, iocp_request **request)
{
	int alone = (call->sides & IOCP_SIDE_READ) != 0;
	iocp_operation *operation;
	int r = iocp_operation_create_on(&requests, &socket->object, overlapped, address, at, &size, alone, &operation);
	if (r != IOCP_OK)
		return r;
	*request = (iocp_request *)operation;
	(*request)->call = call;
	(*request)->size = (uint32_t)size;
	return IOCP_OK;
}

void iocp_request_free(iocp_request *request)
{
	if (request->call->release)
		request->call->release(request);
	free(request->memory);
	iocp_operation_free(&request->operation);
}

/* ---- stopping ---------------------------------------------------------------------------------------------------- */

int iocp_request_any(const iocp_request *request, const void *data)
{
	(void)request, (void)data;
	return 1;
}

static int is_on(const iocp_request *request, const void *heap)
{
	return request->operation.heap == heap;
}

static int has_overlapped(const iocp_request *request, const void *overlapped)
{
	return request->operation.overlapped == *(const uintptr_t *)overlapped;
}

static int is_reading(const iocp_request *request, const void *data)
{
	(void)data;
	return (request->call->sides & IOCP_SIDE_READ) != 0;
}

/* From the newest on: none goes out in the place of one before it. */
uint32_t iocp_socket_stop(iocp_socket *socket, int (*chosen)(const iocp_request *, const void *), const void *data)
{
	iocp_operation *one;
	uint32_t count = 0;
	int behind = 0;
	for (one = socket->operations.oldest; one; one = one->newer) {
		iocp_request *request = (iocp_request *)one;
		int ordered = request->call->ordered && socket->type == IOCP_STREAM;
		request->chosen = chosen(request, data) != 0;
		request->behind = (unsigned)(behind && ordered) & 1;
		behind = behind || (request->chosen && ordered);
	}
	for (one = socket->operations.newest; one; one = one->older) {
		iocp_request *request = (iocp_request *)one;
		if ((request->chosen || request->behind) && CancelIoEx((HANDLE)socket->system, &one->system)) {
			request->stopped = 1;
			count += request->chosen;
		}
	}
	return count;
}

static void stop_on(iocp_object *object, iocp_heap *heap)
{
	iocp_socket *socket = (iocp_socket *)object;
	iocp_lock_acquire(&socket->lock);
	iocp_socket_stop(socket, is_on, heap);
	iocp_lock_release(&socket->lock);
}

uint32_t iocp_socket_cancel(iocp_socket *socket, const uintptr_t *overlapped)
{
	uint32_t count;
	iocp_lock_acquire(&socket->lock);
	count = iocp_socket_stop(socket, overlapped ? has_overlapped : iocp_request_any, overlapped);
	iocp_lock_release(&socket->lock);
	return count;
}

int iocp_socket_shutdown(iocp_socket *socket, int sides)
{
	int r;
	if (sides < IOCP_SIDE_READ || sides > (IOCP_SIDE_READ | IOCP_SIDE_WRITE))
		return IOCP_INVALID;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK && !socket->connected)
		r = IOCP_ENOTCONN;
	if (r == IOCP_OK && (sides & IOCP_SIDE_WRITE)) {
		socket->write_ended = 1;
		if (iocp_winsock.shutdown(socket->system, SD_SEND) != 0) /* behind what it has to send */
			r = iocp_winsock_error();
	}
	/* The system would reset the connection when the peer goes on sending, so this side ends here alone. */
	if (r == IOCP_OK && (sides & IOCP_SIDE_READ)) {
		socket->read_ended = 1;
		iocp_socket_stop(socket, is_reading, NULL);
	}
	iocp_lock_release(&socket->lock);
	return r;
}

/* ---- beginning and ending ---------------------------------------------------------------------------------------- */

iocp_outcome iocp_outcome_of(const iocp_socket *socket, int succeeded, const DWORD *bytes)
{
	DWORD error = succeeded ? 0 : GetLastError();
	iocp_outcome outcome = {.bytes = succeeded ? *bytes : 0};
	outcome.pending = error == WSA_IO_PENDING || (succeeded && !socket->skips);
	if (error && !outcome.pending)
		outcome.code = iocp_io_error_of(error);
	return outcome;
}

/* It has ended, or may begin anew. The lock is held. */
static void finish(iocp_socket *socket, iocp_request *request, iocp_port *port, iocp_outcome *outcome)
{
	if (outcome->code && socket->read_ended && is_reading(request, NULL))
		outcome->code = 0;
	else if (outcome->code && (request->stopped || iocp_socket_is_closed(socket)))
		outcome->code = IOCP_ECANCELED;
	if (request->call->ended)
		request->call->ended(socket, request, port, outcome);
}

/* The kernel has it. The lock is held. */
static void begun(iocp_socket *socket, iocp_request *request, iocp_port *port)
{
	iocp_heap *heap = request->operation.heap;
	iocp_operations_add(&socket->operations, &request->operation);
	iocp_port_expect(port, 1);
	request->in_call = 0;
	/* Whoever destroys the heap looks for its operations after that: either he finds this one, or it is seen here. */
	if (heap && !iocp_heap_native(heap))
		iocp_socket_stop(socket, is_on, heap);
}

/* The lock is held. */
static int start(iocp_socket *socket, iocp_request *request, const void *data, iocp_outcome *outcome)
{
	int r;
	if (iocp_socket_is_closed(socket) || (!socket->port && !socket->ended))
		return IOCP_INVALID;
	if (socket->ended)
		return IOCP_CLOSED;
	r = request->call->fits ? request->call->fits(socket) : IOCP_OK;
	if (r != IOCP_OK)
		return r;
	*outcome = request->call->start(socket, request, data);
	if (!outcome->pending)
		finish(socket, request, socket->port, outcome);
	if (outcome->pending)
		begun(socket, request, socket->port);
	return IOCP_OK;
}

int iocp_request_run(iocp_request *request, const void *data, int64_t *done)
{
	iocp_socket *socket = iocp_request_socket(request);
	iocp_outcome outcome = {0};
	int r;
	iocp_lock_acquire(&socket->lock);
	request->in_call = done != NULL;
	r = start(socket, request, data, &outcome);
	if (r == IOCP_OK && !outcome.pending && !done) {
		iocp_packet packet = {socket->key, request->operation.overlapped, outcome.bytes, outcome.code};
		iocp_port_complete(socket->port, &packet);
	}
	iocp_lock_release(&socket->lock);
	if (r != IOCP_OK || !outcome.pending)
		iocp_request_free(request);
	if (r != IOCP_OK || !done)
		return r;
	if (outcome.code)
		return outcome.code;
	*done = outcome.pending ? -1 : (int64_t)outcome.bytes;
	return IOCP_OK;
}

static int end(iocp_operation *operation, iocp_port *port, iocp_packet *packet)
{
	iocp_request *request = (iocp_request *)operation;
	iocp_socket *socket = iocp_request_socket(request);
	iocp_outcome outcome = {0, packet->code, packet->bytes};
	int mine;
	iocp_lock_acquire(&socket->lock); /* so the call that started it has returned */
	finish(socket, request, port, &outcome);
	iocp_operations_remove(&socket->operations, operation);
	if (outcome.pending)
		begun(socket, request, port);
	mine = !outcome.pending && !socket->ended;
	iocp_lock_release(&socket->lock);
	*packet = (iocp_packet){packet->key, operation->overlapped, outcome.bytes, outcome.code};
	if (!outcome.pending)
		iocp_request_free(request);
	return mine;
}
