/*
** task.h - what the files of tasks share: a task's insides.
*/

#ifndef IOCP_WORK_TASK_H
#define IOCP_WORK_TASK_H

#include "work/pool.h"

#pragma GCC visibility push(hidden)

enum { /* in the word, beside the state */
	IOCP_WORD_STATE = 7,
	IOCP_WORD_WATCHED = 8,    /* somebody is in `watches` */
	IOCP_WORD_DELAYED = 16,   /* scheduled, and its packet comes from a timer */
	IOCP_WORD_CANCEL = 32,    /* running, and told to stop */
	IOCP_WORD_SUBMITTED = 64, /* unscheduled, until all that it runs after have completed */
	IOCP_WORD_LINKED = 128,   /* unscheduled, and `extra` says what comes first */
	IOCP_WORD_REASON = 256,   /* times enum iocp_task_reason, of one that is cancelled or told: IOCP_WORD_REASONS */
	IOCP_WORD_REASONS = 1792,
	IOCP_WORD_RAN = 2048 /* it has ended, and `payload` is what came of it */
};

/* Somebody who is told when a task has ended. */
typedef struct iocp_watch {
	struct iocp_watch *next;
	iocp_notices *notices; /* a reference; NULL: a task that runs after this one, or an event */
	uintptr_t key;
	iocp_task *task;   /* a reference */
	iocp_task *of;     /* while it is told: the task that has ended, a reference, if it is not the first one */
	iocp_event *event; /* the task's own `end`, or NULL */
	enum iocp_after how;
	int counts;   /* with it told, `of` has ended for its pool too */
	iocp_arc arc; /* of a task that runs after this one */
} iocp_watch;

/* What most tasks have not; those of a body with a time or retries do from their birth. Guarded by iocp_tasks, but for
** the first three. */
typedef struct iocp_task_extra {
	char *made;               /* where, from malloc; NULL: nobody said so. Set before it is submitted */
	_Atomic iocp_timer limit; /* until when it is to have ended, of one with a time; 0: there is none yet */
	uint32_t attempts;        /* how often it has failed and runs again; of who runs it */
	iocp_task *input;         /* whose results come first; a reference */
	uint32_t unmet;           /* tasks that it runs after and that have not completed */
	double delay, period;     /* milliseconds; 0: none */
	double due;               /* on iocp_clock, of a periodic one */
	iocp_timer timer;         /* if armed */
	int armed;
	uint32_t parkings; /* how often it was added to the list below: who sets a timer may be late */
	iocp_task *previous,
		*following; /* in the pool's list of parked tasks: those that are delayed, or wait for others */
} iocp_task_extra;

/* There may be millions, so it is no larger than it must be. What is read and written for each of them comes first. */
struct iocp_task {
	iocp_counted counted;
	_Atomic uint32_t word;
	unsigned char chunk_runner;    /* 0, or which of lua/iocp/runners.lua's calls it; set before it is submitted */
	unsigned char has_place;       /* in a queue with a limit; of who has its packet */
	unsigned char posted;          /* nobody asks for its results; set before it is submitted */
	unsigned char settling;        /* the owner's; set before it is submitted */
	iocp_pool *pool;               /* as a user of it */
	iocp_body *body;               /* a reference */
	_Atomic uint64_t since;        /* when it was to run, on iocp_now; relaxed: a figure */
	iocp_payload payload;          /* arguments, until it has ended; then what came of it */
	_Atomic(iocp_worker *) runner; /* while it runs */
	iocp_task_extra *extra;
	iocp_watch *watches;
	iocp_event *end;           /* that it has ended; NULL: no port was to be told. Written once, under iocp_tasks */
	_Atomic(iocp_node *) node; /* NULL, until it has had an arc */
	struct iocp_task *behind;  /* in a line of tasks; guarded by the pool's lock */
};

_Static_assert(sizeof(void *) < 8 || sizeof(iocp_task) <= 160, "it fills a class of the heap's blocks");

extern iocp_lock iocp_tasks;

static inline uint32_t iocp_task_word(const iocp_task *task)
{
	/* Acquire: what the task left happens-before reading that it has ended. */
	return atomic_load_explicit(&task->word, memory_order_acquire);
}

/* Sequentially consistent, because of CANCEL (see iocp_task_enter); else acquire and release would do: what was written
** before is there for who sees the new word. On failure *from is the word. */
static inline int iocp_task_change(iocp_task *task, uint32_t *from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(&task->word, from, to, memory_order_seq_cst, memory_order_acquire);
}

/* ---- task.c ------------------------------------------------------------------------------------------------------ */

