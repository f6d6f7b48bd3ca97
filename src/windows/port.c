/*
** port.c - the completion port: the kernel's own queue, and the rules of this module that the kernel does not keep.
**
** The kernel queues, hands over last-in first-out and keeps the concurrency limit. On top of that here: a close that
** everyone who waits notices, handles that die with it, exact counters, cancelling, and packets that are given back.
** Packets are taken by GetQueuedCompletionStatusEx, also one at a time: unlike GetQueuedCompletionStatus it can wait
** alertably, which a close and a cancel need, and it says of each packet how its I/O went.
**
** Close. `users` counts the threads that may be using the kernel's handle and holds the flag CLOSED; a thread counts
** itself before it uses the handle and is refused once the flag is set. So the count only falls from then on, reaches
** zero once, and whoever brings it there drains the queue and closes the handle, which nobody else touches any more.
** The threads that wait are nudged after the flag is set, and look at it before each stretch of waiting (why none
** misses it: wait.c). Nobody ever waits on a handle that is closed here. An adopted handle is never closed here, and
** its queue is left to its owner.
**
** An adopted handle that its owner closes. The kernel ends the waits in it with ERROR_ABANDONED_WAIT_0 and refuses
** later calls with ERROR_INVALID_HANDLE: either closes this port, too. Some systems (Wine before 9) leave the waits as
** they are, so in an adopted port none is longer than LOOK without asking anew. A call that comes so late that the
** kernel has given the number to another object is the owner's mistake, which nobody can notice.
**
** Packets given back (iocp_port_putback) cannot go to the head of the kernel's queue: they go behind it, so that the
** kernel wakes who waits for them, within the limit.
**
** Locking: `lock` guards `waiters`.
*/

#include "windows/port.h"
#include "core/sized.h"

#include <stdlib.h>

#include "windows/operation.h"

enum {
	TAKEN_AT_ONCE = 64, /* entries on the stack: 2 KiB */
	LOOK = 250,         /* ms: see the top */
	RETRY = 1           /* ms until the kernel is asked again whether it has memory */
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void free_port(iocp_object *object)
{
	iocp_port *port = (iocp_port *)object;
	int closed = iocp_port_is_closed(port);
	if (!closed) {
		/* What the kernel still accepts is not to be associated with it. */
		atomic_fetch_or_explicit(&port->users, IOCP_PORT_CLOSED, memory_order_seq_cst);
		iocp_port_end_associations(port);
	}
	iocp_port_end_ready(port);
	iocp_port_end(port, !closed, 1);
}

/* Takes over `system`, closing it on failure unless it is adopted. */
static int make_port(HANDLE system, int adopted, uint32_t concurrency, iocp_port **port)
{
	iocp_port *p = calloc(1, sizeof(*p));
	iocp_object *entered = &p->object;
	int r = p ? IOCP_OK : IOCP_NOMEM;
	if (p) {
		p->system = system;
		p->adopted = adopted;
		p->concurrency = concurrency;
		p->associations.next = p->associations.previous = &p->associations;
		r = adopted ? iocp_object_adopt(&entered, IOCP_KIND_PORT, system, free_port)
					: iocp_object_register(entered, IOCP_KIND_PORT, system, free_port);
	}
	if (r == IOCP_OK)
		*port = (iocp_port *)entered;
	if (r != IOCP_OK || entered != &p->object)
		free(p);
	if (r != IOCP_OK && !adopted)
		CloseHandle(system);
	return r;
}

int iocp_port_create(uint32_t concurrency, iocp_port **port)
{
	HANDLE system;
	if (concurrency == 0)
		concurrency = iocp_processors();
	system = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, concurrency);
	return system ? make_port(system, 0, concurrency, port) : iocp_system_code(GetLastError());
}

int iocp_port_adopt(const void *native, iocp_port **port)
{
	iocp_object *object = iocp_object_find(native, IOCP_KIND_PORT);
	if (object) {
		*port = (iocp_port *)object;
		return IOCP_OK;
	}
	/* The kernel ignores a handle's two lowest bits, and knows handles that mean something else to each caller (-1,
	** -2). */
	if ((intptr_t)native <= 0 || (uintptr_t)native % 4 != 0 || iocp_port_depth((HANDLE)(uintptr_t)native) < 0)
		return IOCP_INVALID;
	return make_port((HANDLE)(uintptr_t)native, 1, iocp_processors(), port); /* its real limit cannot be asked for */
}

