/*
** task_graph.c - which tasks can end only after which others, and that this is never a circle.
**
** An arc leads from a task to one that runs after it, or to one that waits for it without a time. Before an arc is
** added it is made sure that there is no way back. To look at all that comes after a task, for each arc, would take the
** square of their number; so every task has a level, and no arc leads down (after Bender, Fineman, Gilbert and Tarjan,
** "A New Approach to Incremental Cycle Detection and Related Problems"). An arc from `earlier` to `later` may be added
** - if nothing comes after `later`, which is lifted if need be, or before `earlier`, which is lowered;
** - if `earlier` is below `later`: a way back would lead down;
** - if the search from `earlier` backwards, which need not leave its level, comes to an end and has not met `later`. If
**   it takes more than LOOKS arcs, `later` is to be one level up.
** Lifting `later` lifts what comes after it and is below; if that meets what the search met, there is a way back.
**
** The bound. Graphs in which each task comes before or after all that is there take one step an arc. In any other, a
** search takes LOOKS steps at most, and an arc is passed by lifting once a level at most; a level is only opened where
** LOOKS arcs lead to one, so m arcs take no more than m * (LOOKS + m / LOOKS) steps, however they come.
**
** Locks. `building` is held by who adds an arc, as levels change for one reason at a time; lifting may take long, so
** iocp_tasks, which is taken under it and guards the arcs, is let go after each SLICE steps. So nobody but who adds
** arcs waits for longer than LOOKS + SLICE steps. An arc may be removed at any time: that breaks nothing.
*/

#include <stdlib.h>

#include "work/task.h"

enum { LOOKS = 256, SLICE = 256 };

struct iocp_node {
	_Atomic uint32_t references; /* its task's, and one while it is in a list of those that are lifted */
	uint32_t level;              /* this and the next two are of who holds `building` */
	uint64_t search;             /* that met it last */
	iocp_node *next;             /* in the list of a search, or of those that were lifted */
	iocp_arc *later, *first;     /* arcs from it, and to it */
};

iocp_lock iocp_tasks;

static iocp_lock building;
static uint64_t searches;     /* guarded by it, as is the next */
static iocp_node *lifted;     /* each with a reference, to be dropped behind the locks */
static const iocp_arc *ahead; /* of who lifts: where it goes on; guarded by iocp_tasks */

/* ---- searching; both locks are held ------------------------------------------------------------------------------ */

enum found { NOTHING, CIRCLE, TOO_MUCH };

/* Looks for `later` backwards from `earlier`, on its level, and marks what it meets there. */
static enum found look_back(iocp_node *earlier, const iocp_node *later)
{
	iocp_node *todo = earlier, *node;
	const iocp_arc *arc;
	int looks = 0;
	earlier->search = ++searches;
	earlier->next = NULL;
	while ((node = todo) != NULL) {
		todo = node->next;
		for (arc = node->first; arc; arc = arc->next_earlier) {
			iocp_node *before = arc->earlier;
			if (before == later)
				return CIRCLE;
			if (++looks > LOOKS)
				return TOO_MUCH;
			if (before->level != earlier->level || before->search == searches)
				continue;
			before->search = searches;
			before->next = todo;
			todo = before;
		}
	}
	return NOTHING;
}

static void lift(iocp_node *node, uint32_t level, iocp_node **todo)
{
	/* Relaxed: under the lock its task is there. It is to stay when the lock is let go. */
	atomic_fetch_add_explicit(&node->references, 1, memory_order_relaxed);
	node->level = level;
	node->next = *todo;
	*todo = node;
}

/* Lifts a task, and what comes after it, to a level. 1: that met what the last search marked. */
static int lift_all(iocp_node *start, uint32_t level)
{
	iocp_node *todo = NULL, *node;
	const iocp_arc *arc;
	int met = 0, steps = 0;
	lift(start, level, &todo);
	while ((node = todo) != NULL) {
		todo = node->next;
		for (ahead = node->later; (arc = ahead) != NULL;) {
			ahead = arc->next_later;
			met |= arc->later->search == searches;
			if (arc->later->level < level)
				lift(arc->later, level, &todo);
			if (++steps % SLICE == 0) {
				iocp_lock_release(&iocp_tasks);
				iocp_yield();
				iocp_lock_acquire(&iocp_tasks);
			}
		}
		node->next = lifted;
		lifted = node;
	}
	return met;
}