/* When it was to run, on iocp_now. */
uint64_t iocp_task_since(const iocp_task *task);
/* Changes a counter that tells whether a pool has anything left. */
void iocp_count(_Atomic uint64_t *counter, int change);
/* Into the pool's list, and its counter of such tasks. The lock is held, as for the next. */
void iocp_parked_add(iocp_task *task, _Atomic uint64_t *counter);
/* Out of the pool's list; it has just left a word that says DELAYED or SUBMITTED. */
void iocp_parked_remove(iocp_task *task, uint32_t old);

/* ---- task_run.c, for the worker ---------------------------------------------------------------------------------- */

/* 1: the task is the caller's to run, and the packet's reference still the caller's. `in_place`: only a task that is
** queued, by somebody who waits for it; its packet is then found stale. */
int iocp_task_claim(iocp_task *task, int in_place);
/* Its task is on this worker's thread now, on top of what was. */
void iocp_task_enter(iocp_run *run, iocp_worker *worker);
/* What is beneath, or nothing, is the thread's again. `told`: the thread was told to stop. */
void iocp_task_leave(iocp_worker *worker, iocp_run *outer, int told);
/* Tells the thread of a task that runs. IOCP_INVALID: it does not run any more. IOCP_TIMEOUT: `hard`, and it is just
** being claimed or just ending. The system's code: `hard`, and it is only told. */
int iocp_task_stop(iocp_task *task, int hard, enum iocp_task_reason reason);

/* ---- task_flow.c ------------------------------------------------------------------------------------------------- */

/* It ran: `outcome` is the task's from now on, and `outer` or nothing is on the thread. A periodic one that completed
** waits for its time again, and one that failed perhaps too: then 0, and what ran is no run of its own. */
int iocp_task_finish(
	iocp_task *task, iocp_worker *worker, iocp_run *outer, enum iocp_task_state state, iocp_payload *outcome);
/* Makes a task that was not submitted yet one that waits for others (IOCP_WORD_LINKED), or is submitted as one
** (IOCP_WORD_SUBMITTED too). It has an `extra` then, which may be `fresh`. IOCP_INVALID: it was submitted;
** IOCP_CANCELLED: it is cancelled. The lock is held. */
int iocp_task_link(iocp_task *task, iocp_task_extra **fresh, uint32_t flags);
/* Keeps which task it is because of that one is cancelled. The lock is held. */
void iocp_task_blame(iocp_task *task, iocp_task *earlier);
/* See iocp_pool_ways. */
void iocp_task_discard(iocp_port *port, const iocp_packet *packet, void *data);
void iocp_tasks_cancel_parked(iocp_pool *pool, int periodic_only);
void iocp_tasks_cancel_listed(iocp_pool *pool);

/* ---- turn.c ------------------------------------------------------------------------------------------------------ */

/* Queues a task that has become scheduled and is not a normal one, with the packet's reference. IOCP_CLOSED: the
** reference is the caller's. */
int iocp_turn_queue(iocp_task *task);
/* The task whose turn it is with a packet, with its packet's reference; NULL: none. */
iocp_task *iocp_turn_find(iocp_pool *pool, const iocp_packet *packet);
static inline iocp_task *iocp_turn_take(iocp_pool *pool, const iocp_packet *packet)
{
	/* Relaxed: see turn.c. */
	if (packet->bytes == IOCP_RUN && atomic_load_explicit(&pool->turns.ahead, memory_order_relaxed) == 0)
		return (iocp_task *)packet->key;
	return iocp_turn_find(pool, packet);
}
/* Takes any out of the lists; NULL: they are empty. */
iocp_task *iocp_turn_drop(iocp_pool *pool);

/* ---- task_watch.c ------------------------------------------------------------------------------------------------ */

/* Adds a watch to a task. 0: it has ended. The lock is held. */
int iocp_watch_add(iocp_task *task, iocp_watch *watch);
/* Tells a watch that has notices, and is theirs from now on. */
void iocp_notices_leave(iocp_watch *watch);
/* Takes all watches of a task that has ended. */
iocp_watch *iocp_watches_take(iocp_task *task);

/* ---- task_graph.c ------------------------------------------------------------------------------------------------ */

/* NULL is allowed. */
void iocp_node_release(iocp_node *node);
/* Before the locks are taken: IOCP_OK or IOCP_NOMEM. */
int iocp_arc_prepare(iocp_arc *arc, iocp_task *earlier, iocp_task *later);
/* Around adding arcs. Takes iocp_tasks with it. */
void iocp_graph_lock(void);
void iocp_graph_unlock(void);
/* 0: it would close a circle. iocp_tasks may be let go meanwhile. */
int iocp_arc_add(iocp_arc *arc);
/* An arc that was prepared, be it added or not. iocp_tasks is held. */
void iocp_arc_remove(iocp_arc *arc);

#pragma GCC visibility pop

#endif
