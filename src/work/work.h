/*
** work.h - pools of workers and tasks for them, without Lua: what src/work offers.
**
**   object.c      objects of any kind
**   pool.c        a pool's life: its port, how many workers there are to be, its end
**   placing.c     where its workers run
**   named.c       pools that have a name in the process
**   worker.c      a worker: its thread, a step of its loop over the port
**   stats.c       counters, times and spans
**   task.c        a task: its one atomic state, the list of those that are parked
**   task_run.c    a task and the thread that runs it, and is told to stop
**   task_flow.c   when a task runs, and what follows from its end
**   task_after.c  tasks that run after others
**   turn.c        which of the tasks that are queued is next
**   task_watch.c  who is told of its end
**   task_graph.c  what can only end after what, without circles
**   lookup.c      the addresses of hosts, and their names
**   process.c     child processes
**   signal.c      signals of the process as packets: iocp.h
**   timer.c       packets that are posted later: iocp.h, and when an event happens
**   atomic.c      integers that threads share, and wait for: iocp.h
**   dict.c        dictionaries that threads share: iocp.h, and what their values are
**   dict_claim.c  who computes a value for all
**   hash.c        a hash of bytes
**   frozen.c      values that are read where they lie: frozen.h
**   array.c       arrays of numbers that threads share: iocp.h
**
** What a worker runs, and with what, is the pool's owner's: a `body` and payloads, of which only the owner's calls know
** what is in them. pool.h and task.h have what the files here share.
**
** References. A pool is an object whose references are what scripts hold: with the last one gone nobody can submit any
** more, and the pool finishes what it has and ends. Tasks and workers are its `users`, which keep its memory. A task is
** an object that is held by scripts, by the packet that is queued for it, and by the task that it runs after.
**
** Locks. `iocp_tasks` (task_graph.c) guards what is rare in a task's life: who waits for it, what runs after it,
** cancelling while it runs, timers. A pool's `lock` guards its list of workers and how many there are to be. Neither is
** taken under the other, and under neither is anything called that may wait, allocate or call out. What tells a task's
** thread to stop is called under the first (iocp_thread_cancel_work, the owner's `cancel`), so that the thread is not
** about something else by then. task_graph.c has a lock that is taken before the first. timer.c has one of its own.
*/

#ifndef IOCP_WORK_H
#define IOCP_WORK_H

#include <stdio.h>

#include "core/api.h"
#include "core/atomic.h"
#include "core/event.h"
#include "core/object.h"
#include "core/os.h"
#include "core/semaphore.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_pool iocp_pool;
typedef struct iocp_task iocp_task;
typedef struct iocp_worker iocp_worker;
typedef struct iocp_lookup iocp_lookup;
typedef struct iocp_process iocp_process;
typedef struct iocp_run iocp_run;
typedef struct iocp_notices iocp_notices;
typedef struct iocp_node iocp_node;

/* ---- object.c: ports, heaps, threads, pools and tasks alike ------------------------------------------------------ */

/* One more reference by handle, to an object of the kind. IOCP_INVALID. */
int iocp_any_open(enum iocp_kind kind, iocp_handle handle, void **object);
/* As iocp_object_announce and iocp_object_list. */
void iocp_any_announce(const void *object);
uint32_t iocp_any_list(enum iocp_kind kind, void **objects, uint32_t capacity);
void iocp_any_retain(void *object);
void iocp_any_release(void *object);
/* 0: its kind has no names. */
iocp_handle iocp_any_handle(const void *object);
/* NULL: it has none, or no longer. */
void *iocp_any_native(const void *object);
/* As core/os.h has it. */
uintptr_t iocp_any_file(FILE *stream);

/* ---- signal.c ---------------------------------------------------------------------------------------------------- */

/* As iocp_run_quietly. */
void iocp_any_quietly(void (*call)(void *data), void *data);

/* ---- timer.c ----------------------------------------------------------------------------------------------------- */

