/*
** windows.h - what the files of this folder share: time, the kernel's error codes, and the context every thread has.
**
** Included first, because it asks the system's headers for what Windows 7 has; what is newer is looked up at run time.
*/

#ifndef IOCP_WINDOWS_H
#define IOCP_WINDOWS_H

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0601
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif

#include <stddef.h>
#include <stdint.h>
#include <windows.h>

#include "core/api.h"
#include "core/atomic.h"
#include "core/object.h"
#include "core/os.h"

/* ---- system.c: clock, errors, what is looked up ------------------------------------------------------------------ */

/* The moment `ms` from now on iocp_clock; infinite for a negative or NaN `ms`. */
double iocp_deadline(double ms);
/* What is left until then for a wait of the system's: whole milliseconds, rounded up, or INFINITE. */
DWORD iocp_remaining(double deadline);
/* A result code for an error of the system's: IOCP_NOMEM for all that mean it, else the error itself. */
int iocp_system_code(DWORD error);
/* The number (core/io_error.h) of the error that an I/O's final status stands for; 0 for success. */
int32_t iocp_status_code(ULONG_PTR status);
/* How many packets are queued in a kernel's port; -1: it is no completion port. */
long iocp_port_depth(HANDLE port);
/* Queues a packet in a kernel's port, an I/O's error too. IOCP_OK or why not. */
int iocp_port_post(HANDLE port, const iocp_packet *packet);
/* Names the calling thread for debuggers, where the system can. */
void iocp_name_this_thread(const char *name);

/* io_error.c: the number of an error of the system's. */
int iocp_io_error_of(DWORD error);

/* ---- context.c: what a thread is to this library ----------------------------------------------------------------- */

/* Why waits end: for good, or for as long as what the thread does is cancelled. */
enum iocp_cancel { IOCP_CANCEL_THREAD = 1, IOCP_CANCEL_WORK = 2 };

/* Zeroed at birth. The lock is the innermost of all. */
typedef struct iocp_bell {
	SRWLOCK lock;
	CONDITION_VARIABLE changed;
	int rung; /* guarded by the lock */
} iocp_bell;

/* One for every thread that ever waited here, the thread's own except where said. It is what os.h calls a waiter, since
** a thread waits for one thing at a time. */
typedef struct iocp_waiter {
	HANDLE system;                     /* the thread, for QueueUserAPC */
	iocp_thread *thread;               /* the module's thread this is, or NULL for one that others made */
	iocp_heap *locked;                 /* heaps whose lock it holds, with a reference each; see heap/gate.c */
	int served;                        /* what it waited for has come; guarded by the lock of the list it is on, */
	int result;                        /* as is what the one who served it decided: a result code */
	int shielded;                      /* as iocp_shield says */
	_Atomic uint32_t cancelled;        /* bits of enum iocp_cancel, set by any thread */
	_Atomic uint64_t belongs_to;       /* handle of the port that served it last; read by iocp_port_stats */
	_Atomic uint32_t waiting;          /* 1 while it waits on that port; read there too */
	_Atomic uint32_t blocking;         /* depth of iocp_block_enter; read there too */
	iocp_bell bell;                    /* what iocp_wait sleeps on */
	struct iocp_waiter *newer, *older; /* in the list of those who wait for the same */
	void (*unlock_heaps)(struct iocp_waiter *); /* when it ends; NULL: it never locked one */
	struct iocp_waiter *next, *previous;        /* list of all contexts, under context.c's lock */
} iocp_context;

/* The calling thread's context, made at first use; NULL if memory is out. */
iocp_context *iocp_context_get(void);
/* The same, or NULL if it has none. */
iocp_context *iocp_context_have(void);
/* For the module's own threads, whose context is part of the thread object. IOCP_OK or IOCP_NOMEM. */
int iocp_context_begin(iocp_context *context, iocp_thread *thread);
void iocp_context_end(iocp_context *context);
/* Counts the threads that got from the port last and are not waiting on it: those that run and, apart, those in waits
** of ours, for which the kernel lets others run. */
void iocp_context_count(iocp_handle port, uint32_t *active, uint32_t *released);
/* Ends the stretch of waiting that the thread is in or, if it is in none, its next one. It then looks around and goes
** on waiting if it was for nothing. The thread has not ended: the caller holds the lock of a list it is on, or its
** object. */
void iocp_nudge(iocp_context *context);
/* The same for one that waits in iocp_wait. */
void iocp_ring(iocp_context *context);
/* Whether Ctrl-C came a short while ago. */
int iocp_interrupted_lately(void);
/* The calling thread ends: frees its context, if others made it. */
void iocp_context_detach(void);
/* Whether the system has ended a thread, wherever it was, as it does when a process ends; *code is what it gave it. No
** lock is taken: nobody else is left. */
int iocp_context_ended_by_system(DWORD *code);
void iocp_context_cancel(iocp_context *context, enum iocp_cancel why);
/* Takes IOCP_CANCEL_WORK back. */
void iocp_context_resume(iocp_context *context);
int iocp_context_cancelled(const iocp_context *context);

/* ---- wait.c: how a thread waits ---------------------------------------------------------------------------------- */

void iocp_waiters_push(iocp_waiters *waiters, iocp_context *context);
void iocp_waiters_remove(iocp_waiters *waiters, iocp_context *context);
/* Waits to be served, and not alertably: what it is served with, or IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED. The
** caller, on the list since it last held the lock, is off it afterwards. */
int iocp_wait(iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, double deadline);
/* What a wait that has not got what it waits for does next: IOCP_OK (wait again) or how it ends. `outcome` is the
** system's: WAIT_IO_COMPLETION, or WAIT_TIMEOUT. */
int iocp_wait_again(const iocp_context *context, DWORD outcome, double deadline);
/* How long the caller may wait at a stretch. */
DWORD iocp_stretch(const iocp_context *context, double deadline);

/* ---- heap/heap.c ------------------------------------------------------------------------------------------------- */

/* A heap with one reference that no handle and no address names: a port's own. IOCP_NOMEM. */
int iocp_heap_create_private(iocp_heap **heap);

#endif
