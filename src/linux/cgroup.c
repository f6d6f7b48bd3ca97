/*
** cgroup.c - the quota of processor time of this process' control group, of version 1 or 2. Owns nothing.
**
** /proc/self/cgroup has the group's path, /proc/self/mountinfo where its tree is mounted, and which part of it. Each
** group on the way up may have a quota. What cannot be read, or is longer than any that a system has, is no quota.
** Source: cgroups(7), proc(5), the kernel's cgroup-v2 and sched-bwc.
*/

#include "core/features.h"

#include "linux/cgroup.h"

#include <stdio.h>
#include <string.h>

enum { LINE = 4096, WORD = 1024 };

/* Where the group is: `folder`, below the tree's `top`. */
typedef struct place {
	int version; /* 0: not found */
	char path[WORD], top[WORD], folder[4 * WORD];
} place;

static FILE *open_file(const char *root, const char *folder, const char *name)
{
	char path[8 * WORD];
	int length = snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
	return length < (int)sizeof(path) ? fopen(path, "re") : NULL;
}

/* Whether the list, with commas, has the word "cpu". */
static int has_cpu(const char *list)
{
	const char *at = list;
	while ((at = strstr(at, "cpu"))) {
		if ((at == list || at[-1] == ',') && (at[3] == ',' || at[3] == 0))
			return 1;
		at += 3;
	}
	return 0;
}

/* A line of /proc/self/cgroup: number, controllers, path. The version 1 that has processors comes before version 2. */
static void read_path(place *p, char *line)
{
	char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
	int version;
	if (!path)
		return;
	*path++ = 0;
	path[strcspn(path, "\n")] = 0;
	version = has_cpu(controllers + 1) ? 1 : controllers[1] == 0 ? 2 : 0;
	if (!version || p->version == 1 || strlen(path) >= sizeof(p->path))
		return;
	p->version = version;
	strcpy(p->path, path);
}

static void find_path(place *p, const char *root)
{
	char line[LINE];
	FILE *file = open_file(root, "/proc/self", "cgroup");
	while (file && fgets(line, sizeof(line), file))
		read_path(p, line);
	if (file)
		fclose(file);
}

/* A line of /proc/self/mountinfo. Whether it is that of the tree. */
static int read_mount(place *p, const char *line)
{
	char part[WORD], top[WORD], type[WORD], options[WORD];
	const char *second = strstr(line, " - ");
	size_t length;
	if (!second || sscanf(line, "%*s %*s %*s %1023s %1023s", part, top) != 2
		|| sscanf(second, " - %1023s %*s %1023s", type, options) != 2)
		return 0;
	if (p->version == 1 ? strcmp(type, "cgroup") != 0 || !has_cpu(options) : strcmp(type, "cgroup2") != 0)
		return 0;
	/* Only a part of the tree may be mounted: then the group lies in it. */
	length = strcmp(part, "/") == 0 ? 0 : strlen(part);
	strcpy(p->top, top);
	snprintf(p->folder, sizeof(p->folder), "%s%s", top, strncmp(p->path, part, length) == 0 ? p->path + length : "");
	return 1;
}

static int find_mount(place *p, const char *root)
{
	char line[LINE];
	int found = 0;
	FILE *file = open_file(root, "/proc/self", "mountinfo");
	while (file && !found && fgets(line, sizeof(line), file))
		found = read_mount(p, line);
	if (file)
		fclose(file);
	return found;
}

/* Numbers at the beginning of a file, `count` at most; returns how many there are. */
static int read_numbers(const char *root, const char *folder, const char *name, double *numbers, int count)
{
	FILE *file = open_file(root, folder, name);
	int n = 0;
	while (file && n < count && fscanf(file, "%lf", &numbers[n]) == 1)
		n++;
	if (file)
		fclose(file);
	return n;
}

/* The group's own quota, in processors; 0: it has none. */
static double quota_of(const place *p, const char *root)
{
	double numbers[2];                                                              /* microseconds, of so many */
	if (p->version == 2 ? read_numbers(root, p->folder, "cpu.max", numbers, 2) != 2 /* "max" is no number */
						: read_numbers(root, p->folder, "cpu.cfs_quota_us", &numbers[0], 1) != 1
							  || read_numbers(root, p->folder, "cpu.cfs_period_us", &numbers[1], 1) != 1)
		return 0;
	return numbers[0] > 0 && numbers[1] > 0 ? numbers[0] / numbers[1] : 0;
}

uint32_t iocp_cgroup_processors(const char *root)
{
	place p = {0, "", "", ""};
	double least = 0;
	uint32_t whole;
	find_path(&p, root);
	if (!p.version || !find_mount(&p, root))
		return 0;
	for (;;) {
		double quota = quota_of(&p, root);
		char *last = strrchr(p.folder, '/');
		if (quota > 0 && (least == 0 || quota < least))
			least = quota;
		if (!last || strlen(p.folder) <= strlen(p.top))
			break;
		*last = 0;
	}
	whole = least < UINT32_MAX ? (uint32_t)least : UINT32_MAX;
	return whole + (whole < least);
}