/* Posts the packet when the event happens, at once if it has: as iocp_thread_notify. IOCP_NOMEM. An event that may have
** such packets pending happens before its memory is freed. */
int iocp_event_notify(iocp_event *event, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);
/* Posts the packet when a wait for the semaphore need not wait, or it is closed; at once if it is so now. It says
** "look": others may be faster, and who finds nothing asks again. As the above. */
int iocp_semaphore_notify(iocp_semaphore *semaphore, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);
/* An event that happens again and again happens: posts their packets to all who asked, who stay, but for those whose
** port is closed. How many got one. */
int iocp_event_post(iocp_event *event);
/* Posts the packet when a port with a capacity may have room, or is closed; at once if it has: as iocp_thread_notify.
** IOCP_INVALID: it has no capacity. */
int iocp_port_room_notify(iocp_port *port, iocp_port *target, const iocp_packet *packet, iocp_timer *timer);
/* Whether anybody has asked for it and does so still. */
int iocp_event_is_asked(const iocp_event *event);

/* ---- shield.c ---------------------------------------------------------------------------------------------------- */

/* As iocp_port_dequeue_many, of a thread that has waited before; a cancel does not end it, and counts afterwards. */
int iocp_port_take_shielded(iocp_port *port, iocp_packet *packets, size_t max, size_t *count, double ms);

/* ---- dict.c ------------------------------------------------------------------------------------------------------ */

enum iocp_dict_kind { IOCP_DICT_BYTES, IOCP_DICT_INTEGER, IOCP_DICT_NUMBER, IOCP_DICT_PARCEL };

/* A value, which never changes, and what refers to it: the dictionary, and who reads it. */
typedef struct iocp_dict_value {
	_Atomic uint32_t references;
	enum iocp_dict_kind kind; /* whose bytes only the owner of the parcels knows */
	/* Called without a lock before it is freed; NULL: nothing is to be done. */
	void (*discard)(const struct iocp_dict_value *value);
	const void *dict; /* whose it is: it does not keep that */
	size_t size;
	_Alignas(16) unsigned char bytes[];
} iocp_dict_value;

/* One with a reference, for the caller to fill: see `dict` and `discard`. NULL: out of memory. */
iocp_dict_value *iocp_dict_value_new(enum iocp_dict_kind kind, const void *bytes, size_t size);
/* NULL is allowed. */
void iocp_dict_value_release(iocp_dict_value *value);

#define IOCP_DICT_EXPECT 3   /* besides iocp.h's: if the value there is `expected`, NULL for none */
#define IOCP_DICT_KEEPS -2.0 /* a time: the one that the entry has */
/* As iocp_dict_set, of a value whose reference is the dictionary's from now on, whatever comes of it. */
int iocp_dict_put(iocp_dict *dict, const void *key, size_t key_size, iocp_dict_value *value, double ms, int how,
	const iocp_dict_value *expected);
/* The value, with a reference; NULL: there is none. */
iocp_dict_value *iocp_dict_find(iocp_dict *dict, const void *key, size_t key_size);
/* As iocp_dict_find; but what is small and needs no `discard` is copied to `room`, which is returned and has no
** references, so nothing is to be released. */
enum { IOCP_DICT_SMALL = 2048 };
typedef struct iocp_dict_room {
	_Alignas(16) unsigned char bytes[sizeof(iocp_dict_value) + IOCP_DICT_SMALL];
} iocp_dict_room;
iocp_dict_value *iocp_dict_read(iocp_dict *dict, const void *key, size_t key_size, iocp_dict_room *room);
/* Deletes the entry if its value is `expected`: IOCP_INVALID. NULL: whatever it is. */
int iocp_dict_remove(iocp_dict *dict, const void *key, size_t key_size, const iocp_dict_value *expected);
/* Copies the keys of one of IOCP_DICT_STRIPES parts, each behind its size, a uint32_t, to memory of malloc's. NULL and
** *size 0: there are none. IOCP_NOMEM. */
enum { IOCP_DICT_STRIPES = 32 };
int iocp_dict_keys(iocp_dict *dict, int stripe, unsigned char **keys, size_t *size);

