/*
** socket_option.c - options, and multicast groups.
**
** What the system has no option for, or means something else by, is kept in the socket: how long a close goes on (a
** close that waits would hold the caller up, so the system's own, in the background, stays), and a stream's address
** that may be used again, which here would take it from another program.
*/

#include "windows/socket.h"

#include <string.h>

enum { KEEPALIVE_SECONDS = 7200, KEEPALIVE_INTERVAL = 1000 }; /* the system's own, in seconds and ms */

/* Those that are the system's: what they are to it. */
static const struct {
	int level, name;
} options[] = {
	[IOCP_OPTION_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
	[IOCP_OPTION_KEEPALIVE] = {SOL_SOCKET, SO_KEEPALIVE},
	[IOCP_OPTION_REUSEADDR] = {SOL_SOCKET, SO_REUSEADDR},
	[IOCP_OPTION_BROADCAST] = {SOL_SOCKET, SO_BROADCAST},
	[IOCP_OPTION_LINGER] = {SOL_SOCKET, SO_LINGER},
	[IOCP_OPTION_SNDBUF] = {SOL_SOCKET, SO_SNDBUF},
	[IOCP_OPTION_RCVBUF] = {SOL_SOCKET, SO_RCVBUF},
	[IOCP_OPTION_V6ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY},
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

static int set(SOCKET system, enum iocp_socket_option option, const void *value, int size)
{
	int failed = iocp_winsock.setsockopt(system, options[option].level, options[option].name, value, size);
	return failed ? iocp_winsock_error() : IOCP_OK;
}

static int set_linger(iocp_socket *socket, int seconds)
{
	struct linger linger = {.l_onoff = seconds == 0};
	int r = set(socket->system, IOCP_OPTION_LINGER, &linger, sizeof(linger));
	if (r == IOCP_OK)
		socket->linger = seconds < 0 ? -1 : seconds;
	return r;
}

static int set_keepalive(iocp_socket *socket, int seconds)
{
	struct {
		ULONG on, idle, interval; /* tcp_keepalive, of a header that not every compiler has */
	} values = {seconds > 0, (ULONG)seconds * 1000, KEEPALIVE_INTERVAL};
	DWORD bytes;
	if (seconds <= 0)
		return set(socket->system, IOCP_OPTION_KEEPALIVE, &(int){0}, sizeof(int));
	if (seconds > INT32_MAX / 1000)
		return IOCP_EINVAL;
	/* SIO_KEEPALIVE_VALS */
	if (iocp_winsock.WSAIoctl(
			socket->system, _WSAIOW(IOC_VENDOR, 4), &values, sizeof(values), NULL, 0, &bytes, NULL, NULL)
		!= 0)
		return iocp_winsock_error();
	socket->keepalive = seconds;
	return IOCP_OK;
}

/* The lock is held, here and in the next. */
static int set_option(iocp_socket *socket, enum iocp_socket_option option, int value)
{
	switch (option) {
	case IOCP_OPTION_REUSEPORT:
		return IOCP_ENOPROTOOPT;
	case IOCP_OPTION_LINGER:
		return set_linger(socket, value);
	case IOCP_OPTION_KEEPALIVE:
		return set_keepalive(socket, value);
	case IOCP_OPTION_REUSEADDR:
		if (socket->type == IOCP_STREAM) {
			socket->reuse = value != 0;
			return IOCP_OK;
		}
		return set(socket->system, option, &value, sizeof(value));
	default:
		return set(socket->system, option, &value, sizeof(value));
	}
}

static int get_option(iocp_socket *socket, enum iocp_socket_option option, int *value)
{
	int asked = 0, size = sizeof(asked);
	if (option == IOCP_OPTION_REUSEPORT)
		return IOCP_ENOPROTOOPT;
	if (option == IOCP_OPTION_LINGER) {
		*value = socket->linger;
		return IOCP_OK;
	}
	if (option == IOCP_OPTION_REUSEADDR && socket->type == IOCP_STREAM) {
		*value = socket->reuse;
		return IOCP_OK;
	}
	if (iocp_winsock.getsockopt(socket->system, options[option].level, options[option].name, (char *)&asked, &size)
		!= 0)
		return iocp_winsock_error();
	if (size == 1) /* a BOOL in some versions of the system */
		asked &= 0xff;
	if (option == IOCP_OPTION_KEEPALIVE && asked)
		asked = socket->keepalive ? socket->keepalive : KEEPALIVE_SECONDS;
	*value = asked;
	return IOCP_OK;
}

int iocp_socket_set_option(iocp_socket *socket, enum iocp_socket_option option, int value)
{
	int r;
	if ((int)option < 1 || (int)option >= OPTIONS)
		return IOCP_INVALID;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK)
		r = set_option(socket, option, value);
	iocp_lock_release(&socket->lock);
	return r;
}

int iocp_socket_get_option(iocp_socket *socket, enum iocp_socket_option option, int *value)
{
	int r;
	if ((int)option < 1 || (int)option >= OPTIONS)
		return IOCP_INVALID;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK)
		r = get_option(socket, option, value);
	iocp_lock_release(&socket->lock);
	return r;
}

/* ---- multicast --------------------------------------------------------------------------------------------------- */

typedef union membership {
	struct ip_mreq inet;
	struct ipv6_mreq inet6;
} membership;

static int parse_membership(int family, const char *group, const char *through, membership *parsed)
{
	iocp_address address;
	int r = iocp_address_parse(family, group, 0, &address);
	memset(parsed, 0, sizeof(*parsed));
	if (r != IOCP_OK)
		return r;
	if (family == IOCP_INET6) {
		const char *digit = through;
		parsed->inet6.ipv6mr_multiaddr = address.as.inet6.sin6_addr;
		for (; digit && *digit; digit++) {
			if (*digit < '0' || *digit > '9' || parsed->inet6.ipv6mr_interface > UINT32_MAX / 100)
				return IOCP_EINVAL;
			parsed->inet6.ipv6mr_interface = parsed->inet6.ipv6mr_interface * 10 + (ULONG)(*digit - '0');
		}
		return IOCP_OK;
	}
	parsed->inet.imr_multiaddr = address.as.inet.sin_addr;
	r = through ? iocp_address_parse(family, through, 0, &address) : IOCP_OK;
	if (r == IOCP_OK && through)
		parsed->inet.imr_interface = address.as.inet.sin_addr;
	return r;
}

int iocp_socket_multicast(iocp_socket *socket, const char *group, const char *through, int join)
{
	membership parsed;
	int inet6 = socket->family == IOCP_INET6, failed = 0;
	int r = group ? parse_membership((int)socket->family, group, through, &parsed) : IOCP_EINVAL;
	if (r != IOCP_OK)
		return r;
	iocp_lock_acquire(&socket->lock);
	r = iocp_socket_usable(socket);
	if (r == IOCP_OK)
		r = iocp_socket_bind_any(socket);
	if (r == IOCP_OK) {
		failed = inet6 ? iocp_winsock.setsockopt(socket->system, IPPROTO_IPV6,
					 join ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, (const char *)&parsed, sizeof(parsed.inet6))
					   : iocp_winsock.setsockopt(socket->system, IPPROTO_IP,
						   join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, (const char *)&parsed, sizeof(parsed.inet));
		r = failed ? iocp_winsock_error() : IOCP_OK;
		if (r == IOCP_EINVAL && !join) /* Wine: it is no member */
			r = IOCP_EADDRNOTAVAIL;
	}
	iocp_lock_release(&socket->lock);
	return r;
}
