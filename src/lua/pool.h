/*
** pool.h - the worker pool: what its files offer each other.
**
**   pool/function.c          a function on its way to the workers: it crosses to each of them once
**   task.c          a task's life, without Lua: its one atomic state, its end
**   task_watch.c    who is told of that
**   task_graph.c    what can only end after what, without circles
**   pool.c          the pool's life, without Lua: its port, how many workers there are to be, its end
**   pool_stats.c    counters, times and spans, without Lua
**   pool/worker.c        a worker: its thread, its state, the loop over the port
**   pool/pool.c      iocp.Pool and its methods
**   pool/stats.c  those of them that tell what it does and did
**   pool/numbers.c       blocks of numbers
**   pool/loops.c     what calls a function for each item of a chunk
**   pool/task.c      the methods of tasks
**
** References. A pool is counted twice: what scripts hold (userdata, and values on their way) are `handles` besides being references, as
** those of tasks and workers are. With the last handle gone nobody can submit any more: the pool finishes what it has, and
** ends. A task is held by scripts, by the packet that is queued for it, and by the task that it runs after.
**
** Locks. `iocp_tasks` (task_graph.c) guards what is rare in a task's life: who waits for it, what runs after it, cancelling
** while it runs, timers. A pool's `lock` guards its list of workers and how many there are to be. Neither is taken
** under the other, and under neither is anything called that may wait, allocate or call out. What tells a task's thread
** to stop is called under the first (iocp_thread_cancel_work, iocp_running_cancel), so that the thread is not about
** something else by then. task_graph.c has a lock that is taken before the first.
*/

#ifndef IOCP_POOL_H
#define IOCP_POOL_H

#include "core/atomic.h"
#include "core/object.h"
#include "core/os.h"
#include "core/semaphore.h"
#include "lua/value/format.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_pool iocp_pool;
typedef struct iocp_task iocp_task;
typedef struct iocp_work iocp_work;
typedef struct iocp_worker iocp_worker;
typedef struct iocp_notices iocp_notices;
typedef struct iocp_node iocp_node;

enum iocp_task_state {
	IOCP_TASK_UNSCHEDULED = 0,
	IOCP_TASK_SCHEDULED = 1,
	IOCP_TASK_RUNNING = 2,
	IOCP_TASK_COMPLETED = 3, /* from here on it has ended */
	IOCP_TASK_FAILED = 4,
	IOCP_TASK_CANCELLED = 5
};

/* ---- pool/function.c --------------------------------------------------------------------------------------------------------- */

enum { IOCP_WORK_NAME = 64 };

struct iocp_work {
	iocp_mortal mortal;
	_Atomic uint32_t references;
	int constant;    /* nothing that the function holds can change: it need not be looked at again */
	int wants_state; /* it is called with the worker's state first */
	uint64_t id;     /* never given to a second one */
	iocp_values function;
	char name[IOCP_WORK_NAME];
};

iocp_work *iocp_work_retain(iocp_work *work);
void iocp_work_release(iocp_work *work);
/* The work for the function or work object at `index`, borrowed: this state keeps it for as long as the function. Raises if
** it cannot cross. The stack is as it was. */
iocp_work *iocp_work_check(lua_State *L, int index);
/* Pushes the function, decoded in this state once. Raises if that cannot be done. */
void iocp_work_push(lua_State *L, const iocp_work *work);
/* parts.work(f [, name [, wants_state [, like]]]): a work object; `like` is the last one for the same, which it may still be. */
int iocp_lua_work(lua_State *L);

/* ---- pool_stats.c ----------------------------------------------------------------------------------------------------- */

enum { IOCP_TIMES = 160 }; /* steps of a histogram: four in each power of two nanoseconds, up to 18 minutes */

/* How long tasks waited or ran. Written by one thread, or under the pool's lock. Relaxed, all: figures for people. */
typedef struct iocp_times {
	_Atomic uint64_t count, sum; /* nanoseconds */
	_Atomic uint32_t step[IOCP_TIMES];
} iocp_times;