/* ---- dict_claim.c ------------------------------------------------------------------------------------------------ */

/* The right to compute a key's value, which one at a time has. */
typedef struct iocp_dict_claim iocp_dict_claim;

/* Waits while somebody else has it. IOCP_OK: *value, with a reference, is there, or else *claim is the caller's.
** IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED, IOCP_NOMEM. */
int iocp_dict_claim_take(
	iocp_dict *dict, const void *key, size_t key_size, double ms, iocp_dict_value **value, iocp_dict_claim **claim);
/* Those who wait look again; one of them has the claim, if there is no value still. */
void iocp_dict_claim_end(iocp_dict_claim *claim);
/* Posts a packet when a look may find something else, at once if nobody has the claim: as iocp_thread_notify.
** IOCP_NOMEM. */
int iocp_dict_claim_notify(
	iocp_dict *dict, const void *key, size_t key_size, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);

/* ---- hash.c ------------------------------------------------------------------------------------------------------ */

/* For the hashes of an object that has just been made. */
uint64_t iocp_hash_seed(const void *owner);
uint64_t iocp_hash(uint64_t seed, const void *bytes, size_t size);

/* ---- array.c ----------------------------------------------------------------------------------------------------- */

/* "int8" ...; NULL: there is no such type. */
const char *iocp_element_name(int type);
/* Bytes of an element. */
size_t iocp_element_size(enum iocp_element type);

/* ---- lookup.c ---------------------------------------------------------------------------------------------------- */

/* Begins to look for a host's addresses and a service's port: NULL is port 0. A lookup with one reference, for
** iocp_any_retain and iocp_any_release. IOCP_NOMEM, or the system's code: there is no thread for it. */
int iocp_resolve(const char *host, const char *service, iocp_lookup **lookup);
const char *iocp_lookup_host(const iocp_lookup *lookup);
/* The same for the name of an address in digits and of a port: see iocp_system_name. */
int iocp_resolve_name(const char *host, const char *service, int required, iocp_lookup **lookup);
/* NULL: it looks for addresses. Else, of one that has ended well, what it found. */
const iocp_host_name *iocp_lookup_name(const iocp_lookup *lookup);
/* The machine's own name; 0: it has none, or none that has room. */
int iocp_own_host_name(char *buffer, size_t size);
/* Waits until it has ended: IOCP_OK; IOCP_TIMEOUT, IOCP_CANCELLED (the thread), IOCP_INTERRUPTED, IOCP_NOMEM. */
int iocp_lookup_wait(iocp_lookup *lookup, double ms);
/* Of one that was seen to have ended, what came of it, which lives as long as it does: IOCP_OK and addresses;
** IOCP_CANCELLED (the lookup), IOCP_NOMEM, or one of os.h's IOCP_EAI_.... */
int iocp_lookup_result(const iocp_lookup *lookup, const iocp_host_address **addresses, size_t *count);
/* The name of one of the latter, and what it says; NULL: it is none. Both are static. */
const char *iocp_lookup_failure(int result, const char **text);
/* Posts a packet when it has ended, at once if it has: as iocp_thread_notify. IOCP_NOMEM. */
int iocp_lookup_notify(iocp_lookup *lookup, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);
/* Ends it. 0: it had ended. What the system does for it goes on, until that comes to its end. */
int iocp_lookup_cancel(iocp_lookup *lookup);

/* ---- process.c --------------------------------------------------------------------------------------------------- */

