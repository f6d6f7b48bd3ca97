/*
** failing.c - see failing.h.
**
** A run goes wrong if it crashes, hangs, says so, or has memory left in the end: of each place no more blocks may be
** left than after a run in which nothing failed. That finds what a leak sanitizer does not, an object with a reference
** too many, which the table of handles still knows. (Blocks are remembered by their inverted addresses, so that nothing
** is reachable from here.)
*/

#define _GNU_SOURCE

#include "failing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PLACES = 512,
	BLOCKS = 1 << 18,
	REFERENCES = 5, /* runs without failures */
	BURST = 40,
	LEAF = 131072, /* bytes of a piece of the heaps' map of addresses, which grows where they come to lie */
	LEAVES = 4,
	SETTLING = 3000, /* ms */
	ENOUGH = 50      /* runs that went wrong */
};

/* How long it lasts: this call; from then on BURST calls from this place, or from any. */
static const char *const shapes[] = {"fails", "and those after it fail", "and then everything fails for a while"};
enum { ONCE, HERE, EVERYWHERE, SHAPES };

typedef struct place {
	const void *address;
	unsigned calls; /* in a run, at most */
	long left;      /* blocks after a run without failures, at most */
} place;

typedef struct options {
	unsigned tries, patience; /* calls of a place that are tried, 0: every one; seconds */
	const char *place;        /* only those whose name has this in it */
	unsigned call;            /* 0: not only this one */
	int shape;
} options;

typedef struct tally {
	unsigned runs, hits, bad;
} tally;

/* What the runs share. */
static struct {
	unsigned count;
	place places[PLACES];
	long mapped; /* bytes left after a run without failures, at most */
	int failed;  /* whether the last run got to the call that was to fail */
} * shared;

static struct {
	const void *address; /* NULL: nothing fails */
	unsigned call;
	int shape;
} plan;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows, in a run */
static int on;
static unsigned to_fail; /* calls, once it has begun */
static unsigned calls[PLACES];
static long left[PLACES], mapped;
static struct {
	uintptr_t inverted; /* 0: free; 1: was used */
	unsigned place;
} blocks[BLOCKS];

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__real_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
int __real_munmap(void *address, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument);
int __real_pthread_key_create(pthread_key_t *key, void (*end)(void *));
int __real_pthread_setspecific(pthread_key_t key, const void *value);

/* ---- in a run ---------------------------------------------------------------------------------------------------- */

/* The lock is held, as for the next three. */
static unsigned number_of(const void *address)
{
	unsigned i;
	for (i = 0; i < shared->count && shared->places[i].address != address; i++)
		;
	if (i == PLACES)
		abort();
	if (i == shared->count)
		shared->places[shared->count++].address = address;
	return i;
}

static int begins(const void *address, unsigned call)
{
	return address == plan.address && call == plan.call;
}

static int count_call(const void *address)
{
	unsigned number = number_of(address), call;
	if (!on)
		return 0;
	call = ++calls[number];
	if (begins(address, call)) {
		shared->failed = 1;
		to_fail = plan.shape == ONCE ? 1 : BURST;
	}
	if (!to_fail || (plan.shape == HERE && address != plan.address))
		return 0;
	to_fail--;
	return 1;
}

static unsigned slot_of(const void *block, int add)
{
	uintptr_t inverted = ~(uintptr_t)block;
	unsigned slot = (unsigned)((uintptr_t)block >> 4) * 2654435761u % BLOCKS, looks;
	for (looks = 0; looks < BLOCKS && blocks[slot].inverted != inverted; looks++) {
		if (blocks[slot].inverted == 0 || (add && blocks[slot].inverted == 1))
			return slot;
		slot = (slot + 1) % BLOCKS;
	}
	return slot;
}

int failing_now(const void *address)
{
	int fails;
	pthread_mutex_lock(&lock);
	fails = count_call(address);
	pthread_mutex_unlock(&lock);
	return fails;
}

static void *remember(void *block, const void *address)
{
	unsigned slot;
	if (!block)
		return NULL;
	pthread_mutex_lock(&lock);
	slot = slot_of(block, 1);
	if (blocks[slot].inverted > 1)
		abort();
	blocks[slot].inverted = ~(uintptr_t)block;
	blocks[slot].place = number_of(address);
	left[blocks[slot].place]++;
	pthread_mutex_unlock(&lock);
	return block;
}