/* What came of a worker's tasks. `ended` is read to see whether a pool is idle: see iocp_pool_ended. */
typedef struct iocp_counts {
	_Atomic uint64_t completed, failed, cancelled, ended;
	iocp_times waited, ran;
} iocp_counts;

enum { IOCP_SPANS = 512 };

/* A task that ran, for the trace. */
typedef struct iocp_span {
	uint64_t begin, end; /* nanoseconds on iocp_clock */
	uint32_t worker;
	int state;
	char name[IOCP_WORK_NAME];
} iocp_span;

/* A piece of what was recorded, and the older ones. */
typedef struct iocp_spans {
	struct iocp_spans *older;
	uint32_t count;
	iocp_span spans[IOCP_SPANS];
} iocp_spans;

void iocp_counts_add(iocp_counts *counts, enum iocp_task_state state);
void iocp_times_add(iocp_times *times, uint64_t nanoseconds);
/* Adds `from` to `to`. */
void iocp_counts_fold(iocp_counts *to, const iocp_counts *from);
/* The time below which the given part (0..1) of all were, in nanoseconds; 0: there were none. */
double iocp_times_percentile(const iocp_times *times, double part);
uint64_t iocp_now(void); /* nanoseconds */

/* ---- task.c --------------------------------------------------------------------------------------------------------- */

enum iocp_task_reason { /* why it was cancelled */
	IOCP_BY_CALL = 0,
	IOCP_BY_CLOSE = 1,
	IOCP_BY_DEPENDENCY = 2, /* what it was to run after did not complete */
	IOCP_BY_MEMORY = 3
};

/* The kinds of packets in a pool's port, as `bytes`; the key of a task's packet is the task, with a reference. */
enum { IOCP_QUIT = 0, IOCP_RUN = 1 };

/* A new task with one reference, unscheduled; `arguments` are the task's from now on. NULL: out of memory. */
iocp_task *iocp_task_new(iocp_pool *pool, iocp_work *work, iocp_values *arguments);
iocp_task *iocp_task_retain(iocp_task *task);
void iocp_task_release(iocp_task *task);
enum iocp_task_state iocp_task_state(const iocp_task *task);
enum iocp_task_reason iocp_task_reason(const iocp_task *task);
int iocp_task_is_submitted(const iocp_task *task);
iocp_pool *iocp_task_pool(const iocp_task *task);
iocp_work *iocp_task_work(const iocp_task *task);
/* Its arguments; once it has ended, its results, or message and error value. */
const iocp_values *iocp_task_values(const iocp_task *task);
/* A task whose results come before the arguments, or NULL, for who has claimed it; because of which it was cancelled, if the
** reason is a dependency. */
const iocp_task *iocp_task_input(const iocp_task *task);
/* When it was to run, on iocp_now. */
uint64_t iocp_task_since(const iocp_task *task);
/* Which of the worker's runners is called with the function, instead of the function itself; 0: none. Before it is submitted. */
void iocp_task_set_runner(iocp_task *task, int runner);
int iocp_task_runner(const iocp_task *task);
/* Its packet has a place in a queue with a limit. Before it is submitted. */
void iocp_task_take_permit(iocp_task *task);
/* The packet has left the queue, or never came there. */
void iocp_task_give_permit(iocp_task *task);
/* Whether it ended by running, and did not just never run. */
int iocp_task_has_run(const iocp_task *task);