/* Starts a child. With one reference, for iocp_any_retain and iocp_any_release, and one of its own until it has ended:
** it needs nobody, and goes on without. IOCP_NOMEM, or the number of an I/O error (ENOENT: there is no such program, or
** folder; EAGAIN: there is no thread to be had). */
int iocp_process_start(const iocp_child_options *options, iocp_process **process);
/* The system's number of it. */
uint64_t iocp_process_id(const iocp_process *process);
/* Waits until it has ended: IOCP_OK; IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED, IOCP_NOMEM. */
int iocp_process_wait(iocp_process *process, double ms);
/* 0: it goes on. Else as iocp_child_forget. */
int iocp_process_result(iocp_process *process, int64_t *code, int *signal);
/* Posts a packet when it has ended, at once if it has: as iocp_thread_notify. IOCP_NOMEM. */
int iocp_process_notify(iocp_process *process, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);
/* As iocp_child_pipe, iocp_child_close_pipe and iocp_child_signal_name. */
int iocp_process_pipe(int child_reads, iocp_file **ours, uintptr_t *theirs);
void iocp_process_close_pipe(uintptr_t theirs);
const char *iocp_process_signal_name(int signal);
/* As iocp_child_kill; IOCP_ESRCH: it has ended. */
int iocp_process_kill(iocp_process *process, const char *name);

/* ---- what tasks run, and with what ------------------------------------------------------------------------------- */

enum { IOCP_BODY_NAME = 64 };

enum iocp_priority { IOCP_NORMAL = 0, IOCP_HIGH = 1, IOCP_LOW = 2 };

/* How the tasks of a body are treated. Zeroed: as any. Fixed before its first task. */
typedef struct iocp_terms {
	double timeout;   /* ms from when it is submitted, or due, until it is to have ended; 0: it has time */
	int hard;         /* who runs it then is ended with it */
	uint32_t retries; /* how often it runs again if it fails, */
	double backoff;   /* so many ms later, and each time twice as many */
	enum iocp_priority priority;
} iocp_terms;

/* What a task runs. Its owner puts more behind this. */
typedef struct iocp_body {
	iocp_deferred deferred; /* its `free` is the owner's */
	_Atomic uint32_t references;
	int holds; /* it may hold the last reference to an object */
	iocp_terms terms;
	char name[IOCP_BODY_NAME];
} iocp_body;

/* With one reference, of a zeroed one. */
void iocp_body_begin(iocp_body *body, void (*release)(iocp_deferred *));
iocp_body *iocp_body_retain(iocp_body *body);
/* NULL is allowed. */
void iocp_body_release(iocp_body *body);

enum { IOCP_PAYLOAD_ROOM = 32 };

/* What a task is called with, or what came of it. Zeroed: nothing. */
typedef struct iocp_payload {
	void *block; /* NULL: it is nothing, or `size` bytes that lie in `room`, with nothing to free */
	size_t size;
	union {
		const void *owner; /* of a block */
		unsigned char room[IOCP_PAYLOAD_ROOM];
	};
} iocp_payload;

/* ---- stats.c ----------------------------------------------------------------------------------------------------- */

enum iocp_task_state {
	IOCP_TASK_UNSCHEDULED = 0,
	IOCP_TASK_SCHEDULED = 1,
	IOCP_TASK_RUNNING = 2,
	IOCP_TASK_COMPLETED = 3, /* from here on it has ended */
	IOCP_TASK_FAILED = 4,
	IOCP_TASK_CANCELLED = 5
};

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

/* The same for people, in milliseconds. */
typedef struct iocp_spread {
	double mean, p50, p90, p99;
} iocp_spread;

typedef struct iocp_pool_info {
	uint32_t workers, live, blocked, dead; /* how many are wanted, threads, waiting for tasks, ever ended untold */
	uint32_t active, peak_active;
	uint64_t queued, peak_queued, delayed, waiting, submitted, completed, failed, cancelled;
	iocp_spread waited, ran;
	int closed; /* no more tasks from outside */
} iocp_pool_info;

enum { IOCP_SPANS = 512 };

