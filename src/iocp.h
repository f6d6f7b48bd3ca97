/*
** iocp.h - the contract of iocp in C: port, heap and thread, without Lua.
**
** This is what the Lua binding, LuaJIT's FFI and a C host use. Every backend (one folder each) implements all of it
** with the behaviour written here.
**
** Results. A function that can fail returns an int: IOCP_OK (0), one of the negative codes below, or a positive number,
** which is the operating system's own error code (errno on Linux, GetLastError's on Windows). Out parameters are
** written only on IOCP_OK unless said otherwise. No function prints, aborts or calls back unless said otherwise.
**
** References. A port, heap or thread is a reference-counted block of the process. `create`, `open`, `adopt` and
** `retain` give the caller one reference; `release` takes it away. Every other function borrows: the caller holds a
** reference for the length of the call.
**
** Native objects. `native` gives what the system calls the object: on Windows the kernel's HANDLE (a completion port, a
** heap, a thread), on Linux the address of the object here. `adopt` is its inverse; on Windows it also takes a HANDLE
** that other code made, and which is never closed or destroyed here. It must stay open for as long as the object lives;
** only a port's may be closed to end the waits in it, as iocp_port_close does: they return IOCP_ABANDONED, and the
** calls after that IOCP_CLOSED, unless the kernel has given the HANDLE to another port by then. What then lives in a
** heap, or is queued in a port, is what the system says: a block's address that somebody frees meanwhile is not
** noticed. A heap that was made with HEAP_NO_SERIALIZE or HEAP_GENERATE_EXCEPTIONS is not to be adopted.
**
** Threads. Every function may be called from any thread at any time.
**
** On Windows sleeping, joining and a get that waits are alertable: asynchronous procedure calls of the host run in
** them. A get with a timeout of 0 and all functions of a heap are not, also where they wait for a thread that holds
** iocp_heap_lock.
**
** ABI. Within a major version (before 1.0: within a minor one) a program that was compiled against one header runs with
** each later library: functions keep their types and meaning, and constants their values. iocp_packet and iocp_block,
** which are passed in arrays, never change. A struct that may grow begins with its size: the library fills, or reads,
** no more than the caller knows of. The shared library's soname has the major version; all else that is in it is
** hidden.
**
** Linking. On Linux nothing is to be said. On Windows the declarations below import from the DLL; who links the static
** library defines IOCP_STATIC before including this.
**
** Time. A timeout is a double in milliseconds, fractions allowed: 0 does not wait, IOCP_INFINITE (or any negative
** number) waits for ever. A timed wait lasts at least as long as asked.
*/

#ifndef IOCP_H
#define IOCP_H

#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX < UINT64_MAX
#error "iocp needs a 64-bit system: its keys are addresses of 64 bits, and a 32-bit one would cut them"
#endif

#if defined(IOCP_STATIC)
#define IOCP_API
#elif defined(_WIN32) && defined(IOCP_BUILDING)
#define IOCP_API __declspec(dllexport)
#elif defined(_WIN32)
#define IOCP_API __declspec(dllimport)
#else
#define IOCP_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define IOCP_VERSION_MAJOR 0
#define IOCP_VERSION_MINOR 2
#define IOCP_VERSION_PATCH 0
#define IOCP_VERSION "0.2.0" /* the same as text; iocp_version() is that of the library which is loaded */
#define IOCP_INFINITE (-1.0)

/* Result codes. `iocp_error_name` gives the part behind IOCP_, `iocp_error_text` a sentence. */
enum {
	IOCP_OK = 0,
	IOCP_TIMEOUT = -1,   /* the time asked for has passed */
	IOCP_CLOSED = -2,    /* the port was closed before the call */
	IOCP_ABANDONED = -3, /* the port was closed while the call waited */
	IOCP_CANCELLED = -4, /* the calling thread was told to stop: iocp_thread_cancel */
	IOCP_NOMEM = -5,     /* out of memory, or past a heap's maximum */
	IOCP_INVALID = -6,   /* a handle or address that is not (or no longer) a live object of the kind asked for */
	IOCP_ERROR = -7,     /* a thread's body failed */
	/* A signal handler (Windows: an asynchronous procedure call) ran in a thread that is not ours: call again. Never
	** reaches Lua scripts. */
	IOCP_INTERRUPTED = -8
};

typedef struct iocp_port iocp_port;
typedef struct iocp_heap iocp_heap;
typedef struct iocp_thread iocp_thread;
typedef struct iocp_socket iocp_socket;
typedef struct iocp_file iocp_file;
typedef struct iocp_atomic iocp_atomic;
typedef struct iocp_dict iocp_dict;
typedef struct iocp_array iocp_array;

/* A name for a live object: below 2^52, so that a double holds it exactly; never given to a second object. */
typedef uint64_t iocp_handle;

/* A name for a packet that is to be posted later; never 0, and not given to a second one before 2^32 others had it. */
typedef uint64_t iocp_timer;

/* One entry of a port's queue. Nothing in it is ever dereferenced by the port. */
typedef struct iocp_packet {
	uintptr_t key;        /* completion key: any value, mostly a block's address */
	uintptr_t overlapped; /* any value, 0 for none */
	uint32_t bytes;       /* number of bytes transferred: any value */
	int32_t code;         /* 0, or the number of what an I/O failed with: iocp_io_error_name; of packets you post: 0 */
} iocp_packet;

typedef struct iocp_port_info {
	size_t size;          /* yours: sizeof(iocp_port_info), before the call */
	uint64_t queued;      /* packets waiting now */
	uint64_t peak;        /* the most that ever waited */
	uint64_t posted;      /* packets ever accepted */
	uint64_t dequeued;    /* packets ever delivered */
	uint32_t waiting;     /* threads parked in a get */
	uint32_t active;      /* threads that got here last, have not come back to wait, and do not block */
	uint32_t released;    /* the same, but they block, and others may run in their place (Windows: in our own waits) */
	uint32_t concurrency; /* the limit given at creation, or the number of processors */
	uint32_t closed;      /* 0 or 1 */
	uint32_t sees_blocking; /* 1: threads that block in foreign code are noticed; 0: there is no /proc to tell */
} iocp_port_info;

typedef struct iocp_heap_info {
	size_t size;         /* yours: sizeof(iocp_heap_info), before the call */
	uint64_t blocks;     /* live blocks */
	uint64_t bytes;      /* the sum of their sizes as asked for */
	uint64_t peak_bytes; /* the highest `bytes` seen; exact to within what threads hold in their magazines */
	uint64_t reserved;   /* bytes of address space mapped for the heap (Windows: a lower bound) */
} iocp_heap_info;

typedef struct iocp_block {
	uintptr_t address;
	size_t size;
} iocp_block;

