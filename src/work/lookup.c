/*
** lookup.c - the addresses of a host, and the names of addresses, which the system's calls may take as long for as they
** like: those are made by a few threads of the library, and nobody waits for them but by a lookup.
**
** Digits and "localhost" are answered at once, by whoever asks.
**
** References: a lookup belongs to who asked and, until it is taken out of the queue and dealt with, to the queue or the
** thread that has it. What came of it is written before its end, once, and read after it.
**
** Locking: `lock` guards the queue, the counts, and whether a lookup has ended. Whoever ends it, its thread or a
** cancel, tells those who wait, outside the lock. A thread whose lookup was cancelled meanwhile drops what it found.
*/

#include <stdlib.h>
#include <string.h>

#include "core/os.h"
#include "core/semaphore.h"
#include "work/work.h"

enum { THREADS = 4 };

enum place { QUEUED, ASKED, ENDED };

struct iocp_lookup {
	iocp_object object;
	iocp_event event;   /* its end, for ports */
	iocp_semaphore end; /* closed at the same time, for threads */
	enum place place;
	iocp_lookup *next, *previous; /* in the queue */
	int result;
	iocp_host_address *addresses;
	size_t count;
	iocp_host_name *name; /* NULL: it looks for addresses */
	int required;         /* an address that has no name is a failure */
	const char *service;  /* NULL: none */
	char host[];          /* and the service behind it */
};

static iocp_lock lock;
static iocp_lookup *first, *last;
static uint32_t queued, threads, busy;
static iocp_semaphore bell; /* rung for each that is queued */

/* ---- the queue; the lock is held --------------------------------------------------------------------------------- */

static void append(iocp_lookup *lookup)
{
	lookup->previous = last;
	if (last)
		last->next = lookup;
	else
		first = lookup;
	last = lookup;
	queued++;
}

static void take_out(iocp_lookup *lookup)
{
	if (lookup->next)
		lookup->next->previous = lookup->previous;
	else
		last = lookup->previous;
	if (lookup->previous)
		lookup->previous->next = lookup->next;
	else
		first = lookup->next;
	queued--;
}

/* ---- a lookup's life --------------------------------------------------------------------------------------------- */

static void last_reference(iocp_counted *counted)
{
	iocp_lookup *lookup = (iocp_lookup *)counted; /* its first member's first */
	free(lookup->addresses);
	free(lookup->name);
	free(lookup);
}

static iocp_lookup *new_lookup(const char *host, const char *service)
{
	size_t host_size = strlen(host) + 1, service_size = service ? strlen(service) + 1 : 0;
	iocp_lookup *lookup = calloc(1, sizeof(*lookup) + host_size + service_size);
	if (!lookup)
		return NULL;
	iocp_object_begin(&lookup->object, IOCP_KIND_LOOKUP, last_reference);
	memcpy(lookup->host, host, host_size);
	if (service)
		lookup->service = memcpy(lookup->host + host_size, service, service_size);
	return lookup;
}

/* It has just been made one that has ended: tells those who wait. The caller holds it. */
static void tell(iocp_lookup *lookup)
{
	iocp_semaphore_close(&lookup->end);
	iocp_event_happen(&lookup->event);
}

/* ---- the threads ------------------------------------------------------------------------------------------------- */

static void deal_with(iocp_lookup *lookup)
{
	iocp_host_address *addresses = NULL;
	size_t count = 0;
	int r, ours;
	if (lookup->name) /* who cancels it does not read that */
		r = iocp_system_name(lookup->host, lookup->service, lookup->required, lookup->name);
	else
		r = iocp_system_resolve(lookup->host, lookup->service, 0, &addresses, &count);
	iocp_lock_acquire(&lock);
	busy--;
	ours = lookup->place == ASKED;
	if (ours) {
		lookup->place = ENDED;
		lookup->result = r;
		lookup->addresses = addresses;
		lookup->count = count;
	}
	iocp_lock_release(&lock);
	if (ours)
		tell(lookup);
	else
		free(addresses);
	iocp_any_release(lookup);
}

static int run(iocp_thread *thread, void *data)
{
	(void)thread, (void)data;
	for (;;) {
		iocp_lookup *lookup;
		if (iocp_semaphore_wait(&bell, IOCP_INFINITE) != IOCP_OK)
			continue; /* out of memory, at its start */
		iocp_lock_acquire(&lock);
		lookup = first; /* NULL: what it rang for was cancelled */
		if (lookup) {
			take_out(lookup);
			lookup->place = ASKED;
			busy++;
		}
		iocp_lock_release(&lock);
		if (lookup)
			deal_with(lookup);
	}
	return IOCP_OK;
}

/* Starts one more thread, which is counted already. IOCP_OK also if there is another that will come to the queue. */
static int start(void)
{
	const iocp_thread_options options = {.size = sizeof(options), .main = run, .name = "iocp resolver"};
	iocp_thread *thread;
	int r = iocp_thread_create(&options, &thread), others;
	if (r == IOCP_OK) {
		iocp_thread_release(thread);
		return r;
	}
	iocp_lock_acquire(&lock);
	others = --threads > 0;
	iocp_lock_release(&lock);
	return others ? IOCP_OK : r;
}

