/*
** pool.h - what the files of src/work share about pools: a pool's insides.
*/

#ifndef IOCP_WORK_POOL_H
#define IOCP_WORK_POOL_H

#include "core/os.h"
#include "core/semaphore.h"
#include "work/work.h"

#pragma GCC visibility push(hidden)

enum iocp_pool_phase { IOCP_POOL_OPEN = 0, IOCP_POOL_DRAINING = 1, IOCP_POOL_CLOSED = 2 };

/* The kinds of packets in a pool's port, as `bytes`; the key of a task's packet is the task, with a reference. The last
** two have no key, and stand for a task in a list: see turn.c. */
enum { IOCP_QUIT = 0, IOCP_RUN = 1, IOCP_OVERTAKE = 2, IOCP_GIVE_WAY = 3 };

enum { IOCP_POOL_NAME = 64, IOCP_LINE = 64 /* bytes that one processor has to itself */ };

/* What a pool calls in the files above it, which call it. */
typedef struct iocp_pool_ways {
	iocp_thread_main work; /* a worker's thread */
	iocp_discard discard;  /* what its port drops: the packets' tasks are cancelled */
	/* Cancels what waits for its time or for other tasks; only what is periodic if the rest is to finish. */
	void (*cancel_parked)(iocp_pool *pool, int periodic_only);
	void (*cancel_listed)(iocp_pool *pool); /* what is in lists: see turn.c */
} iocp_pool_ways;

/* Tasks that are queued, each with a reference: first in, first out. */
typedef struct iocp_line_of_tasks {
	iocp_task *first, *last;
} iocp_line_of_tasks;

/* Tasks that are not queued as packets of their own: see turn.c. Guarded by the pool's lock. */
typedef struct iocp_turns {
	iocp_line_of_tasks high, passed, low;
	_Atomic uint32_t ahead; /* how many are in the first two */
	uint32_t overtakings, givings;
	int offered; /* a packet for `low` is under way */
} iocp_turns;

/* Where a pool's workers run, and how much. Fixed but for `workers`. */
typedef struct iocp_placing {
	uint32_t *processors; /* NULL: as the thread that makes them */
	uint32_t *workers;    /* how many of them each of these has; guarded by the pool's lock */
	size_t count;
	int spread, priority;
} iocp_placing;

struct iocp_pool {
	iocp_object object;   /* its references are what scripts hold */
	iocp_deferred memory; /* freed with the last user */
	_Atomic int phase;
	const iocp_pool_calls *calls;
	const iocp_pool_ways *ways;
	void *owner;
	iocp_port *port;
	int limited;           /* its queue has a limit: */
	iocp_semaphore places; /* how many tasks may still be queued */
	iocp_semaphore end;    /* closed once the pool is and no worker lives */
	char name[IOCP_POOL_NAME];
	size_t stack_size;
	int replace;
	uint64_t tasks_per_worker;
	double idle;
	_Atomic int elastic; /* there may be more workers than `least`; relaxed: late is good enough */
	iocp_placing placing;
	_Atomic int tracing;

	char padding[IOCP_LINE];
	_Atomic uint32_t users;           /* tasks, workers, and one for all references together */
	_Atomic uint64_t submitted;       /* tasks ever accepted */
	_Atomic uint64_t cancelled_early; /* of these, before they ran */
	_Atomic uint64_t waiting;         /* of these, parked until what they run after has completed */
	_Atomic uint64_t delayed;         /* of these, parked until it is time */
	char more_padding[IOCP_LINE];
	_Atomic uint32_t active; /* tasks that run */
	_Atomic uint32_t peak_active;
	char last_padding[IOCP_LINE];

	iocp_task *parked;            /* guarded by iocp_tasks */
	struct iocp_pool *next_named; /* guarded by named.c's lock */

	iocp_lock lock; /* guards what follows */
	iocp_turns turns;
	iocp_worker *workers; /* that have begun and not ended */
	uint32_t target;      /* how many are wanted, */
	uint32_t least, most; /* of an elastic one: between these */
	uint32_t live;        /* threads that were started and have not ended */
	uint32_t leaving;     /* of the live, how many are to end for a quit packet */
	uint32_t parting;     /* of the live, how many have taken one, or leave as they are idle */
	uintptr_t generation; /* key of the quit packets that are not to be passed over */
	int unready;          /* one died before it was initialised: no more are started, unless the script asks for it */
	uint32_t blocked;     /* of the live, how many wait for a task */
	uint32_t dead;        /* how many ever ended otherwise than told */
	uint32_t last_index;
	int broken;        /* the last one died, and so the pool was closed */
	iocp_counts past;  /* of workers that have ended */
	iocp_spans *spans; /* while tracing: what ran */
	char *last_error;  /* from malloc, or NULL */
	uint64_t failures; /* that nobody has taken */
};

/* As iocp_pool_create. */
int iocp_pool_new(const iocp_pool_options *options, const iocp_pool_ways *ways, iocp_pool **pool);
/* Users. */
iocp_pool *iocp_pool_keep(iocp_pool *pool);
void iocp_pool_drop(iocp_pool *pool);
/* A task has ended: closes a pool that shuts down and has nothing left. A worker looks once it finds nothing to do. */
void iocp_pool_ended(iocp_pool *pool);
/* Whether a worker of the pool's calls. */
int iocp_pool_is_mine(const iocp_pool *pool);
/* A worker has taken a quit packet, with this key. 1: it is to end. */
int iocp_pool_quit(iocp_pool *pool, uintptr_t generation);
/* A task was queued: there may be more workers for it. */
void iocp_pool_stretch(iocp_pool *pool);
static inline void iocp_pool_grow(iocp_pool *pool)
{
	if (atomic_load_explicit(&pool->elastic, memory_order_relaxed))
		iocp_pool_stretch(pool);
}
/* A worker has waited in vain for as long as one may. 1: it is to end. */
int iocp_pool_shrink(iocp_pool *pool);
/* A worker begins and ends; `replace`: another may be started for it. */
void iocp_pool_enter(iocp_pool *pool, iocp_worker *worker);
void iocp_pool_leave(iocp_pool *pool, iocp_worker *worker, int replace);

/* ---- placing.c --------------------------------------------------------------------------------------------------- */

/* IOCP_NOMEM. The next may be called even then. */
int iocp_placing_begin(iocp_placing *p, const iocp_pool_options *options);
void iocp_placing_end(iocp_placing *p);
/* The place of a new worker, where they are spread; else 0. The pool's lock is held, as for the next. */
uint32_t iocp_placing_take(iocp_placing *p);
void iocp_placing_give(iocp_placing *p, uint32_t place);
/* What a worker with that place is started with; `again`: by another worker of the pool. */
void iocp_placing_apply(const iocp_placing *p, uint32_t place, int again, iocp_thread_options *options);

/* ---- stats.c ----------------------------------------------------------------------------------------------------- */

void iocp_counts_add(iocp_counts *counts, enum iocp_task_state state);
void iocp_times_add(iocp_times *times, uint64_t nanoseconds);
/* Adds `from` to `to`. */
void iocp_counts_fold(iocp_counts *to, const iocp_counts *from);
/* How many tasks have ended, but for those whose end is just being told. */
uint64_t iocp_pool_count_ended(iocp_pool *pool);
/* Adds to what was recorded; without memory a span is lost. */
void iocp_pool_record(iocp_pool *pool, const iocp_span *span);

#pragma GCC visibility pop

#endif
