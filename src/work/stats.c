/*
** stats.c - counters, times and spans.
**
** Each worker has its own, which it alone writes, so counting costs no shared cache line; who asks adds them up. All
** accesses are relaxed but those of `ended`: figures for people, exact once those who count have come to rest.
*/

#include <stdlib.h>
#include <string.h>

#include "work/pool.h"

enum { FIRST = 6 }; /* 2^6 nanoseconds: all that is shorter is one step */

/* Four steps for each power of two. */
static unsigned step_of(uint64_t nanoseconds)
{
	unsigned power, step;
	if (!(nanoseconds >> FIRST))
		return 0;
	power = 63 - (unsigned)__builtin_clzll(nanoseconds);
	step = (power - FIRST) * 4 + (unsigned)(nanoseconds >> (power - 2) & 3) + 1;
	return step < IOCP_TIMES ? step : IOCP_TIMES - 1;
}

/* The middle of a step. */
static double time_of(unsigned step)
{
	unsigned power = (step - 1) / 4 + FIRST, quarter = (step - 1) % 4;
	return step == 0 ? (double)(1 << FIRST) / 2 : (double)(UINT64_C(1) << power) * (1 + (quarter + 0.5) / 4);
}

static void add(_Atomic uint64_t *counter, uint64_t amount)
{
	/* One writer. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount, memory_order_relaxed);
}

static void add32(_Atomic uint32_t *counter, uint32_t amount)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void iocp_times_add(iocp_times *times, uint64_t nanoseconds)
{
	add(&times->count, 1);
	add(&times->sum, nanoseconds);
	add32(&times->step[step_of(nanoseconds)], 1);
}

void iocp_counts_add(iocp_counts *counts, enum iocp_task_state state)
{
	add(state == IOCP_TASK_COMPLETED ? &counts->completed
		: state == IOCP_TASK_FAILED  ? &counts->failed
									 : &counts->cancelled,
		1);
}

static void fold_times(iocp_times *to, const iocp_times *from)
{
	int i;
	add(&to->count, get(&from->count));
	add(&to->sum, get(&from->sum));
	for (i = 0; i < IOCP_TIMES; i++)
		add32(&to->step[i], atomic_load_explicit(&from->step[i], memory_order_relaxed));
}

void iocp_counts_fold(iocp_counts *to, const iocp_counts *from)
{
	uint64_t ended;
	add(&to->completed, get(&from->completed));
	add(&to->failed, get(&from->failed));
	add(&to->cancelled, get(&from->cancelled));
	fold_times(&to->waited, &from->waited);
	fold_times(&to->ran, &from->ran);
	/* Sequentially consistent: see iocp_pool_ended. */
	ended = atomic_load_explicit(&from->ended, memory_order_seq_cst);
	ended += atomic_load_explicit(&to->ended, memory_order_seq_cst);
	atomic_store_explicit(&to->ended, ended, memory_order_seq_cst);
}

/* The time below which the given part (0..1) of all were, in milliseconds; 0: there were none. */
static double percentile(const iocp_times *times, double part)
{
	double wanted = part * (double)get(&times->count), seen = 0;
	unsigned i, last = 0;
	for (i = 0; i < IOCP_TIMES && (seen < wanted || seen == 0); i++) {
		uint32_t here = atomic_load_explicit(&times->step[i], memory_order_relaxed);
		seen += here;
		if (here)
			last = i;
	}
	return seen > 0 ? time_of(last) / 1e6 : 0;
}

static iocp_spread spread_of(const iocp_times *times)
{
	uint64_t number = get(&times->count);
	iocp_spread spread = {number ? (double)get(&times->sum) / (double)number / 1e6 : 0, percentile(times, 0.5),
		percentile(times, 0.9), percentile(times, 0.99)};
	return spread;
}

/* ---- of a whole pool --------------------------------------------------------------------------------------------- */

/* The sum over all workers. */
static void count(iocp_pool *pool, iocp_counts *sum)
{
	const iocp_worker *worker;
	memset(sum, 0, sizeof(*sum));
	iocp_lock_acquire(&pool->lock);
	iocp_counts_fold(sum, &pool->past);
	for (worker = pool->workers; worker; worker = worker->next)
		iocp_counts_fold(sum, &worker->counts);
	iocp_lock_release(&pool->lock);
}

/* Sequentially consistent: see iocp_pool_ended. */
static uint64_t exact(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_seq_cst);
}

