/*
** task_after.c - tasks that run after others. Owns nothing: a watch belongs to the task that it watches.
*/

#include <stdlib.h>

#include "work/task.h"

/* Has the task of the watch wait for `earlier`, if that has not ended. The lock is held. 0: it has, and the watch is
** the caller's still. */
static int wait_for_earlier(iocp_watch *watch, iocp_task *earlier)
{
	iocp_task *task = watch->task;
	if (iocp_watch_add(earlier, watch)) {
		iocp_task_retain(task);
		task->extra->unmet++;
		return 1;
	}
	iocp_arc_remove(&watch->arc);
	if (iocp_task_state(earlier) != IOCP_TASK_COMPLETED && watch->how != IOCP_OUTCOME)
		iocp_task_blame(task, earlier);
	else if (watch->how != IOCP_AFTER && !task->extra->input)
		task->extra->input = iocp_task_retain(earlier);
	return 0;
}

int iocp_task_after(iocp_task *task, iocp_task *earlier, enum iocp_after how)
{
	iocp_watch *watch = calloc(1, sizeof(*watch));
	iocp_task_extra *fresh = calloc(1, sizeof(*fresh));
	int r = watch && fresh ? iocp_arc_prepare(&watch->arc, earlier, task) : IOCP_NOMEM, waits = 0;
	if (r == IOCP_OK) {
		watch->task = task;
		watch->how = how;
		iocp_graph_lock();
		r = iocp_task_link(task, &fresh, IOCP_WORD_LINKED);
		if (r == IOCP_OK && !iocp_arc_add(&watch->arc))
			r = IOCP_ERROR;
		if (r == IOCP_OK)
			r = iocp_task_link(task, &fresh, IOCP_WORD_LINKED); /* it may have been submitted meanwhile */
		if (r == IOCP_OK)
			waits = wait_for_earlier(watch, earlier);
		else
			iocp_arc_remove(&watch->arc);
		iocp_graph_unlock();
	}
	free(fresh);
	if (!waits)
		free(watch);
	if (r == IOCP_OK && !waits && how != IOCP_OUTCOME && iocp_task_state(earlier) != IOCP_TASK_COMPLETED)
		(void)iocp_task_cancel(task, IOCP_BY_DEPENDENCY);
	return r;
}
