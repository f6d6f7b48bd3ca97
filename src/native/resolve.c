/*
** resolve.c - a host's addresses, by POSIX' getaddrinfo, and an address' name, by its getnameinfo. Owns nothing.
*/

#include "core/features.h"

#include "core/os.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/api.h"

/* What is not POSIX' says in other words that the host has no address. */
static int failure_of(int error)
{
	switch (error) {
	case EAI_AGAIN:
		return IOCP_EAI_AGAIN;
	case EAI_FAIL:
		return IOCP_EAI_FAIL;
	case EAI_SERVICE:
		return IOCP_EAI_SERVICE;
	case EAI_MEMORY:
		return IOCP_NOMEM;
	case EAI_SYSTEM:
		return IOCP_EAI_SYSTEM;
	default:
		return IOCP_EAI_NONAME;
	}
}

/* 0: it is of another family than ours, or known already. */
static int add(iocp_host_address *addresses, size_t count, const struct addrinfo *found)
{
	iocp_host_address *one = &addresses[count];
	size_t i;
	memset(one, 0, sizeof(*one));
	if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
		return 0;
	if (getnameinfo(found->ai_addr, found->ai_addrlen, one->host, sizeof(one->host), NULL, 0, NI_NUMERICHOST) != 0)
		return 0;
	one->inet6 = found->ai_family == AF_INET6;
	one->port = ntohs(one->inet6 ? ((const struct sockaddr_in6 *)(const void *)found->ai_addr)->sin6_port
								 : ((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_port);
	for (i = 0; i < count; i++) /* each comes once for each type of socket */
		if (memcmp(&addresses[i], one, sizeof(*one)) == 0)
			return 0;
	return 1;
}

int iocp_system_resolve(const char *host, const char *service, int digits, iocp_host_address **addresses, size_t *count)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_flags = digits ? AI_NUMERICHOST : 0};
	struct addrinfo *list, *found;
	size_t room = 0;
	int error = getaddrinfo(host, service, &hints, &list);
	if (error != 0)
		return failure_of(error);
	for (found = list; found; found = found->ai_next)
		room++;
	*addresses = malloc(room * sizeof(**addresses));
	*count = 0;
	for (found = list; found && *addresses; found = found->ai_next)
		*count += (size_t)add(*addresses, *count, found);
	freeaddrinfo(list);
	if (*addresses && *count)
		return IOCP_OK;
	error = *addresses ? IOCP_EAI_NONAME : IOCP_NOMEM;
	free(*addresses);
	*addresses = NULL;
	return error;
}

int iocp_system_name(const char *host, const char *service, int required, iocp_host_name *name)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}; /* whose port it is */
	struct addrinfo *list;
	int error = getaddrinfo(host, service, &hints, &list);
	if (error != 0)
		return failure_of(error);
	error = getnameinfo(list->ai_addr, list->ai_addrlen, name->host, sizeof(name->host), name->service,
		sizeof(name->service), required ? NI_NAMEREQD : 0);
	freeaddrinfo(list);
	return error == 0 ? IOCP_OK : failure_of(error);
}
