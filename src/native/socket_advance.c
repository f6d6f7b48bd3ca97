/*
** socket_advance.c - what a socket's operations do: each is tried, without waiting, and ends or waits for an event.
**
** Events are edges: one comes when something changes, and whoever tries an operation goes on until the system says that
** there is no more, or, on a stream, until a short count says it. From then on trying is in vain (`possible`) until the
** next event; so a request costs one receive, one send, and a share of a wait. Where others use the descriptor, too,
** nothing is known, and everything is tried. After the peer's end, urgent data or an error everything is tried as well:
** data and the end may come with one edge, and a read stops short where the urgent data were.
**
** One pass moves AT_ONCE bytes a side at most, so that no peer keeps others from their turn. What is left then asks for
** an event for what is the case already.
**
** Locking: the socket's lock is held in all of this, and no call of the system in it waits.
*/

#include "core/features.h"

#include "native/socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "native/quiet.h"

enum { AT_ONCE = 256 * 1024 };

/* ---- single steps ------------------------------------------------------------------------------------------------ */

/* It was in vain, until the next event. */
static int wait_for(iocp_socket *socket, uint32_t side)
{
	socket->possible &= (uint8_t)~side;
	if (socket->poll && socket->interest)
		iocp_prim_set_used(&socket->poll->set, socket->descriptor, side);
	return IOCP_WAIT;
}

static int would_wait(int code)
{
	return code == EAGAIN || code == EWOULDBLOCK;
}

/* What a call that returned n < 0 has brought. */
static int failed(iocp_socket *socket, uint32_t side)
{
	return would_wait(errno) ? wait_for(socket, side) : iocp_number_of(errno);
}

static void moved(iocp_operation *operation, size_t bytes)
{
	operation->packet.bytes += (uint32_t)bytes;
	operation->data += bytes;
}