enum { IOCP_ZERO = 1 }; /* heap flag: clear the memory that is new to the caller */

enum { /* iocp_thread_status */
	IOCP_SUSPENDED = 0,
	IOCP_RUNNING = 1,
	IOCP_FINISHED = 2,
	IOCP_FAILED = 3,
	IOCP_STOPPED = 4 /* ended by cancellation */
};

/* What a thread runs. Returns IOCP_OK, or a code that says how it ended: IOCP_CANCELLED makes the status
** IOCP_STOPPED, any other code IOCP_FAILED. */
typedef int (*iocp_thread_main)(iocp_thread *thread, void *data);

typedef struct iocp_thread_options {
	size_t size; /* sizeof(iocp_thread_options); 0: those that end with `suspended` */
	iocp_thread_main main;
	void *data;                  /* given to `main` */
	void (*destroy)(void *data); /* called once with the last reference, in whichever thread drops it; may be NULL */
	const char *name;            /* for debuggers, UTF-8, copied; NULL for "iocp". Systems cut it (Linux: 15 bytes) */
	size_t stack_size;           /* bytes; 0 for 2 MiB; raised to 256 KiB, or the system's minimum */
	int suspended;               /* 1: it does not start before iocp_thread_resume */
	const uint32_t *processors;  /* the numbers of those it may run on, copied; NULL: as the thread that makes it */
	size_t processor_count;
	int priority; /* -2..2: so many steps below or above the thread that makes it. On Linux a step is 5 of `nice`, and
				  ** to go up needs the right to */
} iocp_thread_options;

/* ---- process ----------------------------------------------------------------------------------------------------- */

IOCP_API const char *iocp_version(void);
/* "TIMEOUT" and so on for a negative code, NULL for any other. The string is static. */
IOCP_API const char *iocp_error_name(int code);
/* Writes a sentence about `code` (negative: ours, positive: the system's) into buffer[0..size-1], always terminated. */
IOCP_API void iocp_error_text(int code, char *buffer, size_t size);
/* What an I/O failed with has a number, the same on every system: Linux's errno if POSIX has a name for it, else
** IOCP_IO_OTHER + the system's own code; never above 65535. The name ("ECONNRESET" ...) is NULL for the latter; it is
** static. */
enum { IOCP_IO_NAMED = 256 /* numbers with a name are below */, IOCP_IO_OTHER = 32768 };
IOCP_API const char *iocp_io_error_name(int number);
/* As iocp_error_text. */
IOCP_API void iocp_io_error_text(int number, char *buffer, size_t size);
/* The number of processors this process may run on, at least 1. */
IOCP_API uint32_t iocp_processors(void);
/* Monotonic time in milliseconds from an arbitrary start. */
IOCP_API double iocp_clock(void);
/* IOCP_OK after `ms`; IOCP_CANCELLED or IOCP_INTERRUPTED earlier. 0 yields. Source: Microsoft's Sleep. */
IOCP_API int iocp_sleep(double ms);
/* Lets another ready thread run. Source: Microsoft's SwitchToThread. */
IOCP_API void iocp_yield(void);
/* Keeps the library that holds this code in memory until the process ends; threads may be inside it at any time.
** IOCP_OK or the system's code. Calling it again is harmless. */
IOCP_API int iocp_pin(void);

/* ---- signals ----------------------------------------------------------------------------------------------------- */

/* What a user or the system asks of the process. Windows: Ctrl-C, the system's shutdown, the console's end, Ctrl-Break;
** after the second and third the system gives the process some seconds. Linux: SIGINT, SIGTERM, SIGHUP, and the last
** never comes. */
enum { IOCP_SIGNAL_INT = 1, IOCP_SIGNAL_TERM = 2, IOCP_SIGNAL_HUP = 3, IOCP_SIGNAL_BREAK = 4 };
/* From now on, until iocp_timer_cancel, each such signal posts a packet with 0 bytes to the port, and to each other
** that asked, and does nothing else: Ctrl-C interrupts nothing. When the last one has left, by cancel or because its
** port was closed when a signal came, the signal does what it did before, unless a handler was set meanwhile; nor is
** one lost that came before. A reference to the port is kept. IOCP_INVALID: no such signal; IOCP_NOMEM, or the
** system's code. Source: Microsoft's SetConsoleCtrlHandler, sigaction(2). */
IOCP_API int iocp_signal_notify(int signal, iocp_port *port, uintptr_t key, uintptr_t overlapped, iocp_timer *timer);

/* ---- completion port --------------------------------------------------------------------------------------------- */

