/*
** pool.c - a pool's life: its port, how many workers there are to be, its end.
**
** How many workers. The script says how many it wants. A worker that waits for a task counts as blocked, and there is
** always one more than are blocked: then the queue has a worker that does not wait for a task, which either comes back
** to the queue or is itself about to wait, and then brings another. So tasks that wait for tasks cannot stop a pool,
** and they do not wait in a circle (task_graph.c). What is too few is started, what is too many is sent quit packets:
** these queue behind the tasks that are there, and are passed over if the pool has grown again since (`generation`). If
** none can be started, a worker does not wait but says so; if the one that does not wait dies and cannot be replaced,
** the pool is closed.
**
** The end. A pool that shuts down closes once nothing is left that can run. Who ends a task that ran tells those who
** watch it, then counts it, then looks at the phase (one that never ran is counted first: what was to run after it will
** not, either way); shutdown sets the phase, then looks at the counts. These four are sequentially consistent, so one
** of them sees that nothing is left. `ended` is read first and `submitted` last. `ended` only grows, and what counts
** as submitted without becoming so was never `ended` before it is taken back: so what looks like nothing left was so.
** Tasks that still wait for others then will for ever, and are cancelled.
*/

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "work/pool.h"

/* A pool has ended when it is closed and its last worker has. Closing sets the phase, a worker that ends takes
** itself off `live`; both then look at both, under the lock. The lock is held. */
static int has_ended(const iocp_pool *pool)
{
	return pool->live == 0 && atomic_load_explicit(&pool->phase, memory_order_seq_cst) == IOCP_POOL_CLOSED;
}

int iocp_pool_has_ended(iocp_pool *pool)
{
	int ended;
	iocp_lock_acquire(&pool->lock);
	ended = has_ended(pool);
	iocp_lock_release(&pool->lock);
	return ended;
}

static void tell_end(iocp_pool *pool)
{
	if (iocp_pool_has_ended(pool))
		iocp_semaphore_close(&pool->end);
}

/* ---- references and users ---------------------------------------------------------------------------------------- */

static void free_pool(iocp_deferred *memory)
{
	iocp_pool *pool = (iocp_pool *)((char *)memory - offsetof(iocp_pool, memory));
	iocp_spans *spans, *older;
	iocp_port_release(pool->port); /* no task is left, so its queue has at most quit packets */
	pool->calls->free_owner(pool->owner);
	for (spans = pool->spans; spans; spans = older) {
		older = spans->older;
		free(spans);
	}
	free(pool->last_error);
	iocp_semaphore_close(&pool->places); /* as it mostly is, with the pool: nobody is to be told any more */
	iocp_semaphore_close(&pool->end);
	iocp_placing_end(&pool->placing);
	free(pool);
}

iocp_pool *iocp_pool_keep(iocp_pool *pool)
{
	/* Relaxed: whoever keeps it is a user already. */
	atomic_fetch_add_explicit(&pool->users, 1, memory_order_relaxed);
	return pool;
}

void iocp_pool_drop(iocp_pool *pool)
{
	/* As in core/object.c. In turn, since its owner may hold another pool. */
	if (atomic_fetch_sub_explicit(&pool->users, 1, memory_order_acq_rel) == 1)
		iocp_free_in_turn(&pool->memory);
}

/* Nobody has a reference any more. Again, if a worker was given one since. */
static void nobody_submits(iocp_counted *counted)
{
	iocp_pool *pool = (iocp_pool *)counted; /* its first member's first */
	int nobody_works;
	if (pool->calls->leave_owner)
		pool->calls->leave_owner(pool->owner);
	iocp_pool_shutdown(pool);
	/* Whoever ends as the last worker after this looks whether there are references: see iocp_pool_leave. */
	iocp_lock_acquire(&pool->lock);
	nobody_works = pool->live == 0;
	iocp_lock_release(&pool->lock);
	if (nobody_works)
		iocp_pool_close(pool);
	iocp_pool_drop(pool);
}

static void begin(iocp_pool *pool, const iocp_pool_options *options, const iocp_pool_ways *ways)
{
	pool->memory.free = free_pool;
	/* Relaxed: nobody else knows it yet. */
	atomic_store_explicit(&pool->users, 1, memory_order_relaxed); /* its references are one */
	pool->calls = options->calls;
	pool->ways = ways;
	pool->owner = options->owner;
	snprintf(pool->name, sizeof(pool->name), "%s", options->name);
	pool->stack_size = options->stack_size;
	pool->replace = options->replace;
	pool->tasks_per_worker = options->tasks_per_worker;
	pool->idle = options->idle;
	pool->limited = options->queue_limit > 0;
	pool->places.count = options->queue_limit;
	iocp_port_set_discard(pool->port, ways->discard, NULL);
	iocp_object_begin(&pool->object, IOCP_KIND_POOL, nobody_submits);
}

