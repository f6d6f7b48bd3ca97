/*
** thread.c - operating system threads.
**
** Ownership: the thread object is freed with its last reference; a running thread holds one to itself, so its context,
** in which it waits, lives while it runs. The system's thread is detached: join waits for `status`, not for the system.
**
** Locking: `lock` guards joiners and `interruptible`, and the change of `status` to an ended one. The thread is
** interruptible from before its body to after it, and is sent its signal under the lock, so it exists then.
**
** Signals. A thread has the mask of the one that made it, as with pthread_create: whatever it starts (system, popen, a
** library's fork and exec) has that mask too, so programs find the signals they count on (PIPE, CHLD, INT and the rest)
** as they do when the main thread starts them. So a thread that runs scripts cannot block the host's signals. It need
** not: the kernel gives a signal that is meant for the process to its main thread, unless that blocks it; and where a
** handler of the host's runs here after all, the waits of this library go on (wait.c). A thread that runs no code but
** ours blocks everything (watch.c).
**
** At the end of the process nothing is joined or torn down: threads stop where they are when the system ends the
** process. The library has no destructor and stays mapped (iocp_pin), so a thread never finds its code or data gone.
*/

#include "core/features.h"

#include "native/native.h"
#include "core/event.h"
#include "core/sized.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_STACK = 2 * 1024 * 1024, LEAST_STACK = 256 * 1024, NAME_SIZE = 64 };

struct iocp_thread {
	iocp_object object;
	iocp_context context;
	iocp_thread_main main;
	void *data;
	void (*destroy)(void *);
	size_t stack_size;
	int priority;
	char name[NAME_SIZE];
	_Atomic int status;
	_Atomic uint64_t id;
	_Atomic(void (*)(iocp_thread *)) interrupt; /* what the signal handler is to call */
	iocp_lock lock;
	int interruptible;
	pthread_t pthread; /* valid while interruptible */
	iocp_waiters joiners;
	iocp_event end;         /* it has ended, or never will begin */
	size_t processor_count; /* 0: those of the thread that makes it */
	uint32_t processors[];
};

static iocp_thread *thread_of(iocp_object *object)
{
	return (iocp_thread *)object;
}

/* ---- interrupting ------------------------------------------------------------------------------------------------ */

static int interrupt_signal; /* 0: none is free; written once */
static pthread_once_t interrupt_once = PTHREAD_ONCE_INIT;

static void on_interrupt(int number)
{
	int saved = errno;
	iocp_thread *thread = iocp_thread_current();
	if (thread) {
		/* Acquire: pairs with iocp_thread_interrupt. */
		void (*function)(iocp_thread *) = atomic_load_explicit(&thread->interrupt, memory_order_acquire);
		if (function)
			function(thread);
	}
	(void)number;
	errno = saved;
}

static void choose_signal(void)
{
	interrupt_signal = iocp_prim_take_signal(on_interrupt);
}

