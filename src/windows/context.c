/*
** context.c - what every thread is to this library: its context, how it is nudged and cancelled, and Ctrl-C, which
** nudges the threads of others.
**
** Ownership: a context is written by its own thread, but for `cancelled`, which any may set, and `served`, which goes
** with a list. Contexts of the module's threads lie in the thread object, others are freed when their thread ends.
**
** Ctrl-C. The system tells of it in a thread of its own; an interpreter's handler there sets a hook in the main state,
** which waits here. So we have a handler too, which nudges the threads that are not ours; their waits return
** IOCP_INTERRUPTED and their caller runs the hook. Handlers run newest first, so the interpreter's may come after ours:
** for a second those waits are therefore cut short again and again.
*/

#include "windows/windows.h"

#include <stdlib.h>

enum { INTERRUPTING = 1000 }; /* ms */

static iocp_lock contexts_lock;
static iocp_context *contexts;
static INIT_ONCE slot_once = INIT_ONCE_STATIC_INIT;
static DWORD slot = TLS_OUT_OF_INDEXES;    /* written once, under slot_once */
static _Atomic uint32_t interrupted_until; /* low 32 bits of GetTickCount64; 0: never */

static BOOL WINAPI on_console_event(DWORD event);

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

static BOOL CALLBACK make_slot(PINIT_ONCE once, PVOID parameter, PVOID *result)
{
	(void)once, (void)parameter, (void)result;
	/* The console's handler, and what is told when a thread ends, are this library's from now on: it must not go. */
	if (iocp_pin() != IOCP_OK)
		return FALSE;
	slot = TlsAlloc();
	SetConsoleCtrlHandler(on_console_event, TRUE);
	return slot != TLS_OUT_OF_INDEXES;
}

static int have_slot(void)
{
	return InitOnceExecuteOnce(&slot_once, make_slot, NULL, NULL);
}

int iocp_context_begin(iocp_context *context, iocp_thread *thread)
{
	if (!have_slot() || !TlsSetValue(slot, context))
		return IOCP_NOMEM;
	context->thread = thread;
	iocp_lock_acquire(&contexts_lock);
	context->previous = NULL;
	context->next = contexts;
	if (contexts)
		contexts->previous = context;
	contexts = context;
	iocp_lock_release(&contexts_lock);
	return IOCP_OK;
}

void iocp_context_end(iocp_context *context)
{
	if (context->unlock_heaps)
		context->unlock_heaps(context);
	iocp_lock_acquire(&contexts_lock);
	if (context->next)
		context->next->previous = context->previous;
	if (context->previous)
		context->previous->next = context->next;
	else
		contexts = context->next;
	iocp_lock_release(&contexts_lock);
	TlsSetValue(slot, NULL);
}

iocp_context *iocp_context_have(void)
{
	return have_slot() ? TlsGetValue(slot) : NULL;
}

iocp_context *iocp_context_get(void)
{
	iocp_context *context = iocp_context_have();
	if (context)
		return context;
	context = calloc(1, sizeof(*context));
	if (!context)
		return NULL;
	if (!DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &context->system, 0, FALSE,
			DUPLICATE_SAME_ACCESS)
		|| iocp_context_begin(context, NULL) != IOCP_OK) {
		if (context->system)
			CloseHandle(context->system);
		free(context);
		return NULL;
	}
	return context;
}

void iocp_context_detach(void)
{
	iocp_context *context = slot == TLS_OUT_OF_INDEXES ? NULL : TlsGetValue(slot);
	if (context && !context->thread) {
		iocp_context_end(context);
		CloseHandle(context->system);
		free(context);
	}
}

int iocp_context_ended_by_system(DWORD *code)
{
	const iocp_context *context, *own = slot == TLS_OUT_OF_INDEXES ? NULL : TlsGetValue(slot);
	for (context = contexts; context; context = context->next)
		if (context != own && GetExitCodeThread(context->system, code) && *code != STILL_ACTIVE)
			return 1;
	return 0;
}

