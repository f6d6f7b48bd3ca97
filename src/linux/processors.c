/*
** processors.c - Linux under src/native: which processors there are for this process, and for how much of the time.
** Owns nothing but the quota, which is asked for once.
*/

#include "core/features.h"

#include "native/prim.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "core/os.h"
#include "linux/cgroup.h"

static uint32_t quota; /* in processors, rounded up; 0: there is none. Fixed by `ask_for_quota` */

static void ask_for_quota(void)
{
	quota = iocp_cgroup_processors("");
}

static uint32_t allowed(void)
{
	cpu_set_t set;
	long n;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (uint32_t)CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN); /* more than CPU_SETSIZE processors */
	return n > 0 ? (uint32_t)n : 1;
}

uint32_t iocp_prim_processors(void)
{
	static pthread_once_t asked = PTHREAD_ONCE_INIT; /* what it writes happens-before its return to everybody */
	uint32_t n = allowed();
	pthread_once(&asked, ask_for_quota);
	return quota && quota < n ? quota : n;
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

/* The kernel leaves processors that do not exist out of a set without a word. */
static int processor_exists(uint32_t number)
{
	static const char folder[] = "/sys/devices/system/cpu";
	char path[64];
	snprintf(path, sizeof(path), "%s/cpu%u", folder, (unsigned)number);
	return number < CPU_SETSIZE && (access(path, F_OK) == 0 || access(folder, F_OK) != 0);
}

_Static_assert(sizeof(cpu_set_t) <= sizeof(iocp_prim_place), "an iocp_prim_place holds a cpu_set_t");

int iocp_prim_move(const uint32_t *processors, size_t count, iocp_prim_place *before)
{
	cpu_set_t set;
	size_t i;
	CPU_ZERO(&set);
	for (i = 0; i < count; i++) {
		if (!processor_exists(processors[i]))
			return EINVAL;
		CPU_SET(processors[i], &set);
	}
	if (sched_getaffinity(0, sizeof(set), (cpu_set_t *)before) != 0 || sched_setaffinity(0, sizeof(set), &set) != 0)
		return errno;
	return 0;
}

void iocp_prim_move_back(const iocp_prim_place *before)
{
	sched_setaffinity(0, sizeof(cpu_set_t), (const cpu_set_t *)before);
}
