/*
** prim.h - the whole contract between src/native and the system under it. A folder each (src/linux) implements it, and
** what core/os.h asks of a backend besides the lock and the waiters, which are built on this.
**
** Nothing here knows a port, a heap or a thread of ours. Any thread may call any of it at any time. Times are
** nanoseconds on a clock that only goes forward.
*/

#ifndef IOCP_NATIVE_PRIM_H
#define IOCP_NATIVE_PRIM_H

#include <pthread.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/atomic.h"

#pragma GCC visibility push(hidden)

/* ---- waiting on a word ------------------------------------------------------------------------------------------- */

#define IOCP_FOREVER INT64_MAX /* a deadline that never comes */

/* Sleeps while *word is `expected`, until a wake, the deadline or a signal; that the word is looked at and the thread
** falls asleep is one step to who changes it and then wakes. Returns 0, ETIMEDOUT, EINTR or EAGAIN (it was not
** `expected`); 0 may be spurious. */
int iocp_prim_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);
/* Wakes at most one sleeper. The word is not accessed, so its memory may be gone. */
void iocp_prim_wake(_Atomic uint32_t *word);

/* ---- time and processors ----------------------------------------------------------------------------------------- */

int64_t iocp_prim_nanoseconds(void);
/* How many processors this process may use, at least 1: those that it may run on, or fewer, if that is all the time it
** is given. */
uint32_t iocp_prim_processors(void);
/* Which one runs the caller; -1: nobody knows. A hint. */
int iocp_prim_processor(void);
void iocp_prim_yield(void);

/* Whether the system can make every running thread of this process pass a full memory barrier. */
int iocp_prim_barrier_works(void);
/* Makes them do so. 0: it did not, since this process denies itself the call by now; from then on the above says no. */
int iocp_prim_barrier(void);
/* Makes them do so without the system's call for it, which takes milliseconds. */
void iocp_prim_barrier_slowly(void);

/* ---- memory ------------------------------------------------------------------------------------------------------ */

enum { IOCP_SMALL_PAGE = 4096, IOCP_HUGE_PAGE = 2 << 20 };

/* Maps `bytes`, a multiple of IOCP_SMALL_PAGE, zeroed, at a multiple of `alignment`, a power of two from
** IOCP_SMALL_PAGE on; of IOCP_HUGE_PAGE for huge pages, if the system has any. Where the system's pages are larger than
** IOCP_SMALL_PAGE, what is left of the last is mapped too. NULL: out of memory. */
void *iocp_prim_map(size_t bytes, size_t alignment);
/* Has the system find memory now for all of what was mapped and is zeroes still. */
void iocp_prim_populate(void *address, size_t bytes);
/* Gives it back: what was mapped as one, or megabytes of it. */
void iocp_prim_unmap(void *address, size_t bytes);
/* Gives back the memory of mapped pages, which are zeroes afterwards unless they are locked in memory. */
void iocp_prim_forget_content(void *address, size_t bytes);
/* Keeps the library that has `inside` in memory until the process ends. 0, or the system's code. */
int iocp_prim_pin(void (*inside)(void));

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* The system's number of the calling thread, never 0. */
uint64_t iocp_prim_thread_id(void);
/* Processors, in the system's own form. */
typedef struct iocp_prim_place {
	uint64_t bits[16];
} iocp_prim_place;

/* Has the calling thread, and those that it creates, run on these processors only. 0, EINVAL (one does not exist, or
** the process may run on none of them), or ENOTSUP: that is not to be had here. `before` is for the next. */
int iocp_prim_move(const uint32_t *processors, size_t count, iocp_prim_place *before);
void iocp_prim_move_back(const iocp_prim_place *before);
/* Moves the priority of the calling thread, which those that it creates have from the start, by -2..2 steps. 0, or the
** system's code, for a step up. `before` is for iocp_prim_restore_priority, which may come after a step up. */
int iocp_prim_move_priority(int steps, int *before);
void iocp_prim_restore_priority(int before);
/* Names the calling thread for debuggers; the system may cut the name. */
void iocp_prim_name_thread(const char *name);

