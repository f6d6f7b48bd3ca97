/*
** os.h - what the core needs from a backend: a lock, a list of threads that wait, and the system's error texts.
**
** A zeroed iocp_lock is an unlocked one, so a static lock needs no initialisation. It is not recursive, and
** nobody allocates, waits or calls out under it. unlock happens-before the next lock.
*/

#ifndef IOCP_OS_H
#define IOCP_OS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/atomic.h"

#pragma GCC visibility push(hidden)

typedef union iocp_lock {
	_Atomic uint32_t state; /* a futex word on Linux */
	void *slim;             /* an SRWLOCK on Windows */
} iocp_lock;

/* iocp_clock in nanoseconds. */
uint64_t iocp_now(void);

void iocp_lock_acquire(iocp_lock *lock);
void iocp_lock_release(iocp_lock *lock);

/* Threads that wait for the same thing, which has a lock that guards the list. A zeroed one is empty. What a waiter is,
** the backend knows. */
typedef struct iocp_waiters {
	struct iocp_waiter *newest, *oldest;
	uint32_t count;
} iocp_waiters;

/* While it is on, neither a cancel nor a signal ends waits of the calling thread, which has waited before: they count
** afterwards. */
void iocp_shield(int on);
/* IOCP_OK: the calling thread can wait. IOCP_CANCELLED, IOCP_NOMEM. */
int iocp_waiters_ready(void);
/* Waits in the list, after the above; the lock is held, and released here. Returns what the thread is served with, or
** IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED, and it is off the list. Meanwhile it does not count at the port that
** it belongs to, and it belongs to that still. */
int iocp_waiters_join(iocp_waiters *waiters, iocp_lock *lock, double ms);
/* Serves the one that has waited longest with `result`; the lock is held, and released here. */
void iocp_waiters_serve_oldest(iocp_waiters *waiters, iocp_lock *lock, int result);
/* Serves all of them. Takes the lock itself. */
void iocp_waiters_serve_all(iocp_waiters *waiters, iocp_lock *lock, int result);

/* The end of a thread, as an event. IOCP_OK; of one that others made also IOCP_NOMEM, IOCP_INVALID (its HANDLE was
** closed) and the system's code. */
struct iocp_thread;
struct iocp_event;
int iocp_thread_end_event(struct iocp_thread *thread, struct iocp_event **end);

/* That a get would find something in a port. iocp_port_ask has it told (iocp_event_tell) when that is so the next time;
** *ready: it is so now, for a get of the calling thread. With the port's close it happens for good. IOCP_OK,
** IOCP_NOMEM, or the system's code. */
struct iocp_port;
struct iocp_event *iocp_port_ready_event(struct iocp_port *port);
int iocp_port_ask(struct iocp_port *port, int *ready);
/* That there may be room in a port with a capacity, of which it is told again and again; NULL: it has none. */
struct iocp_event *iocp_port_room_event(struct iocp_port *port);

/* Signals of the process, by iocp.h's numbers. From iocp_signal_begin to iocp_signal_end `came` is called for each, in
** a thread without a lock; if it returns 0 nobody wanted it, and it does what it did before. iocp_signals_ready comes
** first, always with the same `came`; IOCP_OK, IOCP_NOMEM or the system's code, as iocp_signal_begin. One thread at a
** time begins and ends. */
int iocp_signals_ready(int (*came)(int signal));
int iocp_signal_begin(int signal);
void iocp_signal_end(int signal);

/* Calls call(data), which may write to what nobody reads from, without the signal that this raises: for libraries that
** write themselves. */
void iocp_run_quietly(void (*call)(void *data), void *data);

/* A child process. Results: IOCP_OK, IOCP_NOMEM, or the number of an I/O error. */
/* OUTPUT: of the errors, where this process' own output goes. */
enum iocp_child_stream_kind {
	IOCP_STREAM_INHERITED = 0,
	IOCP_STREAM_NOTHING = 1,
	IOCP_STREAM_NATIVE = 2,
	IOCP_STREAM_OUTPUT = 3
};
typedef struct iocp_child_stream {
	enum iocp_child_stream_kind kind;
	uintptr_t native; /* a descriptor or HANDLE, which stays the caller's */
} iocp_child_stream;

