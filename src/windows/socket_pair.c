/*
** socket_pair.c - two sockets that are connected to each other: by TCP, through a listener that nobody else is told of.
** Whoever connects to it all the same is not the one whose address was asked for, and is turned away.
*/

#include "windows/socket.h"

#include <string.h>

typedef struct ends {
	SOCKET listener, caller, callee;
} ends;

static int name_of(SOCKET socket, int peer, struct sockaddr_in *address)
{
	int size = sizeof(*address);
	int failed = peer ? iocp_winsock.getpeername(socket, (struct sockaddr *)address, &size)
					  : iocp_winsock.getsockname(socket, (struct sockaddr *)address, &size);
	return failed ? iocp_winsock_error() : IOCP_OK;
}

static int listen_at_home(SOCKET listener, struct sockaddr_in *address)
{
	iocp_address home;
	iocp_address_parse(IOCP_INET, "127.0.0.1", 0, &home);
	if (iocp_winsock.bind(listener, &home.as.any, home.size) != 0 || iocp_winsock.listen(listener, 1) != 0)
		return iocp_winsock_error();
	return name_of(listener, 0, address);
}

/* Accepts one connection as `callee`, by a wait for no port. */
static int accept_one(const ends *of, OVERLAPPED *overlapped)
{
	char room[2 * (sizeof(struct sockaddr_in) + 16)];
	DWORD bytes, room_for_one = sizeof(room) / 2;
	int ok = iocp_winsock.AcceptEx(of->listener, of->callee, room, 0, room_for_one, room_for_one, &bytes, overlapped);
	if (!ok && GetLastError() == WSA_IO_PENDING)
		ok = GetOverlappedResult((HANDLE)of->listener, overlapped, &bytes, TRUE);
	if (!ok)
		return iocp_winsock_error();
	iocp_winsock.setsockopt(
		of->callee, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&of->listener, sizeof(of->listener));
	return IOCP_OK;
}

/* Accepts until it is the caller. */
static int accept_caller(ends *of)
{
	OVERLAPPED overlapped = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
	struct sockaddr_in caller, peer;
	int r = overlapped.hEvent ? name_of(of->caller, 0, &caller) : IOCP_ENOMEM;
	int found = 0;
	while (r == IOCP_OK && !found) {
		r = accept_one(of, &overlapped);
		if (r == IOCP_OK)
			r = name_of(of->callee, 1, &peer);
		found = r == IOCP_OK && peer.sin_port == caller.sin_port && peer.sin_addr.s_addr == caller.sin_addr.s_addr;
		if (r == IOCP_OK && !found) {
			iocp_winsock.closesocket(of->callee);
			of->callee = INVALID_SOCKET;
			r = iocp_winsock_socket(AF_INET, SOCK_STREAM, &of->callee);
		}
	}
	if (overlapped.hEvent)
		CloseHandle(overlapped.hEvent);
	return r;
}

static int connect_ends(ends *of)
{
	struct sockaddr_in address;
	DWORD on = 1;
	int r = iocp_winsock_socket(AF_INET, SOCK_STREAM, &of->listener);
	if (r == IOCP_OK)
		r = iocp_winsock_socket(AF_INET, SOCK_STREAM, &of->caller);
	if (r == IOCP_OK)
		r = iocp_winsock_socket(AF_INET, SOCK_STREAM, &of->callee);
	if (r == IOCP_OK)
		r = listen_at_home(of->listener, &address);
	if (r == IOCP_OK
		&& iocp_winsock.WSAConnect(of->caller, (struct sockaddr *)&address, sizeof(address), NULL, NULL, NULL, NULL))
		r = iocp_winsock_error();
	if (r == IOCP_OK)
		r = accept_caller(of);
	if (r == IOCP_OK) { /* what is sent is on its way, as in a pair of any other system */
		iocp_winsock.setsockopt(of->caller, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof(on));
		iocp_winsock.setsockopt(of->callee, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof(on));
	}
	return r;
}

static void close_if_open(SOCKET socket)
{
	if (socket != INVALID_SOCKET)
		iocp_winsock.closesocket(socket);
}

int iocp_socket_pair(iocp_socket *pair[2])
{
	ends of = {INVALID_SOCKET, INVALID_SOCKET, INVALID_SOCKET};
	iocp_socket *caller, *callee;
	int r = iocp_socket_begin();
	if (r == IOCP_OK)
		r = connect_ends(&of);
	close_if_open(of.listener);
	if (r != IOCP_OK) {
		close_if_open(of.caller);
		close_if_open(of.callee);
		return r;
	}
	r = iocp_socket_make(of.caller, IOCP_INET, IOCP_STREAM, 0, &caller);
	if (r != IOCP_OK) {
		close_if_open(of.callee);
		return r;
	}
	r = iocp_socket_make(of.callee, IOCP_INET, IOCP_STREAM, 0, &callee);
	if (r != IOCP_OK) {
		iocp_socket_release(caller);
		return r;
	}
	caller->used = caller->bound = caller->connected = 1;
	callee->used = callee->bound = callee->connected = 1;
	pair[0] = caller;
	pair[1] = callee;
	return IOCP_OK;
}