void iocp_port_close(iocp_port *port)
{
	iocp_context *context;
	iocp_object_revoke(&port->object);
	if (!iocp_port_enter(port))
		return;
	atomic_fetch_or_explicit(&port->users, IOCP_PORT_CLOSED, memory_order_seq_cst); /* see iocp_port_is_closed */
	iocp_lock_acquire(&port->lock);
	for (context = port->waiters.newest; context; context = context->older)
		iocp_nudge(context);
	iocp_lock_release(&port->lock);
	iocp_port_end_associations(port);
	iocp_port_end_ready(port);
	iocp_port_leave(port);
}

/* What an error of the kernel's means; `gone` if it is that the handle's owner has closed it. */
static int failed(iocp_port *port, DWORD error, int gone)
{
	if (error != ERROR_ABANDONED_WAIT_0 && error != ERROR_INVALID_HANDLE)
		return iocp_system_code(error);
	iocp_port_close(port);
	return gone;
}

/* ---- posting ----------------------------------------------------------------------------------------------------- */

/* Before a packet is posted, so that `dequeued` never passes `posted`. */
static void count_posted(iocp_port *port)
{
	/* Relaxed, all of it: counters, exact once those who count are done. */
	int64_t posted = atomic_fetch_add_explicit(&port->posted, 1, memory_order_relaxed) + 1;
	int64_t queued = posted - atomic_load_explicit(&port->dequeued, memory_order_relaxed);
	int64_t peak = atomic_load_explicit(&port->peak, memory_order_relaxed);
	while (queued > peak
		   && !atomic_compare_exchange_weak_explicit(
			   &port->peak, &peak, queued, memory_order_relaxed, memory_order_relaxed))
		;
}

int iocp_port_enqueue(iocp_port *port, uintptr_t key, uint32_t bytes, uintptr_t overlapped)
{
	int r = IOCP_OK;
	if (iocp_operation_is_near(overlapped))
		return IOCP_INVALID;
	if (!iocp_port_enter(port))
		return IOCP_CLOSED;
	count_posted(port);
	if (!PostQueuedCompletionStatus(port->system, bytes, key, (OVERLAPPED *)overlapped)) {
		r = failed(port, GetLastError(), IOCP_CLOSED);
		atomic_fetch_sub_explicit(&port->posted, 1, memory_order_relaxed);
	}
	iocp_port_leave(port);
	return r;
}

int iocp_port_enqueue_many(iocp_port *port, const iocp_packet *packets, size_t count)
{
	size_t i;
	int r = IOCP_OK;
	if (!iocp_port_enter(port))
		return IOCP_CLOSED;
	for (i = 0; i < count && r == IOCP_OK; i++)
		r = iocp_port_enqueue(port, packets[i].key, packets[i].bytes, packets[i].overlapped);
	iocp_port_leave(port);
	return r;
}

void iocp_port_complete(iocp_port *port, const iocp_packet *packet)
{
	count_posted(port);
	while (iocp_port_post(port->system, packet) == IOCP_NOMEM) /* else the handle's owner closed it */
		Sleep(RETRY);
}

/* ---- getting ----------------------------------------------------------------------------------------------------- */

/* Takes from the kernel what is there or comes within `ms`. 0: nothing; *outcome says why. */
static size_t take_queued(iocp_port *port, iocp_packet *packets, size_t max, DWORD ms, DWORD *outcome)
{
	OVERLAPPED_ENTRY entries[TAKEN_AT_ONCE];
	ULONG count = 0, i;
	size_t taken = 0;
	while (taken == 0) { /* those that are for nobody do not count */
		/* One that does not wait is not alertable, so that it looks into the queue rather than run a call. */
		if (!GetQueuedCompletionStatusEx(
				port->system, entries, max < TAKEN_AT_ONCE ? (ULONG)max : TAKEN_AT_ONCE, &count, ms, ms != 0)) {
			*outcome = GetLastError();
			break;
		}
		for (i = 0; i < count; i++)
			taken += (size_t)iocp_port_take(port, &entries[i], &packets[taken]);
		ms = 0;
	}
	return taken;
}

