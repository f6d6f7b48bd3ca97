/*
** socket.c - a socket's life: made, associated, closed.
**
** Ownership: an associated socket is a member of its port's poll, which has a reference to it; so has a client that was
** accepted without a port, as a member of the listener's. Operations are queued only while it is a member, so they need
** no reference. The port is known by its handle alone. `poll` points to the port's poll for as long as that lives: at
** its end the poll takes each member's lock to say so, before it is freed (port_ended).
**
** Closing. All uses of the descriptor are under the lock and do not wait, so a close by one thread meets no other
** thread in the middle of one. The handle is revoked and the descriptor leaves the set before it is closed: its number
** may be given to somebody else at once. The system's close, which may wait (linger), is made without the lock, when
** nobody finds the descriptor here any more.
**
** Locking: a socket's lock is not held while another's is taken, nor while a reference is dropped.
*/

#include "core/features.h"

#include "native/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "native/port.h"

/* ---- made -------------------------------------------------------------------------------------------------------- */

/* The last reference has gone, so it is associated with nothing. */
static void free_socket(iocp_object *object)
{
	iocp_socket *socket = (iocp_socket *)object;
	if (socket->descriptor >= 0 && !socket->adopted)
		close(socket->descriptor);
	free(socket);
}

static void port_ended(iocp_source *source, iocp_poll *poll)
{
	iocp_socket *socket = (iocp_socket *)source;
	iocp_finished dropped = {NULL, NULL, 0};
	iocp_lock_acquire(&socket->lock);
	if (socket->poll == poll) { /* else it has just left for another */
		if (socket->interest)
			iocp_prim_set_remove(&poll->set, socket->descriptor);
		socket->interest = 0;
		socket->poll = NULL;
		socket->port_ended = 1;
		(void)iocp_socket_end(socket, NULL, NULL, &dropped);
	}
	iocp_lock_release(&socket->lock);
	iocp_socket_welcome(&dropped, 0);
	iocp_finished_drop(&dropped);
}

static void advance(iocp_source *source, uint32_t what, iocp_finished *finished)
{
	iocp_finished ended = {NULL, NULL, 0};
	iocp_socket_advance((iocp_socket *)source, what, &ended);
	iocp_socket_welcome(&ended, 1);
	iocp_finished_join(finished, &ended);
}

static void end_heap(iocp_source *source, const iocp_heap *heap)
{
	iocp_socket *socket = (iocp_socket *)source;
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port;
	iocp_lock_acquire(&socket->lock);
	port = socket->port;
	(void)iocp_socket_end(socket, iocp_operation_uses_heap, heap, &finished);
	iocp_socket_end_writing(socket, &finished);
	iocp_lock_release(&socket->lock);
	iocp_socket_post(port, &finished);
}

static iocp_socket *new_socket(int family, int type, int descriptor)
{
	static const iocp_source_calls calls = {advance, port_ended, end_heap, NULL};
	iocp_socket *socket = calloc(1, sizeof(*socket));
	if (!socket)
		return NULL;
	iocp_source_begin(&socket->source, &calls);
	socket->family = (uint8_t)family;
	socket->type = (uint8_t)type;
	socket->descriptor = descriptor;
	socket->possible = IOCP_PRIM_READ | IOCP_PRIM_WRITE;
	return socket;
}

int iocp_socket_create(int family, int type, iocp_socket **socket)
{
	iocp_socket *made;
	int r;
	if (family < IOCP_INET || family > IOCP_UNIX || (type != IOCP_STREAM && type != IOCP_DATAGRAM))
		return IOCP_INVALID;
	made = new_socket(family, type, -1);
	if (!made)
		return IOCP_NOMEM;
	r = iocp_object_register(&made->source.object, IOCP_KIND_SOCKET, NULL, free_socket);
	if (r != IOCP_OK) {
		free(made);
		return r;
	}
	*socket = made;
	return IOCP_OK;
}

/* What the table knows a descriptor by. */
static const void *native_of(int descriptor)
{
	return (const void *)((uintptr_t)descriptor + 1);
}

/* Under the lock: this is its descriptor. */
static void set_descriptor(iocp_socket *socket, int descriptor, enum iocp_socket_state state)
{
	socket->descriptor = descriptor;
	socket->state = (uint8_t)state;
	iocp_object_set_native(&socket->source.object, native_of(descriptor));
}

