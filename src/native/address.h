/*
** address.h - an address of a socket, as the system has it.
*/

#ifndef IOCP_NATIVE_ADDRESS_H
#define IOCP_NATIVE_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/io_error.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in inet;
		struct sockaddr_in6 inet6;
		struct sockaddr_un local;
	} as;
} iocp_address;

/* 0 or a number. */
int iocp_address_parse(int family, const char *host, uint16_t port, iocp_address *address);
/* Writes `host`, terminated, and *port. 0 or a number. */
int iocp_address_write(const iocp_address *address, char *host, size_t size, uint16_t *port);
/* What send_to sends to, as the socket's family has it. */
int iocp_address_of_peer(int family, const void *peer, iocp_address *address);
void iocp_peer_of_address(void *peer, const iocp_address *address);

#pragma GCC visibility pop

#endif
