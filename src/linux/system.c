/*
** system.c - Linux under src/native: what prim.h and core/os.h ask of a system, but for processors (processors.c), sets
** of descriptors (poll.c) and transfers (ring.c). Owns no state but the answers of the kernel that never change.
*/

#include "core/features.h"

#include "native/prim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/os.h"

#define NANOSECONDS INT64_C(1000000000)

/* What the kernel calls these, and never changes: its own headers are a package that a C library may come without. */
enum { FUTEX_WAKE = 1 | 128, FUTEX_WAIT_BITSET = 9 | 128 /* 128: of this process alone */ };
#define FUTEX_ANY UINT32_C(0xffffffff)
enum { BARRIER = 1 << 3, REGISTER_BARRIER = 1 << 4 /* both of this process alone, and expedited */ };
#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

int iocp_prim_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	struct timespec until = {(time_t)(deadline / NANOSECONDS), (long)(deadline % NANOSECONDS)};
	/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, so a spurious wake does not lengthen the wait. */
	long r = syscall(
		SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline == IOCP_FOREVER ? NULL : &until, NULL, FUTEX_ANY);
	return r == 0 ? 0 : errno;
}

void iocp_prim_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int64_t iocp_prim_nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

void iocp_prim_yield(void)
{
	sched_yield();
}

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

/* Whether membarrier works: 0 unknown, 1 no, 2 yes. Relaxed, all of it: whoever finds it unknown asks the kernel again,
** and a yes that is no longer true is noticed with the next barrier. */
static _Atomic int barrier_works;

int iocp_prim_barrier_works(void)
{
	int known = atomic_load_explicit(&barrier_works, memory_order_relaxed);
	if (known == 0) {
		known = membarrier(REGISTER_BARRIER) == 0 ? 2 : 1;
		atomic_store_explicit(&barrier_works, known, memory_order_relaxed);
	}
	return known == 2;
}

int iocp_prim_barrier(void)
{
	/* Registered, it does not fail, unless a filter of system calls was put up since. */
	if (membarrier(BARRIER) == 0)
		return 1;
	atomic_store_explicit(&barrier_works, 1, memory_order_relaxed);
	return 0;
}

/* Visits every processor that this process may use. Whoever runs there is switched out, which is a full barrier, as was
** any earlier switch of those who do not run. 0: there is none that we may go to. */
static int visit_processors(void)
{
	cpu_set_t mine, one;
	size_t i;
	int visited = 0;
	if (sched_getaffinity(0, sizeof(mine), &mine) != 0)
		return 0;
	for (i = 0; i < CPU_SETSIZE; i++) {
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		visited += sched_setaffinity(0, sizeof(one), &one) == 0;
	}
	if (visited)
		sched_setaffinity(0, sizeof(mine), &mine);
	return visited > 0;
}

void iocp_prim_barrier_slowly(void)
{
	/* Far more than any processor keeps a store to itself, or goes on with what it read ahead: that is well below a
	** microsecond, and a thread that is interrupted passes the kernel's barriers. */
	enum { MORE_THAN_ENOUGH = 20 * 1000000 };
	static _Atomic uint32_t nothing;
	int64_t end = iocp_prim_nanoseconds() + MORE_THAN_ENOUGH;
	if (!visit_processors())
		while (iocp_prim_nanoseconds() < end)
			iocp_prim_wait(&nothing, 0, end);
}

