/*
** wait.c - what every thread is to this library, and how a thread waits.
**
** Ownership: a context is written by its own thread, but for `cancelled`, which any may set, and `served`, which goes
** with a list. Contexts of the module's threads lie in the thread object, others are freed when their thread ends.
**
** Waiting. A wait here is a loop that looks, before each stretch of the system's waiting, at all that may have happened
** meanwhile. Whoever makes something happen (closes the port, cancels the thread, unlocks the heap) first makes it
** visible and then nudges the thread. No wake-up is lost: the waiter's look comes before or after the change. If after,
** it sees it. If before, the nudge comes after that look, and ends the stretch that the thread is in, or is about to
** enter, since a nudge stays until one. A nudge that comes late ends some later stretch, and its wait looks and goes
** on.
**
** A wait for a packet, a time or a thread's end is an alertable one (GetQueuedCompletionStatusEx, SleepEx,
** WaitForSingleObjectEx), and its nudge an asynchronous procedure call that does nothing. So the host's calls run in
** it, too, as they do in such waits of its own. A wait for a locked heap, or for a semaphore, sleeps on a condition
** variable instead, as nobody expects calls of his to run within HeapAlloc, which does not alert either.
**
** Calls and compiled code. A host's call may be a callback of LuaJIT's FFI, which must not run where code that LuaJIT
** compiled is under way: the process would end ("bad callback"). Compiled code enters the library by the FFI only, and
** there all of the heap and every get that does not wait (ms = 0) is safe, since nothing of it is alertable. One that
** waits could be so only if it were woken otherwise: by packets, which other threads of the port would take, or by
** looking around now and then. So lua/iocp/jit.lua asks with ms = 0, and leaves the waiting to the classic method,
** which the interpreter calls, where callbacks may run.
**
** Ctrl-C. The system tells of it in a thread of its own; an interpreter's handler there sets a hook in the main state,
** which waits here. So we have a handler too, which nudges the threads that are not ours; their waits return
** IOCP_INTERRUPTED and their caller runs the hook. Handlers run newest first, so the interpreter's may come after ours:
** for a second those waits are therefore cut short again and again.
*/

#include "windows/windows.h"

#include <math.h>
#include <stdlib.h>

enum { INTERRUPTING = 1000, INTERRUPTED_STRETCH = 10 }; /* ms */

static iocp_lock contexts_lock;
static iocp_context *contexts;
static INIT_ONCE slot_once = INIT_ONCE_STATIC_INIT;
static DWORD slot = TLS_OUT_OF_INDEXES;    /* written once, under slot_once */
static _Atomic uint32_t interrupted_until; /* low 32 bits of GetTickCount64; 0: never */

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

static int interrupted_lately(void)
{
	uint32_t until = atomic_load_explicit(&interrupted_until, memory_order_relaxed);
	uint32_t left = until - (uint32_t)GetTickCount64(); /* wraps, as both do */
	return until && left <= INTERRUPTING;
}

const void *iocp_thread_key(void)
{
	return (const void *)(uintptr_t)GetCurrentThreadId();
}

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

static void end_foreign(iocp_context *context)
{
	iocp_context_end(context);
	CloseHandle(context->system);
	free(context);
}

/* The process ends, and the system has ended all threads but the calling one, wherever they were. What locks they held,
** a heap's in a library's allocator, say, are held for ever, and the libraries that are told after this one would wait
** for them. So if a thread that used this library was ended like that, the process ends here, with the exit code that
** the system gave that thread as well. No lock is taken: nobody else is left. */
static void end_process(void)
{
	const iocp_context *context, *own = TlsGetValue(slot);
	DWORD code;
	for (context = contexts; context; context = context->next)
		if (context != own && GetExitCodeThread(context->system, &code) && code != STILL_ACTIVE)
			TerminateProcess(GetCurrentProcess(), code);
}

