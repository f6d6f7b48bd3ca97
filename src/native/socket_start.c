/*
** socket_start.c - the operations of iocp.h: each is made, tried at once unless that is known to be in vain, and
** queued.
**
** Ownership: an operation is the call's until it is queued; then the socket's, under its lock; ended, it is whoever's
** list of ended ones it is on.
*/

#include "core/features.h"

#include "native/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "native/port.h"

enum { MOST = INT32_MAX - 1, MOST_OF_A_DATAGRAM = 65535 };

/* Whether operations may begin. The lock is held. */
static int may_begin(const iocp_socket *socket)
{
	if (socket->state == IOCP_SOCKET_CLOSED || !socket->associated)
		return IOCP_INVALID;
	return socket->port_ended ? IOCP_CLOSED : IOCP_OK;
}

/* Whether the operation is one for a socket in this state: 0 or a number. The lock is held. */
static int fits(iocp_socket *socket, const iocp_operation *operation)
{
	switch ((enum iocp_operation_kind)operation->kind) {
	case IOCP_ACCEPT:
		return socket->state == IOCP_SOCKET_LISTENING ? 0 : IOCP_EINVAL;
	case IOCP_RECEIVE_FROM:
	case IOCP_SEND_TO:
		return socket->type == IOCP_DATAGRAM ? 0 : IOCP_EOPNOTSUPP;
	case IOCP_SEND_FILE:
		if (socket->adopted && !(fcntl(socket->descriptor, F_GETFL) & O_NONBLOCK))
			return IOCP_EOPNOTSUPP; /* sendfile would wait */
									/* falls through */
	case IOCP_SEND:
		return !iocp_socket_is_connected(socket) ? IOCP_ENOTCONN : socket->ends_writing ? IOCP_EPIPE : 0;
	case IOCP_RECEIVE:
		return socket->type == IOCP_DATAGRAM || iocp_socket_is_connected(socket) ? 0 : IOCP_ENOTCONN;
	case IOCP_READY:
		/* Of an adopted one others may know better: it may be about to be connected. */
		return socket->adopted || socket->type == IOCP_DATAGRAM || socket->state == IOCP_SOCKET_LISTENING
					   || socket->state == IOCP_SOCKET_CONNECTED
				   ? 0
				   : IOCP_ENOTCONN;
	case IOCP_CONNECT:
	case IOCP_READ: /* a file's, as the next two */
	case IOCP_WRITE:
	case IOCP_SYNC:
		break;
	}
	return 0;
}

static int is_in_vain(const iocp_socket *socket, uint32_t side)
{
	return socket->interest && !(socket->possible & side) && !socket->hangs && !socket->adopted;
}

/* Tries it, and queues it if it has to wait. The lock is held. Returns as iocp_socket_try. */
static int try_or_queue(iocp_socket *socket, iocp_operation *operation)
{
	iocp_operations *operations = iocp_operations_of(socket, operation);
	int outcome = IOCP_WAIT, number;
	if (!operations->first && !is_in_vain(socket, operation->side))
		outcome = iocp_socket_try(socket, operation);
	if (outcome >= 0) {
		iocp_socket_ended(socket, operation, outcome);
		return outcome;
	}
	number =
		iocp_operation_own(operation) ? iocp_socket_expect(socket, operation->side, outcome == IOCP_MORE) : IOCP_ENOMEM;
	if (number == 0 && iocp_operation_lost_heap(operation))
		number = IOCP_ECANCELED;
	if (number == 0)
		iocp_operations_append(operations, operation);
	else
		iocp_socket_ended(socket, operation, number);
	return number == 0 ? IOCP_WAIT : number;
}

/* The operation, which the caller gives away, has had this outcome; or `r`: it has not begun. */
static int conclude(iocp_handle port, iocp_operation *operation, int outcome, int r, int64_t *done)
{
	iocp_finished finished = {NULL, NULL, 0};
	if (r == IOCP_OK && outcome == IOCP_WAIT) {
		if (done)
			*done = -1;
		return IOCP_OK;
	}
	iocp_finish(&finished, operation, r == IOCP_OK ? outcome : r);
	if (r == IOCP_OK && !done) {
		iocp_socket_post(port, &finished);
		return IOCP_OK;
	}
	iocp_socket_welcome(&finished, 0);
	r = operation->packet.code;
	if (r == IOCP_OK)
		*done = operation->packet.bytes;
	iocp_operation_drop(operation);
	return r;
}

