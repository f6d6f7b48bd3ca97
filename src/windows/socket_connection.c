/*
** socket_connection.c - accepting and connecting.
**
** What the system has connected it does not know in full until it is told the listener, or that it is connected:
** SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT. Before, a socket has no peer and cannot be shut down.
**
** Ownership: an accept holds a reference to its client. An accepted one is kept by its association, or, accepted
** without one, by the listener's port.
*/

#include "windows/socket.h"

#include <stdlib.h>

#define STATUS_INVALID_CONNECTION_CODE 0xc0000140 /* Wine */

enum { ROOM = sizeof(struct sockaddr_in6) + 16 }; /* that the system wants for each of the two addresses */

/* ---- accepting --------------------------------------------------------------------------------------------------- */

static iocp_outcome start_accept(iocp_socket *listener, iocp_request *request, const void *data)
{
	iocp_socket *client = request->with.accept.client;
	iocp_outcome outcome = {.code = IOCP_ECANCELED}; /* the client was closed meanwhile */
	DWORD bytes = 0;
	int succeeded;
	(void)data;
	iocp_lock_acquire(&client->lock);
	if (!iocp_socket_is_closed(client)) {
		succeeded = iocp_winsock.AcceptEx(
			listener->system, client->system, request->memory, 0, ROOM, ROOM, &bytes, &request->operation.system);
		outcome = iocp_outcome_of(listener, succeeded, &bytes);
	}
	iocp_lock_release(&client->lock);
	return outcome;
}

/* Both locks are held. */
static void tell_client(iocp_socket *listener, iocp_socket *client)
{
	if (!iocp_socket_is_closed(listener) && !iocp_socket_is_closed(client))
		iocp_winsock.setsockopt(client->system, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&listener->system,
			sizeof(listener->system));
}

static void settle_accept(iocp_socket *listener, iocp_request *request)
{
	iocp_socket *client = request->with.accept.client;
	if (request->operation.system.Internal != 0) /* the kernel writes it last: it has not succeeded */
		return;
	iocp_lock_acquire(&client->lock);
	tell_client(listener, client);
	iocp_lock_release(&client->lock);
}

/* The port that the client is to be associated with, if it has not ended. It is left in release_accept: then there is
** no lock. */
static void open_port(iocp_request *request)
{
	iocp_port *port;
	if (!request->with.accept.port || iocp_port_open(request->with.accept.port, &port) != IOCP_OK)
		return;
	if (iocp_port_enter(port))
		request->with.accept.opened = port;
	else
		iocp_port_release(port);
}

/* The connection is there. Both locks are held. */
static void associate_client(iocp_socket *client, iocp_request *request, iocp_port *listeners)
{
	iocp_port *port = request->with.accept.port ? request->with.accept.opened : listeners;
	client->bound = client->connected = 1;
	if (request->unassociated && request->in_call) {
		; /* no packet names it, and the caller has it */
	} else if (request->unassociated) {
		iocp_object_retain(&client->object);
		/* Not the last reference: the request has one. */
		if (iocp_port_keep(listeners, &client->association) != IOCP_OK)
			iocp_object_release(&client->object);
	} else if (port) { /* else that has ended meanwhile, and the client has none */
		(void)iocp_socket_associate_locked(client, port, (uintptr_t)client->object.handle);
	}
}

static void accept_ended(iocp_socket *listener, iocp_request *request, iocp_port *port, iocp_outcome *outcome)
{
	iocp_socket *client = request->with.accept.client;
	/* A peer that has gone before it was accepted is no failure of the listener's. */
	int gone = outcome->code == IOCP_ECONNRESET || outcome->code == IOCP_ECONNABORTED
			   || (outcome->code && (ULONG)request->operation.system.Internal == STATUS_INVALID_CONNECTION_CODE);
	if (gone && !listener->ended && !iocp_socket_is_closed(listener)) {
		*outcome = start_accept(listener, request, NULL);
		if (outcome->pending)
			return;
	}
	open_port(request);
	iocp_lock_acquire(&client->lock);
	request->has_client = 0;
	client->accepting = 0;
	if (iocp_socket_is_closed(client)) /* meanwhile */
		outcome->code = IOCP_ECANCELED;
	if (outcome->code) {
		client->used = 0;
	} else {
		tell_client(listener, client);
		associate_client(client, request, port);
	}
	iocp_lock_release(&client->lock);
}

