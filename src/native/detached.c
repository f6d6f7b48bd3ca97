/*
** detached.c - threads of the library's own that nobody joins: the watcher, and those that wait for devices. Owns
** nothing.
*/

#include "core/features.h"

#include "native/native.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { STACK = 64 * 1024 /* bytes, besides what the system asks for */ };

size_t iocp_stack_size(size_t wanted)
{
	size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN), page = (size_t)sysconf(_SC_PAGESIZE);
	if (wanted > SIZE_MAX - page)
		return wanted; /* which is refused */
	return ((wanted > least ? wanted : least) + page - 1) / page * page;
}

int iocp_start_detached(void *(*body)(void *))
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t ignored;
	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return r;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, iocp_stack_size(STACK + (size_t)sysconf(_SC_THREAD_STACK_MIN)));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&ignored, &attributes, body, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return r;
}