/* Begins an operation that has what it needs; it is given away. */
static int begin(iocp_socket *socket, iocp_operation *operation, uint32_t side, int64_t *done)
{
	int outcome = IOCP_WAIT, r;
	iocp_handle port;
	operation->side = (uint8_t)side;
	iocp_lock_acquire(&socket->lock);
	port = socket->port;
	r = may_begin(socket);
	if (r == IOCP_OK && socket->type == IOCP_DATAGRAM)
		r = iocp_socket_need_descriptor(socket);
	if (r == IOCP_OK)
		r = fits(socket, operation);
	operation->packet.key = socket->key;
	if (r == IOCP_OK)
		outcome = try_or_queue(socket, operation);
	iocp_lock_release(&socket->lock);
	return conclude(port, operation, outcome, r, done);
}

/* The same of one that uses a block. */
static int begin_with_block(iocp_socket *socket, enum iocp_operation_kind kind, const void *address, size_t at,
	size_t size, uintptr_t overlapped, int64_t *done)
{
	int reads = kind == IOCP_RECEIVE || kind == IOCP_RECEIVE_FROM, r;
	int with_peer = kind == IOCP_RECEIVE_FROM || kind == IOCP_SEND_TO;
	iocp_operation *operation = iocp_operation_new(kind, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	r = iocp_operation_use(
		operation, address, at, size, with_peer ? 0 : 1, with_peer ? MOST_OF_A_DATAGRAM : MOST, reads);
	if (r == IOCP_OK)
		return begin(socket, operation, reads ? IOCP_PRIM_READ : IOCP_PRIM_WRITE, done);
	iocp_operation_drop(operation);
	return r;
}

/* ---- streams, and datagrams of a connected socket ---------------------------------------------------------------- */

int iocp_socket_receive(iocp_socket *socket, void *address, size_t at, size_t size, uintptr_t overlapped, int64_t *done)
{
	return begin_with_block(socket, IOCP_RECEIVE, address, at, size, overlapped, done);
}

int iocp_socket_send(
	iocp_socket *socket, const void *address, size_t at, size_t size, uintptr_t overlapped, int64_t *done)
{
	return begin_with_block(socket, IOCP_SEND, address, at, size, overlapped, done);
}

int iocp_socket_send_copy(iocp_socket *socket, const void *data, size_t size, uintptr_t overlapped, int64_t *done)
{
	iocp_operation *operation;
	if (size > MOST)
		return IOCP_INVALID;
	operation = iocp_operation_new(IOCP_SEND, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	operation->data = (char *)(uintptr_t)data;
	operation->size = (uint32_t)size;
	operation->borrowed = 1;
	return begin(socket, operation, IOCP_PRIM_WRITE, done);
}

int iocp_socket_send_file(
	iocp_socket *socket, uintptr_t file, uint64_t offset, size_t size, uintptr_t overlapped, int64_t *done)
{
	iocp_operation *operation;
	if (size == 0 || size > MOST || offset > INT64_MAX - size)
		return IOCP_INVALID;
	if (file > INT32_MAX)
		return IOCP_EBADF;
	operation = iocp_operation_new(IOCP_SEND_FILE, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	operation->of.file.file = (int)file;
	operation->of.file.offset = offset;
	operation->size = (uint32_t)size;
	return begin(socket, operation, IOCP_PRIM_WRITE, done);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

int iocp_socket_receive_from(iocp_socket *socket, void *address, size_t size, uintptr_t overlapped, int64_t *done)
{
	return begin_with_block(socket, IOCP_RECEIVE_FROM, address, IOCP_PEER, size, overlapped, done);
}

int iocp_socket_send_to(iocp_socket *socket, const void *address, size_t size, uintptr_t overlapped, int64_t *done)
{
	return begin_with_block(socket, IOCP_SEND_TO, address, IOCP_PEER, size, overlapped, done);
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

int iocp_socket_ready(iocp_socket *socket, int side, uintptr_t overlapped, int64_t *done)
{
	iocp_operation *operation;
	if (side != IOCP_SIDE_READ && side != IOCP_SIDE_WRITE)
		return IOCP_INVALID;
	operation = iocp_operation_new(IOCP_READY, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	return begin(socket, operation, side == IOCP_SIDE_READ ? IOCP_PRIM_READ : IOCP_PRIM_WRITE, done);
}

/* The fresh client becomes this operation's. */
static int take_client(iocp_socket *client, const iocp_socket *listener)
{
	int fresh;
	iocp_lock_acquire(&client->lock);
	fresh = client->state == IOCP_SOCKET_FRESH && !client->associated && client->family == listener->family
			&& client->type == IOCP_STREAM;
	if (fresh)
		client->state = IOCP_SOCKET_TAKEN;
	iocp_lock_release(&client->lock);
	return fresh;
}

int iocp_socket_accept(
	iocp_socket *socket, iocp_socket *client, iocp_port *port, int flags, uintptr_t overlapped, int64_t *done)
{
	iocp_operation *operation;
	iocp_poll *poll;
	int r = port ? iocp_port_poll(port, &poll) : IOCP_OK;
	if (r != IOCP_OK)
		return r > 0 ? iocp_number_of(r) : r;
	operation = iocp_operation_new(IOCP_ACCEPT, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	if (!take_client(client, socket)) {
		iocp_operation_drop(operation);
		return IOCP_INVALID;
	}
	iocp_socket_retain(client);
	operation->of.accept.client = &client->source.object;
	operation->of.accept.associates = !(flags & IOCP_UNASSOCIATED);
	iocp_lock_acquire(&socket->lock);
	operation->of.accept.port = port && !(flags & IOCP_UNASSOCIATED) ? port->object.handle : socket->port;
	iocp_lock_release(&socket->lock);
	return begin(socket, operation, IOCP_PRIM_READ, done);
}

/* Over loopback the system has the connection when the call returns that says it is under way: to ask once more costs
** less than to wait for the event. Linux answers 0 to the second call, others EISCONN; EALREADY while it goes on, as it
** does after EINTR. Source: connect(2), connect() of POSIX. As iocp_socket_try. */
static int ask_to_connect(int descriptor, const iocp_address *address)
{
	if (connect(descriptor, &address->as.any, address->length) == 0)
		return IOCP_DONE;
	if (errno != EINPROGRESS && errno != EINTR)
		return iocp_number_of(errno);
	if (connect(descriptor, &address->as.any, address->length) == 0 || errno == EISCONN)
		return IOCP_DONE;
	return errno == EALREADY || errno == EINPROGRESS || errno == EINTR ? IOCP_WAIT : iocp_number_of(errno);
}

/* The lock is held. As iocp_socket_try. */
static int begin_connect(iocp_socket *socket, const iocp_address *address)
{
	int number = iocp_socket_need_descriptor(socket);
	if (number != 0)
		return number;
	if (socket->state == IOCP_SOCKET_CONNECTED && socket->type == IOCP_STREAM)
		return IOCP_EISCONN;
	if (socket->state != IOCP_SOCKET_FRESH && socket->state != IOCP_SOCKET_OPEN
		&& socket->state != IOCP_SOCKET_CONNECTED)
		return socket->state == IOCP_SOCKET_CONNECTING ? IOCP_EALREADY : IOCP_EINVAL;
	if (socket->adopted && !(fcntl(socket->descriptor, F_GETFL) & O_NONBLOCK))
		return IOCP_EOPNOTSUPP; /* it would wait */
	return ask_to_connect(socket->descriptor, address);
}

/* The same, of one that is under way. */
static int await_connect(iocp_socket *socket, iocp_operation *operation)
{
	int number = iocp_socket_expect(socket, IOCP_PRIM_WRITE, 1);
	if (number != 0)
		return number;
	socket->state = IOCP_SOCKET_CONNECTING;
	iocp_operations_append(&socket->writing, operation);
	return IOCP_WAIT;
}

int iocp_socket_connect(iocp_socket *socket, const char *host, uint16_t port, uintptr_t overlapped, int64_t *done)
{
	iocp_operation *operation;
	iocp_address address;
	iocp_handle own_port;
	int outcome = IOCP_WAIT, number = iocp_address_parse(socket->family, host, port, &address), r;
	if (number != 0)
		return number;
	operation = iocp_operation_new(IOCP_CONNECT, overlapped);
	if (!operation)
		return IOCP_NOMEM;
	operation->side = IOCP_PRIM_WRITE;
	iocp_lock_acquire(&socket->lock);
	own_port = socket->port;
	r = may_begin(socket);
	if (r == IOCP_OK) {
		operation->packet.key = socket->key;
		outcome = begin_connect(socket, &address);
	}
	if (r == IOCP_OK && outcome == IOCP_WAIT)
		outcome = await_connect(socket, operation);
	if (r == IOCP_OK && outcome == IOCP_DONE)
		socket->state = IOCP_SOCKET_CONNECTED;
	iocp_lock_release(&socket->lock);
	return conclude(own_port, operation, outcome, r, done);
}
