/*
** value/identity.c - which pointer was met before, and its number: a few of them in a row, more in a hash table with open
** addressing, in memory that the caller brings. No locks: an encoder's own.
*/

#include <string.h>

#include "lua/value/format.h"

enum { FIRST_CAPACITY = 256 };

/* Where the pointer is, or the empty slot where it would be. */
static iocp_identity *slot_of(const iocp_identities *m, const void *pointer)
{
	/* The upper bits of the product depend on all of the pointer's. */
	uint64_t hash = (uint64_t)(uintptr_t)pointer * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t i = (uint32_t)(hash >> 32) & m->mask;
	while (m->slots[i].pointer && m->slots[i].pointer != pointer)
		i = (i + 1) & m->mask;
	return &m->slots[i];
}

const iocp_identity *iocp_identities_look_up(const iocp_identities *m, const void *pointer)
{
	const iocp_identity *found = slot_of(m, pointer);
	return found->pointer ? found : NULL;
}

int iocp_identities_add(iocp_identities *m, const void *pointer, uint64_t number)
{
	if (!m->mask || m->count > m->mask / 4 * 3)
		return 0;
	*slot_of(m, pointer) = (iocp_identity){pointer, number};
	m->count++;
	return 1;
}

size_t iocp_identities_larger(const iocp_identities *m)
{
	return (m->mask ? ((size_t)m->mask + 1) * 2 : FIRST_CAPACITY) * sizeof(iocp_identity);
}

void iocp_identities_move(iocp_identities *m, void *memory, size_t size)
{
	const iocp_identity *old = m->mask ? m->slots : m->few;
	uint32_t i, old_capacity = m->mask ? m->mask + 1 : m->count;
	memset(memory, 0, size);
	m->slots = memory;
	m->mask = (uint32_t)(size / sizeof(iocp_identity)) - 1;
	for (i = 0; i < old_capacity; i++) {
		if (old[i].pointer)
			*slot_of(m, old[i].pointer) = old[i];
	}
}
