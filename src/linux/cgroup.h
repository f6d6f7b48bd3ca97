/*
** cgroup.h - how much of the processors' time the control group of this process is given.
*/

#ifndef IOCP_LINUX_CGROUP_H
#define IOCP_LINUX_CGROUP_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The quota of the group, or of the one above it that has the least, in processors, rounded up; 0: there is none, or
** nobody can tell. `root` is put before every path that is read: "" but in tests. */
uint32_t iocp_cgroup_processors(const char *root);

#pragma GCC visibility pop

#endif