int iocp_pool_new(const iocp_pool_options *options, const iocp_pool_ways *ways, iocp_pool **pool)
{
	iocp_pool *p = calloc(1, sizeof(*p));
	int r = p ? iocp_port_create(options->concurrency, &p->port) : IOCP_NOMEM;
	if (r == IOCP_OK)
		r = iocp_placing_begin(&p->placing, options);
	if (r == IOCP_OK) {
		begin(p, options, ways);
		r = iocp_object_enter(&p->object, p); /* from here on a script may open it */
	}
	if (r == IOCP_OK) {
		*pool = p;
	} else {
		iocp_port_release(p ? p->port : NULL);
		if (p)
			iocp_placing_end(&p->placing);
		free(p);
	}
	return r;
}

iocp_pool *iocp_pool_retain(iocp_pool *pool)
{
	/* Relaxed: whoever retains is a user at least. */
	if (atomic_fetch_add_explicit(&pool->object.counted.references, 1, memory_order_relaxed) == 0)
		iocp_pool_keep(pool);
	return pool;
}

void iocp_pool_release(iocp_pool *pool)
{
	iocp_object_release(&pool->object);
}

void *iocp_pool_owner(const iocp_pool *pool)
{
	return pool->owner;
}

const char *iocp_pool_name(const iocp_pool *pool)
{
	return pool->name;
}

/* ---- how many workers -------------------------------------------------------------------------------------------- */

/* How many there are to be; the lock is held, as for the next. */
static uint32_t wanted_workers(const iocp_pool *pool)
{
	return pool->blocked > 0 && pool->blocked >= pool->target ? pool->blocked + 1 : pool->target;
}

static uint32_t staying_workers(const iocp_pool *pool)
{
	return pool->live - pool->leaving - pool->parting;
}

/* Counts who is to be started and who is to leave; the lock is held. */
static void plan(iocp_pool *pool, uint32_t *start, uint32_t *quit)
{
	uint32_t wanted = wanted_workers(pool), have = staying_workers(pool), kept = 0;
	*start = *quit = 0;
	if (atomic_load_explicit(&pool->phase, memory_order_seq_cst) == IOCP_POOL_CLOSED)
		return;
	if (wanted > have && pool->leaving) {
		/* Some need not leave after all. Those that still do get a packet behind what was queued meanwhile. */
		kept = wanted - have < pool->leaving ? wanted - have : pool->leaving;
		pool->leaving -= kept;
		pool->generation++;
		*quit = pool->leaving;
	} else if (have > wanted) {
		*quit = have - wanted;
		pool->leaving += *quit;
	}
	if (wanted > have && !pool->unready)
		*start = wanted - have - kept;
	pool->live += *start;
}

static uint32_t take_place(iocp_pool *pool)
{
	uint32_t place;
	iocp_lock_acquire(&pool->lock);
	place = iocp_placing_take(&pool->placing);
	iocp_lock_release(&pool->lock);
	return place;
}

static void give_place(iocp_pool *pool, uint32_t place)
{
	iocp_lock_acquire(&pool->lock);
	iocp_placing_give(&pool->placing, place);
	iocp_lock_release(&pool->lock);
}

int iocp_pool_is_mine(const iocp_pool *pool)
{
	const iocp_thread *thread = iocp_thread_current();
	return thread && iocp_thread_body(thread) == pool->ways->work
		   && ((const iocp_worker *)iocp_thread_data(thread))->pool == pool;
}

static void free_worker(void *data)
{
	free(data);
}

/* Starts a thread that works for the pool, which counts it already. */
static int start_worker(iocp_pool *pool)
{
	iocp_thread_options options = {
		.main = pool->ways->work, .destroy = free_worker, .name = pool->name, .stack_size = pool->stack_size};
	iocp_worker *worker = calloc(1, pool->calls->worker_size);
	iocp_thread *thread;
	int r;
	if (!worker)
		return IOCP_NOMEM;
	worker->pool = iocp_pool_keep(pool);
	worker->place = take_place(pool);
	iocp_placing_apply(&pool->placing, worker->place, iocp_pool_is_mine(pool), &options);
	options.data = worker;
	r = iocp_thread_create(&options, &thread);
	if (r == IOCP_OK) {
		iocp_thread_release(thread); /* it keeps itself */
	} else {
		give_place(pool, worker->place);
		iocp_pool_drop(pool);
		free(worker);
	}
	return r;
}