static void give_client_back(iocp_socket *client)
{
	iocp_lock_acquire(&client->lock);
	client->used = client->accepting = 0;
	iocp_lock_release(&client->lock);
}

static void release_accept(iocp_request *request)
{
	if (request->has_client) /* it did not begin */
		give_client_back(request->with.accept.client);
	iocp_socket_release(request->with.accept.client);
	if (request->with.accept.opened) {
		iocp_port_leave(request->with.accept.opened);
		iocp_port_release(request->with.accept.opened);
	}
}

static int can_accept(const iocp_socket *socket)
{
	return socket->listens ? IOCP_OK : IOCP_EINVAL;
}

static const iocp_call accept_client = {.fits = can_accept,
	.start = start_accept,
	.ended = accept_ended,
	.settle = settle_accept,
	.release = release_accept,
	.sides = IOCP_SIDE_READ};

/* Makes a fresh client the accept's. */
static int take_client(iocp_socket *listener, iocp_socket *client)
{
	int r = IOCP_INVALID;
	if (client == listener)
		return r;
	iocp_lock_acquire(&client->lock);
	if (!iocp_socket_is_closed(client) && !client->used && client->type == IOCP_STREAM
		&& client->family == listener->family) {
		client->used = client->accepting = 1;
		r = IOCP_OK;
	}
	iocp_lock_release(&client->lock);
	return r;
}

int iocp_socket_accept(
	iocp_socket *socket, iocp_socket *client, iocp_port *port, int flags, uintptr_t overlapped, int64_t *done)
{
	iocp_request *request;
	int r;
	if (port && iocp_port_is_closed(port))
		return IOCP_CLOSED;
	r = iocp_request_make(socket, &accept_client, overlapped, &request);
	if (r != IOCP_OK)
		return r;
	request->memory = malloc(2 * ROOM);
	r = request->memory ? take_client(socket, client) : IOCP_NOMEM;
	if (r != IOCP_OK) {
		iocp_request_free(request);
		return r;
	}
	request->unassociated = (flags & IOCP_UNASSOCIATED) != 0;
	request->with.accept.client = iocp_socket_retain(client);
	request->with.accept.port = port ? iocp_port_handle(port) : 0;
	request->has_client = 1;
	return iocp_request_run(request, NULL, done);
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static iocp_outcome start_connect(iocp_socket *socket, iocp_request *request, const void *data)
{
	const iocp_address *peer = data;
	DWORD none = 0;
	int r = iocp_socket_bind_any(socket); /* ConnectEx asks for that */
	if (r != IOCP_OK)
		return (iocp_outcome){.code = r};
	if (socket->type == IOCP_DATAGRAM) {
		int failed = iocp_winsock.WSAConnect(socket->system, &peer->as.any, peer->size, NULL, NULL, NULL, NULL);
		return (iocp_outcome){.code = failed ? iocp_winsock_error() : 0};
	}
	r = iocp_winsock.ConnectEx(socket->system, &peer->as.any, peer->size, NULL, 0, NULL, &request->operation.system);
	return iocp_outcome_of(socket, r, &none);
}

static void connect_ended(iocp_socket *socket, iocp_request *request, iocp_port *port, iocp_outcome *outcome)
{
	(void)request, (void)port;
	if (outcome->code)
		return;
	socket->connected = 1;
	if (socket->type == IOCP_STREAM && !iocp_socket_is_closed(socket))
		iocp_winsock.setsockopt(socket->system, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0);
}

static const iocp_call connect_to = {.start = start_connect, .ended = connect_ended, .sides = IOCP_SIDE_WRITE};

int iocp_socket_connect(iocp_socket *socket, const char *host, uint16_t port, uintptr_t overlapped, int64_t *done)
{
	iocp_address peer;
	iocp_request *request;
	int r = iocp_address_parse((int)socket->family, host, port, &peer);
	if (r != IOCP_OK)
		return r;
	iocp_address_go_home(&peer);
	r = iocp_request_make(socket, &connect_to, overlapped, &request);
	return r == IOCP_OK ? iocp_request_run(request, &peer, done) : r;
}