/* A new port. concurrency: how many threads may work on its packets at a time, 0 (the number of processors) .. 2^32-1;
** doc/concurrency.md has the rules. IOCP_NOMEM. Source: Microsoft's CreateIoCompletionPort. */
IOCP_API int iocp_port_create(uint32_t concurrency, iocp_port **port);
/* One more reference by handle. IOCP_INVALID: no live port answers to it. */
IOCP_API int iocp_port_open(iocp_handle handle, iocp_port **port);
/* One more reference by what iocp_port_native gave, or a new port over a HANDLE, whose concurrency is not known.
** Closing that wakes who waits here, and leaves the queue to the HANDLE's owner. IOCP_INVALID: no live port is there;
** nothing is dereferenced. IOCP_NOMEM. */
IOCP_API int iocp_port_adopt(const void *native, iocp_port **port);
IOCP_API iocp_port *iocp_port_retain(iocp_port *port);
/* Drops a reference; the last one frees the port and discards its packets. NULL is allowed. */
IOCP_API void iocp_port_release(iocp_port *port);
IOCP_API iocp_handle iocp_port_handle(const iocp_port *port);
/* NULL once it is closed: the system may give the HANDLE to somebody else. */
IOCP_API void *iocp_port_native(iocp_port *port);
/* Posts one packet; never blocks. If a thread is parked in a get the newest of them receives it, else it is queued.
** IOCP_CLOSED, IOCP_NOMEM (nothing is queued then). IOCP_INVALID: on Windows, an `overlapped` that is one of the
** addresses which the library keeps for operations of I/O. Source: Microsoft's PostQueuedCompletionStatus. */
IOCP_API int iocp_port_enqueue(iocp_port *port, uintptr_t key, uint32_t bytes, uintptr_t overlapped);
/* Posts packets[0..count-1] in this order: all of them or, on failure, none; on Windows, whose kernel takes one at a
** time, those before the one that failed are queued. */
IOCP_API int iocp_port_enqueue_many(iocp_port *port, const iocp_packet *packets, size_t count);
/* From now on, for as long as it lives, the port has a capacity: who posts reserves room for a packet first, which
** there is while fewer packets are queued, and reserved, than that. iocp_port_enqueue does not ask for it, nor do I/O,
** timers and notifications: what they post passes the capacity. `ms`: for how long scripts that post wait. To be called
** once, before others know the port; capacity >= 1. IOCP_INVALID, IOCP_NOMEM. */
IOCP_API int iocp_port_set_capacity(iocp_port *port, uint64_t capacity, double ms);
/* 0: it has none; else *ms, if `ms` is not NULL, is what was given above. */
IOCP_API uint64_t iocp_port_capacity(const iocp_port *port, double *ms);
/* Reserves room for one packet, waiting up to `ms`, first come, first served; a thread that waits counts at no port
** meanwhile. IOCP_OK: iocp_port_unreserve is to be called once the packet is posted, or given up. A port without a
** capacity has room. IOCP_TIMEOUT: it is full; IOCP_CLOSED, IOCP_ABANDONED, IOCP_CANCELLED, IOCP_INTERRUPTED,
** IOCP_NOMEM. */
IOCP_API int iocp_port_reserve(iocp_port *port, double ms);
IOCP_API void iocp_port_unreserve(iocp_port *port);
/* Takes the oldest packet, waiting up to `ms` for one. IOCP_TIMEOUT, IOCP_CLOSED, IOCP_ABANDONED, IOCP_CANCELLED,
** IOCP_NOMEM, IOCP_INTERRUPTED: `packet` is untouched. Source: Microsoft's GetQueuedCompletionStatus. */
IOCP_API int iocp_port_dequeue(iocp_port *port, iocp_packet *packet, double ms);
/* Takes up to `max` (>= 1) packets in order; waits only for the first. On IOCP_OK *count is 1..max.
** Source: Microsoft's GetQueuedCompletionStatusEx. */
IOCP_API int iocp_port_dequeue_many(iocp_port *port, iocp_packet *packets, size_t max, size_t *count, double ms);
/* Takes the oldest packet that a get with a timeout of 0 would, but goes on belonging to the port that the thread last
** got from, and takes no slot of this one: for schedulers, whose thread gets from a port of its own. IOCP_TIMEOUT,
** IOCP_CLOSED, IOCP_CANCELLED, IOCP_NOMEM: `packet` is untouched. */
IOCP_API int iocp_port_pick(iocp_port *port, iocp_packet *packet);
/* Gives packets taken but not used back to the head of the queue, in their order; on Windows, whose kernel appends,
** behind it. On a closed port they are dropped as the queue was. IOCP_NOMEM: none is queued. */
IOCP_API int iocp_port_putback(iocp_port *port, const iocp_packet *packets, size_t count);
/* Closes: waiting threads return IOCP_ABANDONED, later calls IOCP_CLOSED, queued packets are discarded, the handle is
** never valid again. Closing again does nothing. Source: Microsoft's CloseHandle on a completion port. */
IOCP_API void iocp_port_close(iocp_port *port);
/* Fills info->size bytes of *info at most. */
IOCP_API void iocp_port_stats(iocp_port *port, iocp_port_info *info);
/* Posts one packet with 0 bytes to `target` when a get from `port` with a timeout of 0 would not be IOCP_TIMEOUT, at
** once if it would not now, in the calling thread; or when the port is closed. It says "look": threads parked in the
** port come first, and who finds nothing asks again. Needs no thread. A reference to the target is kept until then.
** *timer: for iocp_timer_cancel. IOCP_INVALID: this target is to be told already; IOCP_NOMEM. Source: Microsoft's
** RegisterWaitForSingleObject. */
IOCP_API int iocp_port_notify(
	iocp_port *port, iocp_port *target, uintptr_t key, uintptr_t overlapped, iocp_timer *timer);
/* A descriptor for other event loops, which is readable while packets are queued, I/O that is associated with the port
** is ready, or the port is closed: then a get with a timeout of 0 finds them, or another thread was first (readable
** again, where that left something). The port's own; it lives as long. Linux.
** IOCP_NOMEM; IOCP_INVALID: this system has none; or the system's code. */
IOCP_API int iocp_port_pollfd(iocp_port *port, int *descriptor);
/* on = 1, as at first: a thread that waits here looks for a packet for a few microseconds before it sleeps, if that has
** paid lately. 0: it sleeps at once. Nothing changes on Windows, where the kernel decides. */
IOCP_API void iocp_port_set_spin(iocp_port *port, int on);
/* From now on `peak` is the most that waits from now on. */
IOCP_API void iocp_port_reset_peak(iocp_port *port);
/* The port's own heap: made with the first call, freed with the port, borrowed like the port itself. No handle and no
** address names it, so only who holds the port can reach its blocks. IOCP_NOMEM. IOCP_INVALID: a port over a HANDLE of
** other code has none, since its queue outlives it. */
IOCP_API int iocp_port_heap(iocp_port *port, iocp_heap **heap);
/* What the port calls with `data`, from then on, for each packet that it drops: queued ones when it is closed or its
** last reference goes, and those put back after a close. Called without any lock, in the thread that closes, releases
** or puts back, while the port's heap is still there; with the last reference gone, iocp_port_heap is all that may be
** done with the port. NULL, as at first: nothing is called. `data` lives as long as the port. */
typedef void (*iocp_discard)(iocp_port *port, const iocp_packet *packet, void *data);
IOCP_API void iocp_port_set_discard(iocp_port *port, iocp_discard discard, void *data);
/* The same for those packets alone whose `overlapped` is this one, not 0, and in the place of the above: for who posts
** packets of a kind of their own among others', as the Lua binding posts its messages. IOCP_INVALID: the port's packets
** have another such kind; a port has room for one, and keeps what was set first. */
IOCP_API int iocp_port_set_discard_of(iocp_port *port, uintptr_t overlapped, iocp_discard discard, void *data);

/* Posts a packet once `ms` (>= 0; NaN counts as 0) have passed, from a thread of the library's own. The timer keeps a
** reference to the port until then; a packet for a port that is closed by then is dropped. IOCP_NOMEM, or the system's
** code if the library's thread cannot be made. Source: Microsoft's CreateTimerQueueTimer. */
IOCP_API int iocp_port_enqueue_after(iocp_port *port, const iocp_packet *packet, double ms, iocp_timer *timer);
/* IOCP_OK: the packet will never arrive. IOCP_INVALID: it was posted, or cancelled, before. For what iocp_thread_notify
** is to post, too. */
IOCP_API int iocp_timer_cancel(iocp_timer timer);

/* Around a stretch in which the calling thread blocks: between the two it does not count at the port that it got from
** last, so another may run. They nest. For waits of this library they are called already. On Windows the kernel sees
** every wait by itself. IOCP_NOMEM (then do not call leave). Source: Microsoft's "I/O Completion Ports", threads and
** concurrency. */
IOCP_API int iocp_block_enter(void);
IOCP_API void iocp_block_leave(void);