static void forget(const void *block)
{
	unsigned slot;
	pthread_mutex_lock(&lock);
	slot = slot_of(block, 0);
	if (blocks[slot].inverted > 1) {
		left[blocks[slot].place]--;
		blocks[slot].inverted = 1;
	}
	pthread_mutex_unlock(&lock);
}

void *__wrap_malloc(size_t size)
{
	const void *caller = __builtin_return_address(0);
	return failing_now(caller) ? NULL : remember(__real_malloc(size), caller);
}

void *__wrap_calloc(size_t count, size_t size)
{
	const void *caller = __builtin_return_address(0);
	return failing_now(caller) ? NULL : remember(__real_calloc(count, size), caller);
}

void *__wrap_realloc(void *block, size_t size)
{
	const void *caller = __builtin_return_address(0);
	void *moved;
	if (failing_now(caller))
		return NULL;
	forget(block);
	moved = __real_realloc(block, size);
	if (!moved)
		(void)remember(block, caller);
	return remember(moved, caller);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	const void *caller = __builtin_return_address(0);
	return failing_now(caller) ? NULL : remember(__real_aligned_alloc(alignment, size), caller);
}

void __wrap_free(void *block)
{
	forget(block);
	__real_free(block);
}

static void add_mapped(long bytes)
{
	pthread_mutex_lock(&lock);
	mapped += bytes;
	pthread_mutex_unlock(&lock);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
	void *memory;
	if (failing_now(__builtin_return_address(0))) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	memory = __real_mmap(address, size, protection, flags, file, offset);
	if (memory != MAP_FAILED && !(flags & MAP_FIXED)) /* which takes the place of what was counted */
		add_mapped((long)size);
	return memory;
}

int __wrap_munmap(void *address, size_t size)
{
	add_mapped(-(long)size);
	return __real_munmap(address, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument)
{
	if (failing_now(__builtin_return_address(0)))
		return EAGAIN;
	return __real_pthread_create(thread, attributes, body, argument);
}

int __wrap_pthread_key_create(pthread_key_t *key, void (*end)(void *))
{
	return failing_now(__builtin_return_address(0)) ? EAGAIN : __real_pthread_key_create(key, end);
}

int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
	return failing_now(__builtin_return_address(0)) ? ENOMEM : __real_pthread_setspecific(key, value);
}

static void set_on(int to)
{
	pthread_mutex_lock(&lock);
	on = to;
	to_fail = 0;
	pthread_mutex_unlock(&lock);
}

void failing_on(void)
{
	set_on(1);
}

void failing_off(void)
{
	set_on(0);
}

/* ---- a run's end ------------------------------------------------------------------------------------------------- */

/* In a sanitizer's runtime, if there is one. */
extern void __sanitizer_symbolize_pc(const void *address, const char *format, char *text, size_t size)
	__attribute__((weak));

static const char *name_place(const void *address)
{
	static char text[256];
	if (__sanitizer_symbolize_pc)
		__sanitizer_symbolize_pc(address, "%f at %s:%l", text, sizeof(text));
	else
		snprintf(text, sizeof(text), "address %p", address);
	return text;
}

/* Writes down what is left, or, with `file`, says what is left that should not be. Returns whether anything is. */
static int compare(int reference, FILE *file)
{
	unsigned i;
	int bad = 0;
	pthread_mutex_lock(&lock);
	for (i = 0; i < shared->count; i++) {
		place *p = &shared->places[i];
		if (reference && left[i] > p->left)
			p->left = left[i];
		if (left[i] > p->left) {
			bad = 1;
			if (file) {
				fprintf(file, "%ld blocks too many are left of %s\n", left[i] - p->left, name_place(p->address));
			}
		}
	}
	if (reference && mapped > shared->mapped)
		shared->mapped = mapped;
	if (mapped > shared->mapped + LEAVES * LEAF) {
		bad = 1;
		if (file)
			fprintf(file, "%ld bytes too many are left mapped\n", mapped - shared->mapped);
	}
	pthread_mutex_unlock(&lock);
	return bad;
}

