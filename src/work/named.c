/*
** named.c - pools that the process knows by a name: the same one in every state.
**
** Ownership: what is named is kept by a reference of its own, until it is closed, and somebody looks for its name or
** enters another under it. `lock` guards the list, and is taken under no other; nothing is called under it but what
** takes a reference.
*/

#include <string.h>

#include "work/pool.h"

static iocp_lock lock;
static iocp_pool *first;

static int is_open(const iocp_pool *pool)
{
	return atomic_load_explicit(&pool->phase, memory_order_seq_cst) == IOCP_POOL_OPEN;
}

/* Takes those that are closed out of the list; they are the caller's to release, by `next_named`. The lock is held. */
static iocp_pool *take_closed(void)
{
	iocp_pool **link = &first, *closed = NULL, *pool;
	while ((pool = *link) != NULL) {
		if (is_open(pool)) {
			link = &pool->next_named;
		} else {
			*link = pool->next_named;
			pool->next_named = closed;
			closed = pool;
		}
	}
	return closed;
}

static void release_all(iocp_pool *list)
{
	iocp_pool *pool;
	while ((pool = list) != NULL) {
		list = pool->next_named;
		iocp_pool_release(pool);
	}
}

/* One more reference, or NULL. The lock is held. */
static iocp_pool *find(const char *name)
{
	iocp_pool *pool;
	for (pool = first; pool; pool = pool->next_named)
		if (strcmp(pool->name, name) == 0)
			return iocp_pool_retain(pool);
	return NULL;
}

iocp_pool *iocp_pool_named(const char *name)
{
	iocp_pool *closed, *found;
	iocp_lock_acquire(&lock);
	closed = take_closed();
	found = find(name);
	iocp_lock_release(&lock);
	release_all(closed);
	return found;
}

iocp_pool *iocp_pool_enter_named(iocp_pool *pool)
{
	iocp_pool *closed, *found;
	iocp_lock_acquire(&lock);
	closed = take_closed();
	found = find(pool->name);
	if (!found) {
		pool->next_named = first;
		first = iocp_pool_retain(pool); /* the list's */
	}
	iocp_lock_release(&lock);
	release_all(closed);
	return found;
}

uint32_t iocp_pool_list_named(iocp_pool **pools, uint32_t capacity)
{
	iocp_pool *closed, *pool;
	uint32_t count = 0;
	iocp_lock_acquire(&lock);
	closed = take_closed();
	for (pool = first; pool; pool = pool->next_named, count++)
		if (count < capacity)
			pools[count] = iocp_pool_retain(pool);
	iocp_lock_release(&lock);
	release_all(closed);
	return count;
}
