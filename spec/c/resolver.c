/*
** resolver.c - getaddrinfo and getnameinfo in place of the C library's: what is made of a name stands in the name. What
** is none of these the C library is asked for. The name of 192.0.2.1 is a.quick, and 192.0.2.2 has none.
**
**   a.hangs    192.0.2.1, but it does not come back before resolver_release(1)
**   a.slow     192.0.2.1, after 200 ms
**   a.quick    192.0.2.1 and 2001:db8::1
**   a.again    EAI_AGAIN
**   a.fails    EAI_FAIL
**   a.nobody   EAI_NONAME
*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

void resolver_release(int on);
int resolver_hanging(void);

static atomic_int released, hanging;

void resolver_release(int on)
{
	atomic_store(&released, on);
}

/* How many calls hang. */
int resolver_hanging(void)
{
	return atomic_load(&hanging);
}

typedef int function(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int ask(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	uintptr_t real = (uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
	return ((function *)real)(host, service, hints, list);
}

static void pause_for(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&time, NULL);
}

static int ends(const char *name, const char *with)
{
	size_t length = strlen(name), rest = strlen(with);
	return length > rest && strcmp(name + length - rest, with) == 0;
}

static void hang(void)
{
	atomic_fetch_add(&hanging, 1);
	while (!atomic_load(&released))
		pause_for(1);
	atomic_fetch_sub(&hanging, 1);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	struct addrinfo *last;
	int r;
	if (ends(host, ".again"))
		return EAI_AGAIN;
	if (ends(host, ".fails"))
		return EAI_FAIL;
	if (ends(host, ".nobody"))
		return EAI_NONAME;
	if (ends(host, ".hangs"))
		hang();
	if (ends(host, ".slow"))
		pause_for(200);
	if (!ends(host, ".quick"))
		return ask(ends(host, ".slow") || ends(host, ".hangs") ? "192.0.2.1" : host, service, hints, list);
	r = ask("192.0.2.1", service, hints, list);
	for (last = *list; r == 0 && last->ai_next; last = last->ai_next)
		;
	return r == 0 ? ask("2001:db8::1", service, hints, &last->ai_next) : r;
}

typedef int name_function(const struct sockaddr *, socklen_t, char *, socklen_t, char *, socklen_t, int);

int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service,
	socklen_t service_size, int flags)
{
	uintptr_t real = (uintptr_t)dlsym(RTLD_NEXT, "getnameinfo");
	const struct sockaddr_in *inet = (const void *)address;
	uint32_t number = address->sa_family == AF_INET ? ntohl(inet->sin_addr.s_addr) : 0;
	int is_ours = number == 0xc0000201 || number == 0xc0000202; /* 192.0.2.1 and .2 */
	int r;
	if (!is_ours || (flags & NI_NUMERICHOST))
		return ((name_function *)real)(address, length, host, host_size, service, service_size, flags);
	if (number == 0xc0000202 && (flags & NI_NAMEREQD))
		return EAI_NONAME;
	r = ((name_function *)real)(address, length, host, host_size, service, service_size,
		(flags & ~NI_NAMEREQD) | NI_NUMERICHOST | NI_NUMERICSERV);
	if (r == 0 && number == 0xc0000201)
		memcpy(host, "a.quick", sizeof("a.quick"));
	return r;
}
