/*
** process.c - child processes: who waits for them, and what came of them.
**
** A thread each waits for the child's end, so that nobody has to: the system keeps what came of it until somebody asks,
** and a signal would be the whole process'. The thread is made before the child, and begins when that is there.
**
** References: a process belongs to who started it and, until the child has ended, to its thread.
**
** Locking: `lock` guards `ended`, and that the child is not forgotten while a signal is sent to its number.
*/

#include <stdlib.h>

#include "core/event.h"
#include "core/io_error.h"
#include "core/os.h"
#include "core/semaphore.h"
#include "work/work.h"

struct iocp_process {
	iocp_object object;
	iocp_event event;   /* its end, for ports */
	iocp_semaphore end; /* closed at the same time, for threads */
	iocp_lock lock;
	int ended;
	iocp_child child; /* fixed, once it was started */
	int64_t code;
	int signal;
};

static void last_reference(iocp_counted *counted)
{
	iocp_process *process = (iocp_process *)counted; /* its first member's first */
	iocp_event_happen(&process->event);
	free(process);
}

static int await_end(iocp_thread *thread, void *data)
{
	iocp_process *process = data;
	(void)thread;
	iocp_child_await(&process->child);
	iocp_lock_acquire(&process->lock);
	iocp_child_forget(&process->child, &process->code, &process->signal);
	process->ended = 1;
	iocp_lock_release(&process->lock);
	iocp_semaphore_close(&process->end);
	iocp_event_happen(&process->event);
	return IOCP_OK;
}

int iocp_process_start(const iocp_child_options *options, iocp_process **process)
{
	iocp_process *made = calloc(1, sizeof(*made));
	iocp_thread_options thread_options = {.size = sizeof(thread_options),
		.main = await_end,
		.data = made,
		.destroy = iocp_any_release, /* also of a thread that never ran */
		.name = "iocp child",
		.suspended = 1};
	iocp_thread *thread;
	int r;
	if (!made)
		return IOCP_NOMEM;
	iocp_object_begin(&made->object, IOCP_KIND_PROCESS, last_reference);
	iocp_any_retain(made); /* the thread's */
	r = iocp_thread_create(&thread_options, &thread);
	if (r != IOCP_OK) {
		free(made);
		return r > 0 ? IOCP_EAGAIN : r; /* the system's code is no I/O error's number everywhere */
	}
	r = iocp_child_start(options, &made->child);
	if (r == IOCP_OK && iocp_thread_resume(thread) != IOCP_OK) { /* nobody would wait for it */
		(void)iocp_child_kill(&made->child, iocp_child_signal("KILL"));
		(void)await_end(NULL, made);
		r = IOCP_NOMEM;
	}
	iocp_thread_release(thread);
	if (r == IOCP_OK)
		*process = made;
	else
		iocp_any_release(made);
	return r;
}

uint64_t iocp_process_id(const iocp_process *process)
{
	return process->child.id;
}

int iocp_process_wait(iocp_process *process, double ms)
{
	int r = iocp_semaphore_wait(&process->end, ms);
	return r == IOCP_CLOSED || r == IOCP_ABANDONED ? IOCP_OK : r;
}

int iocp_process_result(iocp_process *process, int64_t *code, int *signal)
{
	int ended;
	iocp_lock_acquire(&process->lock);
	ended = process->ended;
	*code = process->code;
	*signal = process->signal;
	iocp_lock_release(&process->lock);
	return ended;
}

int iocp_process_notify(iocp_process *process, iocp_port *port, const iocp_packet *packet, iocp_timer *timer)
{
	return iocp_event_notify(&process->event, port, packet, timer);
}

int iocp_process_kill(iocp_process *process, const char *name)
{
	int signal = iocp_child_signal(name), r = IOCP_ESRCH;
	if (!signal)
		return IOCP_INVALID;
	iocp_lock_acquire(&process->lock);
	if (!process->ended)
		r = iocp_child_kill(&process->child, signal);
	iocp_lock_release(&process->lock);
	return r;
}

int iocp_process_pipe(int child_reads, iocp_file **ours, uintptr_t *theirs)
{
	return iocp_child_pipe(child_reads, ours, theirs);
}

void iocp_process_close_pipe(uintptr_t theirs)
{
	iocp_child_close_pipe(theirs);
}

const char *iocp_process_signal_name(int signal)
{
	return iocp_child_signal_name(signal);
}