/* Starts or sends away as many as it takes. */
static int adjust(iocp_pool *pool)
{
	uint32_t start, quit;
	uintptr_t generation;
	int r = IOCP_OK;
	iocp_lock_acquire(&pool->lock);
	plan(pool, &start, &quit);
	generation = pool->generation;
	iocp_lock_release(&pool->lock);
	for (; start > 0 && r == IOCP_OK; start -= r == IOCP_OK)
		r = start_worker(pool);
	for (; quit > 0 && r == IOCP_OK; quit -= r == IOCP_OK)
		r = iocp_port_enqueue(pool->port, generation, IOCP_QUIT, 0);
	if (start > 0 || quit > 0) {
		iocp_lock_acquire(&pool->lock);
		pool->live -= start;
		pool->leaving -= quit < pool->leaving ? quit : pool->leaving;
		iocp_lock_release(&pool->lock);
		tell_end(pool);
	}
	return r;
}

int iocp_pool_set_range(iocp_pool *pool, uint32_t least, uint32_t most)
{
	int closed;
	iocp_lock_acquire(&pool->lock);
	closed = atomic_load_explicit(&pool->phase, memory_order_seq_cst) == IOCP_POOL_CLOSED;
	if (!closed) {
		pool->target = pool->least = least;
		pool->most = most;
		pool->unready = 0; /* the script may know that things have changed */
		atomic_store_explicit(&pool->elastic, most > least, memory_order_relaxed);
	}
	iocp_lock_release(&pool->lock);
	return closed ? IOCP_CLOSED : adjust(pool);
}

int iocp_pool_set_workers(iocp_pool *pool, uint32_t count)
{
	return iocp_pool_set_range(pool, count, count);
}

/* How many workers an elastic pool has work for: tasks that could run or do, and one for those that a timer will bring,
** which tells nobody. The counters need not be of one moment. */
static uint64_t count_needed(iocp_pool *pool)
{
	uint64_t ended = iocp_pool_count_ended(pool), delayed, parked, submitted;
	delayed = atomic_load_explicit(&pool->delayed, memory_order_seq_cst);
	parked = delayed + atomic_load_explicit(&pool->waiting, memory_order_seq_cst);
	submitted = atomic_load_explicit(&pool->submitted, memory_order_seq_cst);
	if (submitted - ended > parked)
		return submitted - ended - parked;
	return delayed > 0;
}

/* No task is left without a worker: who queues one counts it, then looks at `target` under the lock; who ends takes
** itself off that, then counts what there is to do. So one of both sees the other. */
void iocp_pool_stretch(iocp_pool *pool)
{
	uint64_t needed = count_needed(pool);
	int grows;
	iocp_lock_acquire(&pool->lock);
	grows = needed > pool->target && pool->target < pool->most;
	pool->target += grows ? 1 : 0;
	iocp_lock_release(&pool->lock);
	if (grows)
		(void)adjust(pool); /* if none can be started now, those that there are do it, and the next task asks again */
}

int iocp_pool_shrink(iocp_pool *pool)
{
	uint64_t needed = count_needed(pool);
	int leaves;
	iocp_lock_acquire(&pool->lock);
	leaves = pool->target > pool->least && needed < pool->target
			 && atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_CLOSED;
	if (leaves) {
		pool->target--;
		leaves = staying_workers(pool) > wanted_workers(pool);
		pool->parting += leaves ? 1 : 0;
	}
	iocp_lock_release(&pool->lock);
	iocp_pool_grow(pool);
	return leaves;
}

uint32_t iocp_pool_workers(iocp_pool *pool)
{
	uint32_t target;
	iocp_lock_acquire(&pool->lock);
	target = pool->target;
	iocp_lock_release(&pool->lock);
	return target;
}

int iocp_pool_block(iocp_pool *pool)
{
	int r, alone;
	iocp_lock_acquire(&pool->lock);
	pool->blocked++;
	iocp_lock_release(&pool->lock);
	r = adjust(pool);
	iocp_lock_acquire(&pool->lock);
	alone = staying_workers(pool) <= pool->blocked
			&& atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_CLOSED;
	iocp_lock_release(&pool->lock);
	if (!alone)
		return IOCP_OK;
	iocp_pool_unblock(pool);
	return r != IOCP_OK && r != IOCP_CLOSED ? r : IOCP_ERROR;
}

void iocp_pool_unblock(iocp_pool *pool)
{
	iocp_lock_acquire(&pool->lock);
	pool->blocked--;
	iocp_lock_release(&pool->lock);
	(void)adjust(pool); /* without memory for a quit packet there is a worker too many, until the next time */
}

int iocp_pool_quit(iocp_pool *pool, uintptr_t generation)
{
	int leaves;
	iocp_lock_acquire(&pool->lock);
	leaves = pool->leaving > 0 && generation == pool->generation;
	if (leaves) {
		pool->leaving--;
		pool->parting++;
	}
	iocp_lock_release(&pool->lock);
	return leaves;
}

void iocp_pool_enter(iocp_pool *pool, iocp_worker *worker)
{
	iocp_lock_acquire(&pool->lock);
	worker->index = ++pool->last_index;
	worker->next = pool->workers;
	if (worker->next)
		worker->next->previous = worker;
	pool->workers = worker;
	iocp_lock_release(&pool->lock);
}