int iocp_thread_interrupt(iocp_thread *thread, void (*function)(iocp_thread *))
{
	int r;
	/* Release: what the caller prepared happens-before the handler's call. */
	atomic_store_explicit(&thread->interrupt, function, memory_order_release);
	iocp_lock_acquire(&thread->lock);
	if (!thread->interruptible)
		r = IOCP_INVALID;
	else
		r = interrupt_signal ? pthread_kill(thread->pthread, interrupt_signal) : ENOTSUP;
	iocp_lock_release(&thread->lock);
	return r;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void free_thread(iocp_object *object)
{
	iocp_thread *thread = thread_of(object);
	iocp_event_happen(&thread->end);
	if (thread->destroy)
		thread->destroy(thread->data);
	free(thread);
}

static void *run(void *argument)
{
	iocp_thread *thread = argument;
	int r, before;
	iocp_object_announce(&thread->object); /* who makes it may be slower */
	iocp_prim_name_thread(thread->name);
	if (thread->priority < 0)
		(void)iocp_prim_move_priority(thread->priority, &before); /* a step down is everybody's right */
	iocp_context_begin(&thread->context, thread);
	/* Relaxed: a number that anyone may read at any time. */
	atomic_store_explicit(&thread->id, thread->context.id, memory_order_relaxed);
	iocp_lock_acquire(&thread->lock);
	thread->pthread = pthread_self();
	thread->interruptible = 1;
	iocp_lock_release(&thread->lock);
	r = thread->main(thread, thread->data);
	iocp_context_end(&thread->context);
	iocp_lock_acquire(&thread->lock);
	thread->interruptible = 0;
	/* Release: all the body did happens-before a join that sees the status. */
	atomic_store_explicit(&thread->status,
		r == IOCP_OK          ? IOCP_FINISHED
		: r == IOCP_CANCELLED ? IOCP_STOPPED
							  : IOCP_FAILED,
		memory_order_release);
	iocp_lock_release(&thread->lock);
	iocp_waiters_serve_all(&thread->joiners, &thread->lock, IOCP_OK); /* nobody joins the list any more */
	iocp_event_happen(&thread->end);
	iocp_thread_release(thread);
	return NULL;
}

/* What the new thread is to have, the calling one has while it makes it. */
typedef struct lent {
	int priority; /* what was before, as the next */
	iocp_prim_place place;
	sigset_t mask;
} lent;

/* 0, or the system's code, for what this process may not have. */
static int lend(const iocp_thread *thread, lent *before)
{
	sigset_t interrupt;
	int r = 0;
	if (thread->priority > 0)
		r = iocp_prim_move_priority(thread->priority, &before->priority);
	if (r == 0 && thread->processor_count) {
		r = iocp_prim_move(thread->processors, thread->processor_count, &before->place);
		if (r != 0 && thread->priority > 0)
			iocp_prim_restore_priority(before->priority);
	}
	if (r != 0)
		return r;
	/* The mask as it is here, but it is always to be interrupted. */
	sigemptyset(&interrupt);
	if (interrupt_signal)
		sigaddset(&interrupt, interrupt_signal);
	return pthread_sigmask(SIG_UNBLOCK, &interrupt, &before->mask);
}

static void take_back(const iocp_thread *thread, const lent *before)
{
	pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
	if (thread->processor_count)
		iocp_prim_move_back(&before->place);
	if (thread->priority > 0)
		iocp_prim_restore_priority(before->priority);
}

static int create_system_thread(iocp_thread *thread, const pthread_attr_t *attributes)
{
	pthread_t ignored; /* the thread itself says who it is */
	lent before;
	int r = lend(thread, &before);
	if (r != 0)
		return r;
	r = pthread_create(&ignored, attributes, run, thread);
	take_back(thread, &before);
	return r;
}

static int start_system_thread(iocp_thread *thread)
{
	pthread_attr_t attributes;
	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return r;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_attr_setstacksize(&attributes, iocp_stack_size(thread->stack_size));
	if (r == 0)
		r = create_system_thread(thread, &attributes);
	pthread_attr_destroy(&attributes);
	return r == EINVAL && thread->processor_count ? IOCP_INVALID : r;
}

int iocp_thread_resume(iocp_thread *thread)
{
	int r, suspended = IOCP_SUSPENDED;
	/* Relaxed: one of several callers wins; pthread_create orders the rest. */
	if (!atomic_compare_exchange_strong_explicit(
			&thread->status, &suspended, IOCP_RUNNING, memory_order_relaxed, memory_order_relaxed))
		return IOCP_INVALID;
	iocp_thread_retain(thread); /* the thread's own */
	r = start_system_thread(thread);
	if (r != 0) {
		atomic_store_explicit(&thread->status, IOCP_SUSPENDED, memory_order_relaxed);
		iocp_thread_release(thread);
	}
	return r == ENOMEM ? IOCP_NOMEM : r;
}

int iocp_thread_adopt(const void *native, iocp_thread **thread)
{
	iocp_object *object = iocp_object_find(native, IOCP_KIND_THREAD);
	if (!object)
		return IOCP_INVALID;
	*thread = thread_of(object);
	return IOCP_OK;
}

/* A thread of these options, which nobody knows yet; NULL: out of memory. */
static iocp_thread *new_thread(const iocp_thread_options *options)
{
	size_t count = options->processors ? options->processor_count : 0;
	iocp_thread *t = calloc(1, sizeof(*t) + count * sizeof(*t->processors));
	if (!t)
		return NULL;
	t->main = options->main;
	t->data = options->data;
	t->stack_size = options->stack_size == 0 ? DEFAULT_STACK : options->stack_size;
	if (t->stack_size < LEAST_STACK)
		t->stack_size = LEAST_STACK;
	strncpy(t->name, options->name ? options->name : "iocp", sizeof(t->name) - 1);
	t->priority = options->priority;
	t->processor_count = count;
	if (count)
		memcpy(t->processors, options->processors, count * sizeof(*t->processors));
	return t;
}

int iocp_thread_create(const iocp_thread_options *given, iocp_thread **thread)
{
	iocp_thread_options options;
	iocp_thread *t;
	int r = iocp_read_options(given, &options);
	if (r != IOCP_OK)
		return r;
	t = new_thread(&options);
	if (!t)
		return IOCP_NOMEM;
	pthread_once(&interrupt_once, choose_signal);
	r = iocp_object_register(&t->object, IOCP_KIND_THREAD, t, free_thread);
	if (r != IOCP_OK) {
		free(t);
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

/* ---- use --------------------------------------------------------------------------------------------------------- */

int iocp_thread_join(iocp_thread *thread, double ms)
{
	iocp_context *context = iocp_context_get();
	int ended;
	if (!context)
		return IOCP_NOMEM;
	if (context->thread == thread)
		return IOCP_INVALID;
	iocp_lock_acquire(&thread->lock);
	ended = iocp_thread_status(thread) >= IOCP_FINISHED;
	if (ended || ms == 0 || iocp_context_cancelled(context)) {
		iocp_lock_release(&thread->lock);
		return ended ? IOCP_OK : iocp_context_cancelled(context) ? IOCP_CANCELLED : IOCP_TIMEOUT;
	}
	iocp_waiters_wait(&thread->joiners, &context->waiter);
	iocp_lock_release(&thread->lock);
	return iocp_wait_without_slot(context, &thread->joiners, &thread->lock, iocp_deadline(ms), NULL);
}

int iocp_thread_end_event(iocp_thread *thread, iocp_event **end)
{
	*end = &thread->end;
	if (iocp_thread_status(thread) >= IOCP_FINISHED) /* the thread itself may be just about to say so */
		iocp_event_happen(*end);
	return IOCP_OK;
}

void iocp_thread_cancel(iocp_thread *thread)
{
	iocp_context_cancel(&thread->context, IOCP_CANCEL_THREAD);
}

void iocp_thread_cancel_work(iocp_thread *thread, int on)
{
	if (on)
		iocp_context_cancel(&thread->context, IOCP_CANCEL_WORK);
	else
		iocp_context_resume(&thread->context);
}

int iocp_thread_status(const iocp_thread *thread)
{
	/* Acquire: pairs with the release in run. */
	return atomic_load_explicit(&thread->status, memory_order_acquire);
}

uint64_t iocp_thread_id(const iocp_thread *thread)
{
	return atomic_load_explicit(&thread->id, memory_order_relaxed); /* see run */
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
	return iocp_this_thread.context ? iocp_this_thread.context->thread : NULL;
}

int iocp_thread_cancelled(void)
{
	return iocp_this_thread.context && iocp_context_cancelled(iocp_this_thread.context);
}

const void *iocp_thread_cancel_word(void)
{
	iocp_context *context = iocp_context_get();
	return context ? (const void *)&context->cancelled : NULL;
}
