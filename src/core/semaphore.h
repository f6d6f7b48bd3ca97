/*
** semaphore.h - a counter that threads wait for: permits, and events that are counted.
**
** It is no port, so whoever waits for one still belongs to the port that he got from last, and does not count there for
** the time, as in a sleep. Who waits for a packet instead asks for `ready` (iocp_semaphore_notify in src/work). A
** zeroed one is open, with the count 0; it needs no end, unless somebody may have asked: then it is closed before it
** goes.
*/

#ifndef IOCP_SEMAPHORE_H
#define IOCP_SEMAPHORE_H

#include "core/event.h"
#include "core/os.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_semaphore {
	iocp_lock lock; /* guards the rest */
	iocp_waiters waiters;
	uint64_t count; /* 0 while anybody waits */
	int closed;
	iocp_event ready; /* a wait may not have to; closed, for good */
} iocp_semaphore;

/* Takes one from the count, or waits for that, first come, first served. IOCP_TIMEOUT, IOCP_CANCELLED,
** IOCP_INTERRUPTED, IOCP_NOMEM; IOCP_CLOSED: it was closed before; IOCP_ABANDONED: meanwhile. */
int iocp_semaphore_wait(iocp_semaphore *semaphore, double ms);
/* Adds one, which goes to the thread that has waited longest. The caller has the semaphore's owner keep it until this
** returns. */
void iocp_semaphore_post(iocp_semaphore *semaphore);
/* Whether a wait that begins now need not wait. Who has asked for `ready` before either finds it so here, or is told by
** the post or the close that makes it so. */
int iocp_semaphore_is_ready(iocp_semaphore *semaphore);
/* Ends all waits, for good. */
void iocp_semaphore_close(iocp_semaphore *semaphore);

#pragma GCC visibility pop

#endif