void *iocp_prim_map(size_t bytes, size_t alignment)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), before, more = alignment > page ? alignment : 0;
	char *memory, *aligned;
	if (bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + page - 1) & ~(page - 1); /* what is cut off behind it begins with a page */
	memory = mmap(NULL, bytes + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	/* The highest place: the kernel maps downwards, so what is mapped in turn comes to lie side by side and counts as
	** one. */
	aligned = (char *)(((uintptr_t)memory + more) & ~(uintptr_t)(alignment - 1));
	before = (size_t)(aligned - memory);
	if (before)
		munmap(memory, before);
	if (before < more)
		munmap(aligned + bytes, more - before);
	/* Where the two are mixed, in one mapping, pages are split and joined again and again. That it fails is
	** harmless. */
	madvise(aligned, bytes, alignment == IOCP_HUGE_PAGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return aligned;
}

void iocp_prim_populate(void *address, size_t bytes)
{
	size_t i;
	if (madvise(address, bytes, MADV_POPULATE_WRITE) != 0) /* Linux before 5.14 */
		for (i = 0; i < bytes; i += IOCP_SMALL_PAGE)
			((volatile char *)address)[i] = 0;
}

void iocp_prim_unmap(void *address, size_t bytes)
{
	/* At the kernel's limit of mappings none can be cut in two; then at least the memory goes back. */
	if (munmap(address, bytes) != 0)
		iocp_prim_forget_content(address, bytes);
}

void iocp_prim_forget_content(void *address, size_t bytes)
{
	madvise(address, bytes, MADV_DONTNEED);
}

int iocp_prim_pin(void (*inside)(void))
{
	Dl_info info;
	void *self = NULL;
	/* RTLD_NOLOAD: only raises the flags of what is loaded. Built into a program there is nothing to find, and nothing
	** that could be unloaded: a static one does not even know itself. The handle is kept on purpose. */
	if (dladdr((void *)(uintptr_t)inside, &info) && info.dli_fname)
		self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	(void)self;
	return 0;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

uint64_t iocp_prim_thread_id(void)
{
	return (uint64_t)syscall(SYS_gettid);
}

/* Linux has a `nice` value a thread. Source: setpriority(2), C library/kernel differences. */
int iocp_prim_move_priority(int steps, int *before)
{
	enum { STEP = 5 };
	id_t self = (id_t)iocp_prim_thread_id();
	*before = getpriority(PRIO_PROCESS, self);
	return setpriority(PRIO_PROCESS, self, *before - STEP * steps) == 0 ? 0 : errno; /* cut to what there is */
}

void iocp_prim_restore_priority(int before)
{
	setpriority(PRIO_PROCESS, (id_t)iocp_prim_thread_id(), before);
}

void iocp_prim_name_thread(const char *name)
{
	char cut[16]; /* with its end: longer ones are refused */
	snprintf(cut, sizeof(cut), "%s", name);
	pthread_setname_np(pthread_self(), cut);
}

/* 'R', 'S' and so on; 0: unknown, and errno says why. Source: proc(5), /proc/pid/stat. */
static char letter_of(uint64_t id)
{
	char path[64], text[128];
	const char *name_end;
	ssize_t length;
	int file;
	snprintf(path, sizeof(path), "/proc/self/task/%llu/stat", (unsigned long long)id);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return 0;
	length = read(file, text, sizeof(text) - 1);
	close(file);
	errno = ENOENT; /* what comes without a state is not what is looked for */
	text[length > 0 ? length : 0] = 0;
	name_end = strrchr(text, ')'); /* a name may hold anything */
	return name_end && name_end[1] == ' ' ? name_end[2] : 0;
}

enum iocp_prim_state iocp_prim_thread_state(uint64_t id)
{
	char letter = letter_of(id);
	if (letter)
		return letter == 'R' ? IOCP_PRIM_RUNS : IOCP_PRIM_BLOCKS;
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EINTR ? IOCP_PRIM_UNKNOWN
																				   : IOCP_PRIM_UNTOLD;
}

/* Whether a thread can be sent the signal: an emulator may keep some for itself. The caller sends it to itself, and
** takes it away again. */
static int comes(int number)
{
	static const struct timespec at_once = {0, 0};
	sigset_t one, before;
	int came;
	sigemptyset(&one);
	sigaddset(&one, number);
	pthread_sigmask(SIG_BLOCK, &one, &before);
	came = pthread_kill(pthread_self(), number) == 0 && sigtimedwait(&one, NULL, &at_once) == number;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return came;
}

int iocp_prim_take_signal(void (*handler)(int))
{
	struct sigaction old, ours;
	int number;
	memset(&ours, 0, sizeof(ours));
	ours.sa_handler = handler;                            /* without SA_RESTART: a read that blocks is to end */
	for (number = SIGRTMAX; number >= SIGRTMIN; number--) /* the highest real-time signal: the fewest use it */
		if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL && comes(number)
			&& sigaction(number, &ours, NULL) == 0)
			return number;
	return 0;
}