typedef struct iocp_child_options {
	const char *const *arguments;   /* NULL at the end; the first is the program, found by PATH if it names no folder */
	const char *const *environment; /* "NAME=value", NULL at the end; NULL: as this process */
	const char *directory;          /* where it begins; NULL: as this process */
	iocp_child_stream streams[3];   /* input, output, errors */
} iocp_child_options;

typedef struct iocp_child {
	uint64_t id;
	uintptr_t native;
} iocp_child;

/* It inherits nothing but the streams, and does with signals what programs do at first. */
int iocp_child_start(const iocp_child_options *options, iocp_child *child);
/* Waits until it has ended, for as long as that takes; it keeps its number. */
void iocp_child_await(const iocp_child *child);
/* It has ended: the number may be another's from now on. *code: what it said, 0..2^32-1, or -1: nobody knows, since
** others took that away, or *signal, which is not 0, ended it. */
void iocp_child_forget(const iocp_child *child, int64_t *code, int *signal);
/* Sends it a signal of iocp_child_signal. It was not forgotten. */
int iocp_child_kill(const iocp_child *child, int signal);
/* The signal of that name ("TERM" ...); 0: there is none here. */
int iocp_child_signal(const char *name);
/* "TERM" ...; NULL: it has none. Static. */
const char *iocp_child_signal_name(int signal);
struct iocp_file;
/* A pipe of which a child is to have one end, `theirs`, to read from (or write to); the other one is ours. */
int iocp_child_pipe(int child_reads, struct iocp_file **ours, uintptr_t *theirs);
void iocp_child_close_pipe(uintptr_t theirs);

/* One of a host's addresses. */
typedef struct iocp_host_address {
	char host[64];  /* in digits, with "%scope" where it has one */
	uint16_t port;  /* the service's */
	uint16_t inet6; /* 0 or 1 */
} iocp_host_address;

/* Why there is none. */
enum { IOCP_EAI_NONAME = 1, IOCP_EAI_SERVICE, IOCP_EAI_AGAIN, IOCP_EAI_FAIL, IOCP_EAI_SYSTEM };

/* Asks the system, which may take long, for the addresses of a host and the port of a service (a name, digits, or NULL
** for 0). `digits`: the host is none but an address in digits, and nobody is asked. IOCP_OK: *addresses, from malloc,
** are *count different ones, at least one. IOCP_NOMEM, or one of the above. */
int iocp_system_resolve(
	const char *host, const char *service, int digits, iocp_host_address **addresses, size_t *count);

/* What an address and a port are called. */
typedef struct iocp_host_name {
	char host[1025]; /* NI_MAXHOST */
	char service[32];
} iocp_host_name;

/* Asks the system, which may take long, for the name of an address in digits, and of a port (digits, or the service's
** name). `required`: an address that has none is a failure; else its digits are given back. IOCP_OK, IOCP_NOMEM, or one
** of the above. */
int iocp_system_name(const char *host, const char *service, int required, iocp_host_name *name);

/* Seconds since 1970 of the system's clock, which may be set. */
double iocp_system_time(void);

/* The machine's name; 0: it has none, or none that has room. */
int iocp_system_host_name(char *buffer, size_t size);

/* The same for all calls of a thread while it lives, and for no other thread. (Not a _Thread_local of the core: some
** compilers need a library of their own for that.) */
const void *iocp_thread_key(void);

/* What the system knows an open stream's file by: a descriptor, or a HANDLE. What was written is the system's then. */
uintptr_t iocp_stream_native(FILE *stream);

/* How many columns the terminal has that the standard output (1) or error output (2) is; 0: it is none. */
int iocp_terminal_columns(int descriptor);

/* The numbers of the processors that the calling thread may run on, `capacity` at most; returns how many it wrote. 0:
** the system cannot say. */
size_t iocp_processor_list(uint32_t *numbers, size_t capacity);

/* The system's sentence about its own error code, terminated, cut to size. */
void iocp_system_error_text(int code, char *buffer, size_t size);

#pragma GCC visibility pop

#endif
