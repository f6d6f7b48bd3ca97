/*
** turn.c - which of the tasks that are queued is next: high ones overtake, low ones give way, over one port that knows
** no order but its own.
**
** A normal task is a packet of its own, and costs one look at a counter here. A high one goes to a list, and a packet
** without a task follows it to the port: whoever takes any packet takes a high task instead, if there is one. If the
** packet had a task of its own, that goes to the list of those that were passed, which come before all that is queued
** behind them. So there are as many tasks in these two lists as packets without one, posted or about to be, and each
** such packet finds a task.
**
** Low ones have a list, too, and together one packet. Whoever takes that when others are queued puts it behind them;
** but for each eighth time, and with nothing else queued, it takes the oldest low task, and posts the packet again if
** there are more, before it runs.
**
** Nobody starves: with each eighth packet a task that was passed goes first, though there are high ones; the packet of
** the low ones comes to the front of a queue that is first in, first out, again and again, and each eighth time it is
** served.
**
** `ahead` is relaxed, a hint: a worker that does not see a high task yet runs one that was queued before, and the
** packet that follows the high one is still to come. The lists are looked at under the pool's lock. With the pool
** closed, port first, what is in them is dropped, and who adds to them later finds the port closed, and takes it out.
*/

#include "work/task.h"

enum { SHARE = 8, RETRY = 10 /* ms */ };

/* ---- lines; the lock is held ------------------------------------------------------------------------------------- */

static void push(iocp_line_of_tasks *line, iocp_task *task)
{
	task->behind = NULL;
	if (line->last)
		line->last->behind = task;
	else
		line->first = task;
	line->last = task;
}

static iocp_task *pop(iocp_line_of_tasks *line)
{
	iocp_task *task = line->first;
	if (task)
		line->first = task->behind;
	if (!line->first)
		line->last = NULL;
	return task;
}

/* 0: it is not there. */
static int unlink_task(iocp_line_of_tasks *line, iocp_task *task)
{
	iocp_task *before = NULL, *at;
	for (at = line->first; at && at != task; at = at->behind)
		before = at;
	if (!at)
		return 0;
	if (before)
		before->behind = at->behind;
	else
		line->first = at->behind;
	if (line->last == at)
		line->last = before;
	return 1;
}

static void count_ahead(iocp_turns *turns, int change)
{
	atomic_store_explicit(&turns->ahead, atomic_load_explicit(&turns->ahead, memory_order_relaxed) + (uint32_t)change,
		memory_order_relaxed);
}

/* ---- queueing ---------------------------------------------------------------------------------------------------- */

/* A packet without a task. Where there is no memory, it is late: tasks of others may count on it. IOCP_OK or
** IOCP_CLOSED. */
static int post(iocp_pool *pool, uint32_t kind)
{
	int r;
	while ((r = iocp_port_enqueue(pool->port, 0, kind, 0)) == IOCP_NOMEM)
		(void)iocp_sleep(RETRY);
	return r;
}

/* The port was closed before the packet came: 1, the reference is the caller's; 0: who dropped the lists has it. */
static int take_back(iocp_pool *pool, iocp_task *task, int low)
{
	iocp_turns *turns = &pool->turns;
	int found;
	iocp_lock_acquire(&pool->lock);
	found = unlink_task(low ? &turns->low : &turns->high, task);
	if (found && !low)
		count_ahead(turns, -1);
	iocp_lock_release(&pool->lock);
	return found;
}

int iocp_turn_queue(iocp_task *task)
{
	iocp_pool *pool = task->pool;
	iocp_turns *turns = &pool->turns;
	int low = task->body->terms.priority == IOCP_LOW, offer = 1, closed;
	iocp_lock_acquire(&pool->lock);
	push(low ? &turns->low : &turns->high, task);
	if (low) {
		offer = !turns->offered;
		turns->offered = 1;
	} else {
		count_ahead(turns, 1);
	}
	iocp_lock_release(&pool->lock);
	if (offer)
		closed = post(pool, low ? IOCP_GIVE_WAY : IOCP_OVERTAKE) != IOCP_OK;
	else /* sequentially consistent, as all of it; who drops the lists has the lock after it is set */
		closed = atomic_load_explicit(&pool->phase, memory_order_seq_cst) == IOCP_POOL_CLOSED;
	return closed && take_back(pool, task, low) ? IOCP_CLOSED : IOCP_OK;
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

/* A task came with its packet, or, NULL, the packet of one in the lists. Which of all is to run. */
static iocp_task *overtake(iocp_pool *pool, iocp_task *task)
{
	iocp_turns *turns = &pool->turns;
	iocp_task *next = NULL;
	iocp_lock_acquire(&pool->lock);
	if (task && (turns->high.first || turns->passed.first)) {
		push(&turns->passed, task);
		task = NULL;
		count_ahead(turns, 1);
	}
	if (!task && !(turns->high.first && turns->passed.first && ++turns->overtakings % SHARE == 0))
		next = pop(&turns->high);
	if (!task && !next)
		next = pop(&turns->passed);
	if (next)
		count_ahead(turns, -1);
	iocp_lock_release(&pool->lock);
	return task ? task : next;
}

/* The packet of the low ones. */
static iocp_task *give_way(iocp_pool *pool)
{
	iocp_turns *turns = &pool->turns;
	iocp_port_info info = {.size = sizeof(info)};
	iocp_task *task = NULL;
	int more;
	iocp_port_stats(pool->port, &info);
	iocp_lock_acquire(&pool->lock);
	if (info.queued == 0 || ++turns->givings % SHARE == 0)
		task = pop(&turns->low);
	more = turns->offered = turns->low.first != NULL;
	iocp_lock_release(&pool->lock);
	if (more)
		(void)post(pool, IOCP_GIVE_WAY); /* closed: the lists are dropped */
	return task;
}

iocp_task *iocp_turn_find(iocp_pool *pool, const iocp_packet *packet)
{
	if (packet->bytes == IOCP_GIVE_WAY)
		return give_way(pool);
	return overtake(pool, packet->bytes == IOCP_RUN ? (iocp_task *)packet->key : NULL);
}

iocp_task *iocp_turn_drop(iocp_pool *pool)
{
	iocp_turns *turns = &pool->turns;
	iocp_task *task;
	iocp_lock_acquire(&pool->lock);
	task = pop(&turns->high);
	if (!task)
		task = pop(&turns->passed);
	if (task)
		count_ahead(turns, -1);
	else
		task = pop(&turns->low);
	iocp_lock_release(&pool->lock);
	return task;
}
