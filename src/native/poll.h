/*
** poll.h - a port's I/O: the set of descriptors that it waits for, what is associated with it, and who waits in the
** set.
**
**   operation.c  one operation and its packet
**   poll.c       the set, its members, and what comes of its events
**   leader.c     who waits in the set
**   harvest.c    when, and what happens then
*/

#ifndef IOCP_NATIVE_POLL_H
#define IOCP_NATIVE_POLL_H

#include "native/native.h"
#include "native/operation.h"
#include "native/prim.h"
#include "native/watch.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_source iocp_source;
struct iocp_poll;

typedef struct iocp_source_calls {
	/* These events (IOCP_PRIM_*) came: its operations go on as far as they can, those that end are added to
	** `finished`. No lock is held. */
	void (*advance)(iocp_source *source, uint32_t what, iocp_finished *finished);
	/* Its port has ended: its operations end without packets. No lock is held; it is no longer a member. */
	void (*port_ended)(iocp_source *source, struct iocp_poll *poll);
	/* Its operations that use blocks of this heap end. No lock is held. */
	void (*end_heap)(iocp_source *source, const iocp_heap *heap);
	/* An operation of its that others did has ended, with this number or 0. No lock is held. NULL: there are none. */
	void (*transferred)(iocp_operation *operation, int number);
} iocp_source_calls;

/* The beginning of every object that is associated with a port. */
struct iocp_source {
	iocp_object object;
	const iocp_source_calls *calls;
	iocp_source *next, *previous; /* members of the same port; guarded by the poll's lock, as is the next */
	iocp_source *next_starved;    /* those that try again when there are descriptors; itself at the end */
};

/* Besides IOCP_PRIM_*: those that wait for descriptors are to try again. */
enum { IOCP_RETRY = 8 };

enum { IOCP_KINDS_OF_SOURCES = IOCP_KIND_SOCKET | IOCP_KIND_FILE };

/* A port's, from its first association until its memory is freed. */
typedef struct iocp_poll {
	iocp_prim_set set;
	int (*watch)(iocp_port *port); /* the watcher's turn: harvest.c. Fixed */
	_Atomic uint32_t used;         /* members have waited in it; relaxed: who joins sees to the port afterwards */
	_Atomic uint32_t alarm;        /* never read: its address stands for the set's alarm among the words of sleepers */
	/* Guarded by the port's lock: see leader.c. */
	iocp_waiter *leader;
	uint64_t events;              /* the leader's, without the lock: how many came */
	uint32_t queued;              /* packets of I/O in the queue */
	uint32_t taken;               /* packets taken since somebody looked for events */
	int64_t looked_at;            /* ns: when that was, */
	int64_t apart;                /* and how far from each other such looks are, on an average of the last ones */
	int armed;                    /* the watcher is told of the next event */
	int raised;                   /* the next is readable */
	iocp_prim_pollable *pollable; /* for other event loops; NULL: nobody asked. Set once */
	int led;                      /* the watcher's: for how many turns there was a leader; */
	int moves;                    /* operations moved, when its turn was over */
	/* Guarded by its own lock, within which none is taken. */
	iocp_lock lock;
	iocp_source *members;
	iocp_source *starved;         /* that failed for want of descriptors, with a reference each */
	int64_t retry_at;             /* ns: when they try again */
	_Atomic uint32_t has_starved; /* whether there are any; relaxed: a hint for who does not hold the lock */
	int ended;                    /* nobody becomes a member any more */
} iocp_poll;

/* Before its first operation. */
void iocp_source_begin(iocp_source *source, const iocp_source_calls *calls);
/* `told` as of iocp_watch_keep, which goes with it. NULL, and the system's code is in *error. */
iocp_poll *iocp_poll_new(iocp_watched *(*told)(uint64_t name), int *error);
/* Nobody uses it any more. NULL is allowed. */
void iocp_poll_free(iocp_poll *poll);
/* The source becomes a member, which keeps a reference to it; `waits`: descriptors of it may come into the set, so that
** somebody is to lead (iocp_port_has_member). IOCP_CLOSED: the port has ended. */
int iocp_poll_join(iocp_poll *poll, iocp_source *source, int waits);
/* It is none any more; 0: it was none. The reference is the caller's to drop. */
int iocp_poll_leave(iocp_poll *poll, iocp_source *source);
/* The port is closed, or its last reference has gone: all members leave. No lock is held. */
void iocp_poll_end(iocp_poll *poll);
/* Waits for events, once, and has their sources go on. 0: something came, or the alarm; ETIMEDOUT, EINTR. `events`
** counts what has come. No lock is held; only who leads may call it. */
int iocp_poll_harvest(iocp_poll *poll, int64_t deadline, iocp_finished *finished);
/* The member failed for want of a descriptor, and is to advance again in a while. */
void iocp_poll_starves(iocp_poll *poll, iocp_source *source);
/* A descriptor was closed: that while is over. */
void iocp_poll_feed(iocp_poll *poll);
static inline int iocp_poll_has_starved(iocp_poll *poll)
{
	return (int)atomic_load_explicit(&poll->has_starved, memory_order_relaxed);
}
/* If it is time, those members advance. No lock is held. */
void iocp_poll_retry(iocp_poll *poll, iocp_finished *finished);

#pragma GCC visibility pop

#endif
