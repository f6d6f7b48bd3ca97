/*
** event.h - something that happens, once as the end of a thread, or again and again as a signal, for who wants to be
** told of it.
*/

#ifndef IOCP_EVENT_H
#define IOCP_EVENT_H

#include <stdint.h>

#include "core/atomic.h"

#pragma GCC visibility push(hidden)

/* Zeroed: it has not happened, and nobody asked. */
typedef struct iocp_event {
	_Atomic(void (*)(struct iocp_event *)) call; /* what is called when it happens; iocp_event_over: it has */
	/* Of one that happens again and again: called, without a lock, when the last who asked does so no more. NULL: it
	** happens once. Fixed at birth. */
	void (*left)(struct iocp_event *);
	uint32_t list; /* src/work/timer.c's, under its lock */
} iocp_event;

/* It happens, once and for all: those who asked are told, in the calling thread, without a lock. Later calls do
** nothing. */
void iocp_event_happen(iocp_event *event);
/* It happens once more, of one that does again and again and forgets who asked each time: they are told, as above. */
void iocp_event_tell(iocp_event *event);
/* What an event that has happened calls: nothing. */
void iocp_event_over(iocp_event *event);

#pragma GCC visibility pop

#endif
