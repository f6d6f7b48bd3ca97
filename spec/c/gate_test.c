/*
** gate_test.c - the heap's gate where the kernel's barrier for a process is denied: always, or from some time on, and
** with it the other ways to such a barrier.
**
** A filter of system calls is for good, so each case is a process of its own.
*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "iocp.h"

enum { GOOD = 0, BAD = 1, CANNOT_FILTER = 2 }; /* exit codes */

static iocp_heap *heap;
static _Atomic int writes, enough;

/* ---- the filter -------------------------------------------------------------------------------------------------- */

static _Atomic int barriers, moves; /* calls that were denied */

/* A call was denied: it is counted, and returns EPERM. */
static void count_denied(int signal, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	(void)signal;
	if (info->si_syscall == SYS_membarrier)
		barriers++;
	else
		moves++;
#if defined(__x86_64__)
	at->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
	at->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#endif
}

/* From now on no thread of this process may make these system calls. */
static void deny(int first, int second)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)first, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)second, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	struct sigaction action = {.sa_sigaction = count_denied, .sa_flags = SA_SIGINFO};
	sigaction(SIGSYS, &action, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
		|| syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		_exit(CANNOT_FILTER);
}

/* ---- the lock ---------------------------------------------------------------------------------------------------- */

enum { SIZE = 16384 };

static char *block;

/* Is inside for as long as it takes to fill the block with another byte, and is inside again at once. */
static void *write_until_enough(void *unused)
{
	static char patterns[2][SIZE];
	unsigned i;
	memset(patterns[1], 1, SIZE);
	for (i = 0; !enough; i++) {
		if (iocp_heap_write(heap, block, 0, patterns[i % 2], SIZE) != IOCP_OK)
			abort();
		writes = 1;
	}
	return unused;
}

/* Once it writes, it has made the barriers of a thread that is new to the heap. */
static pthread_t start_writer(void)
{
	pthread_t writer;
	if (pthread_create(&writer, NULL, write_until_enough, NULL) != 0)
		abort();
	while (!writes)
		iocp_yield();
	return writer;
}

/* How often somebody wrote while this thread held the lock. */
static int slipped_in(int rounds)
{
	const volatile char *bytes = block;
	int i, slips = 0;
	for (i = 0; i < rounds; i++) {
		double until = iocp_clock() + 0.02 + i % 100 * 0.0005; /* a writer that waited goes on writing */
		char begin, end;
		int looks;
		while (iocp_clock() < until)
			;
		if (iocp_heap_lock(heap) != IOCP_OK)
			abort();
		begin = bytes[0];
		end = bytes[SIZE - 1];
		for (looks = 0; looks < 1000 && bytes[0] == begin && bytes[SIZE - 1] == end; looks++)
			;
		slips += begin != end || looks < 1000;
		iocp_heap_unlock(heap);
	}
	return slips;
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static void require(int holds, int line)
{
	if (!holds) {
		fprintf(stderr, "line %d does not hold\n", line);
		_exit(BAD);
	}
}
#define REQUIRE(holds) require(holds, __LINE__)

static iocp_heap *new_heap(void)
{
	iocp_heap *fresh;
	REQUIRE(iocp_heap_create(0, 0, &fresh) == IOCP_OK);
	return fresh;
}

static int lock_and_unlock(iocp_heap *some)
{
	return iocp_heap_lock(some) == IOCP_OK && iocp_heap_unlock(some) == IOCP_OK;
}

/* All that waits for others to leave, under a filter, with a thread that is never long outside. */
static void use_filtered(iocp_heap *other)
{
	void *blocks[1000];
	int i;
	REQUIRE(slipped_in(200) == 0);
	for (i = 0; i < 1000; i++)
		REQUIRE(iocp_heap_alloc(heap, 8000, 0, &blocks[i]) == IOCP_OK);
	for (i = 0; i < 1000; i++)
		REQUIRE(iocp_heap_free(heap, blocks[i]) == IOCP_OK); /* gives memory back, too */
	REQUIRE(iocp_heap_validate(heap, NULL) == IOCP_OK);
	REQUIRE(iocp_heap_destroy(other) == IOCP_OK);
	REQUIRE(iocp_heap_alloc(other, 48, 0, &blocks[0]) == IOCP_INVALID);
}

/* A filter that comes after heaps were made and threads have been in them. */
static void filtered_later(int also)
{
	iocp_heap *other = new_heap();
	pthread_t writer;
	heap = new_heap();
	REQUIRE(iocp_heap_alloc(heap, SIZE, IOCP_ZERO, (void **)&block) == IOCP_OK);
	REQUIRE(lock_and_unlock(heap) && lock_and_unlock(other));
	writer = start_writer();
	deny(SYS_membarrier, also);
	REQUIRE(lock_and_unlock(heap));
	REQUIRE(barriers == 1);                                /* it is noticed, */
	REQUIRE((moves > 0) == (also != SYS_membarrier));      /* something else is tried, */
	REQUIRE(lock_and_unlock(heap) && barriers == 1);       /* and never again what is denied; */
	REQUIRE(lock_and_unlock(new_heap()) && barriers == 1); /* a new heap does without from the first. */
	use_filtered(other);
	enough = 1;
	pthread_join(writer, NULL);
	REQUIRE(iocp_heap_destroy(heap) == IOCP_OK);
}

static void filtered_first(int also)
{
	pthread_t writer;
	deny(SYS_membarrier, also);
	heap = new_heap();
	REQUIRE(iocp_heap_alloc(heap, SIZE, IOCP_ZERO, (void **)&block) == IOCP_OK);
	writer = start_writer();
	use_filtered(new_heap());
	enough = 1;
	pthread_join(writer, NULL);
	REQUIRE(barriers == 1 && moves == 0); /* the question whether it works */
	REQUIRE(iocp_heap_destroy(heap) == IOCP_OK);
}

static void run(void (*child)(int also), int also)
{
	int status;
	pid_t id = fork();
	if (id == 0) {
		child(also);
		_exit(GOOD);
	}
	assert_int_equal(waitpid(id, &status, 0), id);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_FILTER)
		skip();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != GOOD)
		fail_msg("signal %d, exit code %d", WTERMSIG(status), WEXITSTATUS(status));
}

static void a_barrier_that_is_denied_later_is_had_by_moving(void **state)
{
	(void)state;
	run(filtered_later, SYS_membarrier);
}

static void where_moving_is_denied_too_it_is_had_by_waiting(void **state)
{
	(void)state;
	run(filtered_later, SYS_sched_setaffinity);
}

static void a_barrier_that_is_denied_from_the_first_is_not_missed(void **state)
{
	(void)state;
	run(filtered_first, SYS_sched_setaffinity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_barrier_that_is_denied_later_is_had_by_moving),
		cmocka_unit_test(where_moving_is_denied_too_it_is_had_by_waiting),
		cmocka_unit_test(a_barrier_that_is_denied_from_the_first_is_not_missed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