/* Takes the first packets, which it waits for as long as `ms` allows. */
static int wait_for_packets(
	iocp_port *port, const iocp_context *context, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	double deadline = iocp_deadline(ms);
	DWORD outcome = 0;
	for (;;) {
		DWORD stretch = iocp_stretch(context, deadline);
		int r;
		if (iocp_port_is_closed(port))
			return IOCP_ABANDONED;
		*count = take_queued(port, packets, max, port->adopted && stretch > LOOK ? LOOK : stretch, &outcome);
		if (*count > 0)
			return IOCP_OK;
		if (outcome != WAIT_TIMEOUT && outcome != WAIT_IO_COMPLETION)
			return failed(port, outcome, IOCP_ABANDONED);
		r = iocp_wait_again(context, outcome, deadline);
		if (r != IOCP_OK)
			return r;
	}
}

/* As wait_for_packets; the caller is known as one who waits here. */
static int wait_listed(
	iocp_port *port, iocp_context *context, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	int r;
	/* Relaxed: for iocp_context_count only. */
	atomic_store_explicit(&context->waiting, 1, memory_order_relaxed);
	iocp_lock_acquire(&port->lock);
	iocp_waiters_push(&port->waiters, context);
	iocp_lock_release(&port->lock);
	r = wait_for_packets(port, context, packets, max, count, ms);
	iocp_lock_acquire(&port->lock);
	iocp_waiters_remove(&port->waiters, context);
	iocp_lock_release(&port->lock);
	atomic_store_explicit(&context->waiting, 0, memory_order_relaxed);
	return r;
}

int iocp_port_dequeue_many(iocp_port *port, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	iocp_context *context = iocp_context_get();
	size_t taken, last;
	DWORD outcome = WAIT_TIMEOUT;
	int r = IOCP_OK;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	if (!iocp_port_enter(port))
		return IOCP_CLOSED;
	/* Relaxed: for iocp_context_count only. */
	atomic_store_explicit(&context->belongs_to, port->object.handle, memory_order_relaxed);
	taken = take_queued(port, packets, max, 0, &outcome);
	if (taken == 0 && outcome != WAIT_TIMEOUT)
		r = failed(port, outcome, IOCP_CLOSED);
	else if (taken == 0)
		r = ms == 0 ? IOCP_TIMEOUT : wait_listed(port, context, packets, max, &taken, ms);
	/* More was there than is taken at once. */
	for (last = taken; r == IOCP_OK && last == TAKEN_AT_ONCE && taken < max; taken += last)
		last = take_queued(port, packets + taken, max - taken, 0, &outcome);
	if (r == IOCP_OK) {
		/* Relaxed: a counter. */
		atomic_fetch_add_explicit(&port->dequeued, (int64_t)taken, memory_order_relaxed);
		*count = taken;
	}
	iocp_port_leave(port);
	return r;
}

int iocp_port_dequeue(iocp_port *port, iocp_packet *packet, double ms)
{
	size_t count;
	return iocp_port_dequeue_many(port, packet, 1, &count, ms);
}