/* Only a library is told of these: linked into a program, this is not called, and a context is left for each thread
** that others made. It is not called for the thread that ends the process either. Called under the loader's lock:
** nothing here loads, waits or joins. */
BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, LPVOID reserved)
{
	(void)library;
	if (slot == TLS_OUT_OF_INDEXES)
		return TRUE;
	if (reason == DLL_THREAD_DETACH) {
		iocp_context *context = TlsGetValue(slot);
		if (context && !context->thread)
			end_foreign(context);
	} else if (reason == DLL_PROCESS_DETACH && reserved) {
		end_process();
	}
	return TRUE;
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

/* Ends the stretch of iocp_wait that the thread is in, or its next one. */
static void ring(iocp_context *context)
{
	AcquireSRWLockExclusive(&context->bell.lock);
	context->bell.rung = 1;
	WakeConditionVariable(&context->bell.changed);
	ReleaseSRWLockExclusive(&context->bell.lock);
}

/* The thread's own: until it is rung, or for `ms`. */
static void await_ring(iocp_context *context, DWORD ms)
{
	AcquireSRWLockExclusive(&context->bell.lock);
	if (!context->bell.rung)
		SleepConditionVariableSRW(&context->bell.changed, &context->bell.lock, ms, 0);
	context->bell.rung = 0;
	ReleaseSRWLockExclusive(&context->bell.lock);
}

void iocp_nudge(iocp_context *context)
{
	ring(context);
	QueueUserAPC(do_nothing, context->system, 0); /* fails only for a thread that has ended */
}

void iocp_context_resume(iocp_context *context)
{
	/* Relaxed: whoever cancels anew is ordered behind this by who decides what is cancelled. */
	atomic_fetch_and_explicit(&context->cancelled, ~(uint32_t)IOCP_CANCEL_WORK, memory_order_relaxed);
}

void iocp_context_cancel(iocp_context *context, enum iocp_cancel why)
{
	/* Sequentially consistent, as the load below: see the top. Where it is cancelled already, whoever did that nudges:
	** calls would pile up in the kernel for a thread that is cancelled again and again and never waits. */
	if (!(atomic_fetch_or_explicit(&context->cancelled, (uint32_t)why, memory_order_seq_cst) & (uint32_t)why))
		iocp_nudge(context);
}

int iocp_context_cancelled(const iocp_context *context)
{
	return (int)atomic_load_explicit(&context->cancelled, memory_order_seq_cst);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

void iocp_waiters_push(iocp_waiters *waiters, iocp_context *context)
{
	context->served = 0;
	context->newer = NULL;
	context->older = waiters->newest;
	if (context->older)
		context->older->newer = context;
	else
		waiters->oldest = context;
	waiters->newest = context;
	waiters->count++;
}

void iocp_waiters_remove(iocp_waiters *waiters, iocp_context *context)
{
	if (context->older)
		context->older->newer = context->newer;
	else
		waiters->oldest = context->newer;
	if (context->newer)
		context->newer->older = context->older;
	else
		waiters->newest = context->older;
	waiters->count--;
}

static void serve(iocp_waiters *waiters, iocp_context *context, int result)
{
	iocp_waiters_remove(waiters, context);
	context->served = 1;
	context->result = result;
	ring(context); /* under the lock, which the thread takes before it goes on, and perhaps ends */
}

void iocp_waiters_serve_oldest(iocp_waiters *waiters, iocp_lock *lock, int result)
{
	serve(waiters, waiters->oldest, result);
	iocp_lock_release(lock);
}

void iocp_waiters_serve_all(iocp_waiters *waiters, iocp_lock *lock, int result)
{
	iocp_lock_acquire(lock);
	while (waiters->newest)
		serve(waiters, waiters->newest, result);
	iocp_lock_release(lock);
}

DWORD iocp_stretch(const iocp_context *context, double deadline)
{
	DWORD ms = iocp_remaining(deadline);
	return !context->thread && ms > INTERRUPTED_STRETCH && interrupted_lately() ? INTERRUPTED_STRETCH : ms;
}

int iocp_wait_again(const iocp_context *context, DWORD outcome, double deadline)
{
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	/* The clock is asked again: the system's timeouts may end a tick early. */
	if (deadline != HUGE_VAL && iocp_clock() >= deadline)
		return IOCP_TIMEOUT;
	/* A call of the host's, or of our console handler. */
	if (!context->thread && (outcome == WAIT_IO_COMPLETION || interrupted_lately()))
		return IOCP_INTERRUPTED;
	return IOCP_OK;
}

int iocp_wait(iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, double deadline)
{
	int r, served;
	iocp_block_enter();
	for (;;) {
		iocp_lock_acquire(lock);
		served = context->served;
		r = served ? context->result : iocp_wait_again(context, 0, deadline);
		if (!served && r != IOCP_OK)
			iocp_waiters_remove(waiters, context);
		iocp_lock_release(lock);
		if (served || r != IOCP_OK)
			break;
		await_ring(context, iocp_stretch(context, deadline));
	}
	iocp_block_leave();
	return r;
}

int iocp_waiters_ready(void)
{
	const iocp_context *context = iocp_context_get();
	return !context ? IOCP_NOMEM : iocp_context_cancelled(context) ? IOCP_CANCELLED : IOCP_OK;
}

int iocp_waiters_join(iocp_waiters *waiters, iocp_lock *lock, double ms)
{
	iocp_context *context = iocp_context_have(); /* iocp_waiters_ready made it */
	iocp_waiters_push(waiters, context);
	iocp_lock_release(lock);
	return iocp_wait(context, waiters, lock, iocp_deadline(ms));
}

int iocp_sleep(double ms)
{
	iocp_context *context = iocp_context_get();
	double deadline = iocp_deadline(ms);
	int r;
	if (!context)
		return IOCP_NOMEM;
	if (iocp_context_cancelled(context))
		return IOCP_CANCELLED;
	if (ms == 0) {
		iocp_yield();
		return IOCP_OK;
	}
	iocp_block_enter();
	do
		r = iocp_wait_again(context, SleepEx(iocp_stretch(context, deadline), TRUE), deadline);
	while (r == IOCP_OK);
	iocp_block_leave();
	return r == IOCP_TIMEOUT ? IOCP_OK : r;
}