/* ---- heap -------------------------------------------------------------------------------------------------------- */

/* A new heap. initial: bytes to map ahead; maximum: what the blocks may take together, 0 for no limit. A maximum
** counts whole blocks, rounded up to the heap's size classes. IOCP_NOMEM. Source: Microsoft's HeapCreate. */
IOCP_API int iocp_heap_create(size_t initial, size_t maximum, iocp_heap **heap);
/* One more reference to the process' own heap, which is made with the first call and cannot be destroyed. IOCP_NOMEM.
** Source: Microsoft's GetProcessHeap. */
IOCP_API int iocp_heap_process(iocp_heap **heap);
IOCP_API int iocp_heap_open(iocp_handle handle, iocp_heap **heap);
/* As iocp_port_adopt. A heap over a HANDLE cannot be destroyed, and its figures are those of all its blocks. */
IOCP_API int iocp_heap_adopt(const void *native, iocp_heap **heap);
IOCP_API iocp_heap *iocp_heap_retain(iocp_heap *heap);
/* Drops a reference; the last one destroys the heap and all its blocks. NULL is allowed. */
IOCP_API void iocp_heap_release(iocp_heap *heap);
IOCP_API iocp_handle iocp_heap_handle(const iocp_heap *heap);
/* NULL once it is destroyed. */
IOCP_API void *iocp_heap_native(iocp_heap *heap);
/* In all that follows: IOCP_INVALID means that the heap was destroyed or that `address` is not a live block of this
** heap (freed, foreign, inside a block); such an address is never read. IOCP_CANCELLED means that the calling thread
** was cancelled while it waited for a thread that holds iocp_heap_lock, IOCP_INTERRUPTED that a signal came
** meanwhile. */
/* A block of `size` bytes (0 allowed), 16-byte aligned. IOCP_NOMEM. Source: Microsoft's HeapAlloc. */
IOCP_API int iocp_heap_alloc(iocp_heap *heap, size_t size, int flags, void **address);
/* Resizes, moving if it must; with IOCP_ZERO the new tail is cleared. NULL allocates. On failure the block is as
** it was. IOCP_INVALID also while an operation uses the block. Source: Microsoft's HeapReAlloc. */
IOCP_API int iocp_heap_realloc(iocp_heap *heap, void *address, size_t size, int flags, void **moved);
/* Frees a block from any thread. NULL is allowed. IOCP_INVALID also while an operation uses the block. Source:
** Microsoft's HeapFree. */
IOCP_API int iocp_heap_free(iocp_heap *heap, void *address);
/* The size asked for. Source: Microsoft's HeapSize. */
IOCP_API int iocp_heap_size(iocp_heap *heap, const void *address, size_t *size);
/* Copies between a block and a buffer of the caller's; IOCP_INVALID also if offset + length passes the block's end. */
IOCP_API int iocp_heap_read(iocp_heap *heap, const void *address, size_t offset, void *buffer, size_t length);
IOCP_API int iocp_heap_write(iocp_heap *heap, void *address, size_t offset, const void *buffer, size_t length);
/* A new block with a copy of `size` bytes at `data`. IOCP_NOMEM. */
IOCP_API int iocp_heap_put(iocp_heap *heap, const void *data, size_t size, void **address);
/* NULL: checks the whole heap's structure. Else: whether a live block starts at `address`. IOCP_OK or IOCP_INVALID.
** Source: Microsoft's HeapValidate. */
IOCP_API int iocp_heap_validate(iocp_heap *heap, const void *address);
/* Writes up to `capacity` live blocks to blocks[] and their true number to *count, as of one moment.
** Source: Microsoft's HeapWalk. */
IOCP_API int iocp_heap_walk(iocp_heap *heap, iocp_block *blocks, size_t capacity, size_t *count);
/* Keeps all other threads out of the heap until as many unlocks; recursive. A thread that ends unlocks, and until then
** the lock keeps the heap alive.
** On Windows also what others do with the HANDLE waits, but not with that of the process' own heap: malloc is there.
** IOCP_CANCELLED, IOCP_INTERRUPTED, IOCP_NOMEM. Source: Microsoft's HeapLock. */
IOCP_API int iocp_heap_lock(iocp_heap *heap);
/* IOCP_INVALID: the calling thread does not hold the lock. Source: Microsoft's HeapUnlock. */
IOCP_API int iocp_heap_unlock(iocp_heap *heap);
/* Fills info->size bytes of *info at most. */
IOCP_API int iocp_heap_stats(iocp_heap *heap, iocp_heap_info *info);
/* Frees every block and gives the memory back to the system; the handle is never valid again. Operations that use its
** blocks are cancelled, and the memory goes back when the last has ended, which nobody waits for. IOCP_INVALID: it was
** destroyed before, or is the process' or a port's own. Waits for a thread that holds the lock. Source: Microsoft's
** HeapDestroy. */
IOCP_API int iocp_heap_destroy(iocp_heap *heap);

/* ---- thread ------------------------------------------------------------------------------------------------------ */

/* A new thread. IOCP_NOMEM or the system's code; `destroy` is then not called. IOCP_INVALID: the options are of a
** newer version than the library, a processor does not exist, or the process may run on none of them; as the
** system's code if it may not raise the priority, that may also come from resume. The thread holds a reference to
** itself while it runs. On Linux it has the caller's signal mask. Source: Microsoft's CreateThread, _beginthreadex. */
IOCP_API int iocp_thread_create(const iocp_thread_options *options, iocp_thread **thread);
IOCP_API int iocp_thread_open(iocp_handle handle, iocp_thread **thread);
/* As iocp_port_adopt. A thread over a HANDLE can be joined and has a status and a number, no more. */
IOCP_API int iocp_thread_adopt(const void *native, iocp_thread **thread);
IOCP_API iocp_thread *iocp_thread_retain(iocp_thread *thread);
/* Drops a reference. A suspended thread whose last reference goes never runs. NULL is allowed. */
IOCP_API void iocp_thread_release(iocp_thread *thread);
IOCP_API iocp_handle iocp_thread_handle(const iocp_thread *thread);
IOCP_API void *iocp_thread_native(iocp_thread *thread);
/* Starts a suspended thread. IOCP_INVALID: it was started before; else as iocp_thread_create, and it stays suspended.
** Source: Microsoft's ResumeThread. */
IOCP_API int iocp_thread_resume(iocp_thread *thread);
/* Waits until the thread has ended: IOCP_OK; IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED. A thread that joins
** itself gets IOCP_INVALID. Source: Microsoft's WaitForSingleObject. */
IOCP_API int iocp_thread_join(iocp_thread *thread, double ms);
/* Posts one packet with 0 bytes when the thread has ended, or its last reference has gone before it was started; at
** once if it has. A reference to the port is kept until then; a packet for a port that is closed by then is dropped.
** *timer: for iocp_timer_cancel; 0, which names nothing, if it was posted at once. IOCP_NOMEM; of an adopted thread
** also IOCP_INVALID (its HANDLE was closed) and the system's code. Source: Microsoft's RegisterWaitForSingleObject. */
IOCP_API int iocp_thread_notify(
	iocp_thread *thread, iocp_port *port, uintptr_t key, uintptr_t overlapped, iocp_timer *timer);