int iocp_socket_need_descriptor(iocp_socket *s)
{
	static const int families[] = {0, AF_INET, AF_INET6, AF_UNIX}, types[] = {0, SOCK_STREAM, SOCK_DGRAM};
	const int off = 0;
	int descriptor;
	if (s->state != IOCP_SOCKET_FRESH || s->descriptor >= 0)
		return 0;
	descriptor = iocp_prim_socket(families[s->family], types[s->type]);
	if (descriptor < 0)
		return iocp_number_of(errno);
	if (s->family == IOCP_INET6)
		setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	set_descriptor(s, descriptor, IOCP_SOCKET_FRESH);
	return 0;
}

int iocp_socket_lock(iocp_socket *socket)
{
	int r = IOCP_INVALID;
	iocp_lock_acquire(&socket->lock);
	if (socket->state != IOCP_SOCKET_CLOSED && socket->state != IOCP_SOCKET_TAKEN)
		r = iocp_socket_need_descriptor(socket);
	if (r != IOCP_OK)
		iocp_lock_release(&socket->lock);
	return r;
}

int iocp_socket_pair(iocp_socket *pair[2])
{
	int descriptors[2], i, r = IOCP_OK;
	iocp_socket *made[2] = {NULL, NULL};
	for (i = 0; i < 2 && r == IOCP_OK; i++)
		r = iocp_socket_create(IOCP_UNIX, IOCP_STREAM, &made[i]);
	if (r == IOCP_OK && iocp_prim_socket_pair(descriptors) != 0)
		r = iocp_number_of(errno);
	for (i = 0; i < 2; i++) {
		if (r == IOCP_OK) {
			set_descriptor(made[i], descriptors[i], IOCP_SOCKET_CONNECTED); /* nobody else knows it yet */
			pair[i] = made[i];
		} else {
			iocp_socket_release(made[i]);
		}
	}
	return r;
}

/* What a descriptor of others is. 0: not a socket of ours to take. */
static int examine(int descriptor, int *family, int *type, enum iocp_socket_state *state)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address), size = sizeof(int);
	int system_type, listens = 0;
	if (getsockname(descriptor, (struct sockaddr *)&address, &length) != 0
		|| getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &system_type, &size) != 0)
		return 0;
	*family = address.ss_family == AF_INET    ? IOCP_INET
			  : address.ss_family == AF_INET6 ? IOCP_INET6
			  : address.ss_family == AF_UNIX  ? IOCP_UNIX
											  : 0;
	*type = system_type == SOCK_STREAM ? IOCP_STREAM : system_type == SOCK_DGRAM ? IOCP_DATAGRAM : 0;
	size = sizeof(listens);
	getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
	length = sizeof(address);
	*state = listens                                                              ? IOCP_SOCKET_LISTENING
			 : getpeername(descriptor, (struct sockaddr *)&address, &length) == 0 ? IOCP_SOCKET_CONNECTED
																				  : IOCP_SOCKET_OPEN;
	return *family && *type;
}

int iocp_socket_adopt(uintptr_t native, iocp_socket **socket)
{
	enum iocp_socket_state state;
	int family, type, r, descriptor = native <= INT32_MAX ? (int)native : -1;
	iocp_object *entered;
	iocp_socket *made;
	if (descriptor < 0 || !examine(descriptor, &family, &type, &state))
		return IOCP_INVALID;
	made = new_socket(family, type, descriptor);
	if (!made)
		return IOCP_NOMEM;
	iocp_prim_adopt_socket(descriptor);
	made->adopted = 1;
	made->state = (uint8_t)state;
	entered = &made->source.object;
	r = iocp_object_adopt(&entered, IOCP_KIND_SOCKET, native_of(descriptor), free_socket);
	if (r != IOCP_OK || entered != &made->source.object)
		free(made);
	if (r == IOCP_OK)
		*socket = (iocp_socket *)entered;
	return r;
}

int iocp_socket_is_connected(iocp_socket *socket)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	if (socket->adopted && socket->state == IOCP_SOCKET_OPEN
		&& getpeername(socket->descriptor, (struct sockaddr *)&peer, &length) == 0)
		socket->state = IOCP_SOCKET_CONNECTED;
	return socket->state == IOCP_SOCKET_CONNECTED;
}

uintptr_t iocp_socket_native(iocp_socket *socket)
{
	uintptr_t native = UINTPTR_MAX;
	iocp_lock_acquire(&socket->lock);
	if (iocp_socket_need_descriptor(socket) == 0 && socket->descriptor >= 0)
		native = (uintptr_t)socket->descriptor;
	iocp_lock_release(&socket->lock);
	return native;
}

