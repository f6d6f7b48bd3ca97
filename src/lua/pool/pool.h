/*
** pool/pool.h - pools and tasks for Lua: what the files of this folder share.
**
**   pool.c       iocp.Pool and its methods
**   stats.c      those that tell what it does and did, and raise what failed
**   task.c       tasks: their making and their methods
**   worker.c     a worker's Lua state, and a task's call in it
**   payload.c    what tasks are called with, and what comes of them
**   function.c   a function on its way to the workers: it crosses to each of them once
**   loops.c      what calls a function for each item of a chunk
**   numbers.c    blocks of numbers
**
** How pools and tasks live is in src/work. To that, a function is a body and values are payloads.
*/

#ifndef IOCP_LUA_POOL_H
#define IOCP_LUA_POOL_H

#include "lua/value/format.h"
#include "work/work.h"

#pragma GCC visibility push(hidden)

/* ---- payload.c --------------------------------------------------------------------------------------------------- */

/* A payload's values, which remain its own. */
iocp_values iocp_payload_values(const iocp_payload *payload);
/* As iocp_values_copy, into one that is nothing. */
int iocp_payload_copy(lua_State *L, const iocp_encoding *encoding, iocp_payload *payload);
/* The same, and raises if memory is out. */
void iocp_payload_keep(lua_State *L, const iocp_encoding *encoding, iocp_payload *payload);
/* As iocp_values_push; of nothing, nothing. */
int iocp_payload_push(lua_State *L, const iocp_payload *payload);
/* Afterwards it is nothing. */
void iocp_payload_free(iocp_payload *payload);
int iocp_payload_holds(const iocp_payload *payload);

/* ---- function.c -------------------------------------------------------------------------------------------------- */

typedef struct iocp_function {
	iocp_body body;
	int constant;    /* nothing that it holds can change: it need not be looked at again */
	int wants_state; /* it is called with the worker's state first */
	int interpreted; /* LuaJIT is not to compile it, so that cancel("hard") comes into its loops */
	uint64_t id;     /* never given to a second one */
	iocp_values code;
} iocp_function;

static inline const iocp_function *iocp_task_function(const iocp_task *task)
{
	return (const iocp_function *)iocp_task_body(task); /* its first member */
}

/* Pushes the table of this state's work objects by function. */
void iocp_works_push(lua_State *L);
/* In a function that has these upvalues: the work of the Lua function or work object at `index`, borrowed: what is at
** `index` keeps it, which is the work object from now on if the function is not constant. Raises if it cannot cross. */
iocp_function *iocp_function_check(lua_State *L, int index);
enum {
	IOCP_WORKS = 1,  /* that table */
	IOCP_LATEST,     /* the function that was checked last, */
	IOCP_LATEST_WORK /* and its work object, of which one need not look at it again; or nil */
};
/* What a worker has decoded. Zeroed at first. */
typedef struct iocp_decoded {
	int younger, older; /* generations: references into the registry; 0: not there yet */
	int count;          /* of functions in the younger one */
	uint64_t latest;    /* id of the function that was pushed last */
} iocp_decoded;

/* Pushes the function, decoded in this state once. Raises if that cannot be done. Always called in the same C function,
** whose first upvalue keeps the latest one. */
void iocp_function_push(lua_State *L, iocp_decoded *decoded, const iocp_function *function);
/* parts.work(f [, name [, wants_state [, like [, terms]]]]): a work object; `like` is the last one for the same, which
** it may still be. terms: a table of what lua/iocp/terms.lua has checked. */
int iocp_lua_work(lua_State *L);

/* ---- worker.c ---------------------------------------------------------------------------------------------------- */

