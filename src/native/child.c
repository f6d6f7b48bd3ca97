/*
** child.c - child processes, by posix_spawn. Owns nothing.
*/

#include "core/features.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/os.h"
#include "native/file.h"
#include "native/operation.h"

enum { STREAMS = 3 };

/* By name, as kill(1) has them without SIG. */
static const struct {
	const char *name;
	int number;
} signals[] = {{"TERM", SIGTERM}, {"KILL", SIGKILL}, {"INT", SIGINT}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT},
	{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"STOP", SIGSTOP}, {"CONT", SIGCONT}, {"ABRT", SIGABRT}, {"SEGV", SIGSEGV},
	{"BUS", SIGBUS}, {"FPE", SIGFPE}, {"ILL", SIGILL}, {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TRAP", SIGTRAP},
	{"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"SYS", SIGSYS}};

enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

const char *iocp_child_signal_name(int signal)
{
	size_t i;
	for (i = 0; i < SIGNALS; i++)
		if (signals[i].number == signal)
			return signals[i].name;
	return NULL;
}

int iocp_child_signal(const char *name)
{
	size_t i;
	for (i = 0; i < SIGNALS; i++)
		if (strcmp(signals[i].name, name) == 0)
			return signals[i].number;
	return 0;
}

int iocp_child_kill(const iocp_child *child, int signal)
{
	return kill((pid_t)child->id, signal) == 0 ? IOCP_OK : iocp_number_of(errno);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* A copy of a descriptor, above the streams. Programs expect one that waits, and whether it does is said of what all
** copies share; so of a pipe that does not wait it is another end, which where there is none to be had is the same, and
** waits from then on for us as well. -1, and errno. */
static int copy_of(int descriptor)
{
	int flags = fcntl(descriptor, F_GETFL), copy = -1;
	if (flags < 0 || !(flags & O_NONBLOCK))
		return flags < 0 ? -1 : fcntl(descriptor, F_DUPFD_CLOEXEC, STREAMS);
	/* Without O_NONBLOCK the open of a named pipe would wait for whoever opens its other end. */
	copy = iocp_prim_reopen(descriptor, (flags & O_ACCMODE) | O_NONBLOCK);
	if (copy >= 0)
		(void)fcntl(copy, F_SETFL, flags & ~O_NONBLOCK);
	if (copy >= 0 && copy < STREAMS) {
		int above = fcntl(copy, F_DUPFD_CLOEXEC, STREAMS);
		close(copy);
		return above;
	}
	if (copy < 0 && fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0)
		copy = fcntl(descriptor, F_DUPFD_CLOEXEC, STREAMS);
	return copy;
}

/* What is to be done in the child before its program runs. The streams are copies above those that they are to become,
** so that none is overwritten before it was used. */
static int add_actions(
	posix_spawn_file_actions_t *actions, const iocp_child_options *options, int copies[STREAMS], short *flags)
{
	int i, r = 0;
	for (i = 0; i < STREAMS && r == 0; i++) {
		if (options->streams[i].kind == IOCP_STREAM_NOTHING) {
			r = posix_spawn_file_actions_addopen(actions, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
		} else if (options->streams[i].kind == IOCP_STREAM_OUTPUT) {
			r = posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, i);
		} else if (options->streams[i].kind == IOCP_STREAM_NATIVE) {
			copies[i] = copy_of((int)options->streams[i].native);
			r = copies[i] < 0 ? errno : posix_spawn_file_actions_adddup2(actions, copies[i], i);
		}
	}
	if (r == 0 && options->directory)
		r = iocp_prim_child_directory(actions, options->directory);
	return r != 0 ? r : iocp_prim_child_streams_only(actions, flags);
}

/* Signals do what they do at first, and none is blocked. */
static int set_attributes(posix_spawnattr_t *attributes, short flags)
{
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(attributes, &all);
	posix_spawnattr_setsigmask(attributes, &none);
	return posix_spawnattr_setflags(attributes, (short)(flags | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
}

static int spawn(const iocp_child_options *options, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, iocp_child *child)
{
	char *const *arguments = (char *const *)(uintptr_t)options->arguments;
	char *const *environment =
		options->environment ? (char *const *)(uintptr_t)options->environment : iocp_prim_environment();
	pid_t id;
	int r = posix_spawnp(&id, arguments[0], actions, attributes, arguments, environment);
	if (r == 0)
		child->id = (uint64_t)id;
	return r;
}

int iocp_child_start(const iocp_child_options *options, iocp_child *child)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int copies[STREAMS] = {-1, -1, -1}, i;
	short flags = 0;
	int r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return iocp_number_of(r);
	r = posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = add_actions(&actions, options, copies, &flags);
		if (r == 0)
			r = set_attributes(&attributes, flags);
		if (r == 0)
			r = spawn(options, &actions, &attributes, child);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	for (i = 0; i < STREAMS; i++)
		if (copies[i] >= 0)
			close(copies[i]);
	return r == ENOMEM ? IOCP_NOMEM : r ? iocp_number_of(r) : IOCP_OK;
}

/* ---- its end ----------------------------------------------------------------------------------------------------- */

void iocp_child_await(const iocp_child *child)
{
	siginfo_t info;
	while (waitid(P_PID, (id_t)child->id, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
		;
}

void iocp_child_forget(const iocp_child *child, int64_t *code, int *signal)
{
	int status = 0;
	pid_t got;
	do
		got = waitpid((pid_t)child->id, &status, 0);
	while (got < 0 && errno == EINTR);
	*code = got > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	*signal = got > 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

int iocp_child_pipe(int child_reads, iocp_file **ours, uintptr_t *theirs)
{
	int ends[2], mine = child_reads ? 1 : 0, r;
	if (iocp_prim_pipe(ends) != 0)
		return iocp_number_of(errno);
	(void)fcntl(ends[mine], F_SETFL, O_NONBLOCK); /* ours alone: programs expect one that waits */
	r = iocp_file_take(ends[mine], ours);
	if (r == IOCP_OK)
		*theirs = (uintptr_t)ends[1 - mine];
	else
		close(ends[1 - mine]);
	return r;
}

void iocp_child_close_pipe(uintptr_t theirs)
{
	close((int)theirs);
}
