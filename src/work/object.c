/*
** object.c - objects of any kind, for who has rows of kinds: each begins with its iocp_counted, so these are one
** function for all of them.
*/

#include "work/work.h"

#include "core/os.h"

int iocp_any_open(enum iocp_kind kind, iocp_handle handle, void **object)
{
	iocp_object *opened = iocp_object_open(handle, kind);
	if (!opened)
		return IOCP_INVALID;
	*object = opened;
	return IOCP_OK;
}

void iocp_any_announce(const void *object)
{
	iocp_object_announce(object);
}

uint32_t iocp_any_list(enum iocp_kind kind, void **objects, uint32_t capacity)
{
	return iocp_object_list(kind, objects, capacity);
}

void iocp_any_retain(void *object)
{
	iocp_counted_retain(object);
}

void iocp_any_release(void *object)
{
	iocp_counted_release(object);
}

iocp_handle iocp_any_handle(const void *object)
{
	const iocp_counted *counted = object; /* its first member */
	return counted->kind & IOCP_NAMELESS ? 0 : ((const iocp_object *)object)->handle;
}

void *iocp_any_native(const void *object)
{
	return (void *)(uintptr_t)iocp_object_native(object);
}

uintptr_t iocp_any_file(FILE *stream)
{
	return iocp_stream_native(stream);
}

/* ---- bodies: no objects, since nobody but tasks holds them ------------------------------------------------------- */

void iocp_body_begin(iocp_body *body, void (*release)(iocp_deferred *))
{
	body->deferred.free = release;
	/* Relaxed: nobody else knows it yet. */
	atomic_store_explicit(&body->references, 1, memory_order_relaxed);
}

iocp_body *iocp_body_retain(iocp_body *body)
{
	/* Relaxed: whoever retains holds a reference already. */
	atomic_fetch_add_explicit(&body->references, 1, memory_order_relaxed);
	return body;
}

void iocp_body_release(iocp_body *body)
{
	/* As in core/object.c. */
	if (!body || atomic_fetch_sub_explicit(&body->references, 1, memory_order_acq_rel) != 1)
		return;
	if (body->holds)
		iocp_free_in_turn(&body->deferred);
	else
		body->deferred.free(&body->deferred);
}