/* A worker has died or retired, and whoever is to take its place is started. 1: nobody is left who could go on. */
static int is_broken(iocp_pool *pool, uint32_t wanted)
{
	int broken;
	(void)adjust(pool);
	iocp_lock_acquire(&pool->lock);
	broken = wanted > 0 && staying_workers(pool) <= pool->blocked
			 && atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_CLOSED;
	pool->broken |= broken;
	iocp_lock_release(&pool->lock);
	return broken;
}

void iocp_pool_leave(iocp_pool *pool, iocp_worker *worker, int replace)
{
	int died = worker->end == IOCP_WORKER_DIED, replaced = died || worker->end == IOCP_WORKER_RETIRED, last;
	uint32_t wanted;
	iocp_lock_acquire(&pool->lock);
	if (worker->next)
		worker->next->previous = worker->previous;
	if (worker->previous)
		worker->previous->next = worker->next;
	else
		pool->workers = worker->next;
	iocp_counts_fold(&pool->past, &worker->counts);
	iocp_placing_give(&pool->placing, worker->place);
	wanted = wanted_workers(pool);
	pool->live--;
	pool->parting -= worker->end == IOCP_WORKER_TOLD;
	pool->dead += died ? 1 : 0;
	if (pool->leaving > pool->live - pool->parting) /* one that died does not leave too */
		pool->leaving = pool->live - pool->parting;
	if (died && !replace && pool->target > staying_workers(pool))
		pool->target = staying_workers(pool);
	pool->unready |= died && !worker->initialised;
	last = pool->live == 0;
	iocp_lock_release(&pool->lock);
	if (replaced && is_broken(pool, wanted))
		iocp_pool_close(pool);
	/* Acquire: see nobody_submits. */
	else if (last && atomic_load_explicit(&pool->object.counted.references, memory_order_acquire) == 0)
		iocp_pool_close(pool);
	else
		tell_end(pool);
	iocp_pool_ended(pool); /* it does not come to iocp_worker_step any more */
}

uint32_t iocp_pool_threads(iocp_pool *pool, iocp_thread **threads, uint32_t capacity)
{
	iocp_worker *worker;
	uint32_t count = 0;
	iocp_lock_acquire(&pool->lock);
	for (worker = pool->workers; worker; worker = worker->next, count++)
		if (count < capacity)
			threads[count] = iocp_thread_retain(worker->thread);
	iocp_lock_release(&pool->lock);
	return count;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

void iocp_pool_close(iocp_pool *pool)
{
	iocp_pool_keep(pool);
	atomic_store_explicit(&pool->phase, IOCP_POOL_CLOSED, memory_order_seq_cst);
	pool->ways->cancel_parked(pool, 0);
	iocp_port_close(pool->port);     /* which cancels what is queued, */
	pool->ways->cancel_listed(pool); /* but for what has no packet of its own */
	iocp_semaphore_close(&pool->places);
	tell_end(pool);
	iocp_pool_drop(pool);
}

void iocp_pool_ended(iocp_pool *pool)
{
	uint64_t ended, waiting;
	if (atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_DRAINING)
		return;
	ended = iocp_pool_count_ended(pool);
	waiting = atomic_load_explicit(&pool->waiting, memory_order_seq_cst);
	if (atomic_load_explicit(&pool->submitted, memory_order_seq_cst) - ended == waiting)
		iocp_pool_close(pool);
}

void iocp_pool_shutdown(iocp_pool *pool)
{
	int open = IOCP_POOL_OPEN;
	if (atomic_compare_exchange_strong_explicit(
			&pool->phase, &open, IOCP_POOL_DRAINING, memory_order_seq_cst, memory_order_seq_cst))
		pool->ways->cancel_parked(pool, 1);
	iocp_pool_ended(pool);
}

int iocp_pool_wait_end(iocp_pool *pool, double ms)
{
	int r = iocp_semaphore_wait(&pool->end, ms);
	return r == IOCP_CLOSED || r == IOCP_ABANDONED ? IOCP_OK : r; /* which is how it ends */
}

int iocp_pool_notify_end(iocp_pool *pool, iocp_port *port, const iocp_packet *packet, iocp_timer *timer)
{
	return iocp_semaphore_notify(&pool->end, port, packet, timer);
}

int iocp_pool_notify_room(iocp_pool *pool, iocp_port *port, const iocp_packet *packet, iocp_timer *timer)
{
	return iocp_semaphore_notify(&pool->places, port, packet, timer);
}

int iocp_pool_is_broken(iocp_pool *pool)
{
	int broken;
	iocp_lock_acquire(&pool->lock);
	broken = pool->broken;
	iocp_lock_release(&pool->lock);
	return broken;
}