/* From now on every wait of this library in that thread returns IOCP_CANCELLED, the one it is in included. */
IOCP_API void iocp_thread_cancel(iocp_thread *thread);
/* The same for what the thread does at the moment: `on` = 0 takes it back, and leaves what iocp_thread_cancel did. */
IOCP_API void iocp_thread_cancel_work(iocp_thread *thread, int on);
/* Calls function(thread) on behalf of the thread between two of its instructions (Linux: in a signal handler that runs
** in it; Windows: in the calling thread, while that one is stopped), so the function may only do what a signal handler
** may. IOCP_INVALID: it is not running; the system's code: it cannot be interrupted here. */
IOCP_API int iocp_thread_interrupt(iocp_thread *thread, void (*function)(iocp_thread *thread));
IOCP_API int iocp_thread_status(const iocp_thread *thread);
/* The system's number of the running or ended thread, 0 before it has started. */
IOCP_API uint64_t iocp_thread_id(const iocp_thread *thread);
IOCP_API const char *iocp_thread_name(const iocp_thread *thread);
/* `main` and `data` of its options: whoever opens a thread by its handle can tell whose it is. */
IOCP_API iocp_thread_main iocp_thread_body(const iocp_thread *thread);
IOCP_API void *iocp_thread_data(const iocp_thread *thread);
/* The thread that calls, borrowed, or NULL if it was not made by iocp_thread_create. */
IOCP_API iocp_thread *iocp_thread_current(void);
/* 1 if the calling thread is cancelled, for good or in what it does at the moment. */
IOCP_API int iocp_thread_cancelled(void);
/* The address of a 32-bit word, the calling thread's for its life, that is not 0 while that is so: for loops that look
** often. Other threads write it; it is to be read atomically. NULL: out of memory. */
IOCP_API const void *iocp_thread_cancel_word(void);

/* ---- socket ------------------------------------------------------------------------------------------------------ */

/* Results. In this part a positive result is the number of an I/O error: iocp_io_error_name.
**
** Operations. A socket is associated with a port once. An operation names what it reads or fills, and returns at once;
** when it is done one packet comes to the port: the key of the association, the bytes that were transferred, the
** operation's `overlapped`, and `code`, the number of what it failed with or 0. None comes after a call that did not
** return IOCP_OK, none if the port is closed meanwhile. With `done`, which may be NULL, a caller says that it wants no
** packet for what is done at once: *done is then the bytes transferred, and what fails at once is the call's result;
** -1: the packet is to come.
**
** Memory. `address` is a live block of any heap of the process, its `at`..`at + size - 1` what is transferred. Until
** the operation has ended the block is busy: it cannot be freed or resized (IOCP_INVALID), and iocp_heap_destroy
** cancels the operation and gives the memory back when that has ended. Any number of operations may send from a block
** at once; one that receives needs it alone. IOCP_INVALID: not a live block, busy, or not that large; `size` is
** 1..2^31-2, or IOCP_REST: as many as the block has from `at` on.
**
** Order. What one socket sends goes out whole and in the order of the calls, what it receives is filled in that order.
** A send that fails, or is cancelled when a part of it went out, ends the write side: those behind it fail with the
** same number. A cancelled or failed operation's bytes are those that were transferred before.
**
** An associated socket is kept open by the association, until iocp_socket_close or the port's end. One that is not is
** closed with its last reference. After its port's end every operation is IOCP_CLOSED. IOCP_INVALID: it is closed, or
** not associated. */
enum { IOCP_INET = 1, IOCP_INET6 = 2, IOCP_UNIX = 3 }; /* a socket's family */
enum { IOCP_STREAM = 1, IOCP_DATAGRAM = 2 };           /* and type */
enum { IOCP_PEER = 32 };                               /* bytes of a peer's address, before a datagram's data */
#define IOCP_REST SIZE_MAX                             /* a size: see above; of a datagram: from IOCP_PEER on */
enum { IOCP_SIDE_READ = 1, IOCP_SIDE_WRITE = 2 };

enum iocp_socket_option {
	IOCP_OPTION_NODELAY = 1, /* 0 or 1, as all that do not say otherwise */
	IOCP_OPTION_KEEPALIVE,   /* 0, or the seconds without traffic until the peer is asked whether it is there */
	IOCP_OPTION_REUSEADDR,   /* on Windows a stream keeps it for itself: there it would take others' ports */
	IOCP_OPTION_REUSEPORT,   /* Windows: IOCP_ENOPROTOOPT's number */
	IOCP_OPTION_BROADCAST,
	IOCP_OPTION_LINGER, /* -1: off; seconds that the system's close goes on with what is unsent; 0: it resets */
	IOCP_OPTION_SNDBUF, /* bytes */
	IOCP_OPTION_RCVBUF,
	IOCP_OPTION_V6ONLY
};