/* A task that ran, for the trace. */
typedef struct iocp_span {
	uint64_t begin, end; /* nanoseconds on iocp_clock */
	uint32_t worker;
	int state;
	char name[IOCP_BODY_NAME];
} iocp_span;

/* A piece of what was recorded, and the older ones. */
typedef struct iocp_spans {
	struct iocp_spans *older;
	uint32_t count;
	iocp_span spans[IOCP_SPANS];
} iocp_spans;

/* While tasks go on to within those that just change, exact once they have come to rest. */
void iocp_pool_stats(iocp_pool *pool, iocp_pool_info *info);
void iocp_pool_reset_peaks(iocp_pool *pool);
/* Keeps the text of a failure; `counts`: for iocp_pool_take_failures too. */
void iocp_pool_failed(iocp_pool *pool, const char *message, int counts);
/* How many there were since the last call. */
uint64_t iocp_pool_take_failures(iocp_pool *pool);
/* Copies the text of the last failure if it fits. The bytes that it takes; 0: there was none. */
size_t iocp_pool_last_error(iocp_pool *pool, char *buffer, size_t size);
/* Switches recording. */
void iocp_pool_trace(iocp_pool *pool, int on);
/* Takes a piece of what was recorded; 0: there is none. */
int iocp_pool_take_spans(iocp_pool *pool, iocp_spans *copy);
/* Whether every task that was submitted has ended. */
int iocp_pool_idle(iocp_pool *pool);
/* How many columns a bar of progress has: those of the terminal that the error output is; 0: it is none. */
int iocp_progress_columns(void);

/* ---- worker.c ---------------------------------------------------------------------------------------------------- */

enum iocp_worker_end {
	IOCP_WORKER_TOLD,   /* there were too many */
	IOCP_WORKER_CLOSED, /* the pool was */
	IOCP_WORKER_DIED,
	IOCP_WORKER_RETIRED /* it has run as many tasks as one may: another takes its place */
};

enum { IOCP_WORKER_DEPTH = 32 }; /* tasks that may run within each other on a thread */

/* A task that can end only after another: see task_graph.c. */
typedef struct iocp_arc {
	iocp_node *earlier, *later;
	struct iocp_arc *next_later, **link_later;     /* of those from the same one; NULL: it is not added */
	struct iocp_arc *next_earlier, **link_earlier; /* of those to the same one */
} iocp_arc;

/* A task on a worker's thread. */
struct iocp_run {
	iocp_task *task;
	iocp_payload outcome; /* what came of it; with `owner` the task, where that is to be in it */
	iocp_arc wait;        /* from what the thread waits for */
	struct iocp_run *outer;
};

/* A worker: the data of its thread. What its owner puts behind it is zeroed at first. */
struct iocp_worker {
	iocp_pool *pool;     /* its user, until the worker ends */
	iocp_thread *thread; /* this one */
	iocp_worker *previous, *next;
	uint32_t index; /* from 1 on, in the order of their starts */
	uint32_t place; /* see iocp_placing_take */
	int depth;
	uint64_t tasks;              /* that it has taken from the queue and run */
	iocp_run *run;               /* the innermost */
	_Atomic(iocp_run *) current; /* the same, as others see it; see task_run.c */
	enum iocp_worker_end end;
	int initialised; /* the owner's to say: it can run tasks */
	iocp_counts counts;
};

/* The worker that calls; NULL: no worker does. */
iocp_worker *iocp_worker_current(void);
int iocp_is_worker(const iocp_thread *thread);
/* Takes one packet and does what it says. 0: the worker is to end. `context`: for the owner's `run`. */
int iocp_worker_step(iocp_worker *worker, void *context);
/* Runs on the spot a task that is queued in the calling worker's pool. 0: it is not, or cannot be. */
int iocp_worker_run_in_place(iocp_worker *worker, iocp_task *task, void *context);
/* Around a wait without a time of the calling worker's for a task. IOCP_INVALID: it would never end, as that one waits
** for what runs here, perhaps by way of others; IOCP_NOMEM. */
int iocp_worker_await(iocp_worker *worker, iocp_task *task);
void iocp_worker_awaited(iocp_worker *worker);