/* Leaves it to a thread. IOCP_NOMEM or the system's code: there is none. */
static int enqueue(iocp_lookup *lookup)
{
	int fresh, ended, r = IOCP_OK;
	iocp_lock_acquire(&lock);
	append(lookup);
	iocp_any_retain(lookup);
	fresh = threads < THREADS && queued > threads - busy;
	threads += (uint32_t)fresh;
	iocp_lock_release(&lock);
	if (fresh)
		r = start();
	if (r == IOCP_OK) {
		iocp_semaphore_post(&bell);
		return r;
	}
	iocp_lock_acquire(&lock);
	ended = lookup->place != QUEUED; /* a thread that was started meanwhile has it */
	if (!ended)
		take_out(lookup);
	iocp_lock_release(&lock);
	if (!ended)
		iocp_any_release(lookup);
	else
		iocp_semaphore_post(&bell); /* that one came for another, which is queued yet */
	return ended ? IOCP_OK : r;
}

/* ---- what is known without asking -------------------------------------------------------------------------------- */

/* Names have no colon, and none is digits and dots alone. */
static int is_digits(const char *host)
{
	return strchr(host, ':') || strspn(host, "0123456789.") == strlen(host);
}

static int is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t i;
	for (i = 0; name[i]; i++)
		if ((host[i] | 32) != name[i]) /* in small letters */
			return 0;
	return host[i] == 0;
}

/* The addresses of both families for "localhost": 127.0.0.1 first, as that is where a server listens that was not told
** otherwise. */
static int resolve_localhost(iocp_lookup *lookup)
{
	iocp_host_address *six = NULL, *both;
	size_t count;
	int r = iocp_system_resolve("127.0.0.1", lookup->service, 1, &lookup->addresses, &lookup->count);
	if (r != IOCP_OK)
		return r;
	if (iocp_system_resolve("::1", lookup->service, 1, &six, &count) == IOCP_OK) {
		both = realloc(lookup->addresses, (lookup->count + count) * sizeof(*both));
		if (both) {
			memcpy(both + lookup->count, six, count * sizeof(*both));
			lookup->addresses = both;
			lookup->count += count;
		}
	}
	free(six);
	return r;
}

int iocp_resolve(const char *host, const char *service, iocp_lookup **lookup)
{
	iocp_lookup *fresh = new_lookup(host, service);
	int known = is_digits(host) || is_localhost(host), r = IOCP_OK;
	if (!fresh)
		return IOCP_NOMEM;
	if (is_digits(host))
		fresh->result = iocp_system_resolve(host, service, 1, &fresh->addresses, &fresh->count);
	else if (known)
		fresh->result = resolve_localhost(fresh);
	else
		r = enqueue(fresh);
	if (r != IOCP_OK) {
		iocp_any_release(fresh);
		return r;
	}
	if (known) {
		fresh->place = ENDED; /* nobody else has it yet */
		tell(fresh);
	}
	*lookup = fresh;
	return IOCP_OK;
}

int iocp_resolve_name(const char *host, const char *service, int required, iocp_lookup **lookup)
{
	iocp_lookup *fresh = new_lookup(host, service);
	int r = IOCP_NOMEM;
	if (fresh)
		fresh->name = calloc(1, sizeof(*fresh->name));
	if (fresh && fresh->name) {
		fresh->required = required;
		r = enqueue(fresh);
	}
	if (r != IOCP_OK && fresh)
		iocp_any_release(fresh);
	if (r == IOCP_OK)
		*lookup = fresh;
	return r;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

int iocp_lookup_wait(iocp_lookup *lookup, double ms)
{
	int r = iocp_semaphore_wait(&lookup->end, ms);
	return r == IOCP_CLOSED || r == IOCP_ABANDONED ? IOCP_OK : r;
}

int iocp_lookup_result(const iocp_lookup *lookup, const iocp_host_address **addresses, size_t *count)
{
	*addresses = lookup->addresses;
	*count = lookup->count;
	return lookup->result;
}

const iocp_host_name *iocp_lookup_name(const iocp_lookup *lookup)
{
	return lookup->name;
}

const char *iocp_lookup_host(const iocp_lookup *lookup)
{
	return lookup->host;
}

int iocp_lookup_notify(iocp_lookup *lookup, iocp_port *port, const iocp_packet *packet, iocp_timer *timer)
{
	return iocp_event_notify(&lookup->event, port, packet, timer);
}

int iocp_lookup_cancel(iocp_lookup *lookup)
{
	enum place place;
	iocp_lock_acquire(&lock);
	place = lookup->place;
	if (place == QUEUED)
		take_out(lookup);
	if (place != ENDED) {
		lookup->place = ENDED;
		lookup->result = IOCP_CANCELLED;
	}
	iocp_lock_release(&lock);
	if (place != ENDED)
		tell(lookup);
	if (place == QUEUED)
		iocp_any_release(lookup); /* the queue's */
	return place != ENDED;
}

int iocp_own_host_name(char *buffer, size_t size)
{
	return iocp_system_host_name(buffer, size);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static const char *const failures[][2] = {
	[IOCP_EAI_NONAME] = {"EAI_NONAME", "no such host, or it has no address"},
	[IOCP_EAI_SERVICE] = {"EAI_SERVICE", "no such service"},
	[IOCP_EAI_AGAIN] = {"EAI_AGAIN", "no answer from a name server: it may work later"},
	[IOCP_EAI_FAIL] = {"EAI_FAIL", "the name servers failed"},
	[IOCP_EAI_SYSTEM] = {"EAI_SYSTEM", "the system failed"},
};

const char *iocp_lookup_failure(int result, const char **text)
{
	if (result <= 0 || result > IOCP_EAI_SYSTEM)
		return NULL;
	*text = failures[result][1];
	return failures[result][0];
}
