/*
** refuse.c - runs a command for which the system refuses calls, with EPERM, as containers do that.
**
** Usage: refuse CALL,... COMMAND ARGUMENT...; of the calls those below are known. Source: seccomp(2).
*/

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

static int number_of(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} calls[] = {{"io_uring_setup", SYS_io_uring_setup}, {"preadv2", SYS_preadv2}, {"pwritev2", SYS_pwritev2}};
	size_t i;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	return -1;
}

static int refuse(int number)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int main(int count, char **arguments)
{
	char *name = count > 2 ? strtok(arguments[1], ",") : NULL;
	if (!name) {
		fprintf(stderr, "usage: refuse CALL,... COMMAND ARGUMENT...\n");
		return 2;
	}
	for (; name; name = strtok(NULL, ",")) {
		if (number_of(name) < 0 || !refuse(number_of(name))) {
			fprintf(stderr, "refuse: %s: unknown, or no filters here: %s\n", name, strerror(errno));
			return 2;
		}
	}
	execvp(arguments[2], &arguments[2]);
	perror(arguments[2]);
	return 2;
}
