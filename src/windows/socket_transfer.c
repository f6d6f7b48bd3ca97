/*
** socket_transfer.c - sending and receiving.
**
** Datagrams. One that is longer than the room for it ends as a success here, since how the system says otherwise, at
** once and by a packet or by one of them, is not documented: what does not fit goes into a common place that nobody
** reads, and the length tells.
*/

#include "windows/socket.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_DATAGRAM = 65535 };

static char rest[LARGEST_DATAGRAM]; /* of datagrams that were cut: written by the kernel, read by nobody */

/* ---- which socket ------------------------------------------------------------------------------------------------ */

static int can_receive(const iocp_socket *socket)
{
	return socket->connected || socket->type == IOCP_DATAGRAM ? IOCP_OK : IOCP_ENOTCONN;
}

static int can_send(const iocp_socket *socket)
{
	return !socket->connected ? IOCP_ENOTCONN : socket->write_ended ? IOCP_EPIPE : IOCP_OK;
}

static int has_datagrams(const iocp_socket *socket)
{
	return socket->type == IOCP_DATAGRAM ? IOCP_OK : IOCP_EOPNOTSUPP;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

/* The room for `size` bytes, and what is behind it for a datagram. How many buffers. */
static DWORD set_buffers(const iocp_socket *socket, WSABUF buffers[2], char *data, uint32_t size)
{
	buffers[0] = (WSABUF){size, data};
	buffers[1] = (WSABUF){LARGEST_DATAGRAM - (size < LARGEST_DATAGRAM ? size : LARGEST_DATAGRAM), rest};
	return socket->type == IOCP_DATAGRAM && buffers[1].len > 0 ? 2 : 1;
}

static iocp_outcome start_receive(iocp_socket *socket, iocp_request *request, const void *data)
{
	WSABUF buffers[2];
	DWORD bytes = 0, flags = 0;
	DWORD count = set_buffers(socket, buffers, (char *)(uintptr_t)data, request->size);
	int r;
	if (socket->read_ended)
		return (iocp_outcome){0};
	r = iocp_winsock.WSARecv(socket->system, buffers, count, &bytes, &flags, &request->operation.system, NULL);
	return iocp_outcome_of(socket, r == 0, &bytes);
}

static iocp_outcome start_receive_from(iocp_socket *socket, iocp_request *request, const void *data)
{
	WSABUF buffers[2];
	DWORD bytes = 0, flags = 0, count;
	char *block = (char *)(uintptr_t)data;
	int r = iocp_socket_bind_any(socket); /* the system asks for that */
	if (r != IOCP_OK || socket->read_ended)
		return (iocp_outcome){.code = r};
	count = set_buffers(socket, buffers, block + IOCP_PEER, request->size);
	request->with.peer_size = IOCP_PEER;
	r = iocp_winsock.WSARecvFrom(socket->system, buffers, count, &bytes, &flags, (struct sockaddr *)(void *)block,
		&request->with.peer_size, &request->operation.system, NULL);
	return iocp_outcome_of(socket, r == 0, &bytes);
}

static void receive_ended(iocp_socket *socket, iocp_request *request, iocp_port *port, iocp_outcome *outcome)
{
	(void)port;
	if (socket->type == IOCP_DATAGRAM && outcome->bytes > request->size) {
		outcome->bytes = request->size;
		outcome->code = IOCP_EMSGSIZE;
	}
	/* Wine says it once. */
	if (socket->reset && !outcome->code && outcome->bytes == 0 && !socket->read_ended)
		outcome->code = IOCP_ECONNRESET;
}

static const iocp_call receive = {
	.fits = can_receive, .start = start_receive, .ended = receive_ended, .sides = IOCP_SIDE_READ};
static const iocp_call receive_from = {
	.fits = has_datagrams, .start = start_receive_from, .ended = receive_ended, .sides = IOCP_SIDE_READ};

int iocp_socket_receive(iocp_socket *socket, void *address, size_t at, size_t size, uintptr_t overlapped, int64_t *done)
{
	iocp_request *request;
	int r = iocp_request_make_on(socket, &receive, address, at, size, overlapped, &request);
	return r == IOCP_OK ? iocp_request_run(request, (char *)address + at, done) : r;
}

/* As iocp_request_make_on, for a block that begins with a peer. The size is the data's. */
static int make_with_peer(iocp_socket *socket, const iocp_call *call, const void *address, size_t size,
	uintptr_t overlapped, iocp_request **request)
{
	size_t all = size == IOCP_REST ? IOCP_REST : size + IOCP_PEER;
	int r = IOCP_INVALID;
	if (size == IOCP_REST || size <= LARGEST_DATAGRAM)
		r = iocp_request_make_on(socket, call, address, 0, all, overlapped, request);
	if (r != IOCP_OK)
		return r;
	if ((*request)->size < IOCP_PEER || (*request)->size > IOCP_PEER + LARGEST_DATAGRAM) {
		iocp_request_free(*request);
		return IOCP_INVALID;
	}
	(*request)->size -= IOCP_PEER;
	return IOCP_OK;
}

int iocp_socket_receive_from(iocp_socket *socket, void *address, size_t size, uintptr_t overlapped, int64_t *done)
{
	iocp_request *request;
	int r = make_with_peer(socket, &receive_from, address, size, overlapped, &request);
	return r == IOCP_OK ? iocp_request_run(request, address, done) : r;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static iocp_outcome start_send(iocp_socket *socket, iocp_request *request, const void *data)
{
	WSABUF buffer = {request->size, (char *)(uintptr_t)data};
	DWORD bytes = 0;
	int r;
	if (socket->send_error)
		return (iocp_outcome){.code = socket->send_error};
	if (request->size == 0 && socket->type == IOCP_STREAM)
		return (iocp_outcome){0};
	r = iocp_winsock.WSASend(socket->system, &buffer, 1, &bytes, 0, &request->operation.system, NULL);
	return iocp_outcome_of(socket, r == 0, &bytes);
}

static iocp_outcome start_send_to(iocp_socket *socket, iocp_request *request, const void *data)
{
	const char *block = data;
	WSABUF buffer = {request->size, (char *)(uintptr_t)block + IOCP_PEER};
	iocp_address peer;
	DWORD bytes = 0;
	int r;
	memcpy(&peer.as, block, sizeof(peer.as));
	r = iocp_address_fit((int)socket->family, &peer);
	if (r != IOCP_OK)
		return (iocp_outcome){.code = r};
	socket->bound = socket->used = 1; /* the system does that */
	r = iocp_winsock.WSASendTo(
		socket->system, &buffer, 1, &bytes, 0, &peer.as.any, peer.size, &request->operation.system, NULL);
	return iocp_outcome_of(socket, r == 0, &bytes);
}

typedef struct part {
	HANDLE file;
	uint64_t offset;
} part;

static iocp_outcome start_send_file(iocp_socket *socket, iocp_request *request, const void *data)
{
	const part *from = data;
	DWORD bytes;
	int succeeded;
	if (socket->send_error)
		return (iocp_outcome){.code = socket->send_error};

	request->operation.system.Offset = (DWORD)from->offset;
	request->operation.system.OffsetHigh = (DWORD)(from->offset >> 32);
	succeeded =
		iocp_winsock.TransmitFile(socket->system, from->file, request->size, 0, &request->operation.system, NULL, 0);
	bytes = (DWORD)request->operation.system.InternalHigh;
	return iocp_outcome_of(socket, succeeded, &bytes);
}

static int is_same(const iocp_request *request, const void *other)
{
	return request == other;
}

/* One that has failed ends the stream's write side: those behind it must not go out. */
static void send_ended(iocp_socket *socket, iocp_request *request, iocp_port *port, iocp_outcome *outcome)
{
	(void)port;
	if (!outcome->code || socket->type != IOCP_STREAM)
		return;
	if (socket->send_error) {
		outcome->code = socket->send_error;
		return;
	}
	socket->send_error = outcome->code;
	if (!iocp_socket_is_closed(socket)) {
		iocp_socket_stop(socket, is_same, request);
		iocp_winsock.shutdown(socket->system, SD_SEND);
	}
}

static const iocp_call send_data = {
	.fits = can_send, .start = start_send, .ended = send_ended, .sides = IOCP_SIDE_WRITE, .ordered = 1};
static const iocp_call send_file = {
	.fits = can_send, .start = start_send_file, .ended = send_ended, .sides = IOCP_SIDE_WRITE, .ordered = 1};
static const iocp_call send_to = {.fits = has_datagrams, .start = start_send_to, .sides = IOCP_SIDE_WRITE};

int iocp_socket_send(
	iocp_socket *socket, const void *address, size_t at, size_t size, uintptr_t overlapped, int64_t *done)
{
	iocp_request *request;
	int r = iocp_request_make_on(socket, &send_data, address, at, size, overlapped, &request);
	return r == IOCP_OK ? iocp_request_run(request, (const char *)address + at, done) : r;
}

int iocp_socket_send_copy(iocp_socket *socket, const void *data, size_t size, uintptr_t overlapped, int64_t *done)
{
	iocp_request *request;
	int r = size <= IOCP_LARGEST_TRANSFER ? iocp_request_make(socket, &send_data, overlapped, &request) : IOCP_INVALID;
	if (r != IOCP_OK)
		return r;
	request->size = (uint32_t)size;
	request->memory = malloc(size ? size : 1);
	if (!request->memory) {
		iocp_request_free(request);
		return IOCP_NOMEM;
	}
	memcpy(request->memory, data, size);
	return iocp_request_run(request, request->memory, done);
}

int iocp_socket_send_to(iocp_socket *socket, const void *address, size_t size, uintptr_t overlapped, int64_t *done)
{
	iocp_request *request;
	int r = make_with_peer(socket, &send_to, address, size, overlapped, &request);
	return r == IOCP_OK ? iocp_request_run(request, address, done) : r;
}

int iocp_socket_send_file(
	iocp_socket *socket, uintptr_t file, uint64_t offset, size_t size, uintptr_t overlapped, int64_t *done)
{
	part from = {(HANDLE)file, offset};
	iocp_request *request;
	int r = IOCP_INVALID;
	if (size >= 1 && size <= IOCP_LARGEST_TRANSFER && offset <= INT64_MAX - size)
		r = iocp_request_make(socket, &send_file, overlapped, &request);
	if (r != IOCP_OK)
		return r;
	request->size = (uint32_t)size;
	return iocp_request_run(request, &from, done);
}