/* ---- pool.c ------------------------------------------------------------------------------------------------------ */

/* What a pool has its owner do. Called without a lock, but for `cancel`. */
typedef struct iocp_pool_calls {
	size_t worker_size; /* of an iocp_worker with what the owner puts behind it */
	/* In a new worker's thread: makes it ready, says so by `initialised`, and calls iocp_worker_step until it is to
	** end. One that comes back otherwise has died. */
	void (*work)(iocp_worker *worker);
	/* Runs run->task and leaves what came of it in the run: how it ended. */
	enum iocp_task_state (*run)(iocp_worker *worker, iocp_run *run, void *context);
	/* Ends what the worker runs, and the worker. A lock is held: it may not wait. IOCP_OK, or the system's code: it is
	** only told. */
	int (*cancel)(iocp_worker *worker);
	/* Of one that has a block, as for the next. */
	void (*free_payload)(iocp_payload *payload);
	/* Whether freeing it may drop the last reference to an object. */
	int (*payload_holds)(const iocp_payload *payload);
	/* The last reference is gone, so that nobody can ask any more. May be NULL. */
	void (*leave_owner)(void *owner);
	/* The pool is freed, and `owner` of its options with it. */
	void (*free_owner)(void *owner);
} iocp_pool_calls;

typedef struct iocp_pool_options {
	const iocp_pool_calls *calls; /* live as long as the pool */
	void *owner;
	const char *name;          /* copied, cut */
	uint32_t concurrency;      /* as of a port */
	size_t stack_size;         /* of a worker, bytes; 0: as threads have */
	int replace;               /* start another for a worker that died */
	uint64_t queue_limit;      /* how many tasks may be queued; 0: as many as come */
	uint64_t tasks_per_worker; /* how many one runs before another takes its place; 0: any number */
	double idle;               /* ms for which a worker more than the least waits for a task before it ends */
	/* Which processors workers may run on, and how much they are preferred: as of a thread. A worker that starts
	** another one gives it its own priority. */
	const uint32_t *processors;
	size_t processor_count;
	int priority;
	/* Each has one of these processors, and shares it with as few as can be; without a list, one of those that the
	** thread which makes the pool may run on. */
	int spread;
} iocp_pool_options;

/* A new pool without workers (worker.c). IOCP_NOMEM: `owner` is the caller's still. */
int iocp_pool_create(const iocp_pool_options *options, iocp_pool **pool);
/* One more reference, also for a worker of a pool of which nobody has one any more. */
iocp_pool *iocp_pool_retain(iocp_pool *pool);
void iocp_pool_release(iocp_pool *pool);
void *iocp_pool_owner(const iocp_pool *pool);
const char *iocp_pool_name(const iocp_pool *pool);
/* Sets how many workers there are to be. IOCP_CLOSED, or as iocp_thread_create: there are fewer. */
int iocp_pool_set_workers(iocp_pool *pool, uint32_t count);
/* The same, and that there may be up to `most`: as many as there are tasks that could run. */
int iocp_pool_set_range(iocp_pool *pool, uint32_t least, uint32_t most);
uint32_t iocp_pool_workers(iocp_pool *pool);
/* Around a worker's wait for a task: a pool always has a worker that does not. IOCP_NOMEM, the system's code or
** IOCP_ERROR (workers die at once): there would be none, and it is not to wait. */
int iocp_pool_block(iocp_pool *pool);
void iocp_pool_unblock(iocp_pool *pool);
/* No more tasks from outside; once nothing is left the pool is closed. */
void iocp_pool_shutdown(iocp_pool *pool);
/* Drops what is queued or parked; what runs, ends. */
void iocp_pool_close(iocp_pool *pool);
/* Waits until the pool is closed and its workers have ended: IOCP_OK; else as iocp_thread_join. */
int iocp_pool_wait_end(iocp_pool *pool, double ms);
/* Posts a packet when that need not wait: as iocp_thread_notify. IOCP_NOMEM. */
int iocp_pool_notify_end(iocp_pool *pool, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);
/* The same when there may be a place in a queue with a limit, for iocp_task_take_place; or it is closed. */
int iocp_pool_notify_room(iocp_pool *pool, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);
/* It was closed because its last worker died. */
int iocp_pool_is_broken(iocp_pool *pool);
/* It is closed, and its workers have ended. */
int iocp_pool_has_ended(iocp_pool *pool);
/* References to the threads of the workers, for joining; up to `capacity` of them. Returns how many there are. */
uint32_t iocp_pool_threads(iocp_pool *pool, iocp_thread **threads, uint32_t capacity);