/* Submits a task: it runs once all that it runs after have completed; delay > 0: so many ms later; period > 0: again and
** again. IOCP_INVALID: it was submitted before; IOCP_CANCELLED: it is cancelled; IOCP_CLOSED, IOCP_NOMEM: now it is. */
int iocp_task_submit(iocp_task *task, double delay, double period);
/* Makes `task` run after `earlier`; with `input` it is called with its results first. IOCP_INVALID: it was submitted
** already; IOCP_ERROR: `earlier` runs after `task`, or waits for it. IOCP_NOMEM. */
int iocp_task_after(iocp_task *task, iocp_task *earlier, int input);
/* IOCP_OK: it will never run; IOCP_TIMEOUT: it runs, and was told; IOCP_INVALID: it had ended. */
int iocp_task_cancel(iocp_task *task, enum iocp_task_reason reason);
/* As above, and ends the worker that runs it. */
int iocp_task_cancel_hard(iocp_task *task);
/* Where a thread waits for ends of tasks, without belonging to a port for it. A new one has one reference; NULL: out of
** memory. */
iocp_notices *iocp_notices_new(void);
void iocp_notices_release(iocp_notices *notices);
/* Takes the oldest notice, waiting for one: IOCP_OK, or as iocp_semaphore_wait. */
int iocp_notices_wait(iocp_notices *notices, uintptr_t *key, double ms);
/* Has a notice with `key` left when the task has ended; at once if it has. IOCP_NOMEM. */
int iocp_task_watch(iocp_task *task, iocp_notices *notices, uintptr_t key);
/* Takes that back, for all keys, unless it has ended. */
void iocp_task_unwatch(iocp_task *task, const iocp_notices *notices);
/* Cancels what waits for its time or for other tasks in a pool that ends; only what is periodic if the rest is to finish. */
void iocp_tasks_cancel_parked(iocp_pool *pool, int periodic_only);
/* What a pool's port drops: the packets' tasks are cancelled. */
void iocp_task_discard(iocp_port *port, const iocp_packet *packet, void *data);

/* For the worker. 1: the task is the caller's to run, and the packet's reference still the caller's. `in_place`: only a task
** that is queued, by somebody who waits for it; its packet is then found stale. */
int iocp_task_claim(iocp_task *task, int in_place);
/* It is on this worker's thread now, on top of what was. */
void iocp_task_enter(iocp_task *task, iocp_worker *worker);
/* It ran: `outcome` is the task's from now on, and `outer` or nothing is on the thread. A periodic one that completed waits for
** its time again. */
void iocp_task_finish(
	iocp_task *task, iocp_worker *worker, iocp_task *outer, enum iocp_task_state state, iocp_values *outcome);

/* ---- pool.c --------------------------------------------------------------------------------------------------------- */

enum iocp_pool_phase { IOCP_POOL_OPEN = 0, IOCP_POOL_DRAINING = 1, IOCP_POOL_CLOSED = 2 };

enum iocp_worker_end { IOCP_WORKER_TOLD, IOCP_WORKER_CLOSED, IOCP_WORKER_DIED };

enum { IOCP_POOL_NAME = 64, IOCP_LINE = 64 /* bytes that one processor has to itself */ };

struct iocp_pool {
	iocp_mortal mortal;
	_Atomic uint32_t references, handles;
	_Atomic int phase;
	iocp_port *port;
	int limited;         /* its queue has a limit: */
	iocp_semaphore room; /* how many tasks may still be queued */
	double room_ms;      /* how long to wait for room */
	iocp_semaphore end;  /* closed once the pool is and no worker lives */
	iocp_description description;
	iocp_values setup; /* for lua/iocp/worker.lua */
	char name[IOCP_POOL_NAME];
	size_t stack; /* of a worker, bytes; 0: as threads have */
	int replace;  /* start another for a worker that died */
	int raise;    /* failures, at the next call */
	_Atomic int tracing;

	char padding[IOCP_LINE];
	_Atomic uint64_t submitted;       /* tasks ever accepted */
	_Atomic uint64_t cancelled_early; /* of these, before they ran */
	_Atomic uint64_t waiting;         /* of these, parked until what they run after has completed */
	_Atomic uint64_t delayed;         /* of these, parked until it is time */
	char more_padding[IOCP_LINE];
	_Atomic uint32_t active; /* tasks that run */
	_Atomic uint32_t peak_active;