static void count_tasks(iocp_pool *pool, iocp_pool_info *info)
{
	iocp_counts sum;
	iocp_port_info port = {.size = sizeof(port)};
	uint64_t early, busy;
	count(pool, &sum);
	early = exact(&pool->cancelled_early);
	info->completed = get(&sum.completed);
	info->failed = get(&sum.failed);
	info->cancelled = get(&sum.cancelled) + early;
	info->active = atomic_load_explicit(&pool->active, memory_order_relaxed);
	info->peak_active = atomic_load_explicit(&pool->peak_active, memory_order_relaxed);
	info->delayed = exact(&pool->delayed);
	info->waiting = exact(&pool->waiting);
	info->submitted = exact(&pool->submitted);
	busy = info->completed + info->failed + info->cancelled + info->active + info->delayed + info->waiting;
	info->queued = info->submitted > busy ? info->submitted - busy : 0;
	iocp_port_stats(pool->port, &port);
	info->peak_queued = port.peak;
	info->waited = spread_of(&sum.waited);
	info->ran = spread_of(&sum.ran);
}

uint64_t iocp_pool_count_ended(iocp_pool *pool)
{
	const iocp_worker *worker;
	uint64_t ended;
	iocp_lock_acquire(&pool->lock);
	ended = atomic_load_explicit(&pool->past.ended, memory_order_seq_cst);
	for (worker = pool->workers; worker; worker = worker->next)
		ended += atomic_load_explicit(&worker->counts.ended, memory_order_seq_cst);
	iocp_lock_release(&pool->lock);
	return ended + atomic_load_explicit(&pool->cancelled_early, memory_order_seq_cst);
}

void iocp_pool_stats(iocp_pool *pool, iocp_pool_info *info)
{
	iocp_lock_acquire(&pool->lock);
	info->workers = pool->target;
	info->live = pool->live;
	info->blocked = pool->blocked;
	info->dead = pool->dead;
	iocp_lock_release(&pool->lock);
	count_tasks(pool, info);
	info->closed = atomic_load_explicit(&pool->phase, memory_order_seq_cst) != IOCP_POOL_OPEN;
}

void iocp_pool_reset_peaks(iocp_pool *pool)
{
	iocp_port_reset_peak(pool->port);
	/* Relaxed: a figure. */
	atomic_store_explicit(
		&pool->peak_active, atomic_load_explicit(&pool->active, memory_order_relaxed), memory_order_relaxed);
}

int iocp_pool_idle(iocp_pool *pool)
{
	iocp_counts sum;
	uint64_t ended, submitted;
	count(pool, &sum);
	ended = get(&sum.completed) + get(&sum.failed) + get(&sum.cancelled) + exact(&pool->cancelled_early);
	submitted = exact(&pool->submitted);
	if (submitted != ended)
		return 0;
	while (iocp_pool_count_ended(pool) < submitted) /* the last is just telling those who wait for it */
		iocp_yield();
	return 1;
}

int iocp_progress_columns(void)
{
	return iocp_terminal_columns(2);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

void iocp_pool_failed(iocp_pool *pool, const char *message, int counts)
{
	size_t size = strlen(message) + 1;
	char *copy = malloc(size), *old;
	if (copy)
		memcpy(copy, message, size);
	iocp_lock_acquire(&pool->lock);
	old = pool->last_error;
	pool->last_error = copy;
	pool->failures += counts != 0;
	iocp_lock_release(&pool->lock);
	free(old);
}

uint64_t iocp_pool_take_failures(iocp_pool *pool)
{
	uint64_t taken;
	iocp_lock_acquire(&pool->lock);
	taken = pool->failures;
	pool->failures = 0;
	iocp_lock_release(&pool->lock);
	return taken;
}

size_t iocp_pool_last_error(iocp_pool *pool, char *buffer, size_t size)
{
	size_t takes;
	iocp_lock_acquire(&pool->lock);
	takes = pool->last_error ? strlen(pool->last_error) + 1 : 0;
	if (takes && takes <= size)
		memcpy(buffer, pool->last_error, takes);
	iocp_lock_release(&pool->lock);
	return takes;
}

/* ---- the trace --------------------------------------------------------------------------------------------------- */

void iocp_pool_trace(iocp_pool *pool, int on)
{
	atomic_store_explicit(&pool->tracing, on, memory_order_relaxed); /* late is good enough */
}

void iocp_pool_record(iocp_pool *pool, const iocp_span *span)
{
	iocp_spans *fresh = NULL;
	int full;
	iocp_lock_acquire(&pool->lock);
	full = !pool->spans || pool->spans->count == IOCP_SPANS;
	if (full) {
		iocp_lock_release(&pool->lock);
		fresh = calloc(1, sizeof(*fresh));
		if (!fresh)
			return;
		iocp_lock_acquire(&pool->lock);
		fresh->older = pool->spans; /* perhaps another brought one too */
		pool->spans = fresh;
	}
	pool->spans->spans[pool->spans->count++] = *span;
	iocp_lock_release(&pool->lock);
}

int iocp_pool_take_spans(iocp_pool *pool, iocp_spans *copy)
{
	iocp_spans *taken;
	iocp_lock_acquire(&pool->lock);
	taken = pool->spans;
	if (taken)
		pool->spans = taken->older;
	iocp_lock_release(&pool->lock);
	if (!taken)
		return 0;
	*copy = *taken;
	free(taken);
	return 1;
}
