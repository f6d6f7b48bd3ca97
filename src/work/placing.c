/*
** placing.c - where a pool's workers run, and how much.
**
** A pool whose workers are spread gives each of them one processor: that with the fewest so far, so that those which
** come and go leave no processor to itself for longer than they must. Which these are was asked when the pool was made,
** in the thread that made it: a worker that starts another one may run on one processor only.
*/

#include <stdlib.h>
#include <string.h>

#include "work/pool.h"

enum { MOST = 1024 };

/* Gives the placing room for `count` processors. IOCP_NOMEM. */
static int make_room(iocp_placing *p, size_t count)
{
	p->processors = calloc(count, sizeof(*p->processors));
	p->workers = calloc(count, sizeof(*p->workers));
	p->count = count;
	return p->processors && p->workers ? IOCP_OK : IOCP_NOMEM;
}

int iocp_placing_begin(iocp_placing *p, const iocp_pool_options *options)
{
	uint32_t mine[MOST];
	const uint32_t *processors = options->processors;
	size_t count = options->processor_count;
	p->spread = options->spread;
	p->priority = options->priority;
	if (p->spread && !count) {
		count = iocp_processor_list(mine, MOST);
		processors = mine;
	}
	if (count == 0) {
		p->spread = 0;
		return IOCP_OK;
	}
	if (make_room(p, count) != IOCP_OK) {
		iocp_placing_end(p);
		return IOCP_NOMEM;
	}
	memcpy(p->processors, processors, count * sizeof(*processors));
	return IOCP_OK;
}

void iocp_placing_end(iocp_placing *p)
{
	free(p->processors);
	free(p->workers);
	p->processors = p->workers = NULL;
	p->count = 0;
}

uint32_t iocp_placing_take(iocp_placing *p)
{
	size_t i, best = 0;
	if (!p->spread)
		return 0;
	for (i = 1; i < p->count; i++)
		if (p->workers[i] < p->workers[best])
			best = i;
	p->workers[best]++;
	return (uint32_t)best + 1;
}

void iocp_placing_give(iocp_placing *p, uint32_t place)
{
	if (place)
		p->workers[place - 1]--;
}

void iocp_placing_apply(const iocp_placing *p, uint32_t place, int again, iocp_thread_options *options)
{
	options->size = sizeof(*options);
	options->processors = place ? &p->processors[place - 1] : p->processors;
	options->processor_count = place ? 1 : p->count;
	options->priority = again ? 0 : p->priority;
}