	iocp_task *parked; /* guarded by iocp_tasks */

	iocp_lock lock;       /* guards what follows */
	iocp_worker *workers; /* that have begun and not ended */
	uint32_t target;      /* how many are wanted */
	uint32_t live;        /* threads that were started and have not ended */
	uint32_t leaving;     /* of these, how many are to end for a quit packet */
	uint32_t parting;     /* of these, how many have taken one */
	uintptr_t generation; /* key of the quit packets that are not to be passed over */
	int barren;           /* `init` failed: no more are started, unless the script asks for it */
	uint32_t blocked;     /* of these, how many wait for a task */
	uint32_t dead;        /* how many ever ended otherwise than told */
	uint32_t last_index;
	int broken;        /* the last one died, and so the pool was closed */
	iocp_counts past;  /* of workers that have ended */
	iocp_spans *spans; /* while tracing: what ran */
	char *last_error;  /* from malloc, or NULL */
	uint64_t unraised; /* failures that no call has raised */
};

/* A new pool without workers, with one handle; what it needs besides is filled in before iocp_pool_workers. IOCP_NOMEM. */
int iocp_pool_new(uint32_t concurrency, iocp_pool **pool);
iocp_pool *iocp_pool_keep(iocp_pool *pool); /* a reference */
void iocp_pool_drop(iocp_pool *pool);
iocp_pool *iocp_pool_retain(iocp_pool *pool); /* a handle */
void iocp_pool_release(iocp_pool *pool);
/* Sets how many workers there are to be. IOCP_CLOSED, IOCP_NOMEM or the system's code: there are fewer. */
int iocp_pool_workers(iocp_pool *pool, uint32_t count);
/* Around a worker's wait for a task: a pool always has a worker that does not. IOCP_NOMEM, the system's code or IOCP_ERROR (init
** fails): there would be none, and it is not to wait. */
int iocp_pool_block(iocp_pool *pool);
void iocp_pool_unblock(iocp_pool *pool);
/* No more tasks from outside; once nothing is left the pool is closed. */
void iocp_pool_shutdown(iocp_pool *pool);
/* Drops what is queued or parked; what runs, ends. */
void iocp_pool_close(iocp_pool *pool);
/* A task has ended: closes a pool that shuts down and has nothing left. */
void iocp_pool_ended(iocp_pool *pool);
/* Whether every task that was submitted has ended. */
int iocp_pool_idle(iocp_pool *pool);
int iocp_pool_is_broken(iocp_pool *pool);
void iocp_pool_set_name(iocp_pool *pool, const char *name);
/* Keeps the text of a failure; with `raise` for the next call too, in a pool that does so. */
void iocp_pool_failed(iocp_pool *pool, const char *message, int raise);
/* A worker has taken a quit packet, with this key. 1: it is to end. */
int iocp_pool_quit(iocp_pool *pool, uintptr_t generation);
/* A worker begins and ends; `replace`: another may be started for it. */
void iocp_pool_enter(iocp_pool *pool, iocp_worker *worker);
void iocp_pool_leave(iocp_pool *pool, iocp_worker *worker, int replace);
/* References to the threads of the workers, for joining; up to `capacity` of them. Returns how many there are. */
uint32_t iocp_pool_threads(iocp_pool *pool, iocp_thread **threads, uint32_t capacity);
/* The sum over all workers. */
void iocp_pool_counts(iocp_pool *pool, iocp_counts *sum);
/* Adds to what was recorded; without memory a span is lost. Takes a piece of it; 0: there is none. */
void iocp_pool_record(iocp_pool *pool, const iocp_span *span);
int iocp_pool_take_spans(iocp_pool *pool, iocp_spans *copy);

/* ---- pool/worker.c --------------------------------------------------------------------------------------------------------- */

enum { IOCP_WORKER_DEPTH = 32 }; /* tasks that may run within each other on a thread */