/* A new socket, which children do not inherit. inet6 takes inet's peers too. Source: Microsoft's WSASocketW, socket(2).
** IOCP_INVALID: no such family or type; IOCP_NOMEM. */
IOCP_API int iocp_socket_create(int family, int type, iocp_socket **socket);
/* Two stream sockets that are connected to each other. Source: socketpair(2). */
IOCP_API int iocp_socket_pair(iocp_socket *pair[2]);
IOCP_API int iocp_socket_open(iocp_handle handle, iocp_socket **socket);
/* A socket over a descriptor (Windows: a SOCKET) that other code made: it is never closed here, nor made non-blocking,
** and its owner closes it after iocp_socket_close. Where a live socket stands for it already, that one, with one more
** reference. IOCP_INVALID: it is no socket; on Windows, it is associated with another port, or not overlapped. */
IOCP_API int iocp_socket_adopt(uintptr_t native, iocp_socket **socket);
IOCP_API iocp_socket *iocp_socket_retain(iocp_socket *socket);
IOCP_API void iocp_socket_release(iocp_socket *socket);
IOCP_API iocp_handle iocp_socket_handle(const iocp_socket *socket);
/* 1 until iocp_socket_close, then 0. One load: for who keeps what it opened, and finds it by a packet's key. */
IOCP_API int iocp_socket_is_open(const iocp_socket *socket);
/* The descriptor or SOCKET; UINTPTR_MAX once it is closed. */
IOCP_API uintptr_t iocp_socket_native(iocp_socket *socket);
/* Closes, but leaves the descriptor open, and gives it to the caller: for libraries that own theirs. IOCP_INVALID: it
** is closed, or adopted; on Windows always, where a socket completes to its port for life. */
IOCP_API int iocp_socket_detach(iocp_socket *socket, uintptr_t *native);
/* What its operations complete to, and with which key. IOCP_INVALID: it is closed, or associated already. IOCP_CLOSED:
** the port is. Source: Microsoft's CreateIoCompletionPort. */
IOCP_API int iocp_socket_associate(iocp_socket *socket, iocp_port *port, uintptr_t key);
/* `host`: digits ("127.0.0.1", "::1", "fe80::1%eth0"), NULL for any; of a unix socket its path, and port 0.
** IOCP_EINVAL's number: not such an address. Source: bind(2). */
IOCP_API int iocp_socket_bind(iocp_socket *socket, const char *host, uint16_t port);
/* backlog: how many connections wait to be accepted, 0 for the system's most. Source: listen(2). */
IOCP_API int iocp_socket_listen(iocp_socket *socket, int backlog);
/* Its own address (peer 0) or its peer's (1): writes `host`, terminated, and *port. A unix socket's host is its path,
** or empty. 108 bytes are enough. */
IOCP_API int iocp_socket_address(iocp_socket *socket, int peer, char *host, size_t size, uint16_t *port);
IOCP_API int iocp_socket_get_option(iocp_socket *socket, enum iocp_socket_option option, int *value);
IOCP_API int iocp_socket_set_option(iocp_socket *socket, enum iocp_socket_option option, int value);
/* A datagram socket joins a multicast group, or leaves it (join 0). `through`: the host of one of this machine's
** interfaces (inet) or its number as digits (inet6); NULL: the system chooses. */
IOCP_API int iocp_socket_multicast(iocp_socket *socket, const char *group, const char *through, int join);

/* The next connection becomes `client`, which is fresh: created, and neither bound nor associated. When it is done the
** client is associated, its key its own handle: with `port` or, if that is NULL, with the listener's; with
** IOCP_UNASSOCIATED in flags with none. The operation keeps a reference to it. Accepted without a port it stays open
** all the same, if a packet tells of it, until it is associated, closed, or the listener's port ends; done at once it
** is open as long as its references. IOCP_INVALID: it is not fresh. Source: Microsoft's AcceptEx. */
enum { IOCP_UNASSOCIATED = 1 };
IOCP_API int iocp_socket_accept(
	iocp_socket *socket, iocp_socket *client, iocp_port *port, int flags, uintptr_t overlapped, int64_t *done);
/* Source: Microsoft's ConnectEx. */
IOCP_API int iocp_socket_connect(
	iocp_socket *socket, const char *host, uint16_t port, uintptr_t overlapped, int64_t *done);
/* Completes with what is there, `size` bytes at most; with 0: nothing comes any more. Source: Microsoft's WSARecv. */
IOCP_API int iocp_socket_receive(
	iocp_socket *socket, void *address, size_t at, size_t size, uintptr_t overlapped, int64_t *done);
/* Completes when the system has taken all of it. Source: Microsoft's WSASend. */
IOCP_API int iocp_socket_send(
	iocp_socket *socket, const void *address, size_t at, size_t size, uintptr_t overlapped, int64_t *done);
/* The same of memory of the caller's (0..2^31-2 bytes), which is copied as far as it is not sent at once. */
IOCP_API int iocp_socket_send_copy(
	iocp_socket *socket, const void *data, size_t size, uintptr_t overlapped, int64_t *done);
/* Sends `size` bytes of a file (Windows: a HANDLE) from `offset` on. The file stays open until the packet has come.
** Source: Microsoft's TransmitFile, sendfile(2). */
IOCP_API int iocp_socket_send_file(
	iocp_socket *socket, uintptr_t file, uint64_t offset, size_t size, uintptr_t overlapped, int64_t *done);
/* Datagrams: the block's first IOCP_PEER bytes are the peer, the data lie behind; `size` and the packet's bytes count
** the data, 0..65535. A datagram that was cut fails with IOCP_EMSGSIZE's number and the bytes that are there. Source:
** Microsoft's WSARecvFrom, WSASendTo. */
IOCP_API int iocp_socket_receive_from(
	iocp_socket *socket, void *address, size_t size, uintptr_t overlapped, int64_t *done);
IOCP_API int iocp_socket_send_to(
	iocp_socket *socket, const void *address, size_t size, uintptr_t overlapped, int64_t *done);
/* IOCP_PEER bytes as an address, and the other way round. IOCP_EINVAL's number. */
IOCP_API int iocp_peer_write(void *peer, const char *host, uint16_t port);
IOCP_API int iocp_peer_read(const void *peer, char *host, size_t size, uint16_t *port);
/* Completes, with 0 bytes, when a read or write (side: IOCP_SIDE_*) would not wait, also for the end or an error. */
IOCP_API int iocp_socket_ready(iocp_socket *socket, int side, uintptr_t overlapped, int64_t *done);
/* Ends a side, or both (IOCP_SIDE_* or'ed): writing behind what was sent before, reading at once: its pending receives
** complete with 0 bytes. Source: shutdown(2). */
IOCP_API int iocp_socket_shutdown(iocp_socket *socket, int sides);
/* Asks the operations with this `overlapped`, or all of them if that is NULL, to stop; each still sends its packet,
** with IOCP_ECANCELED's number, or done if it won. Returns how many. Source: Microsoft's CancelIoEx. */
IOCP_API uint32_t iocp_socket_cancel(iocp_socket *socket, const uintptr_t *overlapped);
/* Closes: pending operations are cancelled, each sends its packet, what is unsent is dropped. The handle is never valid
** again. IOCP_INVALID: it was closed before. Source: closesocket, close(2). */
IOCP_API int iocp_socket_close(iocp_socket *socket);

/* ---- file -------------------------------------------------------------------------------------------------------- */

