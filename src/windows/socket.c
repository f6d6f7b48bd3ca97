/*
** socket.c - a socket's life: creating, adopting, associating, closing.
**
** Ownership: its association holds a reference, which goes when it is closed or when its port ends. Its operations hold
** one each. The port's pointer in it is no reference: whoever ends the port first takes it out, under the lock.
**
** Its name goes before the system's number does: the system may give the number to another one at once, which somebody
** may adopt.
*/

#include "windows/socket.h"

#include <stdlib.h>

#define SKIP_PORT_ON_SUCCESS 1 /* FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, which not every header has; and */
#define SKIP_SET_EVENT 2       /* FILE_SKIP_SET_EVENT_ON_HANDLE */

/* ---- birth and death --------------------------------------------------------------------------------------------- */

static void close_system(const iocp_socket *socket, SOCKET system)
{
	if (!socket->adopted)
		iocp_winsock.closesocket(system);
}

static void free_socket(iocp_object *object)
{
	iocp_socket *socket = (iocp_socket *)object;
	if (!iocp_socket_is_closed(socket))
		close_system(socket, socket->system);
	free(socket);
}

/* The port ends, and the reference of the association is this one's. */
static void end_association(iocp_association *association, iocp_port *port)
{
	iocp_socket *socket = (iocp_socket *)((char *)association - offsetof(iocp_socket, association));
	iocp_lock_acquire(&socket->lock);
	if (socket->port == port) { /* else it was kept for its listener's sake */
		socket->port = NULL;
		socket->ended = 1;
		iocp_socket_stop(socket, iocp_request_any, NULL);
	}
	iocp_lock_release(&socket->lock);
	iocp_socket_release(socket);
}

/* Finds out in which state one is that others made. Nobody else knows it here yet. */
static void examine(iocp_socket *socket)
{
	struct sockaddr_in6 address;
	int listens = 0, size = sizeof(listens);
	iocp_winsock.getsockopt(socket->system, SOL_SOCKET, SO_ACCEPTCONN, (char *)&listens, &size);
	size = sizeof(address);
	socket->used = socket->bound = 1;
	socket->listens = listens != 0;
	socket->connected = iocp_winsock.getpeername(socket->system, (struct sockaddr *)&address, &size) == 0;
}

int iocp_socket_make(SOCKET system, int family, int type, int adopted, iocp_socket **socket)
{
	iocp_socket *s = calloc(1, sizeof(*s));
	iocp_object *entered = &s->object;
	int r = s ? IOCP_OK : IOCP_NOMEM;
	if (s) {
		s->association.end = end_association;
		s->system = system;
		s->linger = -1;
		s->family = (unsigned)family & 0xff;
		s->type = (unsigned)type & 0xff;
		s->adopted = adopted != 0;
		if (adopted)
			examine(s);
		r = adopted ? iocp_object_adopt(&entered, IOCP_KIND_SOCKET, (void *)system, free_socket)
					: iocp_object_register(entered, IOCP_KIND_SOCKET, (void *)system, free_socket);
	}
	if (r == IOCP_OK)
		*socket = (iocp_socket *)entered;
	if (r != IOCP_OK || entered != &s->object)
		free(s);
	if (r != IOCP_OK && !adopted)
		iocp_winsock.closesocket(system);
	return r;
}

int iocp_socket_begin(void)
{
	int r = iocp_operation_begin();
	return r == IOCP_OK ? iocp_winsock_begin() : r;
}

/* What holds of every new one; what the system refuses of it is not there to be had. */
static void set_habits(SOCKET system, int family, int type)
{
	DWORD off = 0, bytes;
	if (family == IOCP_INET6)
		iocp_winsock.setsockopt(system, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off, sizeof(off));
	if (type == IOCP_STREAM)
		return;
	/* That a peer cannot be reached would fail the next receive, from whomever: SIO_UDP_CONNRESET, SIO_UDP_NETRESET. */
	iocp_winsock.WSAIoctl(system, _WSAIOW(IOC_VENDOR, 12), &off, sizeof(off), NULL, 0, &bytes, NULL, NULL);
	iocp_winsock.WSAIoctl(system, _WSAIOW(IOC_VENDOR, 15), &off, sizeof(off), NULL, 0, &bytes, NULL, NULL);
}

int iocp_socket_create(int family, int type, iocp_socket **socket)
{
	SOCKET system;
	int r;
	if (family < IOCP_INET || family > IOCP_UNIX || type < IOCP_STREAM || type > IOCP_DATAGRAM)
		return IOCP_INVALID;
	if (family == IOCP_UNIX)
		return IOCP_EAFNOSUPPORT;
	r = iocp_socket_begin();
	if (r == IOCP_OK)
		r = iocp_winsock_socket(
			family == IOCP_INET6 ? AF_INET6 : AF_INET, type == IOCP_STREAM ? SOCK_STREAM : SOCK_DGRAM, &system);
	if (r != IOCP_OK)
		return r;
	set_habits(system, family, type);
	return iocp_socket_make(system, family, type, 0, socket);
}