static int receive(iocp_socket *socket, iocp_operation *operation)
{
	ssize_t n;
	do
		n = recv(socket->descriptor, operation->data, operation->size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	socket->told &= (uint8_t)~IOCP_PRIM_READ;
	if (n < 0)
		return failed(socket, IOCP_PRIM_READ);
	operation->packet.bytes = (uint32_t)n;
	if ((size_t)n < operation->size)
		(void)wait_for(socket, IOCP_PRIM_READ);
	return n == 0 && socket->reset ? socket->reset : IOCP_DONE;
}

/* A datagram: its peer goes before the data, if there is room for one. */
static int receive_datagram(iocp_socket *socket, iocp_operation *operation)
{
	iocp_address from = {.length = sizeof(from.as)};
	struct iovec data = {operation->data, operation->size};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t n;
	if (operation->kind == IOCP_RECEIVE_FROM) {
		message.msg_name = &from.as;
		message.msg_namelen = sizeof(from.as);
	}
	do
		n = recvmsg(socket->descriptor, &message, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	socket->told &= (uint8_t)~IOCP_PRIM_READ;
	if (n < 0)
		return failed(socket, IOCP_PRIM_READ);
	from.length = message.msg_namelen;
	if (operation->kind == IOCP_RECEIVE_FROM)
		iocp_peer_of_address(operation->block, &from);
	operation->packet.bytes = (uint32_t)n;
	return message.msg_flags & MSG_TRUNC ? IOCP_EMSGSIZE : IOCP_DONE;
}

static int send_stream(iocp_socket *socket, iocp_operation *operation)
{
	size_t budget = AT_ONCE;
	while (operation->packet.bytes < operation->size) {
		size_t left = operation->size - operation->packet.bytes;
		ssize_t n;
		if (budget == 0)
			return IOCP_MORE;
		left = left < budget ? left : budget;
		n = send(socket->descriptor, operation->data, left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(socket, IOCP_PRIM_WRITE);
		moved(operation, (size_t)n);
		budget -= (size_t)n;
	}
	return IOCP_DONE;
}

static int send_datagram(iocp_socket *socket, iocp_operation *operation)
{
	iocp_address to = {0};
	struct iovec data = {operation->data, operation->size};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t n;
	if (operation->kind == IOCP_SEND_TO) {
		int number = iocp_address_of_peer(socket->family, operation->block, &to);
		if (number != 0)
			return number;
		message.msg_name = &to.as;
		message.msg_namelen = to.length;
	}
	do
		n = sendmsg(socket->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failed(socket, IOCP_PRIM_WRITE);
	operation->packet.bytes = (uint32_t)n;
	return IOCP_DONE;
}

/* The call knows no MSG_NOSIGNAL. */
static ssize_t send_file_quietly(int to, int file, int64_t offset, size_t size)
{
	iocp_quiet quiet;
	ssize_t n;
	iocp_quiet_begin(&quiet);
	n = iocp_prim_send_file(to, file, offset, size);
	iocp_quiet_end(&quiet, n, size);
	return n;
}

static int send_file(iocp_socket *socket, iocp_operation *operation)
{
	size_t budget = AT_ONCE;
	while (operation->packet.bytes < operation->size) {
		size_t left = operation->size - operation->packet.bytes;
		int64_t offset = (int64_t)(operation->of.file.offset + operation->packet.bytes);
		ssize_t n;
		if (budget == 0)
			return IOCP_MORE;
		n = send_file_quietly(socket->descriptor, operation->of.file.file, offset, left < budget ? left : budget);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(socket, IOCP_PRIM_WRITE);
		if (n == 0) /* the file ends here */
			return IOCP_DONE;
		operation->packet.bytes += (uint32_t)n;
		budget -= (size_t)n;
	}
	return IOCP_DONE;
}

/* Whether poll(2) says so at the moment; also of the end and of errors. */
static int is_ready(int descriptor, short events)
{
	struct pollfd asked = {.fd = descriptor, .events = events};
	return poll(&asked, 1, 0) > 0;
}

static int try_ready(iocp_socket *socket, const iocp_operation *operation)
{
	short events = operation->side == IOCP_PRIM_READ ? POLLIN : POLLOUT;
	if ((socket->told & operation->side) || is_ready(socket->descriptor, events))
		return IOCP_DONE;
	return wait_for(socket, operation->side);
}

/* No descriptor is left, which the system says first, whether there is a connection or not. */
static int starve(iocp_socket *socket, int code)
{
	if (!is_ready(socket->descriptor, POLLIN))
		return wait_for(socket, IOCP_PRIM_READ);
	socket->starved = 1;
	iocp_poll_starves(socket->poll, &socket->source);
	return iocp_number_of(code);
}

static int accept_one(iocp_socket *socket, iocp_operation *operation)
{
	int descriptor;
	if (socket->starved)
		return IOCP_WAIT;
	do { /* the descriptor of others may be one that waits */
		if (socket->adopted && !is_ready(socket->descriptor, POLLIN))
			return wait_for(socket, IOCP_PRIM_READ);
		descriptor = iocp_prim_accept(socket->descriptor);
	} while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	if (descriptor >= 0) {
		operation->of.accept.descriptor = descriptor;
		return IOCP_DONE;
	}
	return errno == EMFILE || errno == ENFILE ? starve(socket, errno) : failed(socket, IOCP_PRIM_READ);
}

/* The connect was begun by its call: whether it has ended. */
static int end_connect(iocp_socket *socket)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer), size = sizeof(int);
	int error = 0;
	if (getsockopt(socket->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error == 0 && getpeername(socket->descriptor, (struct sockaddr *)&peer, &length) != 0)
		return errno == ENOTCONN ? wait_for(socket, IOCP_PRIM_WRITE) : iocp_number_of(errno);
	return error ? iocp_number_of(error) : IOCP_DONE;
}

int iocp_socket_try(iocp_socket *socket, iocp_operation *operation)
{
	switch ((enum iocp_operation_kind)operation->kind) {
	case IOCP_ACCEPT:
		return accept_one(socket, operation);
	case IOCP_CONNECT:
		return end_connect(socket);
	case IOCP_RECEIVE:
		return socket->type == IOCP_STREAM ? receive(socket, operation) : receive_datagram(socket, operation);
	case IOCP_RECEIVE_FROM:
		return receive_datagram(socket, operation);
	case IOCP_SEND:
		if (socket->write_error)
			return socket->write_error;
		return socket->type == IOCP_STREAM ? send_stream(socket, operation) : send_datagram(socket, operation);
	case IOCP_SEND_TO:
		return send_datagram(socket, operation);
	case IOCP_SEND_FILE:
		return socket->write_error ? socket->write_error : send_file(socket, operation);
	case IOCP_READY:
	case IOCP_READ: /* a file's, as the next two */
	case IOCP_WRITE:
	case IOCP_SYNC:
		break;
	}
	return try_ready(socket, operation);
}

/* ---- waiting for events ------------------------------------------------------------------------------------------ */

int iocp_socket_expect(iocp_socket *socket, uint32_t what, int now)
{
	uint32_t interest = socket->interest | what;
	uint64_t name = socket->source.object.handle;
	int code = 0;
	if (!socket->interest)
		code = iocp_prim_set_add(&socket->poll->set, socket->descriptor, interest, name);
	else if (interest != socket->interest || now)
		code = iocp_prim_set_change(&socket->poll->set, socket->descriptor, interest, name);
	if (code != 0)
		return iocp_number_of(code);
	socket->interest = (uint8_t)interest;
	return 0;
}

/* Room in a unix socket comes with each message that the peer reads, and would be told each time. */
static void expect_no_room(iocp_socket *socket)
{
	if (socket->family != IOCP_UNIX || !(socket->interest & IOCP_PRIM_WRITE) || socket->interest == IOCP_PRIM_WRITE)
		return;
	socket->interest = IOCP_PRIM_READ;
	(void)iocp_prim_set_change(&socket->poll->set, socket->descriptor, socket->interest, socket->source.object.handle);
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

/* Sends that would leave a hole, be they behind others or not. */
static void fail_sends(iocp_socket *socket, iocp_finished *finished)
{
	iocp_operation *operation = socket->writing.first, *next;
	socket->writing = (iocp_operations){NULL, NULL};
	for (; operation; operation = next) {
		next = operation->next;
		if (operation->kind == IOCP_SEND || operation->kind == IOCP_SEND_FILE)
			iocp_finish(finished, operation, socket->write_error);
		else
			iocp_operations_append(&socket->writing, operation);
	}
}

void iocp_socket_end_writing(iocp_socket *socket, iocp_finished *finished)
{
	if (socket->write_error && socket->writing.first)
		fail_sends(socket, finished);
	if (!socket->ends_writing || socket->writing.first || socket->write_error)
		return;
	socket->write_error = IOCP_EPIPE;
	(void)shutdown(socket->descriptor, SHUT_WR);
}

/* A connect has ended with this number. The system goes on with one that was cancelled unless it is told: the next one
** would find itself connected, to the peer of the first. */
static void connect_ended(iocp_socket *socket, int number)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	if (number == IOCP_ECANCELED)
		(void)connect(socket->descriptor, &nobody, sizeof(nobody));
	socket->state = number == 0 ? IOCP_SOCKET_CONNECTED : IOCP_SOCKET_OPEN;
}

void iocp_socket_ended(iocp_socket *socket, iocp_operation *operation, int number)
{
	int sends = operation->kind == IOCP_SEND || operation->kind == IOCP_SEND_FILE;
	if (operation->kind == IOCP_CONNECT) {
		if (socket->state == IOCP_SOCKET_CONNECTING) /* else it is closed */
			connect_ended(socket, number);
		return;
	}
	/* The system says it once, to a receive or a send, and from then on that the stream has ended, which it has not. */
	if (number == IOCP_ECONNRESET || number == IOCP_ETIMEDOUT)
		socket->reset = (uint16_t)number;
	/* A stream never has a hole. What was cancelled before any of it went out leaves none. */
	if (sends && socket->type == IOCP_STREAM && number != 0 && !socket->write_error
		&& (number != IOCP_ECANCELED || operation->packet.bytes > 0))
		socket->write_error = (uint16_t)number;
}

/* As far as it goes. Returns IOCP_MORE if it stopped for the others' sake. */
static int go_on(iocp_socket *socket, iocp_operations *operations, iocp_finished *finished)
{
	size_t budget = AT_ONCE;
	while (operations->first) {
		iocp_operation *operation = operations->first;
		int outcome = iocp_socket_try(socket, operation);
		if (outcome < 0)
			return outcome;
		iocp_operations_remove_first(operations);
		iocp_socket_ended(socket, operation, outcome);
		iocp_finish(finished, operation, outcome);
		if (operation->packet.bytes >= budget)
			return operations->first ? IOCP_MORE : IOCP_DONE;
		budget -= operation->packet.bytes;
	}
	return IOCP_DONE;
}

void iocp_socket_advance(iocp_socket *socket, uint32_t what, iocp_finished *finished)
{
	uint32_t again = 0;
	uint8_t both = IOCP_PRIM_READ | IOCP_PRIM_WRITE;
	iocp_lock_acquire(&socket->lock);
	socket->told = (uint8_t)(socket->adopted ? 0 : what & both); /* what others have read since is no news */
	if (what & IOCP_PRIM_ENDED) {
		socket->hangs = 1;
		what |= both;
	}
	socket->possible |= (uint8_t)(what & both);
	if (what & IOCP_RETRY)
		socket->starved = 0;
	if (what & IOCP_PRIM_READ && go_on(socket, &socket->reading, finished) == IOCP_MORE)
		again |= IOCP_PRIM_READ;
	if (what & IOCP_PRIM_WRITE && go_on(socket, &socket->writing, finished) == IOCP_MORE)
		again |= IOCP_PRIM_WRITE;
	socket->told = 0;
	iocp_socket_end_writing(socket, finished);
	if (again)
		(void)iocp_socket_expect(socket, again, 1);
	else if (!socket->writing.first)
		expect_no_room(socket);
	iocp_lock_release(&socket->lock);
}

uint32_t iocp_socket_end(iocp_socket *socket, int (*matches)(const iocp_operation *, const void *), const void *with,
	iocp_finished *finished)
{
	iocp_operations *sides[] = {&socket->reading, &socket->writing};
	uint32_t count = 0;
	size_t i;
	for (i = 0; i < 2; i++) {
		iocp_operations taken = {NULL, NULL};
		iocp_operation *operation, *next;
		count += iocp_operations_take(sides[i], matches, with, &taken);
		for (operation = taken.first; operation; operation = next) {
			next = operation->next;
			iocp_socket_ended(socket, operation, IOCP_ECANCELED);
			iocp_finish(finished, operation, IOCP_ECANCELED);
		}
	}
	return count;
}
