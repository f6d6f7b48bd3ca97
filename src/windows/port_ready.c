/*
** port_ready.c - telling who asked that there is something in a port: the kernel's handle is signalled while there is,
** and a thread of the system's pool waits for it, once for each time that somebody asked.
**
** Ownership: the wait knows the port by its handle, and keeps nothing: where that opens nothing, the port has ended,
** and has ended the wait.
**
** Locking: the port's lock guards `ready_wait`.
*/

#include "windows/port.h"

iocp_event *iocp_port_ready_event(iocp_port *port)
{
	return &port->ready;
}

/* The lock is held. A callback that runs already finds the port gone, or nothing to end. */
static void end_wait(iocp_port *port)
{
	if (port->ready_wait)
		UnregisterWaitEx(port->ready_wait, NULL);
	port->ready_wait = NULL;
}

static VOID CALLBACK on_ready(PVOID handle, BOOLEAN timed_out)
{
	iocp_port *port;
	(void)timed_out;
	if (iocp_port_open((iocp_handle)(uintptr_t)handle, &port) != IOCP_OK)
		return;
	iocp_lock_acquire(&port->lock); /* behind who stored what is given back here */
	end_wait(port);
	iocp_lock_release(&port->lock);
	iocp_event_tell(&port->ready);
	iocp_port_release(port);
}

int iocp_port_ask(iocp_port *port, int *ready)
{
	int r = IOCP_OK;
	*ready = 1;
	if (!iocp_port_enter(port)) /* closed: it has been told, or is just being */
		return IOCP_OK;
	iocp_lock_acquire(&port->lock);
	*ready = iocp_port_depth(port->system) > 0;
	if (!*ready && !port->ready_wait
		&& !RegisterWaitForSingleObject(&port->ready_wait, port->system, on_ready,
			(PVOID)(uintptr_t)port->object.handle, INFINITE, WT_EXECUTEONLYONCE)) {
		port->ready_wait = NULL;
		r = iocp_system_code(GetLastError());
	}
	iocp_lock_release(&port->lock);
	iocp_port_leave(port);
	return r;
}

void iocp_port_end_ready(iocp_port *port)
{
	iocp_lock_acquire(&port->lock);
	end_wait(port);
	iocp_lock_release(&port->lock);
	iocp_event_happen(&port->ready);
}

int iocp_port_pollfd(iocp_port *port, int *descriptor)
{
	(void)port, (void)descriptor;
	return IOCP_INVALID;
}