/* A thread works for the port that it named last in a get, be there something or not. So one that names this, where
** nothing ever comes, works for none until its next get. The process' own, made once; NULL: the system has none to
** give, and the thread counts where it took, until then. */
static HANDLE nobodys_port(void)
{
	static _Atomic(HANDLE) nobodys;
	HANDLE none = NULL, fresh, known = atomic_load_explicit(&nobodys, memory_order_acquire);
	if (known)
		return known;
	fresh = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
	/* Release and acquire: who finds it finds it made. */
	if (!fresh
		|| atomic_compare_exchange_strong_explicit(&nobodys, &none, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	CloseHandle(fresh);
	return none;
}

int iocp_port_pick(iocp_port *port, iocp_packet *packet)
{
	const iocp_context *context = iocp_context_get();
	DWORD outcome = WAIT_TIMEOUT, bytes;
	ULONG_PTR key;
	OVERLAPPED *overlapped;
	HANDLE nobodys = nobodys_port();
	int r = IOCP_OK;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	if (!iocp_port_enter(port))
		return IOCP_CLOSED;
	if (take_queued(port, packet, 1, 0, &outcome) == 0)
		r = outcome == WAIT_TIMEOUT ? IOCP_TIMEOUT : failed(port, outcome, IOCP_CLOSED);
	else /* Relaxed: a counter. */
		atomic_fetch_add_explicit(&port->dequeued, 1, memory_order_relaxed);
	if (nobodys)
		(void)GetQueuedCompletionStatus(nobodys, &bytes, &key, &overlapped, 0);
	iocp_port_leave(port);
	return r;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

int iocp_port_putback(iocp_port *port, const iocp_packet *packets, size_t count)
{
	size_t i;
	int r = IOCP_OK;
	if (!iocp_port_enter(port)) { /* dropped, as the queue was */
		iocp_port_own_discard(&port->own, port, packets, count);
		return IOCP_OK;
	}
	for (i = 0; i < count && r == IOCP_OK; i++) {
		/* Relaxed: a counter. Before the packet is posted, as in count_posted. */
		atomic_fetch_sub_explicit(&port->dequeued, 1, memory_order_relaxed);
		/* All or none: the caller keeps what is refused, and those before would be there twice. */
		while ((r = iocp_port_post(port->system, &packets[i])) == IOCP_NOMEM && i > 0)
			Sleep(RETRY);
		if (r != IOCP_OK)
			atomic_fetch_add_explicit(&port->dequeued, 1, memory_order_relaxed);
	}
	iocp_port_leave(port);
	return r;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

void iocp_port_set_spin(iocp_port *port, int on)
{
	(void)port, (void)on;
}

void iocp_port_reset_peak(iocp_port *port)
{
	/* Relaxed: see count_posted. */
	int64_t dequeued = atomic_load_explicit(&port->dequeued, memory_order_relaxed);
	int64_t posted = atomic_load_explicit(&port->posted, memory_order_relaxed);
	atomic_store_explicit(&port->peak, posted > dequeued ? posted - dequeued : 0, memory_order_relaxed);
}

void iocp_port_stats(iocp_port *port, iocp_port_info *info)
{
	int64_t dequeued = atomic_load_explicit(&port->dequeued, memory_order_relaxed);
	int64_t posted = atomic_load_explicit(&port->posted, memory_order_relaxed);
	iocp_port_info now = {
		.size = info->size,
		.dequeued = (uint64_t)dequeued,
		.posted = (uint64_t)(posted > dequeued ? posted : dequeued), /* what others post is known once it is taken */
		.peak = (uint64_t)atomic_load_explicit(&port->peak, memory_order_relaxed),
		.concurrency = port->concurrency,
		.closed = (uint32_t)iocp_port_is_closed(port),
		.sees_blocking = 1, /* the kernel does */
	};
	iocp_context_count(port->object.handle, &now.active, &now.released);
	if (iocp_port_enter(port)) {
		long depth = iocp_port_depth(port->system);
		iocp_lock_acquire(&port->lock);
		now.waiting = port->waiters.count;
		now.queued = (uint64_t)(depth > 0 ? depth : 0);
		iocp_lock_release(&port->lock);
		iocp_port_leave(port);
	}
	iocp_copy_known(info, info->size, &now, sizeof(now));
}

/* ---- what it owns ------------------------------------------------------------------------------------------------ */

int iocp_port_heap(iocp_port *port, iocp_heap **heap)
{
	if (port->adopted) /* its queue outlives this object, and so would the messages in it */
		return IOCP_INVALID;
	return iocp_port_own_heap(&port->own, iocp_heap_create_private, heap);
}

void iocp_port_set_discard(iocp_port *port, iocp_discard discard, void *data)
{
	iocp_port_own_set_discard(&port->own, discard, data);
}

int iocp_port_set_discard_of(iocp_port *port, uintptr_t overlapped, iocp_discard discard, void *data)
{
	return iocp_port_own_set_discard_of(&port->own, overlapped, discard, data);
}