/* A task that can end only after another: see task_graph.c. */
typedef struct iocp_arc {
	iocp_node *earlier, *later;
	struct iocp_arc *next_later, **link_later;     /* of those from the same one; NULL: it is not added */
	struct iocp_arc *next_earlier, **link_earlier; /* of those to the same one */
} iocp_arc;

/* A task on a worker's thread. */
typedef struct iocp_run {
	iocp_task *task;
	iocp_values outcome;
	iocp_arc wait; /* from what the thread waits for */
	struct iocp_run *outer;
	const _Atomic uint32_t *stop; /* of a chunk's: not 0 when the thread is to stop, */
	int32_t at;                   /* which item it is at, from 1 on; 0: at none, */
	double first, step;           /* and by which numbers the caller knows them: first, first + step ... */
} iocp_run;

struct iocp_worker {
	iocp_running running; /* first: see cancel.c */
	iocp_pool *pool;      /* a reference, until the worker ends */
	iocp_thread *thread;  /* this one */
	iocp_worker *previous, *next;
	uint32_t index; /* from 1 on, in the order of their starts */
	int depth;
	iocp_run *run;                /* the innermost */
	_Atomic(iocp_task *) current; /* its task; see task.c */
	enum iocp_worker_end end;
	int initialised;
	int state, report, perform, handler, keep_error; /* references into the registry */
	iocp_counts counts;
};

/* Starts a thread that works for the pool, which counts it already. */
int iocp_worker_start(iocp_pool *pool);
/* The worker that calls; NULL: no worker does. */
iocp_worker *iocp_worker_current(void);
int iocp_is_worker(const iocp_thread *thread);
/* Around a wait without a time of the calling worker's for a task. IOCP_INVALID: it would never end, as that one waits
** for what runs here, perhaps by way of others; IOCP_NOMEM. */
int iocp_worker_await(iocp_worker *worker, iocp_task *task);
void iocp_worker_awaited(iocp_worker *worker);
/* Runs a task that the calling worker has claimed. Raises nothing. */
void iocp_worker_run(lua_State *L, iocp_worker *worker, iocp_task *task);

/* ---- pool/pool.c, pool/task.c --------------------------------------------------------------------------------------------- */

#define IOCP_RUNNERS "iocp.runners" /* registry key: the functions of lua/iocp/runners.lua that run chunks */

/* Milliseconds from `least` to 1e15; anything else raises. */
double iocp_check_delay(lua_State *L, int index, double least);
/* Raises what failed since the last call in a pool that is to do so, but not in its own workers. */
void iocp_pool_raise(lua_State *L, iocp_pool *pool);
/* Pushes the text of the last failure, or nil. */
void iocp_pool_push_error(lua_State *L, iocp_pool *pool);
/* pool/numbers.c, pool/loops.c, pool/stats.c: add to the table at the top, and to the methods of pools. */
void iocp_lua_open_numbers(lua_State *L);
void iocp_lua_open_loops(lua_State *L);
void iocp_lua_open_figures(lua_State *L);
/* What parts.notices() gave. */
iocp_notices *iocp_notices_check(lua_State *L, int index);
/* pool/loops.c: a runner comes to item i of its chunk; raises if it is to stop. */
void iocp_chunk_stop(lua_State *L, iocp_run *run);
static inline void iocp_chunk_reach(lua_State *L, iocp_run *run, int32_t i)
{
	run->at = i;
	if (atomic_load_explicit(run->stop, memory_order_relaxed)) /* late is good enough */
		iocp_chunk_stop(L, run);
}
/* Puts which item the chunk is at, if it is at one, before the message at the top. */
void iocp_chunk_name_item(lua_State *L, const iocp_run *run);
/* pool:submit and its like, for pool/task.c: the function at 2, its arguments behind. A new task, pushed; `pool` is its. */
iocp_task *iocp_task_create(lua_State *L, iocp_pool *pool, int function);

#pragma GCC visibility pop

#endif
