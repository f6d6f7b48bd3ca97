/*
** socket_address.c - where a socket is: bind, listen, and its addresses, all at once. Owns nothing.
*/

#include "native/socket.h"

#include <errno.h>
#include <string.h>

int iocp_socket_bind(iocp_socket *socket, const char *host, uint16_t port)
{
	iocp_address address;
	int r = iocp_address_parse(socket->family, host, port, &address);
	if (r == IOCP_OK)
		r = iocp_socket_lock(socket);
	if (r != IOCP_OK)
		return r;
	if (bind(socket->descriptor, &address.as.any, address.length) != 0)
		r = iocp_number_of(errno);
	else if (socket->state == IOCP_SOCKET_FRESH)
		socket->state = IOCP_SOCKET_OPEN;
	iocp_lock_release(&socket->lock);
	return r;
}

int iocp_socket_listen(iocp_socket *socket, int backlog)
{
	int r = iocp_socket_lock(socket);
	if (r != IOCP_OK)
		return r;
	if (listen(socket->descriptor, backlog > 0 ? backlog : SOMAXCONN) == 0)
		socket->state = IOCP_SOCKET_LISTENING;
	else
		r = iocp_number_of(errno);
	iocp_lock_release(&socket->lock);
	return r;
}

int iocp_socket_address(iocp_socket *socket, int peer, char *host, size_t size, uint16_t *port)
{
	iocp_address address = {.length = sizeof(address.as)};
	int r = iocp_socket_lock(socket);
	if (r != IOCP_OK)
		return r;
	memset(&address.as, 0, sizeof(address.as));
	r = peer ? getpeername(socket->descriptor, &address.as.any, &address.length)
			 : getsockname(socket->descriptor, &address.as.any, &address.length);
	if (r != 0)
		r = iocp_number_of(errno);
	iocp_lock_release(&socket->lock);
	if (r == IOCP_OK)
		r = iocp_address_write(&address, host, size, port);
	return r;
}
