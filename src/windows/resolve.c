/*
** resolve.c - a host's addresses, by GetAddrInfoW, and an address' name, by getnameinfo: a host's name is UTF-8 here.
** Owns nothing.
*/

#include "windows/winsock.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1025 /* NI_MAXHOST */ };

static int failure_of(int error)
{
	switch (error) {
	case WSATRY_AGAIN:
		return IOCP_EAI_AGAIN;
	case WSANO_RECOVERY:
		return IOCP_EAI_FAIL;
	case WSATYPE_NOT_FOUND:
		return IOCP_EAI_SERVICE;
	case WSA_NOT_ENOUGH_MEMORY:
		return IOCP_NOMEM;
	case WSAHOST_NOT_FOUND:
	case WSANO_DATA:
		return IOCP_EAI_NONAME;
	default:
		return IOCP_EAI_SYSTEM;
	}
}

/* 0: it is of another family than ours, or known already. */
static int add(iocp_host_address *addresses, size_t count, const ADDRINFOW *found)
{
	iocp_host_address *one = &addresses[count];
	size_t i;
	memset(one, 0, sizeof(*one));
	if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
		return 0;
	if (iocp_winsock.getnameinfo(
			found->ai_addr, (socklen_t)found->ai_addrlen, one->host, sizeof(one->host), NULL, 0, NI_NUMERICHOST)
		!= 0)
		return 0;
	one->inet6 = found->ai_family == AF_INET6;
	one->port = iocp_winsock.ntohs(one->inet6 ? ((const struct sockaddr_in6 *)(const void *)found->ai_addr)->sin6_port
											  : ((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_port);
	for (i = 0; i < count; i++) /* it may come once for each type of socket */
		if (memcmp(&addresses[i], one, sizeof(*one)) == 0)
			return 0;
	return 1;
}

/* IOCP_OK, or IOCP_NOMEM. Frees the system's list. */
static int copy(ADDRINFOW *list, iocp_host_address **addresses, size_t *count)
{
	const ADDRINFOW *found;
	size_t room = 0;
	for (found = list; found; found = found->ai_next)
		room++;
	*addresses = malloc(room * sizeof(**addresses));
	*count = 0;
	for (found = list; found && *addresses; found = found->ai_next)
		*count += (size_t)add(*addresses, *count, found);
	iocp_winsock.FreeAddrInfoW(list);
	return *addresses ? IOCP_OK : IOCP_NOMEM;
}

/* The system's list for a host and a service. IOCP_OK, or a failure. */
static int ask(const char *host, const char *service, const ADDRINFOW *hints, ADDRINFOW **list)
{
	WCHAR wide_host[LONGEST], wide_service[LONGEST];
	int error;
	if (iocp_winsock_begin() != IOCP_OK)
		return IOCP_EAI_SYSTEM;
	if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, host, -1, wide_host, LONGEST))
		return IOCP_EAI_NONAME;
	if (service && !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, service, -1, wide_service, LONGEST))
		return IOCP_EAI_SERVICE;
	error = iocp_winsock.GetAddrInfoW(wide_host, service ? wide_service : NULL, hints, list);
	return error == 0 ? IOCP_OK : failure_of(error);
}

int iocp_system_resolve(const char *host, const char *service, int digits, iocp_host_address **addresses, size_t *count)
{
	const ADDRINFOW hints = {.ai_family = AF_UNSPEC, .ai_flags = digits ? AI_NUMERICHOST : 0};
	ADDRINFOW *list;
	int error = ask(host, service, &hints, &list);
	if (error == IOCP_OK)
		error = copy(list, addresses, count);
	if (error == IOCP_OK && *count == 0) {
		free(*addresses);
		*addresses = NULL;
		error = IOCP_EAI_NONAME;
	}
	return error;
}

int iocp_system_name(const char *host, const char *service, int required, iocp_host_name *name)
{
	const ADDRINFOW hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}; /* whose port it is */
	ADDRINFOW *list;
	int error = ask(host, service, &hints, &list);
	if (error != IOCP_OK)
		return error;
	error = iocp_winsock.getnameinfo(list->ai_addr, (socklen_t)list->ai_addrlen, name->host, sizeof(name->host),
		name->service, sizeof(name->service), required ? NI_NAMEREQD : 0);
	iocp_winsock.FreeAddrInfoW(list);
	return error == 0 ? IOCP_OK : failure_of(error);
}