/* Threads that have been joined may still be on their way out. */
static int settle(int reference)
{
	int i;
	if (reference)
		usleep(200000);
	for (i = 0; i < SETTLING && compare(reference, NULL); i++)
		usleep(1000);
	return compare(reference, stderr);
}

static void keep_calls(void)
{
	unsigned i;
	for (i = 0; i < shared->count; i++)
		if (calls[i] > shared->places[i].calls)
			shared->places[i].calls = calls[i];
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* One run; returns its status, as of wait. What it says goes to the file. */
static int run(failing_script *script, unsigned patience, FILE *said)
{
	int status = 0;
	pid_t child;
	shared->failed = 0;
	rewind(said);
	(void)!ftruncate(fileno(said), 0);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		int bad;
		dup2(fileno(said), 1);
		dup2(fileno(said), 2);
		alarm(patience);
		bad = script();
		failing_off();
		if (plan.shape == ONCE)
			keep_calls();
		exit(bad || settle(plan.address == NULL));
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 ? status : -1;
}

static void show(FILE *said)
{
	int c;
	rewind(said);
	while ((c = getc(said)) != EOF)
		putchar(c);
}

static void report(int status, FILE *said)
{
	if (plan.address) {
		printf("\n-- call %u from %s %s: ", plan.call, name_place(plan.address), shapes[plan.shape]);
	} else {
		printf("\n-- nothing fails: ");
	}
	if (WIFSIGNALED(status))
		printf("%s\n", WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
	else
		printf("exit code %d\n", WEXITSTATUS(status));
	show(said);
}

/* Every call, or about `tries` of them: the first half, and then ever fewer up to the last. An interpreter makes too
** many. */
static unsigned next_call(unsigned call, unsigned last, unsigned tries)
{
	enum { MANY = 1000, OF_MANY = 100 };
	if (tries == 0 && last > MANY)
		tries = OF_MANY;
	return call + (tries == 0 || call < tries / 2 ? 1 : 1 + (last - call) / (tries / 2 + 1));
}

static void run_plan(failing_script *script, const options *o, FILE *said, tally *t)
{
	int status = run(script, o->patience, said);
	t->runs++;
	t->hits += shared->failed != 0;
	t->bad += status != 0;
	if (status != 0)
		report(status, said);
}

/* The calls from a place that the options want. */
static void run_place(failing_script *script, const options *o, const place *p, FILE *said, tally *t)
{
	plan.address = p->address;
	if (o->call) {
		plan.call = o->call;
		plan.shape = o->shape;
		run_plan(script, o, said, t);
		return;
	}
	for (plan.call = 1; plan.call <= p->calls; plan.call = next_call(plan.call, p->calls, o->tries))
		for (plan.shape = 0; plan.shape < SHAPES; plan.shape++)
			run_plan(script, o, said, t);
}

int failing_main(failing_script *script, int count, char **arguments)
{
	const options o = {.tries = count > 1 ? (unsigned)atoi(arguments[1]) : 8,
		.patience = count > 2 ? (unsigned)atoi(arguments[2]) : 60,
		.place = count > 3 ? arguments[3] : "",
		.call = count > 4 ? (unsigned)atoi(arguments[4]) : 0,
		.shape = count > 5 ? atoi(arguments[5]) : ONCE};
	tally t = {0, 0, 0};
	FILE *said = tmpfile();
	unsigned i;
	shared = __real_mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!said || shared == MAP_FAILED)
		return EXIT_FAILURE;
	for (i = 0; i < REFERENCES && t.bad == 0; i++)
		run_plan(script, &o, said, &t);
	t.runs = 0;
	for (i = 0; i < shared->count && (i == 0 || t.bad < ENOUGH); i++)
		if (strstr(name_place(shared->places[i].address), o.place))
			run_place(script, &o, &shared->places[i], said, &t);
	for (i = 0; i < shared->count; i++)
		printf("%6u calls from %s\n", shared->places[i].calls, name_place(shared->places[i].address));
	printf(
		"%u places, %u runs, of which %u met what was to fail; %u went wrong\n", shared->count, t.runs, t.hits, t.bad);
	return t.bad || t.hits == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
