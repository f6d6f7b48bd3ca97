/*
** value/failure.c - who failed, behind the failure, so that what nobody asks for is told once.
**
** A failure of a thread or task is a parcel: its message, and perhaps the error value. Behind it in the same block lies
** a pointer to who it was, which IOCP_PARCEL_FAILURE in its flags says, and goes wherever the failure goes; it is
** aligned, since what looks for leaks does not see others. What tells a failure to a script (join, wait, result, a
** status that is "failed") marks it as seen. Freed without that, it is told: on the error output, or by what
** unobserved.c has put in the place of that. So one hears of it when the garbage collector takes its object, or at the
** end of the state.
**
** `seen` is relaxed: what it is about is written before a failure is published, and what drops the last reference comes
** after every other use of it.
*/

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/value/format.h"

struct iocp_unobserved {
	_Atomic int seen;
	iocp_failed who;
	char text[];
};

static _Atomic(iocp_teller) teller;

iocp_unobserved *iocp_unobserved_new(const iocp_failed *who, const char *text)
{
	size_t size = strlen(text) + 1;
	iocp_unobserved *u = malloc(sizeof(*u) + size);
	if (!u)
		return NULL;
	atomic_store_explicit(&u->seen, 0, memory_order_relaxed);
	u->who = *who;
	memcpy(u->text, text, size);
	return u;
}

static size_t place_behind(const iocp_values *failure)
{
	return (failure->size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
}

iocp_unobserved *iocp_unobserved_of(const iocp_values *failure)
{
	const uint8_t *block = failure->block;
	iocp_unobserved *u;
	if (!block || !(block[1] & IOCP_PARCEL_FAILURE))
		return NULL;
	memcpy(&u, block + place_behind(failure), sizeof(u));
	return u;
}

void iocp_unobserved_see(iocp_unobserved *u)
{
	if (u)
		atomic_store_explicit(&u->seen, 1, memory_order_relaxed);
}

void iocp_unobserved_add(iocp_values *failure, const iocp_failed *who, const char *text)
{
	iocp_unobserved *u = failure->block ? iocp_unobserved_new(who, text) : NULL;
	uint8_t *block = u ? realloc(failure->block, place_behind(failure) + sizeof(u)) : NULL;
	if (!block) {
		free(u);
		return;
	}
	memcpy(block + place_behind(failure), &u, sizeof(u));
	block[1] |= IOCP_PARCEL_FAILURE;
	failure->block = block;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

void iocp_unobserved_tell_by(iocp_teller f)
{
	/* Release, and acquire below: what the teller uses is there for who finds it. */
	atomic_store_explicit(&teller, f, memory_order_release);
}

const char *const iocp_failed_kinds[] = {"thread", "task", "pool"};

void iocp_write_error(const char *format, ...)
{
	va_list arguments, again;
	char *text = NULL;
	int size;
	va_start(arguments, format);
	va_copy(again, arguments);
	size = vsnprintf(NULL, 0, format, arguments);
	if (size > 0)
		text = malloc((size_t)size + 1);
	if (text) {
		vsnprintf(text, (size_t)size + 1, format, again);
		fwrite(text, 1, (size_t)size, stderr);
		fflush(stderr); /* on Windows it may be buffered, and the process may end before */
		free(text);
	}
	va_end(again);
	va_end(arguments);
}

/* Of many failures the first are told in full, and then how many more: when the next is told, or the state ends.
** Relaxed, all three: threads that meet here may tell one more, or let one begin a span that another has begun, but
** each failure is told or counted. */
enum { AT_ONCE = 20, SPAN = 10000 /* ms */ };

static _Atomic uint32_t told;     /* in this span */
static _Atomic uint64_t not_told; /* since the last time that was said */
static _Atomic(double) began;     /* the span */

void iocp_unobserved_tell_rest(void)
{
	uint64_t rest = atomic_exchange_explicit(&not_told, 0, memory_order_relaxed);
	if (rest)
		iocp_write_error(
			"iocp: %" PRIu64 " more failed and nobody asked; iocp.on_unobserved(f) would get each of them\n", rest);
}

static int is_too_many(void)
{
	double now = iocp_clock();
	if (now - atomic_load_explicit(&began, memory_order_relaxed) > SPAN) {
		atomic_store_explicit(&began, now, memory_order_relaxed);
		atomic_store_explicit(&told, 0, memory_order_relaxed);
		iocp_unobserved_tell_rest();
	}
	if (atomic_fetch_add_explicit(&told, 1, memory_order_relaxed) < AT_ONCE)
		return 0;
	atomic_fetch_add_explicit(&not_told, 1, memory_order_relaxed);
	return 1;
}

/* `trouble`: why a script's function could not, or "". */
static void tell(const iocp_failed *who, const char *text, const char *trouble)
{
	static const char *const missed[] = {"failed and nobody joined it", "failed and nobody waited for it",
		"failed in init and nobody asked pool:last_error()"};
	const char *kind = iocp_failed_kinds[who->kind];
	int is_nameless = *who->made && strcmp(kind, "thread") == 0 && strcmp(who->name, "iocp") == 0;
	if (is_too_many())
		return;
	if (*trouble)
		iocp_write_error("iocp: the function of on_unobserved failed: %s; it was to tell:\n", trouble);
	if (is_nameless)
		iocp_write_error("iocp: a thread made at %s %s: %s\n", who->made, missed[who->kind], text);
	else
		iocp_write_error("iocp: %s %s%s%s %s: %s\n%s%s%s%s%s", kind, who->name, *who->pool ? " of " : "", who->pool,
			missed[who->kind], text, *who->made ? "the " : "", *who->made ? kind : "",
			*who->made ? " was made at " : "", who->made, *who->made ? "\n" : "");
}

void iocp_unobserved_end(iocp_unobserved *u)
{
	iocp_teller f = atomic_load_explicit(&teller, memory_order_acquire);
	char trouble[256] = "";
	if (!u)
		return;
	if (!atomic_load_explicit(&u->seen, memory_order_relaxed) && !(f && f(&u->who, u->text, trouble, sizeof(trouble))))
		tell(&u->who, u->text, trouble);
	free(u);
}