/* A pool's owner, as work.h calls it. */
typedef struct iocp_pool_plan {
	iocp_description description;     /* of the states of its workers */
	iocp_values setup;                /* for lua/iocp/worker.lua */
	int limited;                      /* its queue: */
	double queue_wait;                /* milliseconds that submit waits for a place in it */
	int raises;                       /* failures, at the next call */
	int fresh;                        /* each task has a state of its own */
	double grace;                     /* ms that code has which a hard cancel has ended, to leave */
	_Atomic(iocp_unobserved *) death; /* of the first worker whose init failed */
	char made[IOCP_PLACE];            /* where */
} iocp_pool_plan;

extern const iocp_pool_calls iocp_lua_pool_calls;

/* A task's call in Lua. */
typedef struct iocp_call {
	iocp_run *run;
	int fails;                    /* it has failed without an error, and its outcome says how */
	const _Atomic uint32_t *stop; /* of a chunk's: not 0 when the thread is to stop, */
	int32_t at;                   /* which item it is at, from 1 on; 0: at none, */
	double first, step;           /* and by which numbers the caller knows them: first, first + step ... */
} iocp_call;

typedef struct iocp_lua_worker {
	iocp_worker worker;
	iocp_running running;
	iocp_decoded decoded;
	iocp_call *call;                                       /* the innermost */
	int again;                                             /* it goes on in a new state */
	double raised;                                         /* when it was ended so, on iocp_clock; 0: it was not */
	int state, report, fini, perform, handler, keep_error; /* references into the registry */
} iocp_lua_worker;

static inline iocp_lua_worker *iocp_lua_worker_current(void)
{
	return (iocp_lua_worker *)iocp_worker_current(); /* its first member */
}

/* As iocp_running_cancel, for the thread of a worker. */
int iocp_lua_worker_cancel(iocp_worker *worker);

/* ---- stats.c ----------------------------------------------------------------------------------------------------- */

/* Raises what failed since the last call in a pool that is to do so, but not in its own workers. */
void iocp_pool_raise(lua_State *L, iocp_pool *pool);
/* A script has been told of failures of the pool itself. */
void iocp_pool_see_death(iocp_pool *pool);
/* Adds to the table at the top, and to the methods of pools; so do the two below. */
void iocp_lua_open_stats(lua_State *L);

/* ---- task.c ------------------------------------------------------------------------------------------------------ */

/* Sets functions that make tasks, which have upvalues for that, in the table at the top. */
void iocp_task_set_makers(lua_State *L, const luaL_Reg *functions);
/* In one of these: the function at `function`, its arguments behind. A new task, pushed; NULL: out of memory. */
iocp_task *iocp_task_create(lua_State *L, iocp_pool *pool, int function);
/* The same without a userdata: its reference is the caller's, who raises nothing while he has it. */
iocp_task *iocp_task_make(lua_State *L, iocp_pool *pool, int function);
/* What a task that runs after another does with that. */
enum { IOCP_CATCH = 1, IOCP_FINALLY = 2 };
/* Pushes message, code and error value or nil of a task that has ended and not completed, or of the one that it was to
** run after. Returns 3. */
int iocp_task_push_failure(lua_State *L, const iocp_task *task);
/* What parts.notices() gave. */
iocp_notices *iocp_notices_check(lua_State *L, int index);

/* ---- numbers.c, loops.c ------------------------------------------------------------------------------------------ */

#define IOCP_RUNNERS "iocp.runners" /* registry key: the functions of lua/iocp/runners.lua that run chunks */

void iocp_lua_open_numbers(lua_State *L);
void iocp_lua_open_loops(lua_State *L);
/* A runner comes to item i of its chunk; raises if it is to stop. */
void iocp_chunk_stop(lua_State *L, iocp_call *call);
static inline void iocp_chunk_reach(lua_State *L, iocp_call *call, int32_t i)
{
	call->at = i;
	if (atomic_load_explicit(call->stop, memory_order_relaxed)) /* late is good enough */
		iocp_chunk_stop(L, call);
}
/* Puts which item the chunk is at, if it is at one, before the message at the top. */
void iocp_chunk_name_item(lua_State *L, const iocp_call *call);

#pragma GCC visibility pop

#endif
