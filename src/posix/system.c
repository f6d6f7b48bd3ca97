/*
** system.c - plain POSIX under src/native, for macOS and the BSDs: what prim.h and core/os.h ask of a system, but for
** waiting on a word (wait.c), sets of descriptors (poll.c) and transfers (transfer.c). Owns no state.
**
** What POSIX does not have is said to be missing, in the way that prim.h has for it: there is no barrier, so whoever
** wants one takes the way with fences; nobody knows which thread runs where, or blocks; none is placed or preferred.
*/

#include "core/features.h"

#include "native/prim.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#include <pthread_np.h>
#endif

#include "core/os.h"

#define NANOSECONDS INT64_C(1000000000)

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

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

/* ---- processors -------------------------------------------------------------------------------------------------- */

uint32_t iocp_prim_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (uint32_t)n : 1;
}

size_t iocp_processor_list(uint32_t *numbers, size_t capacity)
{
	(void)numbers, (void)capacity;
	return 0;
}

int iocp_prim_processor(void)
{
	return -1;
}

int iocp_prim_move(const uint32_t *processors, size_t count, iocp_prim_place *before)
{
	(void)processors, (void)count, (void)before;
	return ENOTSUP;
}

void iocp_prim_move_back(const iocp_prim_place *before)
{
	(void)before;
}

int iocp_prim_barrier_works(void)
{
	return 0;
}

int iocp_prim_barrier(void)
{
	return 0;
}

void iocp_prim_barrier_slowly(void)
{
	/* Far more than any processor keeps a store to itself. */
	const struct timespec more_than_enough = {0, 20 * 1000000};
	nanosleep(&more_than_enough, NULL);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

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
	aligned = (char *)(((uintptr_t)memory + more) & ~(uintptr_t)(alignment - 1));
	before = (size_t)(aligned - memory);
	if (before)
		munmap(memory, before);
	if (before < more)
		munmap(aligned + bytes, more - before);
	return aligned;
}

void iocp_prim_populate(void *address, size_t bytes)
{
	size_t i;
	for (i = 0; i < bytes; i += IOCP_SMALL_PAGE)
		((volatile char *)address)[i] = 0;
}

void iocp_prim_unmap(void *address, size_t bytes)
{
	if (munmap(address, bytes) != 0)
		iocp_prim_forget_content(address, bytes);
}

/* Other memory in its place: what others give back by advice is not zeroes everywhere. Where that cannot be had the old
** is cleared. */
void iocp_prim_forget_content(void *address, size_t bytes)
{
	if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		memset(address, 0, bytes);
}

int iocp_prim_pin(void (*inside)(void))
{
	Dl_info info;
	void *self = NULL;
	if (dladdr((void *)(uintptr_t)inside, &info) && info.dli_fname)
		self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	(void)self; /* kept on purpose */
	return 0;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

uint64_t iocp_prim_thread_id(void)
{
#if defined(__APPLE__)
	uint64_t id = 0;
	pthread_threadid_np(NULL, &id);
	return id;
#elif defined(__FreeBSD__) || defined(__DragonFly__)
	return (uint64_t)pthread_getthreadid_np();
#else
	return (uint64_t)(uintptr_t)pthread_self();
#endif
}

int iocp_prim_move_priority(int steps, int *before)
{
	(void)steps, (void)before;
	return ENOTSUP;
}

void iocp_prim_restore_priority(int before)
{
	(void)before;
}

void iocp_prim_name_thread(const char *name)
{
#if defined(__APPLE__)
	pthread_setname_np(name);
#elif defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
	pthread_set_name_np(pthread_self(), name);
#elif defined(__NetBSD__)
	pthread_setname_np(pthread_self(), "%s", (void *)(uintptr_t)name);
#else
	char cut[16]; /* with its end: Linux refuses longer ones */
	snprintf(cut, sizeof(cut), "%s", name);
	pthread_setname_np(pthread_self(), cut);
#endif
}

enum iocp_prim_state iocp_prim_thread_state(uint64_t id)
{
	(void)id;
	return IOCP_PRIM_UNTOLD;
}

int iocp_prim_take_signal(void (*handler)(int))
{
	static const int numbers[] = {SIGUSR2, SIGUSR1};
	struct sigaction old, ours;
	size_t i;
	memset(&ours, 0, sizeof(ours));
	ours.sa_handler = handler; /* without SA_RESTART: a read that blocks is to end */
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL
			&& sigaction(numbers[i], &ours, NULL) == 0)
			return numbers[i];
	return 0;
}
