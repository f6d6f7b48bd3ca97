/*
** socket_option.c - a socket's options, as the system's setsockopt has them. Owns nothing.
*/

#include "core/features.h"

#include "native/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

/* How long a connection is idle before it is looked at, and looked at again: by the names of each system. OpenBSD has
** that for all connections at once, and none here. */
#ifndef TCP_KEEPIDLE
#ifdef TCP_KEEPALIVE /* macOS */
#define TCP_KEEPIDLE TCP_KEEPALIVE
#else
#define TCP_KEEPIDLE (-1)
#endif
#endif
#ifndef TCP_KEEPINTVL
#define TCP_KEEPINTVL (-1)
#endif

/* Those that are one int for the system, too. */
static const struct row {
	int level, name;
} rows[] = {
	[IOCP_OPTION_NODELAY] = {IPPROTO_TCP, TCP_NODELAY},
	[IOCP_OPTION_REUSEADDR] = {SOL_SOCKET, SO_REUSEADDR},
	[IOCP_OPTION_REUSEPORT] = {SOL_SOCKET, SO_REUSEPORT},
	[IOCP_OPTION_BROADCAST] = {SOL_SOCKET, SO_BROADCAST},
	[IOCP_OPTION_SNDBUF] = {SOL_SOCKET, SO_SNDBUF},
	[IOCP_OPTION_RCVBUF] = {SOL_SOCKET, SO_RCVBUF},
	[IOCP_OPTION_V6ONLY] = {IPPROTO_IPV6, IPV6_V6ONLY},
};

static int number_of_result(int result)
{
	return result == 0 ? 0 : iocp_number_of(errno);
}

static int set(int descriptor, int level, int name, int value)
{
	return number_of_result(setsockopt(descriptor, level, name, &value, sizeof(value)));
}

static int get(int descriptor, int level, int name, int *value)
{
	socklen_t size = sizeof(*value);
	return number_of_result(getsockopt(descriptor, level, name, value, &size));
}

/* 0, or the seconds until the first probe, and between one and the next. */
static int set_keepalive(int descriptor, int seconds)
{
	int r = set(descriptor, SOL_SOCKET, SO_KEEPALIVE, seconds != 0);
	if (r == 0 && seconds)
		r = set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
	if (r == 0 && seconds)
		r = set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
	return r;
}

static int get_keepalive(int descriptor, int *seconds)
{
	int on, r = get(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on);
	*seconds = 0;
	return r == 0 && on ? get(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, seconds) : r;
}

static int set_linger(int descriptor, int seconds)
{
	struct linger linger = {.l_onoff = seconds >= 0, .l_linger = seconds >= 0 ? seconds : 0};
	return number_of_result(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

static int get_linger(int descriptor, int *seconds)
{
	struct linger linger;
	socklen_t size = sizeof(linger);
	int r = number_of_result(getsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, &size));
	if (r == 0)
		*seconds = linger.l_onoff ? linger.l_linger : -1;
	return r;
}

/* As iocp_socket_lock, if there is such an option. */
static int lock_for_option(iocp_socket *socket, enum iocp_socket_option option)
{
	return option < IOCP_OPTION_NODELAY || option > IOCP_OPTION_V6ONLY ? IOCP_INVALID : iocp_socket_lock(socket);
}

int iocp_socket_get_option(iocp_socket *socket, enum iocp_socket_option option, int *value)
{
	int r = lock_for_option(socket, option), got = 0;
	if (r != IOCP_OK)
		return r;
	if (option == IOCP_OPTION_KEEPALIVE)
		r = get_keepalive(socket->descriptor, &got);
	else if (option == IOCP_OPTION_LINGER)
		r = get_linger(socket->descriptor, &got);
	else
		r = get(socket->descriptor, rows[option].level, rows[option].name, &got);
	iocp_lock_release(&socket->lock);
	if (r == IOCP_OK)
		*value = got;
	return r;
}

int iocp_socket_set_option(iocp_socket *socket, enum iocp_socket_option option, int value)
{
	int r = lock_for_option(socket, option);
	if (r != IOCP_OK)
		return r;
	if (option == IOCP_OPTION_KEEPALIVE)
		r = set_keepalive(socket->descriptor, value);
	else if (option == IOCP_OPTION_LINGER)
		r = set_linger(socket->descriptor, value);
	else
		r = set(socket->descriptor, rows[option].level, rows[option].name, value);
	iocp_lock_release(&socket->lock);
	return r;
}

static int multicast_inet(int descriptor, const char *group, const char *through, int join)
{
	struct ip_mreq request = {0};
	if (inet_pton(AF_INET, group, &request.imr_multiaddr) != 1
		|| (through && inet_pton(AF_INET, through, &request.imr_interface) != 1))
		return IOCP_EINVAL;
	return number_of_result(
		setsockopt(descriptor, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request, sizeof(request)));
}

static int multicast_inet6(int descriptor, const char *group, const char *through, int join)
{
	struct ipv6_mreq request = {0};
	if (inet_pton(AF_INET6, group, &request.ipv6mr_multiaddr) != 1)
		return IOCP_EINVAL;
	request.ipv6mr_interface = through ? (unsigned)strtoul(through, NULL, 10) : 0;
	return number_of_result(
		setsockopt(descriptor, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request, sizeof(request)));
}

int iocp_socket_multicast(iocp_socket *socket, const char *group, const char *through, int join)
{
	int r;
	if (socket->type != IOCP_DATAGRAM || socket->family == IOCP_UNIX)
		return IOCP_EOPNOTSUPP;
	r = iocp_socket_lock(socket);
	if (r != IOCP_OK)
		return r;
	r = (socket->family == IOCP_INET ? multicast_inet : multicast_inet6)(socket->descriptor, group, through, join);
	iocp_lock_release(&socket->lock);
	return r;
}