/* ---- named.c ----------------------------------------------------------------------------------------------------- */

/* One more reference to the open pool that has been entered under that name; NULL: there is none. */
iocp_pool *iocp_pool_named(const char *name);
/* Enters a pool under its name. NULL: it has been; else one more reference to the open one that has that name. */
iocp_pool *iocp_pool_enter_named(iocp_pool *pool);
/* References to all of them, up to `capacity`. Returns how many there are. */
uint32_t iocp_pool_list_named(iocp_pool **pools, uint32_t capacity);

/* ---- timer.c ----------------------------------------------------------------------------------------------------- */

/* Neither posted nor cancelled. */
int iocp_timer_is_pending(iocp_timer timer);
/* Seconds since 1970 of the system's clock, which may be set. */
double iocp_wall_time(void);
/* As iocp_port_enqueue_after, but calls call(key) in the timers' thread, which is to be short. */
int iocp_call_after(void (*call)(uintptr_t key), uintptr_t key, double ms, iocp_timer *timer);

/* ---- task.c ------------------------------------------------------------------------------------------------------ */

enum iocp_task_reason { /* why it was cancelled */
	IOCP_BY_CALL = 0,
	IOCP_BY_CLOSE = 1,
	IOCP_BY_DEPENDENCY = 2, /* what it was to run after did not complete */
	IOCP_BY_MEMORY = 3,
	IOCP_BY_TIME = 4 /* its time had passed: it never ran, or was told, and whatever it did is not kept */
};

/* What a task that runs after another needs of it. */
enum iocp_after {
	IOCP_AFTER = 0,   /* that it completed */
	IOCP_RESULTS = 1, /* the same, and is called with its results */
	IOCP_OUTCOME = 2  /* that it ended, and looks what came of it */
};

/* A new task with one reference, unscheduled; `arguments` are the task's from now on. NULL: out of memory. */
iocp_task *iocp_task_new(iocp_pool *pool, iocp_body *body, iocp_payload *arguments);
iocp_task *iocp_task_retain(iocp_task *task);
/* NULL is allowed. */
void iocp_task_release(iocp_task *task);
enum iocp_task_state iocp_task_state(const iocp_task *task);
enum iocp_task_reason iocp_task_reason(const iocp_task *task);
int iocp_task_is_submitted(const iocp_task *task);
/* Whether it runs, and was told to stop. */
int iocp_task_is_told(const iocp_task *task);
/* Whether it ended by running, and did not just never run. */
int iocp_task_has_run(const iocp_task *task);
iocp_pool *iocp_task_pool(const iocp_task *task);
iocp_body *iocp_task_body(const iocp_task *task);
/* Its arguments, for who runs it; once it has run, its results, or message and error value. Of one that was
** cancelled before that: nobody's. */
const iocp_payload *iocp_task_payload(const iocp_task *task);
/* A task whose results come before the arguments, or of which what came is looked at, or NULL, for who runs it; because
** of which it was cancelled, if the reason is a dependency. */
const iocp_task *iocp_task_input(const iocp_task *task);
/* Where it was made, for people: copied, and lost where memory is out. Before it is submitted. */
void iocp_task_set_made(iocp_task *task, const char *made);
/* "": nobody said so. */
const char *iocp_task_made(const iocp_task *task);
/* Whether it was submitted to run again and again. */
int iocp_task_is_periodic(const iocp_task *task);
/* Whether somebody waits for its end at this moment. */
int iocp_task_is_awaited(const iocp_task *task);
/* Which of the worker's runners is called with the body, instead of the body itself; 0: none. Before it is
** submitted. */
void iocp_task_set_runner(iocp_task *task, int runner);
int iocp_task_runner(const iocp_task *task);
/* What the owner has it do with what came of its input: 0, it is called with its results. Before it is submitted. */
void iocp_task_set_settling(iocp_task *task, int how);
int iocp_task_settling(const iocp_task *task);
/* Whether it is to run again if it fails now: for who runs it. */
int iocp_task_is_retried(const iocp_task *task);
/* Nobody asks for its results: who runs it need not keep them. Before it is submitted. */
void iocp_task_set_posted(iocp_task *task);
int iocp_task_is_posted(const iocp_task *task);