/* Sees to it that an arc would not lead down. 0: it would close a circle. */
static int put_in_order(iocp_node *earlier, iocp_node *later)
{
	uint32_t level = earlier->level;
	if (earlier == later)
		return 0;
	if (!later->later && later->level < level)
		later->level = level;
	if (!later->later || level < later->level)
		return 1;
	if (!earlier->first) {
		earlier->level = later->level;
		return 1;
	}
	switch (look_back(earlier, later)) {
	case CIRCLE:
		return 0;
	case TOO_MUCH:
		earlier->search = ++searches; /* of what was marked, `earlier` itself will be met */
		return !lift_all(later, level + 1);
	default:
		return level == later->level || !lift_all(later, level);
	}
}

/* ---- arcs -------------------------------------------------------------------------------------------------------- */

static iocp_node *node_of(iocp_task *task)
{
	/* Acquire, here and below: pairs with the release with which it becomes known. */
	iocp_node *node = atomic_load_explicit(&task->node, memory_order_acquire), *fresh;
	if (node)
		return node;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return NULL;
	atomic_store_explicit(&fresh->references, 1, memory_order_relaxed); /* nobody else knows it yet */
	if (atomic_compare_exchange_strong_explicit(&task->node, &node, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	free(fresh);
	return node;
}

void iocp_node_release(iocp_node *node)
{
	/* As in core/object.c. Its arcs went with who had them. */
	if (node && atomic_fetch_sub_explicit(&node->references, 1, memory_order_acq_rel) == 1)
		free(node);
}

int iocp_arc_prepare(iocp_arc *arc, iocp_task *earlier, iocp_task *later)
{
	arc->link_later = NULL;
	arc->earlier = node_of(earlier);
	arc->later = node_of(later);
	return arc->earlier && arc->later ? IOCP_OK : IOCP_NOMEM;
}

void iocp_graph_lock(void)
{
	iocp_lock_acquire(&building);
	iocp_lock_acquire(&iocp_tasks);
}

void iocp_graph_unlock(void)
{
	iocp_node *node = lifted, *next;
	lifted = NULL;
	iocp_lock_release(&iocp_tasks);
	iocp_lock_release(&building);
	for (; node; node = next) {
		next = node->next;
		iocp_node_release(node);
	}
}

int iocp_arc_add(iocp_arc *arc)
{
	iocp_node *earlier = arc->earlier, *later = arc->later;
	if (!put_in_order(earlier, later))
		return 0;
	arc->next_later = earlier->later;
	arc->link_later = &earlier->later;
	if (arc->next_later)
		arc->next_later->link_later = &arc->next_later;
	earlier->later = arc;
	arc->next_earlier = later->first;
	arc->link_earlier = &later->first;
	if (arc->next_earlier)
		arc->next_earlier->link_earlier = &arc->next_earlier;
	later->first = arc;
	return 1;
}

void iocp_arc_remove(iocp_arc *arc)
{
	if (!arc->link_later)
		return;
	if (ahead == arc)
		ahead = arc->next_later;
	*arc->link_later = arc->next_later;
	if (arc->next_later)
		arc->next_later->link_later = arc->link_later;
	*arc->link_earlier = arc->next_earlier;
	if (arc->next_earlier)
		arc->next_earlier->link_earlier = arc->link_earlier;
	arc->link_later = NULL;
}

/* ---- waits ------------------------------------------------------------------------------------------------------- */

int iocp_worker_await(iocp_worker *worker, iocp_task *task)
{
	iocp_run *run;
	int r = IOCP_OK;
	for (run = worker->run; run && r == IOCP_OK; run = run->outer)
		r = iocp_arc_prepare(&run->wait, task, run->task);
	if (r != IOCP_OK)
		return r;
	iocp_graph_lock();
	/* A task that runs on top of others ends before they do, so none of them ends before what it waits for. */
	for (run = worker->run; run && r == IOCP_OK; run = run->outer)
		r = iocp_arc_add(&run->wait) ? IOCP_OK : IOCP_INVALID;
	for (run = worker->run; run && r != IOCP_OK; run = run->outer)
		iocp_arc_remove(&run->wait);
	iocp_graph_unlock();
	return r;
}

void iocp_worker_awaited(iocp_worker *worker)
{
	iocp_run *run;
	iocp_lock_acquire(&iocp_tasks);
	for (run = worker->run; run; run = run->outer)
		iocp_arc_remove(&run->wait);
	iocp_lock_release(&iocp_tasks);
}