enum iocp_prim_state {
	IOCP_PRIM_RUNS,    /* it is on a processor, or waits for one */
	IOCP_PRIM_BLOCKS,  /* it sleeps, reads, or is stopped */
	IOCP_PRIM_UNKNOWN, /* it cannot be asked now, which says nothing of the next time */
	IOCP_PRIM_UNTOLD   /* there is no such thread, or this system does not tell */
};

/* What the thread of that number does. */
enum iocp_prim_state iocp_prim_thread_state(uint64_t id);
/* Has a signal that nobody handles call `handler` from now on; it ends system calls that block. Its number; 0: none is
** free. */
int iocp_prim_take_signal(void (*handler)(int number));

/* ---- a set of descriptors to wait for ---------------------------------------------------------------------------- */

typedef struct iocp_prim_set {
	int set, alarm; /* the system's own, all of it */
	void *own;
} iocp_prim_set;

enum {
	IOCP_PRIM_READ = 1,  /* there may be something to read, or to accept */
	IOCP_PRIM_WRITE = 2, /* there may be room to write, or a connect has ended */
	IOCP_PRIM_ENDED = 4  /* the peer ended its side, or sent urgent data, before which reads stop short; or the
						 ** descriptor has failed: always asked for */
};

typedef struct iocp_prim_event {
	uint64_t name; /* as given to iocp_prim_set_add; never 0 */
	uint32_t what; /* IOCP_PRIM_*, or'ed */
} iocp_prim_event;

/* 0, or the system's code, as all of them. */
int iocp_prim_set_open(iocp_prim_set *set);
/* Nobody uses it any more. */
void iocp_prim_set_close(iocp_prim_set *set);
/* Edges: an event comes when a descriptor becomes ready, and for what it is when it is added or changed. */
int iocp_prim_set_add(const iocp_prim_set *set, int descriptor, uint32_t what, uint64_t name);
int iocp_prim_set_change(const iocp_prim_set *set, int descriptor, uint32_t what, uint64_t name);
/* What an event told is used up: the next one comes when it is so again. */
void iocp_prim_set_used(const iocp_prim_set *set, int descriptor, uint32_t what);
/* Before the descriptor is closed. */
void iocp_prim_set_remove(const iocp_prim_set *set, int descriptor);
/* Waits for events, `max` at most, and returns how many came: each comes once, to whoever waits. 0: none, and *why is 0
** (the alarm), ETIMEDOUT, or EINTR. A deadline of 0 does not wait. */
size_t iocp_prim_set_wait(const iocp_prim_set *set, iocp_prim_event *events, size_t max, int64_t deadline, int *why);
/* A descriptor that others may wait for, with poll(2) and its like: readable while the set has events, or it is raised.
** Any thread, one at a time. */
typedef struct iocp_prim_pollable {
	int descriptor, raised; /* the system's own */
} iocp_prim_pollable;

int iocp_prim_pollable_open(iocp_prim_pollable *pollable, const iocp_prim_set *set);
void iocp_prim_pollable_close(iocp_prim_pollable *pollable);
void iocp_prim_pollable_raise(const iocp_prim_pollable *pollable);
void iocp_prim_pollable_lower(const iocp_prim_pollable *pollable);
/* Ends the wait of one thread that waits in the set, or that comes next. */
void iocp_prim_set_alarm(const iocp_prim_set *set);
/* `outer` has an event of this name, once, when the set has one or its alarm was raised, or has that already; `tells`
** 0: not any more. 0, or the system's code. */
int iocp_prim_set_tell(const iocp_prim_set *outer, const iocp_prim_set *set, uint64_t name, int tells);
/* Whether a set takes the descriptor: a device that is always ready has no place in one. */
int iocp_prim_set_takes(int descriptor);

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

/* What is opened here is closed by exec. All return -1, and errno, where they fail. */

