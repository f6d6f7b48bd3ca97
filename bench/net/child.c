/*
** child.c - the server that is measured: a child, with children of its own, and what the system says that they used.
**
** Its processor time is the process' own clock, which also has what threads used that have ended. The system brings
** that of a thread that runs up to date with each tick only, so it is asked while nothing is on its way.
*/

#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t server;

/* One that nobody listens at, though somebody might before the server does. */
static uint16_t free_port(void)
{
	struct sockaddr_in address = loopback(1, 0);
	socklen_t size = sizeof(address);
	int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	or_die(probe >= 0 && bind(probe, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	or_die(getsockname(probe, (struct sockaddr *)&address, &size) == 0, "getsockname");
	close(probe);
	return ntohs(address.sin_port);
}

static int serves(uint16_t port)
{
	struct sockaddr_in address = loopback(1, port);
	int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = connect(probe, (struct sockaddr *)&address, sizeof(address));
	close(probe);
	return r == 0;
}

/* Gently at first, for tools that a server may run under, and that have something to write then. */
static void stop_server(void)
{
	const struct timespec moment = {0, 10000000};
	int tries;
	kill(server, SIGTERM);
	for (tries = 0; tries < 500; tries++) {
		if (waitpid(server, NULL, WNOHANG) != 0)
			return;
		nanosleep(&moment, NULL);
	}
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static void run_command(char **command, uint16_t port)
{
	char text[8];
	int count = 0;
	char **all;
	while (command[count])
		count++;
	all = allocate(sizeof(*all) * (size_t)(count + 2));
	memcpy(all, command, sizeof(*all) * (size_t)count);
	snprintf(text, sizeof(text), "%u", port);
	all[count] = text;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(all[0], all);
	perror(all[0]);
	_exit(127);
}

uint16_t start_server(char **command)
{
	const struct timespec moment = {0, 10000000};
	uint16_t port = free_port();
	int tries;
	fflush(stdout);
	server = fork();
	or_die(server >= 0, "fork");
	if (server == 0)
		run_command(command, port);
	atexit(stop_server);
	for (tries = 0; tries < 1000; tries++) {
		if (waitpid(server, NULL, WNOHANG) == server)
			break;
		if (serves(port)) {
			nanosleep(&moment, NULL);
			return port;
		}
		nanosleep(&moment, NULL);
	}
	fprintf(stderr, "%s does not serve\n", command[0]);
	exit(1);
}

/* ---- what it used ------------------------------------------------------------------------------------------------ */

static FILE *open_of(pid_t process, const char *format, const char *of)
{
	char path[320];
	snprintf(path, sizeof(path), format, (int)process, of);
	return fopen(path, "r");
}

static FILE *open_file(const char *format, const char *of)
{
	return open_of(server, format, of);
}

static pid_t parent_of(pid_t process)
{
	int parent = 0;
	FILE *file = open_of(process, "/proc/%d/stat", "");
	if (file && fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	if (file)
		fclose(file);
	return parent;
}

/* The sum of what f says of the server and its children. */
static double sum_of_server(double (*f)(pid_t process))
{
	double sum = f(server);
	const struct dirent *entry;
	DIR *folder = opendir("/proc");
	or_die(folder != NULL, "/proc");
	while ((entry = readdir(folder)) != NULL) {
		pid_t process = (pid_t)atol(entry->d_name);
		if (process > 0 && parent_of(process) == server)
			sum += f(process);
	}
	closedir(folder);
	return sum;
}

static double cpu_of_process(pid_t process)
{
	clockid_t clock;
	struct timespec used;
	or_die(clock_getcpuclockid(process, &clock) == 0 && clock_gettime(clock, &used) == 0, "the server's clock");
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static double user_of_server(void)
{
	unsigned long user = 0;
	FILE *file = open_file("/proc/%d/stat", "");
	or_die(file && fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &user) == 1, "stat");
	fclose(file);
	return (double)user / (double)sysconf(_SC_CLK_TCK);
}

/* How often the thread has waited. */
static long switches_of(const char *thread)
{
	char line[256];
	long count = 0;
	FILE *file = open_file("/proc/%d/task/%s/status", thread);
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1)
			break;
	if (file)
		fclose(file);
	return count;
}

static double cpu_of(const char *thread)
{
	unsigned long long ns = 0;
	FILE *file = open_file("/proc/%d/task/%s/schedstat", thread);
	if (file && fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	if (file)
		fclose(file);
	return (double)ns / 1e9;
}

/* Not a thread that looks after others. */
static int serves_others(const char *thread)
{
	char name[32] = "";
	FILE *file = open_file("/proc/%d/task/%s/comm", thread);
	if (file) {
		(void)!fgets(name, sizeof(name), file);
		fclose(file);
	}
	return strcmp(name, "iocp watcher\n") != 0;
}

static void ask_threads(usage *now)
{
	char path[64];
	const struct dirent *entry;
	DIR *folder;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)server);
	folder = opendir(path);
	or_die(folder != NULL, path);
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		now->switches += switches_of(entry->d_name);
		if (now->threads < THREADS_TOLD && serves_others(entry->d_name)) {
			now->identifiers[now->threads] = atol(entry->d_name);
			now->each[now->threads++] = cpu_of(entry->d_name);
		}
	}
	closedir(folder);
}

usage usage_now(void)
{
	const struct timespec idle = {0, 20000000};
	struct rusage own;
	usage now = {0};
	nanosleep(&idle, NULL);
	getrusage(RUSAGE_SELF, &own);
	now.own = own.ru_nvcsw;
	now.cpu = sum_of_server(cpu_of_process);
	now.user = user_of_server();
	ask_threads(&now);
	now.at = seconds_now();
	return now;
}

usage usage_since(const usage *before)
{
	usage now = usage_now();
	double most = 0, all = 0;
	int i, j;
	for (i = 0; i < now.threads; i++) {
		double used = now.each[i];
		for (j = 0; j < before->threads; j++)
			if (before->identifiers[j] == now.identifiers[i])
				used -= before->each[j];
		all += used;
		if (used > most)
			most = used;
	}
	now.busiest = all > 0 ? most / all : 0;
	now.at -= before->at;
	now.cpu -= before->cpu;
	now.user -= before->user;
	now.switches -= before->switches;
	now.own -= before->own;
	return now;
}

static double memory_of_process(pid_t process)
{
	char line[256];
	double kilobytes = -1;
	FILE *file = open_of(process, "/proc/%d/smaps_rollup", "");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Anonymous: %lf", &kilobytes) == 1)
			break;
	or_die(file && kilobytes >= 0, "smaps_rollup");
	fclose(file);
	return kilobytes * 1024;
}

double memory_of_server(void)
{
	return sum_of_server(memory_of_process);
}
