/*
** cgroup_test.c - quotas of processor time, read from trees of files as the kernel shows them.
*/

#include "core/features.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux/cgroup.h"

static char root[] = "/tmp/iocp-cgroup-XXXXXX";

/* Writes a file below the root, and the folders that it lies in. */
static void put(const char *path, const char *text)
{
	char full[512], *slash;
	FILE *file;
	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		(void)mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int begin(void **state)
{
	(void)state;
	strcpy(root + sizeof(root) - 7, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void mount_version_2(const char *group)
{
	char line[128];
	snprintf(line, sizeof(line), "0::%s\n", group);
	put("/proc/self/cgroup", line);
	put("/proc/self/mountinfo", "20 1 0:20 / /proc rw - proc proc rw\n"
								"29 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
}

static void nothing_there(void **state)
{
	(void)state;
	assert_int_equal(iocp_cgroup_processors(root), 0);
	put("/proc/self/cgroup", "0::/\n");
	assert_int_equal(iocp_cgroup_processors(root), 0);
	put("/proc/self/cgroup", "nonsense\n::\n:\n\n");
	put("/proc/self/mountinfo", "nonsense\n - \n - cgroup2\n1 2 3 4 - cgroup2 x y\n");
	assert_int_equal(iocp_cgroup_processors(root), 0);
}

static void version_2(void **state)
{
	(void)state;
	mount_version_2("/a/b");
	assert_int_equal(iocp_cgroup_processors(root), 0);
	put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	assert_int_equal(iocp_cgroup_processors(root), 0);
	put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
	assert_int_equal(iocp_cgroup_processors(root), 1);
	put("/sys/fs/cgroup/a/b/cpu.max", "200000 100000\n");
	assert_int_equal(iocp_cgroup_processors(root), 2);
	put("/sys/fs/cgroup/a/b/cpu.max", "200001 100000\n");
	assert_int_equal(iocp_cgroup_processors(root), 3);
	put("/sys/fs/cgroup/a/b/cpu.max", "-1 0\n");
	assert_int_equal(iocp_cgroup_processors(root), 0);
}

static void groups_above(void **state)
{
	(void)state;
	mount_version_2("/a/b/c");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
	put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
	assert_int_equal(iocp_cgroup_processors(root), 2);
	put("/sys/fs/cgroup/cpu.max", "10000 100000\n");
	assert_int_equal(iocp_cgroup_processors(root), 1);
}

/* As a container of version 1 has it: only its own part of the tree is mounted, and other controllers lie elsewhere. */
static void version_1(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "12:cpuset:/other\n4:cpu,cpuacct:/docker/abc\n0::/\n");
	put("/proc/self/mountinfo",
		"30 29 0:28 /other /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n"
		"31 29 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro master:13 - cgroup cgroup rw,cpu,cpuacct\n"
		"32 29 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1\n");
	assert_int_equal(iocp_cgroup_processors(root), 0);
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	assert_int_equal(iocp_cgroup_processors(root), 0);
	put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "350000\n");
	assert_int_equal(iocp_cgroup_processors(root), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_there, begin, end),
		cmocka_unit_test_setup_teardown(version_2, begin, end),
		cmocka_unit_test_setup_teardown(groups_above, begin, end),
		cmocka_unit_test_setup_teardown(version_1, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