/* ---- associated -------------------------------------------------------------------------------------------------- */

/* The member of a poll leaves it, as nothing more than that. */
static void leave_keeper(iocp_socket *socket)
{
	iocp_poll *poll;
	int left = 0;
	iocp_lock_acquire(&socket->lock);
	poll = socket->associated ? NULL : socket->poll;
	if (poll) {
		left = iocp_poll_leave(poll, &socket->source);
		socket->poll = NULL;
	}
	iocp_lock_release(&socket->lock);
	if (left)
		iocp_object_release(&socket->source.object); /* not the last: the caller has one */
}

/* Under the lock. */
static int join(iocp_socket *socket, iocp_poll *poll, iocp_handle port)
{
	int r;
	if (socket->state == IOCP_SOCKET_CLOSED || socket->associated || socket->poll)
		return IOCP_INVALID;
	r = iocp_poll_join(poll, &socket->source, 1);
	if (r == IOCP_OK) {
		socket->poll = poll;
		socket->port = port;
		socket->port_ended = 0;
	}
	return r;
}

int iocp_socket_associate(iocp_socket *socket, iocp_port *port, uintptr_t key)
{
	iocp_poll *poll;
	int r = iocp_port_poll(port, &poll);
	if (r > 0)
		return iocp_number_of(r);
	if (r != IOCP_OK)
		return r;
	leave_keeper(socket);
	iocp_lock_acquire(&socket->lock);
	r = socket->state == IOCP_SOCKET_TAKEN ? IOCP_INVALID : join(socket, poll, port->object.handle);
	if (r == IOCP_OK) {
		socket->associated = 1;
		socket->key = key;
	}
	iocp_lock_release(&socket->lock);
	if (r == IOCP_OK)
		iocp_port_has_member(port);
	return r;
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* The accept has failed: its client is fresh again. */
static void give_back(iocp_socket *client)
{
	iocp_lock_acquire(&client->lock);
	if (client->state == IOCP_SOCKET_TAKEN)
		client->state = IOCP_SOCKET_FRESH;
	iocp_lock_release(&client->lock);
}

/* The client gets its connection. 0 or a number. Without a port of its own it is kept by the listener's, if a packet
** names it, as nothing else may; else the caller has it. */
static int welcome(iocp_operation *operation, int by_packet)
{
	iocp_socket *client = (iocp_socket *)operation->of.accept.client;
	int descriptor = operation->of.accept.descriptor, kept, asked;
	iocp_port *port = NULL;
	iocp_lock_acquire(&client->lock);
	kept = client->state == IOCP_SOCKET_TAKEN;
	if (kept) {
		asked = client->descriptor; /* if somebody asked for it: it is in no set, since the client is not associated */
		set_descriptor(client, descriptor, IOCP_SOCKET_CONNECTED);
		if (asked >= 0) /* not before: its number would be another's, while the table has it for the client's */
			close(asked);
	}
	iocp_lock_release(&client->lock);
	if (!kept) { /* closed meanwhile */
		close(descriptor);
		return IOCP_ECANCELED;
	}
	if (iocp_port_open(operation->of.accept.port, &port) != IOCP_OK)
		return 0; /* that port has ended: so be it */
	if (operation->of.accept.associates)
		(void)iocp_socket_associate(client, port, (uintptr_t)iocp_socket_handle(client));
	else if (by_packet) {
		iocp_lock_acquire(&client->lock);
		(void)join(client, iocp_poll_of(port), operation->of.accept.port);
		iocp_lock_release(&client->lock);
	}
	iocp_port_release(port);
	return 0;
}

void iocp_socket_welcome(iocp_finished *finished, int by_packet)
{
	iocp_operation *operation;
	for (operation = finished->first; operation; operation = operation->next) {
		if (operation->kind != IOCP_ACCEPT || !operation->of.accept.client)
			continue;
		if (operation->packet.code != 0)
			give_back((iocp_socket *)operation->of.accept.client);
		else if (operation->of.accept.descriptor >= 0)
			operation->packet.code = welcome(operation, by_packet);
		operation->of.accept.descriptor = -1; /* that is done */
	}
}

void iocp_socket_post(iocp_handle port, iocp_finished *finished)
{
	iocp_socket_welcome(finished, 1);
	iocp_finished_post(port, finished);
}

/* ---- ended ------------------------------------------------------------------------------------------------------- */

uint32_t iocp_socket_cancel(iocp_socket *socket, const uintptr_t *overlapped)
{
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port;
	uint32_t count;
	iocp_lock_acquire(&socket->lock);
	port = socket->port;
	count = iocp_socket_end(socket, overlapped ? iocp_operation_has_overlapped : NULL, overlapped, &finished);
	iocp_socket_end_writing(socket, &finished);
	iocp_lock_release(&socket->lock);
	iocp_socket_post(port, &finished);
	return count;
}

int iocp_socket_shutdown(iocp_socket *socket, int sides)
{
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port = 0;
	int r = IOCP_OK;
	if (sides < IOCP_SIDE_READ || sides > (IOCP_SIDE_READ | IOCP_SIDE_WRITE))
		return IOCP_INVALID;
	iocp_lock_acquire(&socket->lock);
	if (socket->state == IOCP_SOCKET_CLOSED)
		r = IOCP_INVALID;
	else if (!iocp_socket_is_connected(socket))
		r = IOCP_ENOTCONN;
	else {
		port = socket->port;
		if (sides & IOCP_SIDE_WRITE) {
			socket->ends_writing = 1;
			iocp_socket_end_writing(socket, &finished);
		}
		if ((sides & IOCP_SIDE_READ) && shutdown(socket->descriptor, SHUT_RD) != 0)
			r = iocp_number_of(errno);
	}
	iocp_lock_release(&socket->lock);
	if (r == IOCP_OK && (sides & IOCP_SIDE_READ))
		iocp_socket_advance(socket, IOCP_PRIM_READ | IOCP_PRIM_ENDED, &finished);
	iocp_socket_post(port, &finished);
	return r;
}

/* Accepts of the port that wait for descriptors try again. */
static void feed(iocp_handle port)
{
	iocp_port *opened;
	if (iocp_port_open(port, &opened) != IOCP_OK)
		return;
	iocp_poll_feed(iocp_poll_of(opened));
	iocp_port_release(opened);
}

/* Under the lock: its operations end, and it is no member any more. What is left to do without the lock: *left: to drop
** the member's reference; *feeds: to tell others of the descriptor, once it is closed. */
static void end(iocp_socket *socket, iocp_finished *finished, int *left, int *feeds)
{
	iocp_poll *poll = socket->poll;
	if (socket->interest)
		iocp_prim_set_remove(&poll->set, socket->descriptor);
	socket->interest = 0;
	socket->state = IOCP_SOCKET_CLOSED;
	socket->descriptor = -1;
	(void)iocp_socket_end(socket, NULL, NULL, finished);
	*left = poll && iocp_poll_leave(poll, &socket->source);
	*feeds = poll && iocp_poll_has_starved(poll);
	socket->poll = NULL;
}

int iocp_socket_close(iocp_socket *socket)
{
	iocp_finished finished = {NULL, NULL, 0};
	iocp_handle port;
	int descriptor, left, feeds;
	iocp_object_revoke(&socket->source.object);
	iocp_lock_acquire(&socket->lock);
	if (socket->state == IOCP_SOCKET_CLOSED) {
		iocp_lock_release(&socket->lock);
		return IOCP_INVALID;
	}
	descriptor = socket->adopted ? -1 : socket->descriptor;
	port = socket->port;
	end(socket, &finished, &left, &feeds);
	iocp_lock_release(&socket->lock);
	if (descriptor >= 0)
		close(descriptor); /* which may take as long as the option linger says */
	if (descriptor >= 0 && feeds)
		feed(port);
	iocp_socket_post(port, &finished);
	if (left)
		iocp_object_release(&socket->source.object);
	return IOCP_OK;
}

int iocp_socket_detach(iocp_socket *socket, uintptr_t *native)
{
	int descriptor = -1;
	iocp_lock_acquire(&socket->lock);
	if (!socket->adopted && iocp_socket_need_descriptor(socket) == 0)
		descriptor = socket->descriptor;
	if (descriptor >= 0)
		socket->adopted = 1; /* so nobody closes it here */
	iocp_lock_release(&socket->lock);
	if (descriptor < 0)
		return IOCP_INVALID;
	*native = (uintptr_t)descriptor;
	(void)iocp_socket_close(socket);
	return IOCP_OK;
}
