/*
** address.c - addresses of sockets: read from text, written as text, and as they lie before a datagram's data. Owns
** nothing.
*/

#include "core/features.h"

#include "native/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct sockaddr_in6) <= IOCP_PEER, "an address fits before a datagram's data");

static int parse_inet(const char *host, uint16_t port, iocp_address *address)
{
	address->length = sizeof(address->as.inet);
	address->as.inet.sin_family = AF_INET;
	address->as.inet.sin_port = htons(port);
	address->as.inet.sin_addr.s_addr = htonl(INADDR_ANY);
	return !host || inet_pton(AF_INET, host, &address->as.inet.sin_addr) == 1 ? 0 : IOCP_EINVAL;
}

/* The number behind '%': of an interface, or its name. 0: there is none. */
static uint32_t scope_of(const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	return *text && !*end && number <= UINT32_MAX ? (uint32_t)number : (uint32_t)if_nametoindex(text);
}

static int parse_inet6(const char *host, uint16_t port, iocp_address *address)
{
	char digits[INET6_ADDRSTRLEN];
	const char *scope = host ? strchr(host, '%') : NULL;
	int length = scope ? (int)(scope - host) : (int)(host ? strlen(host) : 0);
	struct in_addr inet;
	address->length = sizeof(address->as.inet6);
	address->as.inet6.sin6_family = AF_INET6;
	address->as.inet6.sin6_port = htons(port);
	address->as.inet6.sin6_addr = in6addr_any;
	if (!host)
		return 0;
	if (!scope && inet_pton(AF_INET, host, &inet) == 1) /* one of inet's, as inet6 writes it */
		length = snprintf(digits, sizeof(digits), "::ffff:%s", host);
	else
		snprintf(digits, sizeof(digits), "%.*s", length, host);
	if (length >= (int)sizeof(digits) || inet_pton(AF_INET6, digits, &address->as.inet6.sin6_addr) != 1)
		return IOCP_EINVAL;
	address->as.inet6.sin6_scope_id = scope ? scope_of(scope + 1) : 0;
	return scope && !address->as.inet6.sin6_scope_id ? IOCP_EINVAL : 0;
}

static int parse_path(const char *path, iocp_address *address)
{
	size_t length = path ? strlen(path) : 0;
	if (length == 0)
		return IOCP_EINVAL;
	if (length >= sizeof(address->as.local.sun_path))
		return IOCP_ENAMETOOLONG;
	address->as.local.sun_family = AF_UNIX;
	memcpy(address->as.local.sun_path, path, length + 1);
	address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

int iocp_address_parse(int family, const char *host, uint16_t port, iocp_address *address)
{
	memset(address, 0, sizeof(*address));
	return family == IOCP_UNIX    ? parse_path(host, address)
		   : family == IOCP_INET6 ? parse_inet6(host, port, address)
								  : parse_inet(host, port, address);
}

int iocp_address_write(const iocp_address *address, char *host, size_t size, uint16_t *port)
{
	char digits[INET6_ADDRSTRLEN], scope[IF_NAMESIZE + 1] = "";
	uint32_t id;
	int length;
	*port = 0;
	switch (address->as.any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &address->as.inet.sin_addr, digits, sizeof(digits));
		*port = ntohs(address->as.inet.sin_port);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &address->as.inet6.sin6_addr, digits, sizeof(digits));
		*port = ntohs(address->as.inet6.sin6_port);
		id = address->as.inet6.sin6_scope_id;
		if (id)
			snprintf(scope, sizeof(scope), "%%%u", (unsigned)id);
		break;
	case AF_UNIX: /* a path ends where the address does, if not before */
		length = (int)address->length - (int)offsetof(struct sockaddr_un, sun_path);
		length = snprintf(host, size, "%.*s", length > 0 ? length : 0, address->as.local.sun_path);
		return length < (int)size ? 0 : IOCP_ENAMETOOLONG;
	default:
		return IOCP_EAFNOSUPPORT;
	}
	length = snprintf(host, size, "%s%s", digits, scope);
	return length < (int)size ? 0 : IOCP_ENAMETOOLONG;
}

/* ---- before a datagram's data ------------------------------------------------------------------------------------ */

void iocp_peer_of_address(void *peer, const iocp_address *address)
{
	size_t length = address->length < IOCP_PEER ? address->length : IOCP_PEER;
	memset(peer, 0, IOCP_PEER);
	memcpy(peer, &address->as, length);
}

int iocp_address_of_peer(int family, const void *peer, iocp_address *address)
{
	struct in_addr inet;
	memset(address, 0, sizeof(*address));
	memcpy(&address->as, peer, IOCP_PEER);
	address->length = address->as.any.sa_family == AF_INET6 ? sizeof(address->as.inet6) : sizeof(address->as.inet);
	if (address->as.any.sa_family != AF_INET && address->as.any.sa_family != AF_INET6)
		return IOCP_EDESTADDRREQ;
	if (family == IOCP_INET6 && address->as.any.sa_family == AF_INET) {
		uint16_t port = ntohs(address->as.inet.sin_port);
		char host[INET_ADDRSTRLEN];
		inet = address->as.inet.sin_addr;
		inet_ntop(AF_INET, &inet, host, sizeof(host));
		return iocp_address_parse(IOCP_INET6, host, port, address);
	}
	return family == IOCP_INET && address->as.any.sa_family == AF_INET6 ? IOCP_EAFNOSUPPORT : 0;
}

int iocp_peer_write(void *peer, const char *host, uint16_t port)
{
	iocp_address address;
	int r = host ? iocp_address_parse(IOCP_INET, host, port, &address) : IOCP_EINVAL;
	if (r != 0 && host)
		r = iocp_address_parse(IOCP_INET6, host, port, &address);
	if (r == 0)
		iocp_peer_of_address(peer, &address);
	return r;
}

int iocp_peer_read(const void *peer, char *host, size_t size, uint16_t *port)
{
	iocp_address address = {0};
	memcpy(&address.as, peer, IOCP_PEER);
	if (address.as.any.sa_family != AF_INET && address.as.any.sa_family != AF_INET6)
		return IOCP_EINVAL;
	return iocp_address_write(&address, host, size, port);
}
