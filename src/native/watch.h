/*
** watch.h - what the watcher is asked for.
*/

#ifndef IOCP_NATIVE_WATCH_H
#define IOCP_NATIVE_WATCH_H

#include "native/native.h"
#include "native/prim.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_watched {
	struct iocp_watched *next; /* watch.c's, as is the next: */
	int64_t at;                /* ns: when it is looked at */
	const struct iocp_watched_calls *calls;
} iocp_watched;

enum { IOCP_WATCH_SOON = -1 };

typedef struct iocp_watched_calls {
	/* The watcher's turn; after how many of its periods (5 ms) the next is; 0: this was the last; IOCP_WATCH_SOON: once
	** the others that are to be looked at have had theirs. */
	int (*look)(iocp_watched *item);
	void (*give_up)(iocp_watched *item); /* there is no watcher to be had now */
} iocp_watched_calls;

/* Has the watcher look after it. Whoever calls it has made sure that nobody else does, and holds no lock. */
void iocp_watch(iocp_watched *item);
/* The watcher does not end any more, once it has begun, before as many iocp_watch_let_end. `told`, the same in all
** calls, is called for sets that are armed, and returns what is to be looked at, as if by iocp_watch but at once, or
** NULL. 0, or the system's code. */
int iocp_watch_keep(iocp_watched *(*told)(uint64_t name));
void iocp_watch_let_end(void);
/* Between the two above: `told` is called, once, when the set has an event, or if it has one. Does not wait: any lock
** may be held but the watcher's own. 0: it is not armed, since there is no watcher, or no memory. */
int iocp_watch_arm(const iocp_prim_set *set, uint64_t name);
void iocp_watch_disarm(const iocp_prim_set *set, uint64_t name);
/* Whether this system tells which threads block. */
int iocp_watch_works(void);
/* Whether it may, as far as it has been asked. It is not asked here: any lock may be held. */
int iocp_watch_is_possible(void);

#pragma GCC visibility pop

#endif
