/*
** event.c - something that happens once. Whose it is, is whose thing it is a part of; nothing is held by it.
*/

#include "core/event.h"

void iocp_event_over(iocp_event *event)
{
	(void)event;
}

void iocp_event_tell(iocp_event *event)
{
	/* Acquire: pairs with who set the call. */
	void (*call)(iocp_event *) = atomic_load_explicit(&event->call, memory_order_acquire);
	if (call)
		call(event);
}

void iocp_event_happen(iocp_event *event)
{
	/* Release: what happened before it happens-before what is done by who finds it over. Acquire: pairs with who set
	** the call. */
	void (*call)(iocp_event *) = atomic_exchange_explicit(&event->call, iocp_event_over, memory_order_acq_rel);
	if (call)
		call(event);
}
