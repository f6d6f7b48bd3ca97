/*
** heap/arena.c - where the megabytes come from that the segments of all heaps lie in: fifteen of them share a mapping.
**
** The kernel limits a process to some 65,000 mappings (vm.max_map_count), so a heap, or a port with messages, must not
** take one of its own. An arena is sixteen megabytes at a multiple of that, of which the first holds nothing but the
** arena's own description. A segment that is given back loses its memory to the system at once. An arena is unmapped
** when all its segments have been given back, but for one, which is kept for the next heap.
**
** Locking: `lock` guards the list, the counter and the descriptions; nothing is mapped or unmapped under it.
*/

#include "native/native.h"

#include "native/heap/heap.h"

enum { ARENA = 16 * IOCP_SEGMENT, SEGMENTS = ARENA / IOCP_SEGMENT - 1 };

#define ALL_FREE ((UINT32_C(1) << (SEGMENTS + 1)) - 2) /* but the first megabyte */

typedef struct arena {
	uint32_t free; /* a bit for each megabyte */
	struct arena *next, *previous;
} arena;

static iocp_lock lock;
static arena *arenas;   /* those with a free segment */
static uint32_t unused; /* of them, those all of whose segments are free */

static void link_arena(arena *a)
{
	a->previous = NULL;
	a->next = arenas;
	if (a->next)
		a->next->previous = a;
	arenas = a;
}

static void unlink_arena(const arena *a)
{
	if (a->next)
		a->next->previous = a->previous;
	if (a->previous)
		a->previous->next = a->next;
	else
		arenas = a->next;
}

static int add_arenas(size_t count)
{
	size_t i;
	char *memory = count > SIZE_MAX / 2 / ARENA ? NULL : iocp_prim_map(count * ARENA, ARENA);
	if (!memory)
		return IOCP_NOMEM;
	for (i = 0; i < count; i++) {
		arena *a = (arena *)(void *)(memory + i * ARENA);
		a->free = ALL_FREE;
		iocp_lock_acquire(&lock);
		link_arena(a);
		unused++;
		iocp_lock_release(&lock);
	}
	return IOCP_OK;
}

int iocp_arena_reserve(size_t segments)
{
	return segments > SEGMENTS ? add_arenas((segments - 1) / SEGMENTS + 1) : IOCP_OK;
}

void *iocp_arena_take(void)
{
	arena *a;
	uint32_t i = 0;
	do {
		iocp_lock_acquire(&lock);
		a = arenas;
		if (a) {
			i = (uint32_t)__builtin_ctz(a->free);
			unused -= a->free == ALL_FREE;
			a->free &= ~(UINT32_C(1) << i);
			if (!a->free)
				unlink_arena(a);
		}
		iocp_lock_release(&lock);
	} while (!a && add_arenas(1) == IOCP_OK);
	return a ? (char *)a + (size_t)i * IOCP_SEGMENT : NULL;
}

void iocp_arena_give(void *segment)
{
	arena *a = (arena *)((uintptr_t)segment & ~(uintptr_t)(ARENA - 1));
	int superfluous;
	iocp_prim_forget_content(segment, IOCP_SEGMENT);
	iocp_lock_acquire(&lock);
	if (!a->free)
		link_arena(a);
	a->free |= UINT32_C(1) << ((uintptr_t)segment / IOCP_SEGMENT % (SEGMENTS + 1));
	superfluous = a->free == ALL_FREE && unused > 0;
	if (superfluous)
		unlink_arena(a);
	else
		unused += a->free == ALL_FREE;
	iocp_lock_release(&lock);
	if (superfluous)
		iocp_prim_unmap(a, ARENA);
}
