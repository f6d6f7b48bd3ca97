/*
** slot.c - who counts as working for a port.
**
** A thread belongs to the port that it last tried to get from, and to no other. From the get that served it, or that timed
** out, until its next get, it has a slot there (IOCP_SLOT_HELD), which the port counts in `active`. While it blocks it is
** without: it gave the slot up itself before a wait of this library or of iocp_block_enter (IOCP_SLOT_BLOCKED), or watch.c
** took it (IOCP_SLOT_RELEASED). It takes the slot back when it goes on, whether the limit allows or not: then more than
** `limit` threads are active, and no packet is handed out until fewer are.
**
** Locking: a thread's slot is guarded by the lock of the port it belongs to. `belongs_to` is a handle and no reference, so
** that a thread does not keep a port alive: a handle that opens nothing means a port that is closed or freed, whose slots
** nobody looks at any more. That this is so at once for the thread which finds it out: a port is marked closed before its
** handle is revoked, and a reference count of zero is read with acquire (core/object.c).
*/

#include "native/native.h"

#include "native/port.h"

void iocp_slot_set(iocp_port *port, iocp_context *context, enum iocp_slot slot)
{
	port->active -= context->slot == IOCP_SLOT_HELD;
	port->released -= context->slot == IOCP_SLOT_BLOCKED || context->slot == IOCP_SLOT_RELEASED;
	port->active += slot == IOCP_SLOT_HELD;
	port->released += slot == IOCP_SLOT_BLOCKED || slot == IOCP_SLOT_RELEASED;
	context->slot = slot;
	context->blocked_looks = 0;
}

/* The port that the calling thread belongs to, locked, with a reference; NULL: none that is open. */
static iocp_port *lock_own_port(iocp_context *context)
{
	/* Relaxed: written by this thread alone. */
	iocp_handle handle = atomic_load_explicit(&context->belongs_to, memory_order_relaxed);
	iocp_port *port;
	if (!handle)
		return NULL;
	if (iocp_port_open(handle, &port) != IOCP_OK) {
		context->slot = IOCP_SLOT_NONE;
		atomic_store_explicit(&context->belongs_to, 0, memory_order_relaxed);
		return NULL;
	}
	iocp_lock_acquire(&port->lock);
	return port;
}

/* A slot may have become free: another thread is let in. */
static void unlock_own_port(iocp_port *port)
{
	iocp_aftermath aftermath;
	iocp_aftermath_begin(&aftermath);
	iocp_port_settle(port, &aftermath);
	iocp_port_unlock(port, &aftermath);
	iocp_port_release(port);
}

void iocp_slot_leave(iocp_context *context)
{
	iocp_port *port = lock_own_port(context);
	if (!port)
		return;
	iocp_slot_set(port, context, IOCP_SLOT_NONE);
	/* Under the lock: watch.c finds a port's threads by it. */
	atomic_store_explicit(&context->belongs_to, 0, memory_order_relaxed);
	unlock_own_port(port);
}

void iocp_slot_move(iocp_context *context, const iocp_port *port)
{
	iocp_handle handle = atomic_load_explicit(&context->belongs_to, memory_order_relaxed);
	if (handle && handle != port->object.handle)
		iocp_slot_leave(context);
}

static void block_enter(iocp_context *context)
{
	iocp_port *port = lock_own_port(context);
	context->blocking++;
	if (!port)
		return;
	if (context->slot == IOCP_SLOT_HELD || context->slot == IOCP_SLOT_RELEASED)
		iocp_slot_set(port, context, IOCP_SLOT_BLOCKED);
	unlock_own_port(port);
}

static void block_leave(iocp_context *context)
{
	iocp_port *port = lock_own_port(context);
	context->blocking--;
	if (!port)
		return;
	/* Within another such stretch it goes on blocking; and one that got a packet meanwhile has its slot. */
	if (context->blocking == 0 && context->slot == IOCP_SLOT_BLOCKED)
		iocp_slot_set(port, context, IOCP_SLOT_HELD);
	unlock_own_port(port);
}

int iocp_block_enter(void)
{
	iocp_context *context = iocp_context_get();
	if (!context)
		return IOCP_NOMEM;
	block_enter(context);
	return IOCP_OK;
}

void iocp_block_leave(void)
{
	iocp_context *context = iocp_this_thread.context;
	if (context && context->blocking)
		block_leave(context);
}

int iocp_wait_without_slot(
	iocp_context *context, iocp_waiters *waiters, iocp_lock *lock, int64_t deadline, int64_t spin_end)
{
	int r;
	block_enter(context);
	r = iocp_wait(context, waiters, lock, deadline, spin_end);
	block_leave(context);
	return r;
}