/* ---- task_flow.c ------------------------------------------------------------------------------------------------- */

/* Waits for a place in a queue with a limit, which the task's packet then has until it leaves the queue; a worker of
** the pool's own does not wait, as it would for itself. Before it is submitted. IOCP_CLOSED; else as
** iocp_port_dequeue. */
int iocp_task_take_place(iocp_task *task, double ms);
/* The packet never came to the queue. */
void iocp_task_give_place(iocp_task *task);
/* Submits a task: it runs once all that it runs after have completed; delay > 0: so many ms later; period > 0: again
** and again. IOCP_INVALID: it was submitted before; IOCP_CANCELLED: it is cancelled; IOCP_CLOSED, IOCP_NOMEM: now it
** is. */
int iocp_task_submit(iocp_task *task, double delay, double period);
/* Makes `task` run after `earlier`. IOCP_INVALID: it was submitted already; IOCP_ERROR: `earlier` runs after `task`, or
** waits for it. IOCP_NOMEM. */
int iocp_task_after(iocp_task *task, iocp_task *earlier, enum iocp_after how);
/* IOCP_OK: it will never run; IOCP_TIMEOUT: it runs, and was told; IOCP_INVALID: it had ended. */
int iocp_task_cancel(iocp_task *task, enum iocp_task_reason reason);
/* As above, and ends the worker that runs it. The system's code: it was told, but what runs cannot be ended. */
int iocp_task_cancel_hard(iocp_task *task, enum iocp_task_reason reason);

/* ---- task_watch.c ------------------------------------------------------------------------------------------------ */

/* Where a thread waits for ends of tasks, without belonging to a port for it. A new one has one reference; NULL: out of
** memory. */
iocp_notices *iocp_notices_new(void);
void iocp_notices_release(iocp_notices *notices);
/* Takes the oldest notice, waiting for one: IOCP_OK, or as iocp_port_dequeue. */
int iocp_notices_wait(iocp_notices *notices, uintptr_t *key, double ms);
/* Posts a packet when that need not wait: as iocp_thread_notify. IOCP_NOMEM. */
int iocp_notices_notify(iocp_notices *notices, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);
/* Has a notice with `key` left when the task has ended; at once if it has. IOCP_NOMEM. */
int iocp_task_watch(iocp_task *task, iocp_notices *notices, uintptr_t key);
/* Takes that back, for all keys, unless it has ended. */
void iocp_task_unwatch(iocp_task *task, const iocp_notices *notices);
/* Posts a packet when the task has ended, at once if it has: as iocp_thread_notify. IOCP_NOMEM. */
int iocp_task_notify(iocp_task *task, iocp_port *port, const iocp_packet *packet, iocp_timer *timer);

#pragma GCC visibility pop

#endif
