/*
** reference.c - opening, keeping and dropping a port, heap or thread, which is the same for all three in every backend,
** since each begins with its iocp_object.
*/

#include "core/object.h"

#define DEFINE_REFERENCE(noun, KIND)                                                                                   \
	int iocp_##noun##_open(iocp_handle handle, iocp_##noun **noun)                                                     \
	{                                                                                                                  \
		iocp_object *object = iocp_object_open(handle, KIND);                                                          \
		if (!object)                                                                                                   \
			return IOCP_INVALID;                                                                                       \
		*noun = (iocp_##noun *)object;                                                                                 \
		return IOCP_OK;                                                                                                \
	}                                                                                                                  \
	iocp_##noun *iocp_##noun##_retain(iocp_##noun *noun)                                                               \
	{                                                                                                                  \
		iocp_object_retain((iocp_object *)noun);                                                                       \
		return noun;                                                                                                   \
	}                                                                                                                  \
	void iocp_##noun##_release(iocp_##noun *noun)                                                                      \
	{                                                                                                                  \
		if (noun)                                                                                                      \
			iocp_object_release((iocp_object *)noun);                                                                  \
	}                                                                                                                  \
	iocp_handle iocp_##noun##_handle(const iocp_##noun *noun)                                                          \
	{                                                                                                                  \
		return ((const iocp_object *)noun)->handle;                                                                    \
	}                                                                                                                  \
	void *iocp_##noun##_native(iocp_##noun *noun)                                                                      \
	{                                                                                                                  \
		return (void *)(uintptr_t)iocp_object_native((const iocp_object *)noun);                                       \
	}

DEFINE_REFERENCE(port, IOCP_KIND_PORT)
DEFINE_REFERENCE(heap, IOCP_KIND_HEAP)
DEFINE_REFERENCE(thread, IOCP_KIND_THREAD)
