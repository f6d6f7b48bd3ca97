/*
** socket_address.c - addresses as text, and the calls that take or give one at once. Owns nothing.
*/

#include "windows/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = INET6_ADDRSTRLEN + 16 }; /* with a scope */

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* The number of an interface by its number or name, of 0 characters for none. 0: there is no such. */
static uint32_t scope_of(const char *name)
{
	/* iphlpapi.dll is loaded for whoever names an interface, and stays. */
	typedef ULONG(WINAPI * to_index)(const char *);
	HMODULE library;
	to_index convert;
	char *end;
	unsigned long number = strtoul(name, &end, 10);
	if (*name >= '0' && *name <= '9' && !*end)
		return number <= UINT32_MAX ? (uint32_t)number : 0;
	library = LoadLibraryW(L"iphlpapi.dll");
	convert = library ? (to_index)(uintptr_t)GetProcAddress(library, "if_nametoindex") : NULL;
	return convert ? (uint32_t)convert(name) : 0;
}

static int parse_inet6(const char *host, iocp_address *address)
{
	char digits[LONGEST];
	const char *scope = strchr(host, '%');
	size_t length = scope ? (size_t)(scope - host) : strlen(host);
	if (length >= sizeof(digits))
		return IOCP_EINVAL;
	memcpy(digits, host, length);
	digits[length] = 0;
	if (iocp_winsock.inet_pton(AF_INET6, digits, &address->as.inet6.sin6_addr) != 1)
		return IOCP_EINVAL;
	if (scope && (address->as.inet6.sin6_scope_id = scope_of(scope + 1)) == 0)
		return IOCP_EINVAL;
	address->as.inet6.sin6_family = AF_INET6;
	address->size = sizeof(address->as.inet6);
	return IOCP_OK;
}

int iocp_address_parse(int family, const char *host, uint16_t port, iocp_address *address)
{
	int inet6 = host ? strchr(host, ':') != NULL : family == IOCP_INET6;
	memset(address, 0, sizeof(*address));
	/* The port is at the same place in both. */
	address->as.inet.sin_port = (u_short)(port << 8 | port >> 8);
	if (inet6 && host) {
		if (parse_inet6(host, address) != IOCP_OK)
			return IOCP_EINVAL;
	} else if (inet6) {
		address->as.inet6.sin6_family = AF_INET6;
		address->size = sizeof(address->as.inet6);
	} else {
		address->as.inet.sin_family = AF_INET;
		address->size = sizeof(address->as.inet);
		if (host && iocp_winsock.inet_pton(AF_INET, host, &address->as.inet.sin_addr) != 1)
			return IOCP_EINVAL;
	}
	return family && iocp_address_fit(family, address) != IOCP_OK ? IOCP_EINVAL : IOCP_OK;
}

int iocp_address_fit(int family, iocp_address *address)
{
	struct sockaddr_in inet = address->as.inet;
	if (address->as.any.sa_family == AF_INET6) {
		address->size = sizeof(address->as.inet6);
		return family == IOCP_INET6 ? IOCP_OK : IOCP_EAFNOSUPPORT;
	}
	if (address->as.any.sa_family != AF_INET)
		return IOCP_EDESTADDRREQ;
	address->size = sizeof(address->as.inet);
	if (family == IOCP_INET6) { /* ::ffff:1.2.3.4 */
		memset(&address->as, 0, sizeof(address->as));
		address->as.inet6.sin6_family = AF_INET6;
		address->as.inet6.sin6_port = inet.sin_port;
		address->as.inet6.sin6_addr.u.Byte[10] = address->as.inet6.sin6_addr.u.Byte[11] = 0xff;
		memcpy(&address->as.inet6.sin6_addr.u.Byte[12], &inet.sin_addr, 4);
		address->size = sizeof(address->as.inet6);
	}
	return IOCP_OK;
}

void iocp_address_go_home(iocp_address *address)
{
	static const struct in6_addr any;
	static const uint8_t mapped_any[16] = {[10] = 0xff, [11] = 0xff};
	uint8_t *inet6 = address->as.inet6.sin6_addr.u.Byte;
	static const uint8_t home[4] = {127, 0, 0, 1};
	if (address->as.any.sa_family == AF_INET && address->as.inet.sin_addr.s_addr == 0)
		memcpy(&address->as.inet.sin_addr, home, 4);
	else if (address->as.any.sa_family == AF_INET6 && memcmp(inet6, &any, 16) == 0)
		inet6[15] = 1;
	else if (address->as.any.sa_family == AF_INET6 && memcmp(inet6, mapped_any, 16) == 0)
		memcpy(inet6 + 12, home, 4);
}