/* What is said of sockets holds for files, too: results, operations, `done`, memory, the association, and the end of
** the port.
**
** Of a file that has offsets (on a disk: iocp_file_has_offsets) a read or write names the offset that it begins at; it
** is ended when all of it was transferred, the file ends, or it has failed, and those of one file have no order. Pipes,
** FIFOs, terminals and the like have none: the offset is ignored, reads and writes are done in the order of the calls,
** a read completes with what is there, and a write that fails ends none but itself. Files of IOCP_FILE_APPEND write at
** their end, in the order of the calls, each in one piece. */
enum { /* what a file is opened for, or'ed */
	IOCP_FILE_READ = 1,
	IOCP_FILE_WRITE = 2,
	IOCP_FILE_APPEND = 4,    /* every write goes to the end; implies IOCP_FILE_WRITE */
	IOCP_FILE_CREATE = 8,    /* it is made if it does not exist */
	IOCP_FILE_TRUNCATE = 16, /* it is empty then */
	IOCP_FILE_EXCLUSIVE = 32 /* with IOCP_FILE_CREATE: it must not exist */
};
enum iocp_file_type { /* of iocp_file_info */
	IOCP_TYPE_FILE = 1,
	IOCP_TYPE_DIRECTORY = 2,
	IOCP_TYPE_PIPE = 3, /* a FIFO, too */
	IOCP_TYPE_TERMINAL = 4,
	IOCP_TYPE_DEVICE = 5, /* any other one */
	IOCP_TYPE_OTHER = 6
};
typedef struct iocp_file_info {
	size_t size;          /* yours: sizeof(iocp_file_info), before the call */
	uint32_t type;        /* enum iocp_file_type */
	uint32_t permissions; /* POSIX's nine bits; Windows: 0666, or 0444 if it is read-only */
	uint64_t bytes;       /* the file's size; 0 of what has none */
	uint64_t links;       /* names that it has; 0: it was removed */
	uint64_t volume, id;  /* both together are this file's alone */
	int64_t modified_ns;  /* since 1970-01-01 in UTC, as are the next */
	int64_t accessed_ns;
} iocp_file_info;

/* Opens the file at `path`, in UTF-8, which children do not inherit; without any change of its bytes. It does not wait:
** a FIFO that nobody writes to is opened for reading at once, and its reads wait; for writing to one that nobody reads
** from it is IOCP_ENXIO's number. A directory is IOCP_EISDIR's. IOCP_INVALID: neither reading nor writing is in `mode`.
** IOCP_NOMEM. Source: Microsoft's CreateFileW, open(2). */
IOCP_API int iocp_file_create(const char *path, int mode, iocp_file **file);
/* A file without a name, for reading and writing, which ends with its last reference. Source: open(2), O_TMPFILE. */
IOCP_API int iocp_file_temporary(iocp_file **file);
/* What is written to pair[1] is read from pair[0]. Source: pipe(2), Microsoft's CreateNamedPipeW. */
IOCP_API int iocp_file_pipe(iocp_file *pair[2]);
IOCP_API int iocp_file_open(iocp_handle handle, iocp_file **file);
/* A file over a descriptor (Windows: a HANDLE) that other code made: it is never closed here, nor changed, and its
** owner closes it after iocp_file_close. Where a live file stands for it already, that one, with one more reference.
** IOCP_INVALID: nothing is open there; on Windows, it is associated with another port, or not overlapped. */
IOCP_API int iocp_file_adopt(uintptr_t native, iocp_file **file);
IOCP_API iocp_file *iocp_file_retain(iocp_file *file);
IOCP_API void iocp_file_release(iocp_file *file);
IOCP_API iocp_handle iocp_file_handle(const iocp_file *file);
/* 1 until iocp_file_close, then 0. One load, as iocp_socket_is_open. */
IOCP_API int iocp_file_is_open(const iocp_file *file);
/* 1: its reads (side IOCP_SIDE_READ), or writes, begin at an offset; 0: that is ignored. For life. */
IOCP_API int iocp_file_has_offsets(const iocp_file *file, int side);
/* The descriptor or HANDLE; UINTPTR_MAX once it is closed. */
IOCP_API uintptr_t iocp_file_native(iocp_file *file);
/* As iocp_socket_associate. */
IOCP_API int iocp_file_associate(iocp_file *file, iocp_port *port, uintptr_t key);

/* Reads into a block. 0 bytes: the file's end, or that of all that write to the pipe; less than `size`: the file ends
** there (of what has no offsets: no more was there). `offset`: 0..2^63-1. Source: Microsoft's ReadFile, pread(2). */
IOCP_API int iocp_file_read(
	iocp_file *file, void *address, size_t at, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done);
/* Writes a block; completes when the system has taken all of it. To a pipe that nobody reads from: IOCP_EPIPE's number,
** and no signal. Source: Microsoft's WriteFile, pwrite(2). */
IOCP_API int iocp_file_write(
	iocp_file *file, const void *address, size_t at, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done);
/* The same of memory of the caller's (0..2^31-2 bytes), which is copied as far as it is not written at once. */
IOCP_API int iocp_file_write_copy(
	iocp_file *file, const void *data, size_t size, uint64_t offset, uintptr_t overlapped, int64_t *done);
/* Completes, with 0 bytes, when the device has what was written by operations whose packet had come before the call.
** IOCP_EINVAL's number: not a file that has offsets. Source: Microsoft's FlushFileBuffers, fdatasync(2). */
IOCP_API int iocp_file_sync(iocp_file *file, uintptr_t overlapped, int64_t *done);
/* At once, all three. IOCP_INVALID: it is closed. Source: fstat(2), ftruncate(2). */
IOCP_API int iocp_file_size(iocp_file *file, uint64_t *size);
IOCP_API int iocp_file_truncate(iocp_file *file, uint64_t size);
/* Fills info->size bytes of *info at most. */
IOCP_API int iocp_file_stat(iocp_file *file, iocp_file_info *info);
/* As iocp_socket_cancel. What a device is busy with already may be done all the same. */
IOCP_API uint32_t iocp_file_cancel(iocp_file *file, const uintptr_t *overlapped);
/* Closes: pending operations are cancelled, each sends its packet. The handle is never valid again. IOCP_INVALID: it
** was closed before. Source: Microsoft's CloseHandle, close(2). */
IOCP_API int iocp_file_close(iocp_file *file);

/* ---- atomic ------------------------------------------------------------------------------------------------------ */

/* A 64-bit integer that threads share. All that is done to one is in one order, the same for every thread, and what a
** thread did before happens-before what another does that saw its value (sequentially consistent). Nothing here waits
** but iocp_atomic_wait. Source: C11's stdatomic.h, WaitOnAddress, futex(2). */