int iocp_socket_adopt(uintptr_t native, iocp_socket **socket)
{
	WSAPROTOCOL_INFOW info = {0};
	int size = sizeof(info);
	int r = iocp_socket_begin();
	if (r != IOCP_OK)
		return r;
	if (iocp_winsock.getsockopt(native, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &size) != 0
		|| (info.iAddressFamily != AF_INET && info.iAddressFamily != AF_INET6)
		|| (info.iSocketType != SOCK_STREAM && info.iSocketType != SOCK_DGRAM))
		return IOCP_INVALID;
	return iocp_socket_make(native, info.iAddressFamily == AF_INET6 ? IOCP_INET6 : IOCP_INET,
		info.iSocketType == SOCK_STREAM ? IOCP_STREAM : IOCP_DATAGRAM, 1, socket);
}

uintptr_t iocp_socket_native(iocp_socket *socket)
{
	uintptr_t native;
	iocp_lock_acquire(&socket->lock);
	native = socket->system;
	iocp_lock_release(&socket->lock);
	return native;
}

/* ---- associating ------------------------------------------------------------------------------------------------- */

/* Has the kernel send no packet for what is done at once, if that can be. */
static int skip(const iocp_socket *socket)
{
	WSAPROTOCOL_INFOW info = {0};
	int size = sizeof(info);
	/* A provider whose sockets are no handles of the kernel's sends packets of its own. */
	if (iocp_winsock.getsockopt(socket->system, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &size) != 0
		|| !(info.dwServiceFlags1 & XP1_IFS_HANDLES))
		return 0;
	/* Windows 7 sends some for datagrams all the same. What came with its successor tells it. */
	if (socket->type == IOCP_DATAGRAM
		&& !GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "GetSystemTimePreciseAsFileTime"))
		return 0;
	return SetFileCompletionNotificationModes((HANDLE)socket->system, SKIP_PORT_ON_SUCCESS | SKIP_SET_EVENT) != 0;
}

int iocp_socket_associate_locked(iocp_socket *socket, iocp_port *port, uintptr_t key)
{
	int r;
	if (socket->port || socket->ended)
		return IOCP_INVALID;
	r = iocp_port_associate(port, (HANDLE)socket->system, key);
	if (r != IOCP_OK)
		return r;
	socket->skips = (unsigned)skip(socket) & 1;
	socket->used = 1;
	if (!iocp_association_take(&socket->association)) /* else the one that kept it for its listener's sake */
		iocp_object_retain(&socket->object);
	r = iocp_port_keep(port, &socket->association);
	if (r == IOCP_OK) {
		socket->port = port;
		socket->key = key;
	} else { /* the kernel has it for good */
		socket->ended = 1;
		iocp_object_release(&socket->object); /* not the last: the caller has one */
	}
	return r;
}

int iocp_socket_associate(iocp_socket *socket, iocp_port *port, uintptr_t key)
{
	int r;
	if (!iocp_port_enter(port))
		return IOCP_CLOSED;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK)
		r = iocp_socket_associate_locked(socket, port, key);
	iocp_lock_release(&socket->lock);
	iocp_port_leave(port);
	return r;
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

/* The lock is held. */
static void shut(iocp_socket *socket)
{
	iocp_operation *one;
	for (one = socket->operations.oldest; one; one = one->newer) {
		iocp_request *request = (iocp_request *)one;
		if (request->call->settle)
			request->call->settle(socket, request);
	}
	iocp_socket_stop(socket, iocp_request_any, NULL);
}

int iocp_socket_close(iocp_socket *socket)
{
	SOCKET system;
	iocp_lock_acquire(&socket->lock);
	system = socket->system;
	if (system != INVALID_SOCKET)
		shut(socket);
	socket->system = INVALID_SOCKET; /* from here on nobody uses the number but this thread */
	socket->port = NULL;
	iocp_lock_release(&socket->lock);
	if (system == INVALID_SOCKET)
		return IOCP_INVALID;
	iocp_object_revoke(&socket->object);
	close_system(socket, system);
	if (iocp_association_take(&socket->association))
		iocp_socket_release(socket);
	return IOCP_OK;
}

int iocp_socket_detach(iocp_socket *socket, uintptr_t *native)
{
	(void)socket, (void)native;
	return IOCP_INVALID;
}