/* The end to read from, then the one to write to. */
int iocp_prim_pipe(int ends[2]);
/* A file without a name in that folder, to be read and written. */
int iocp_prim_temporary(const char *folder);
/* The same end of a pipe, opened once more with these flags: what is set of one does not hold for the other. */
int iocp_prim_reopen(int descriptor, int flags);
/* Sockets that do not wait; of `type` SOCK_STREAM or SOCK_DGRAM. The pair is of AF_UNIX. */
int iocp_prim_socket(int family, int type);
int iocp_prim_socket_pair(int ends[2]);
int iocp_prim_accept(int listener);
/* Writes to where nobody reads are to raise no signal, where that is said of a descriptor. (Elsewhere it is said with
** each call, or the signal is blocked meanwhile.) */
void iocp_prim_hush(int descriptor);
/* Others' socket is to take MSG_DONTWAIT and MSG_NOSIGNAL for what they say. */
void iocp_prim_adopt_socket(int descriptor);
/* Sends what is in a file from `offset` on to a socket that does not wait: how much. 0: the file ends there. */
ssize_t iocp_prim_send_file(int to, int file, int64_t offset, size_t size);
/* Has what was written reach the device, for a reader of the file. */
int iocp_prim_sync(int descriptor);
/* When the file was written and read last, ns since 1970. */
void iocp_prim_file_times(const struct stat *told, int64_t *modified, int64_t *accessed);

/* ---- child processes --------------------------------------------------------------------------------------------- */

/* What posix_spawn is to do besides; 0, or the system's code. The child begins in that folder. */
int iocp_prim_child_directory(posix_spawn_file_actions_t *actions, const char *path);
/* It inherits its standard streams, as the actions before this have made them, and no more, where the system can be
** told that: `flags` are those of the attributes. Elsewhere also what others did not open with close-on-exec. */
int iocp_prim_child_streams_only(posix_spawn_file_actions_t *actions, short *flags);
/* "NAME=value" each, NULL at the end: this process' own. */
char **iocp_prim_environment(void);

/* ---- reading and writing ----------------------------------------------------------------------------------------- */

/* Whether the next two are to be had of a descriptor with these flags, of F_GETFL. */
int iocp_prim_has_at_once(int flags);
/* As pread and pwrite or, where `offset` is -1, read and write, of as much as needs no wait. -1, and errno is EAGAIN:
** all of it does; EOPNOTSUPP: that cannot be told of this descriptor. */
ssize_t iocp_prim_read_at_once(int descriptor, void *data, size_t size, int64_t offset);
ssize_t iocp_prim_write_at_once(int descriptor, const void *data, size_t size, int64_t offset);

enum iocp_prim_action { IOCP_PRIM_PREAD, IOCP_PRIM_PWRITE, IOCP_PRIM_FDATASYNC };

typedef struct iocp_prim_transfer {
	enum iocp_prim_action action;
	int descriptor;
	void *data;
	size_t size;
	uint64_t offset;
	void *name; /* for whoever asks; not NULL */
} iocp_prim_transfer;

typedef struct iocp_prim_transferred {
	void *name;
	int64_t result; /* bytes, or minus the system's code */
} iocp_prim_transferred;

/* Transfers that the system does by itself, while their descriptors and memory stay. One thread, the same all the time,
** uses it, but for the alarm. */
typedef struct iocp_prim_ring iocp_prim_ring;

enum { IOCP_PRIM_RING_ROOM = 127 /* transfers at a time */ };

/* NULL: there is none on this system, or it is not to be used. */
iocp_prim_ring *iocp_prim_ring_open(void);
void iocp_prim_ring_close(iocp_prim_ring *ring);
/* Begins with the next wait. There are fewer than IOCP_PRIM_RING_ROOM that have not ended. */
void iocp_prim_ring_add(iocp_prim_ring *ring, const iocp_prim_transfer *transfer);
/* Waits until some have ended, `max` at most, and returns how many; 0: the alarm came. */
size_t iocp_prim_ring_wait(iocp_prim_ring *ring, iocp_prim_transferred *ended, size_t max);
/* Ends the wait, or the one that comes next. Any thread. */
void iocp_prim_ring_alarm(iocp_prim_ring *ring);

#pragma GCC visibility pop

#endif
