/*
** thread.c - operating system threads.
**
** Ownership: the thread object is freed with its last reference; a running thread holds one to itself, so its context,
** in which it waits, lives while it runs. Each thread is created suspended, so that its handle and number are known
** before it runs. One that is dropped before it was resumed is let go to find that out, and frees the object itself.
**
** Locking: `lock` guards `interruptible` and the change of `status` to an ended one, and what waits for the end of an
** adopted one. The thread is interruptible from before its body to after it, and is stopped under the lock, so it is
** within its body then.
**
** At the end of the process nothing is joined or torn down: the system ends the threads where they are. The library
** stays loaded (iocp_pin), so a thread never finds its code or data gone.
*/

#include "windows/windows.h"
#include "core/event.h"
#include "core/sized.h"

#include <limits.h>
#include <process.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_STACK = 2 * 1024 * 1024, LEAST_STACK = 256 * 1024, NAME_SIZE = 64 };

struct iocp_thread {
	iocp_object object;
	iocp_context context;
	iocp_thread_main main; /* NULL: an adopted one, of which only `object` and `system` mean something */
	void *data;
	void (*destroy)(void *);
	HANDLE system;
	char name[NAME_SIZE];
	DWORD id;
	_Atomic int status;
	int dropped; /* written before the thread first runs */
	iocp_lock lock;
	int interruptible;
	iocp_event end;  /* it has ended, or never will begin */
	HANDLE ours;     /* of an adopted one whose end somebody asked for: its owner may close the other one */
	HANDLE end_wait; /* the system's, for that */
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void free_thread(iocp_object *object)
{
	iocp_thread *thread = (iocp_thread *)object;
	iocp_event_happen(&thread->end);
	if (thread->destroy)
		thread->destroy(thread->data);
	if (thread->main && thread->system) {
		/* Relaxed: nobody else knows it any more. */
		if (atomic_load_explicit(&thread->status, memory_order_relaxed) == IOCP_SUSPENDED) {
			thread->dropped = 1;
			ResumeThread(thread->system); /* to `run`, which frees it */
			return;
		}
		CloseHandle(thread->system);
	}
	free(thread);
}

/* What the thread does between its beginning and its end. */
static int run_body(iocp_thread *thread)
{
	int r = iocp_context_begin(&thread->context, thread);
	if (r != IOCP_OK)
		return r;
	iocp_object_announce(&thread->object); /* who makes it may be slower */
	iocp_name_this_thread(thread->name);
	iocp_lock_acquire(&thread->lock);
	thread->interruptible = 1;
	iocp_lock_release(&thread->lock);
	r = thread->main(thread, thread->data);
	iocp_lock_acquire(&thread->lock);
	thread->interruptible = 0;
	iocp_lock_release(&thread->lock);
	iocp_context_end(&thread->context);
	return r;
}

static unsigned __stdcall run(void *argument)
{
	iocp_thread *thread = argument;
	int r;
	if (thread->dropped) {
		CloseHandle(thread->system);
		free(thread);
		return 0;
	}
	r = run_body(thread);
	/* Release: all the body did happens-before a join that sees the status. */
	atomic_store_explicit(&thread->status,
		r == IOCP_OK          ? IOCP_FINISHED
		: r == IOCP_CANCELLED ? IOCP_STOPPED
							  : IOCP_FAILED,
		memory_order_release);
	iocp_event_happen(&thread->end);
	iocp_thread_release(thread);
	return 0;
}

int iocp_thread_resume(iocp_thread *thread)
{
	int suspended = IOCP_SUSPENDED;
	/* Relaxed: one of several callers wins; ResumeThread orders the rest. */
	if (!thread->main
		|| !atomic_compare_exchange_strong_explicit(
			&thread->status, &suspended, IOCP_RUNNING, memory_order_relaxed, memory_order_relaxed))
		return IOCP_INVALID;
	iocp_thread_retain(thread); /* the thread's own */
	if (ResumeThread(thread->system) == (DWORD)-1) {
		int r = iocp_system_code(GetLastError());
		atomic_store_explicit(&thread->status, IOCP_SUSPENDED, memory_order_relaxed);
		iocp_thread_release(thread);
		return r;
	}
	return IOCP_OK;
}

static int start_suspended(iocp_thread *thread, size_t stack_size)
{
	unsigned id;
	uintptr_t system;
	if (stack_size > UINT_MAX) /* more than the system's function can be told */
		return IOCP_NOMEM;
	if (stack_size == 0)
		stack_size = DEFAULT_STACK;
	system = _beginthreadex(NULL, (unsigned)(stack_size < LEAST_STACK ? LEAST_STACK : stack_size), run, thread,
		CREATE_SUSPENDED | STACK_SIZE_PARAM_IS_A_RESERVATION, &id);
	if (!system)
		return iocp_system_code(GetLastError());
	thread->context.system = thread->system = (HANDLE)system;
	thread->id = id;
	return IOCP_OK;
}

/* Those of the processors' group that this process runs in: 64 at most, as a mask has bits. */
static int place(HANDLE thread, const uint32_t *processors, size_t count)
{
	DWORD_PTR wanted = 0, ours, all;
	size_t i;
	if (!GetProcessAffinityMask(GetCurrentProcess(), &ours, &all))
		return iocp_system_code(GetLastError());
	for (i = 0; i < count; i++) {
		DWORD_PTR one = processors[i] < sizeof(one) * CHAR_BIT ? (DWORD_PTR)1 << processors[i] : 0;
		if (!(one & all))
			return IOCP_INVALID;
		wanted |= one;
	}
	if (!(wanted & ours))
		return IOCP_INVALID;
	return SetThreadAffinityMask(thread, wanted & ours) ? IOCP_OK : iocp_system_code(GetLastError());
}

/* Steps from the calling thread's, of which it has two on each side. */
static int set_priority(HANDLE thread, int steps)
{
	int priority = GetThreadPriority(GetCurrentThread()) + steps;
	if (priority < THREAD_PRIORITY_LOWEST)
		priority = THREAD_PRIORITY_LOWEST;
	if (priority > THREAD_PRIORITY_HIGHEST)
		priority = THREAD_PRIORITY_HIGHEST;
	return SetThreadPriority(thread, priority) ? IOCP_OK : iocp_system_code(GetLastError());
}

/* Gives the suspended thread its processors and priority, and enters it. */
static int enter_thread(iocp_thread *t, const iocp_thread_options *options)
{
	int r = IOCP_OK;
	if (options->processors && options->processor_count)
		r = place(t->system, options->processors, options->processor_count);
	if (r == IOCP_OK)
		r = set_priority(t->system, options->priority);
	return r == IOCP_OK ? iocp_object_register(&t->object, IOCP_KIND_THREAD, t->system, free_thread) : r;
}

int iocp_thread_create(const iocp_thread_options *given, iocp_thread **thread)
{
	iocp_thread_options options;
	iocp_thread *t;
	int r = iocp_read_options(given, &options);
	if (r != IOCP_OK)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return IOCP_NOMEM;
	t->main = options.main;
	t->data = options.data;
	strncpy(t->name, options.name ? options.name : "iocp", sizeof(t->name) - 1);
	r = start_suspended(t, options.stack_size);
	if (r != IOCP_OK) {
		free(t);
		return r;
	}
	r = enter_thread(t, &options);
	if (r != IOCP_OK) {
		free_thread(&t->object);
		return r;
	}
	if (!options.suspended)
		r = iocp_thread_resume(t);
	if (r != IOCP_OK) {
		iocp_thread_release(t);
		return r;
	}
	iocp_object_announce(&t->object);
	t->destroy = options.destroy;
	*thread = t;
	return IOCP_OK;
}

int iocp_thread_adopt(const void *native, iocp_thread **thread)
{
	iocp_object *object = iocp_object_find(native, IOCP_KIND_THREAD), *entered;
	iocp_thread *t;
	DWORD id = 0;
	int r;
	if (object) {
		*thread = (iocp_thread *)object;
		return IOCP_OK;
	}
	if ((intptr_t)native > 0 && (uintptr_t)native % 4 == 0) /* see iocp_port_adopt */
		id = GetThreadId((HANDLE)(uintptr_t)native);
	if (!id)
		return IOCP_INVALID;
	t = calloc(1, sizeof(*t));
	if (!t)
		return IOCP_NOMEM;
	t->system = (HANDLE)(uintptr_t)native;
	t->id = id;
	entered = &t->object;
	r = iocp_object_adopt(&entered, IOCP_KIND_THREAD, native, free_thread);
	if (r == IOCP_OK)
		*thread = (iocp_thread *)entered;
	if (r != IOCP_OK || entered != &t->object)
		free(t);
	return r;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

int iocp_thread_join(iocp_thread *thread, double ms)
{
	iocp_context *context = iocp_context_get();
	double deadline = iocp_deadline(ms);
	int r = IOCP_OK;
	if (!context)
		return IOCP_NOMEM;
	if (context->thread == thread)
		return IOCP_INVALID;
	iocp_block_enter();
	while (r == IOCP_OK && iocp_thread_status(thread) < IOCP_FINISHED) {
		DWORD outcome = 0;
		if (ms != 0 && !iocp_context_cancelled(context))
			outcome = WaitForSingleObjectEx(thread->system, iocp_stretch(context, deadline), TRUE);
		/* The system's thread ends after its body, and an adopted one has only that end. */
		if (outcome == WAIT_FAILED) /* an adopted handle that its owner has closed, for one */
			r = GetLastError() == ERROR_INVALID_HANDLE ? IOCP_INVALID : iocp_system_code(GetLastError());
		else if (iocp_thread_status(thread) < IOCP_FINISHED)
			r = iocp_wait_again(context, outcome, deadline);
	}
	iocp_block_leave();
	/* After its body it has nothing left to do but end, which a process that is about to end should not cut short. */
	if (r == IOCP_OK && ms != 0)
		WaitForSingleObject(thread->system, INFINITE);
	return r;
}

/* In a thread of the system's: an adopted thread has ended. */
static VOID CALLBACK on_adopted_end(PVOID argument, BOOLEAN timed_out)
{
	iocp_thread *thread = argument;
	(void)timed_out;
	iocp_lock_acquire(&thread->lock); /* behind who stored what is given back here */
	UnregisterWaitEx(thread->end_wait, NULL);
	CloseHandle(thread->ours);
	iocp_lock_release(&thread->lock);
	iocp_event_happen(&thread->end);
	iocp_thread_release(thread);
}

/* Has the system tell of an adopted thread's end. The lock is held. */
static int await_adopted_end(iocp_thread *thread)
{
	int r = IOCP_OK;
	if (!DuplicateHandle(
			GetCurrentProcess(), thread->system, GetCurrentProcess(), &thread->ours, SYNCHRONIZE, FALSE, 0))
		return GetLastError() == ERROR_INVALID_HANDLE ? IOCP_INVALID : iocp_system_code(GetLastError());
	iocp_thread_retain(thread); /* the wait's own */
	if (!RegisterWaitForSingleObject(
			&thread->end_wait, thread->ours, on_adopted_end, thread, INFINITE, WT_EXECUTEONLYONCE)) {
		r = iocp_system_code(GetLastError());
		CloseHandle(thread->ours);
		thread->ours = NULL;
		iocp_object_release(&thread->object); /* not the last: the caller has one */
	}
	return r;
}

int iocp_thread_end_event(iocp_thread *thread, iocp_event **end)
{
	int r = IOCP_OK;
	*end = &thread->end;
	if (iocp_thread_status(thread) >= IOCP_FINISHED) /* the thread itself may be just about to say so */
		iocp_event_happen(*end);
	if (thread->main)
		return r;
	iocp_lock_acquire(&thread->lock);
	if (!thread->ours)
		r = await_adopted_end(thread);
	iocp_lock_release(&thread->lock);
	return r;
}

void iocp_thread_cancel(iocp_thread *thread)
{
	if (thread->main) /* of an adopted one the context is not known */
		iocp_context_cancel(&thread->context, IOCP_CANCEL_THREAD);
}

void iocp_thread_cancel_work(iocp_thread *thread, int on)
{
	if (thread->main && on)
		iocp_context_cancel(&thread->context, IOCP_CANCEL_WORK);
	else if (thread->main)
		iocp_context_resume(&thread->context);
}

int iocp_thread_interrupt(iocp_thread *thread, void (*function)(iocp_thread *))
{
	CONTEXT ignored;
	int r = IOCP_OK;
	ignored.ContextFlags = CONTEXT_CONTROL;
	if (thread == iocp_thread_current()) {
		function(thread);
		return IOCP_OK;
	}
	iocp_lock_acquire(&thread->lock);
	if (!thread->interruptible) {
		r = IOCP_INVALID;
	} else if (SuspendThread(thread->system) == (DWORD)-1) {
		r = iocp_system_code(GetLastError());
	} else {
		/* SuspendThread only asks for it; whoever has seen the thread's registers knows that it stands. */
		GetThreadContext(thread->system, &ignored);
		function(thread);
		ResumeThread(thread->system);
		CancelSynchronousIo(thread->system); /* a read that blocks is to end; fails if there is none */
	}
	iocp_lock_release(&thread->lock);
	return r;
}

int iocp_thread_status(const iocp_thread *thread)
{
	if (!thread->main)
		return WaitForSingleObject(thread->system, 0) == WAIT_OBJECT_0 ? IOCP_FINISHED : IOCP_RUNNING;
	/* Acquire: pairs with the release in run. */
	return atomic_load_explicit(&thread->status, memory_order_acquire);
}

uint64_t iocp_thread_id(const iocp_thread *thread)
{
	return iocp_thread_status(thread) == IOCP_SUSPENDED ? 0 : thread->id;
}

const char *iocp_thread_name(const iocp_thread *thread)
{
	return thread->name;
}

iocp_thread_main iocp_thread_body(const iocp_thread *thread)
{
	return thread->main;
}

void *iocp_thread_data(const iocp_thread *thread)
{
	return thread->data;
}

iocp_thread *iocp_thread_current(void)
{
	iocp_context *context = iocp_context_have();
	return context ? context->thread : NULL;
}

int iocp_thread_cancelled(void)
{
	iocp_context *context = iocp_context_have();
	return context && iocp_context_cancelled(context);
}

const void *iocp_thread_cancel_word(void)
{
	iocp_context *context = iocp_context_get();
	return context ? (const void *)&context->cancelled : NULL;
}
