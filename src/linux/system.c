/*
** system.c - the system calls of this backend: futex, clock, processors, barrier, memory, pinning. Owns no state but the
** answers of the kernel that never change.
*/

#include "linux/linux.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS INT64_C(1000000000)

int iocp_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
	struct timespec until = {(time_t)(deadline / NANOSECONDS), (long)(deadline % NANOSECONDS)};
	/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, so a spurious wake does not lengthen the wait. */
	long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline == IOCP_FOREVER ? NULL : &until,
		NULL, FUTEX_BITSET_MATCH_ANY);
	return r == 0 ? 0 : errno;
}

void iocp_futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int64_t iocp_nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

int64_t iocp_deadline(double ms)
{
	/* Three hundred years of nanoseconds fit; a longer wait, a negative or NaN one never ends. */
	if (!(ms >= 0 && ms < 9e12))
		return IOCP_FOREVER;
	return iocp_nanoseconds() + (int64_t)(ms * 1e6) + 1; /* +1: a fraction of a nanosecond is not cut from the wait */
}

double iocp_clock(void)
{
	return (double)iocp_nanoseconds() / 1e6;
}

uint32_t iocp_processors(void)
{
	cpu_set_t set;
	long n;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (uint32_t)CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN); /* more than CPU_SETSIZE processors */
	return n > 0 ? (uint32_t)n : 1;
}

void iocp_yield(void)
{
	sched_yield();
}

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

/* Whether membarrier works: 0 unknown, 1 no, 2 yes. Relaxed, all of it: whoever finds it unknown asks the kernel again, and
** a yes that is no longer true is noticed with the next barrier. */
static _Atomic int barrier_works;

int iocp_process_barrier_works(void)
{
	int known = atomic_load_explicit(&barrier_works, memory_order_relaxed);
	if (known == 0) {
		known = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 ? 2 : 1;
		atomic_store_explicit(&barrier_works, known, memory_order_relaxed);
	}
	return known == 2;
}

int iocp_process_barrier(void)
{
	/* Registered, it does not fail, unless a filter of system calls was put up since. */
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
		return 1;
	atomic_store_explicit(&barrier_works, 1, memory_order_relaxed);
	return 0;
}

/* Visits every processor that this process may use. Whoever runs there is switched out, which is a full barrier, as was any
** earlier switch of those who do not run. 0: there is none that we may go to. */
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

void iocp_process_barrier_slowly(void)
{
	/* Far more than any processor keeps a store to itself, or goes on with what it read ahead: that is well below a
	** microsecond, and a thread that is interrupted passes the kernel's barriers. */
	enum { MORE_THAN_ENOUGH = 20 * 1000000 };
	static _Atomic uint32_t nothing;
	int64_t end = iocp_nanoseconds() + MORE_THAN_ENOUGH;
	if (!visit_processors())
		while (iocp_nanoseconds() < end)
			iocp_futex_wait(&nothing, 0, end);
}

void *iocp_map(size_t bytes, size_t alignment)
{
	size_t before, more = alignment > IOCP_SMALL_PAGE ? alignment : 0;
	char *memory, *aligned;
	if (bytes > SIZE_MAX / 2)
		return NULL;
	memory = mmap(NULL, bytes + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	/* The highest place: the kernel maps downwards, so what is mapped in turn comes to lie side by side and counts as one. */
	aligned = (char *)(((uintptr_t)memory + more) & ~(uintptr_t)(alignment - 1));
	before = (size_t)(aligned - memory);
	if (before)
		munmap(memory, before);
	if (before < more)
		munmap(aligned + bytes, more - before);
	/* Where the two are mixed, in one mapping, pages are split and joined again and again. That it fails is harmless. */
	madvise(aligned, bytes, alignment == IOCP_HUGE_PAGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return aligned;
}

void iocp_unmap(void *address, size_t bytes)
{
	/* At the kernel's limit of mappings none can be cut in two; then at least the memory goes back. */
	if (munmap(address, bytes) != 0)
		iocp_forget_content(address, bytes);
}

void iocp_forget_content(void *address, size_t bytes)
{
	madvise(address, bytes, MADV_DONTNEED);
}

int iocp_is_terminal(int descriptor)
{
	return isatty(descriptor);
}

int iocp_pin(void)
{
	Dl_info info;
	void *self;
	if (!dladdr((void *)(uintptr_t)iocp_pin, &info) || !info.dli_fname)
		return ENOENT;
	/* RTLD_NOLOAD: only raises the flags of what is loaded. Built into an executable there is nothing to find, and
	** nothing that could be unloaded. The handle is kept on purpose. */
	self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	(void)self;
	return IOCP_OK;
}

void iocp_system_error_text(int code, char *buffer, size_t size)
{
	const char *text = strerrordesc_np(code); /* unlike strerror, one text for all threads */
	if (text)
		snprintf(buffer, size, "%s", text);
	else
		snprintf(buffer, size, "system error %d", code);
}