/* IOCP_NOMEM. */
IOCP_API int iocp_atomic_create(int64_t initial, iocp_atomic **atomic);
/* One more reference by handle. IOCP_INVALID: no live one answers to it. */
IOCP_API int iocp_atomic_open(iocp_handle handle, iocp_atomic **atomic);
IOCP_API iocp_atomic *iocp_atomic_retain(iocp_atomic *atomic);
/* NULL is allowed. */
IOCP_API void iocp_atomic_release(iocp_atomic *atomic);
IOCP_API iocp_handle iocp_atomic_handle(const iocp_atomic *atomic);
IOCP_API int64_t iocp_atomic_get(const iocp_atomic *atomic);
IOCP_API void iocp_atomic_set(iocp_atomic *atomic, int64_t value);
/* The value that it had. */
IOCP_API int64_t iocp_atomic_exchange(iocp_atomic *atomic, int64_t value);
/* 1: it was *expected and is `value` now; 0: it was not, and *expected is what it is. */
IOCP_API int iocp_atomic_compare_exchange(iocp_atomic *atomic, int64_t *expected, int64_t value);
/* The value that it has now; past the largest integer it goes on at the smallest one. */
IOCP_API int64_t iocp_atomic_add(iocp_atomic *atomic, int64_t by);
/* The same where the sum lies within -limit..limit (limit >= 2^53 - 1); INT64_MIN: it does not, and the value stays.
** Where others put a value beyond 2^52 there at the same time, they may see the sum before it is taken back. */
IOCP_API int64_t iocp_atomic_add_within(iocp_atomic *atomic, int64_t by, int64_t limit);
/* Makes it the larger, or the smaller, of both; the value that it has now. */
IOCP_API int64_t iocp_atomic_max(iocp_atomic *atomic, int64_t value);
IOCP_API int64_t iocp_atomic_min(iocp_atomic *atomic, int64_t value);
/* Waits while the value is `expected`, until a wake: a thread that changes the value wakes those who wait for that.
** IOCP_OK: it was something else, or a wake came; look again. A thread that waits counts at no port meanwhile.
** IOCP_TIMEOUT, IOCP_CANCELLED, IOCP_INTERRUPTED, IOCP_NOMEM. */
IOCP_API int iocp_atomic_wait(iocp_atomic *atomic, int64_t expected, double ms);
/* Wakes up to `count` threads that wait, those first that have waited longest, and has all ports told that asked by the
** next function. Returns how many threads. */
IOCP_API uint32_t iocp_atomic_wake(iocp_atomic *atomic, uint32_t count);
/* Posts one packet with 0 bytes to `port` at the next wake, at once if the value is not `expected`, and then to all
** others that have asked: as iocp_thread_notify. IOCP_NOMEM. */
IOCP_API int iocp_atomic_notify(
	iocp_atomic *atomic, int64_t expected, iocp_port *port, uintptr_t key, uintptr_t overlapped, iocp_timer *timer);

/* ---- dict -------------------------------------------------------------------------------------------------------- */

/* A dictionary that threads share: values by keys, both of which are bytes that are copied. Each call on a key happens
** at one moment, in an order that is the same for every thread. Nothing here waits but for others' calls. Lua scripts
** keep other values in it, too: to C they are there, but not to be read. Source: OpenResty's lua_shared_dict. */
typedef struct iocp_dict_info {
	size_t size;      /* yours: sizeof(iocp_dict_info), before the call */
	uint64_t count;   /* entries whose time has not passed */
	uint64_t bytes;   /* that they take, with what it takes to keep them; never above the maximum */
	uint64_t maximum; /* what they may take, 0 for no limit */
	uint64_t evicted; /* entries that had to go for others, ever */
	uint64_t expired; /* entries that went as their time had passed, ever */
} iocp_dict_info;

enum {
	IOCP_DICT_SET = 0,    /* in any case */
	IOCP_DICT_ADD = 1,    /* if there is none */
	IOCP_DICT_REPLACE = 2 /* if there is one */
};

/* maximum: bytes that all entries may take, with some 150 for each besides its key and value; an entry that is to go in
** drives out those which were used the longest time ago. 0: no limit. IOCP_NOMEM. */
IOCP_API int iocp_dict_create(uint64_t maximum, iocp_dict **dict);
/* One more reference by handle. IOCP_INVALID: no live one answers to it. */
IOCP_API int iocp_dict_open(iocp_handle handle, iocp_dict **dict);
IOCP_API iocp_dict *iocp_dict_retain(iocp_dict *dict);
/* Drops a reference; the last one frees all that is in it. NULL is allowed. */
IOCP_API void iocp_dict_release(iocp_dict *dict);
IOCP_API iocp_handle iocp_dict_handle(const iocp_dict *dict);
/* Puts a value there for `ms`, IOCP_INFINITE for good; how: IOCP_DICT_... above. IOCP_INVALID: there is one, or none;
** IOCP_NOMEM: out of memory, or the entry alone would pass the maximum. Then all is as it was, but for what was driven
** out. */
IOCP_API int iocp_dict_set(
	iocp_dict *dict, const void *key, size_t key_size, const void *value, size_t value_size, double ms, int how);
/* Copies up to `capacity` bytes of a value to `buffer`; *value_size: how many it has. IOCP_INVALID: there is none;
** IOCP_ERROR: it is a script's, and no string. */
IOCP_API int iocp_dict_get(
	iocp_dict *dict, const void *key, size_t key_size, void *buffer, size_t capacity, size_t *value_size);
/* IOCP_INVALID: there is none. */
IOCP_API int iocp_dict_delete(iocp_dict *dict, const void *key, size_t key_size);
/* Deletes all that was there before the call. */
IOCP_API void iocp_dict_flush(iocp_dict *dict);
/* Fills info->size bytes of *info at most. Takes each lock in turn: exact where nobody changes it meanwhile. */
IOCP_API void iocp_dict_stats(iocp_dict *dict, iocp_dict_info *info);

/* ---- array --------------------------------------------------------------------------------------------------- */

/* Numbers of one type, one behind the other, in memory that threads share. Nothing orders what they do to it: who reads
** what another thread writes is told that it is there by something else, a packet, a task's end, an atomic. */
enum iocp_element {
	IOCP_INT8 = 0,
	IOCP_UINT8 = 1,
	IOCP_INT16 = 2,
	IOCP_UINT16 = 3,
	IOCP_INT32 = 4,
	IOCP_UINT32 = 5,
	IOCP_INT64 = 6,
	IOCP_FLOAT = 7,
	IOCP_DOUBLE = 8
};

/* count elements, 1..2^31-1, all 0. IOCP_INVALID: no such type, or count; IOCP_NOMEM. */
IOCP_API int iocp_array_create(enum iocp_element type, size_t count, iocp_array **array);
/* One more reference by handle. IOCP_INVALID: no live one answers to it. */
IOCP_API int iocp_array_open(iocp_handle handle, iocp_array **array);
IOCP_API iocp_array *iocp_array_retain(iocp_array *array);
/* Drops a reference; the last one frees the memory. NULL is allowed. */
IOCP_API void iocp_array_release(iocp_array *array);
IOCP_API iocp_handle iocp_array_handle(const iocp_array *array);
/* The first element, at a multiple of 64: valid as long as the caller has a reference. */
IOCP_API void *iocp_array_data(iocp_array *array);
IOCP_API size_t iocp_array_count(const iocp_array *array);
IOCP_API enum iocp_element iocp_array_type(const iocp_array *array);

#ifdef __cplusplus
}
#endif

#endif
