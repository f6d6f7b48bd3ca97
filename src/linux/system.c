/*
** system.c - Linux under src/native: what prim.h and core/os.h ask of a system. Owns no state but the answers of the
** kernel that never change.
*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "native/prim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/os.h"

#define NANOSECONDS INT64_C(1000000000)

int iocp_prim_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	struct timespec until = {(time_t)(deadline / NANOSECONDS), (long)(deadline % NANOSECONDS)};
	/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, so a spurious wake does not lengthen the wait. */
	long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline == IOCP_FOREVER ? NULL : &until,
		NULL, FUTEX_BITSET_MATCH_ANY);
	return r == 0 ? 0 : errno;
}

void iocp_prim_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int64_t iocp_prim_nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

uint32_t iocp_prim_processors(void)
{
	cpu_set_t set;
	long n;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (uint32_t)CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN); /* more than CPU_SETSIZE processors */
	return n > 0 ? (uint32_t)n : 1;
}

size_t iocp_processor_list(uint32_t *numbers, size_t capacity)
{
	cpu_set_t set;
	size_t count = 0;
	uint32_t i;
	if (sched_getaffinity(0, sizeof(set), &set) != 0) /* more than CPU_SETSIZE processors */
		return 0;
	for (i = 0; i < CPU_SETSIZE && count < capacity; i++)
		if (CPU_ISSET(i, &set))
			numbers[count++] = i;
	return count;
}

int iocp_prim_processor(void)
{
	return sched_getcpu();
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
		known = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 ? 2 : 1;
		atomic_store_explicit(&barrier_works, known, memory_order_relaxed);
	}
	return known == 2;
}

int iocp_prim_barrier(void)
{
	/* Registered, it does not fail, unless a filter of system calls was put up since. */
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
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
	size_t before, more = alignment > IOCP_SMALL_PAGE ? alignment : 0;
	char *memory, *aligned;
	if (bytes > SIZE_MAX / 2)
		return NULL;
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

int iocp_terminal_columns(int descriptor)
{
	enum { USUAL = 80 };
	struct winsize size = {0};
	if (!isatty(descriptor))
		return 0;
	(void)ioctl(descriptor, TIOCGWINSZ, &size);
	return size.ws_col ? size.ws_col : USUAL;
}

uintptr_t iocp_stream_native(FILE *stream)
{
	(void)fflush(stream);
	return (uintptr_t)fileno(stream);
}

int iocp_prim_pin(void (*inside)(void))
{
	Dl_info info;
	void *self;
	if (!dladdr((void *)(uintptr_t)inside, &info) || !info.dli_fname)
		return ENOENT;
	/* RTLD_NOLOAD: only raises the flags of what is loaded. Built into an executable there is nothing to find, and
	** nothing that could be unloaded. The handle is kept on purpose. */
	self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	(void)self;
	return 0;
}

void iocp_system_error_text(int code, char *buffer, size_t size)
{
	const char *text = strerrordesc_np(code); /* unlike strerror, one text for all threads */
	if (text)
		snprintf(buffer, size, "%s", text);
	else
		snprintf(buffer, size, "system error %d", code);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

uint64_t iocp_prim_thread_id(void)
{
	return (uint64_t)gettid();
}

/* The kernel leaves processors that do not exist out of a set without a word. */
static int processor_exists(uint32_t number)
{
	static const char folder[] = "/sys/devices/system/cpu";
	char path[64];
	snprintf(path, sizeof(path), "%s/cpu%u", folder, (unsigned)number);
	return number < CPU_SETSIZE && (access(path, F_OK) == 0 || access(folder, F_OK) != 0);
}

int iocp_prim_place(pthread_attr_t *attributes, const uint32_t *processors, size_t count)
{
	cpu_set_t set;
	size_t i;
	CPU_ZERO(&set);
	for (i = 0; i < count; i++) {
		if (!processor_exists(processors[i]))
			return EINVAL;
		CPU_SET(processors[i], &set);
	}
	return pthread_attr_setaffinity_np(attributes, sizeof(set), &set);
}

/* Linux has a `nice` value a thread. Source: setpriority(2), C library/kernel differences. */
int iocp_prim_move_priority(int steps, int *before)
{
	enum { STEP = 5 };
	*before = getpriority(PRIO_PROCESS, (id_t)gettid());
	return setpriority(PRIO_PROCESS, (id_t)gettid(), *before - STEP * steps) == 0 ? 0
																				  : errno; /* cut to what there is */
}

void iocp_prim_restore_priority(int before)
{
	setpriority(PRIO_PROCESS, (id_t)gettid(), before);
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

int iocp_prim_take_signal(void (*handler)(int))
{
	struct sigaction old, ours;
	int number;
	memset(&ours, 0, sizeof(ours));
	ours.sa_handler = handler;                            /* without SA_RESTART: a read that blocks is to end */
	for (number = SIGRTMAX; number >= SIGRTMIN; number--) /* the highest real-time signal: the fewest use it */
		if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_DFL && sigaction(number, &ours, NULL) == 0)
			return number;
	return 0;
}