void iocp_context_count(iocp_handle port, uint32_t *active, uint32_t *released)
{
	const iocp_context *context;
	*active = *released = 0;
	iocp_lock_acquire(&contexts_lock);
	for (context = contexts; context; context = context->next) {
		/* Relaxed, these three: what is true of some recent moment of each thread. */
		if (atomic_load_explicit(&context->belongs_to, memory_order_relaxed) != port
			|| atomic_load_explicit(&context->waiting, memory_order_relaxed))
			continue;
		if (atomic_load_explicit(&context->blocking, memory_order_relaxed))
			++*released;
		else
			++*active;
	}
	iocp_lock_release(&contexts_lock);
}

/* The kernel sees that a thread waits, and lets another in; here it is only counted. */
int iocp_block_enter(void)
{
	iocp_context *context = iocp_context_get();
	if (!context)
		return IOCP_NOMEM;
	atomic_fetch_add_explicit(&context->blocking, 1, memory_order_relaxed);
	return IOCP_OK;
}

void iocp_block_leave(void)
{
	iocp_context *context = iocp_context_have();
	if (context && atomic_load_explicit(&context->blocking, memory_order_relaxed))
		atomic_fetch_sub_explicit(&context->blocking, 1, memory_order_relaxed);
}

/* ---- waking and cancelling --------------------------------------------------------------------------------------- */

static VOID CALLBACK do_nothing(ULONG_PTR parameter)
{
	(void)parameter;
}

void iocp_ring(iocp_context *context)
{
	AcquireSRWLockExclusive(&context->bell.lock);
	context->bell.rung = 1;
	WakeConditionVariable(&context->bell.changed);
	ReleaseSRWLockExclusive(&context->bell.lock);
}

void iocp_nudge(iocp_context *context)
{
	iocp_ring(context);
	QueueUserAPC(do_nothing, context->system, 0); /* fails only for a thread that has ended */
}

void iocp_context_resume(iocp_context *context)
{
	/* Relaxed: whoever cancels anew is ordered behind this by who decides what is cancelled. */
	atomic_fetch_and_explicit(&context->cancelled, ~(uint32_t)IOCP_CANCEL_WORK, memory_order_relaxed);
}

void iocp_context_cancel(iocp_context *context, enum iocp_cancel why)
{
	/* Sequentially consistent, as the load below: see the top of wait.c. Where it is cancelled already, whoever did
	** that nudges: calls would pile up in the kernel for a thread that is cancelled again and again and never waits. */
	if (!(atomic_fetch_or_explicit(&context->cancelled, (uint32_t)why, memory_order_seq_cst) & (uint32_t)why))
		iocp_nudge(context);
}

int iocp_context_cancelled(const iocp_context *context)
{
	return atomic_load_explicit(&context->cancelled, memory_order_seq_cst) && !context->shielded;
}

void iocp_shield(int on)
{
	iocp_context_have()->shielded = on;
}

/* ---- Ctrl-C ------------------------------------------------------------------------------------------------------ */

static BOOL WINAPI on_console_event(DWORD event)
{
	iocp_context *context;
	if (event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT) {
		/* Relaxed: the nudge orders it before the waiter's look. */
		atomic_store_explicit(&interrupted_until, (uint32_t)GetTickCount64() + INTERRUPTING, memory_order_relaxed);
		iocp_lock_acquire(&contexts_lock);
		for (context = contexts; context; context = context->next)
			if (!context->thread)
				iocp_nudge(context);
		iocp_lock_release(&contexts_lock);
	}
	return FALSE; /* to the next handler */
}

int iocp_interrupted_lately(void)
{
	uint32_t until = atomic_load_explicit(&interrupted_until, memory_order_relaxed);
	uint32_t left = until - (uint32_t)GetTickCount64(); /* wraps, as both do */
	return until && left <= INTERRUPTING;
}

const void *iocp_thread_key(void)
{
	return (const void *)(uintptr_t)GetCurrentThreadId();
}