static int print(const iocp_address *address, char *host, size_t size, uint16_t *port)
{
	char text[LONGEST];
	size_t length;
	int inet6 = address->as.any.sa_family == AF_INET6;
	const void *digits = inet6 ? (const void *)&address->as.inet6.sin6_addr : &address->as.inet.sin_addr;
	if (!inet6 && address->as.any.sa_family != AF_INET)
		return IOCP_EINVAL;
	if (!iocp_winsock.inet_ntop(address->as.any.sa_family, (void *)(uintptr_t)digits, text, INET6_ADDRSTRLEN))
		return IOCP_EINVAL;
	length = strlen(text);
	if (inet6 && address->as.inet6.sin6_scope_id)
		snprintf(text + length, sizeof(text) - length, "%%%lu", (unsigned long)address->as.inet6.sin6_scope_id);
	if (strlen(text) >= size)
		return IOCP_ENAMETOOLONG;
	strcpy(host, text);
	*port = (uint16_t)(address->as.inet.sin_port << 8 | address->as.inet.sin_port >> 8);
	return IOCP_OK;
}

/* ---- peers ------------------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(((iocp_address *)0)->as) <= IOCP_PEER, "a peer is too small for an address");

int iocp_peer_write(void *peer, const char *host, uint16_t port)
{
	iocp_address address;
	int r = iocp_winsock_begin();
	if (r == IOCP_OK)
		r = host ? iocp_address_parse(0, host, port, &address) : IOCP_EINVAL;
	if (r == IOCP_OK) {
		memset(peer, 0, IOCP_PEER);
		memcpy(peer, &address.as, sizeof(address.as));
	}
	return r;
}

int iocp_peer_read(const void *peer, char *host, size_t size, uint16_t *port)
{
	iocp_address address;
	int r = iocp_winsock_begin();
	memcpy(&address.as, peer, sizeof(address.as));
	return r == IOCP_OK ? print(&address, host, size, port) : r;
}

/* ---- a socket's addresses ---------------------------------------------------------------------------------------- */

/* The lock is held. That somebody else has the address for himself alone the system calls an access that is denied. */
static int bind_to(iocp_socket *socket, const iocp_address *address)
{
	if (iocp_winsock.bind(socket->system, &address->as.any, address->size) != 0)
		return GetLastError() == WSAEACCES ? IOCP_EADDRINUSE : iocp_winsock_error();
	socket->bound = socket->used = 1;
	return IOCP_OK;
}

/* Else another program could listen on the same port. The lock is held. */
static void make_exclusive(const iocp_socket *socket)
{
	DWORD on = 1;
	if (socket->type == IOCP_STREAM && !socket->bound)
		iocp_winsock.setsockopt(socket->system, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof(on));
}

int iocp_socket_bind_any(iocp_socket *socket)
{
	iocp_address any;
	if (socket->bound)
		return IOCP_OK;
	iocp_address_parse((int)socket->family, NULL, 0, &any);
	return bind_to(socket, &any);
}

int iocp_socket_bind(iocp_socket *socket, const char *host, uint16_t port)
{
	iocp_address address;
	int r = iocp_address_parse((int)socket->family, host, port, &address);
	if (r != IOCP_OK)
		return r;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK) {
		make_exclusive(socket);
		r = bind_to(socket, &address);
	}
	iocp_lock_release(&socket->lock);
	return r;
}

int iocp_socket_listen(iocp_socket *socket, int backlog)
{
	int r;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK) {
		make_exclusive(socket);
		r = iocp_socket_bind_any(socket);
	}
	if (r == IOCP_OK && iocp_winsock.listen(socket->system, backlog > 0 ? backlog : SOMAXCONN) != 0)
		r = iocp_winsock_error();
	if (r == IOCP_OK)
		socket->listens = 1;
	iocp_lock_release(&socket->lock);
	return r;
}

/* The lock is held. */
static int ask_address(iocp_socket *socket, int peer, iocp_address *address)
{
	int failed;
	address->size = sizeof(address->as);
	failed = peer ? iocp_winsock.getpeername(socket->system, &address->as.any, &address->size)
				  : iocp_winsock.getsockname(socket->system, &address->as.any, &address->size);
	if (!failed)
		return IOCP_OK;
	if (!peer && GetLastError() == WSAEINVAL) /* it has none yet */
		return iocp_address_parse((int)socket->family, NULL, 0, address);
	return iocp_winsock_error();
}

int iocp_socket_address(iocp_socket *socket, int peer, char *host, size_t size, uint16_t *port)
{
	iocp_address address;
	int r;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK)
		r = ask_address(socket, peer, &address);
	iocp_lock_release(&socket->lock);
	return r == IOCP_OK ? print(&address, host, size, port) : r;
}
