/*
** pool/worker.c - a worker's Lua state, and a task's call in it: what src/work calls for a pool of ours.
**
** Ownership: the state is made, used and closed by the worker's thread alone.
*/

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/pool/pool.h"

/* ---- a task ------------------------------------------------------------------------------------------------------ */

static int push_values(lua_State *L, const iocp_values *values)
{
	int count = values->block ? iocp_values_push(L, values) : 0;
	if (count < 0)
		lua_error(L);
	return count;
}

static int push_payload(lua_State *L, const iocp_payload *payload)
{
	int count = iocp_payload_push(L, payload);
	if (count < 0)
		luaL_error(L, "arg %d: %s", -count, lua_tostring(L, -1));
	return count;
}

static void push_runners(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, IOCP_RUNNERS);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		iocp_class_load(L, IOCP_CLASS_POOL);
		lua_getfield(L, LUA_REGISTRYINDEX, IOCP_RUNNERS);
	}
}

/* The results from 1 on become the run's outcome. */
static void keep_results(lua_State *L, iocp_run *run)
{
	iocp_encoding encoding = {.first = 1, .count = lua_gettop(L), .what = "result", .owner = run->task};
	if (encoding.count > 0)
		iocp_payload_keep(L, &encoding, &run->outcome);
}

/* Keeps the text of a failure; `raise`: for the next call too, in a pool that does so. */
static void fail(iocp_pool *pool, const char *message, int raise)
{
	const iocp_pool_plan *plan = iocp_pool_owner(pool);
	iocp_pool_failed(pool, message, plan->raises && raise);
}

/* Lets a failure of the pool's be known: the message is at the top, which stays. */
static void report(lua_State *L, const iocp_lua_worker *worker, const char *name)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->report);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	lua_pushvalue(L, -2);
	lua_pushstring(L, name);
	lua_pushinteger(L, (lua_Integer)worker->worker.index);
	lua_call(L, 3, 0);
}

/* The message is at the top. What is wrong may be what the task's values lost. */
static void advise(lua_State *L, const iocp_task *task)
{
	char argument[32];
	const char *what = argument;
	iocp_values arguments = iocp_payload_values(iocp_task_payload(task));
	int lost = iocp_values_lost(&arguments);
	snprintf(argument, sizeof(argument), lost == IOCP_LOST_MOST ? "an argument" : "arg %d", lost);
	if (lost && iocp_task_runner(task))
		what = "an item";
	else if (!lost)
		what = iocp_values_lost(&iocp_task_function(task)->code) ? "an upvalue" : NULL;
	iocp_outcome_advise(L, what);
}

/* Whether a failure of the pool's is let be known by what it was made with. */
static int is_reported(lua_State *L, const iocp_lua_worker *worker)
{
	int reported;
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->report);
	reported = worker->report && !lua_isnil(L, -1); /* 0: it did not come so far */
	lua_pop(L, 1);
	return reported;
}

/* The message of the task's failure is at the top: it is told if nobody asks for it. A chunk's is asked for by its
** loop. A periodic task is kept for what it does, not to be asked: its failure is told at once. */
static void note_failure(lua_State *L, iocp_lua_worker *worker, iocp_values *failure)
{
	const iocp_task *task = worker->call->run->task;
	const iocp_pool_plan *plan = iocp_pool_owner(worker->worker.pool);
	iocp_failed who = {.kind = IOCP_FAILED_TASK};
	if (iocp_thread_cancelled() || plan->raises || iocp_task_runner(task) || is_reported(L, worker))
		return;
	snprintf(who.name, sizeof(who.name), "%s", iocp_task_body(task)->name);
	snprintf(who.pool, sizeof(who.pool), "%s", iocp_pool_name(worker->worker.pool));
	snprintf(who.made, sizeof(who.made), "%s", iocp_task_made(task));
	if (iocp_task_is_periodic(task) && !iocp_task_is_awaited(task))
		iocp_unobserved_end(iocp_unobserved_new(&who, lua_tostring(L, -1)));
	else
		iocp_unobserved_add(failure, &who, lua_tostring(L, -1));
}

/* What came of the task before becomes what comes of this one: its results, or its error. */
static void pass_on(lua_State *L, iocp_lua_worker *worker, const iocp_task *input)
{
	iocp_run *run = worker->call->run;
	iocp_values failure = {NULL, 0, NULL};
	lua_settop(L, 0);
	if (iocp_task_state(input) == IOCP_TASK_COMPLETED) {
		(void)push_payload(L, iocp_task_payload(input));
		keep_results(L, run);
		return;
	}
	(void)iocp_task_push_failure(L, input);
	lua_pushvalue(L, 1); /* the message, behind the error value */
	iocp_outcome_keep_failure(L, &failure, run->task);
	note_failure(L, worker, &failure);
	run->outcome = (iocp_payload){.block = failure.block, .size = failure.size, .owner = failure.owner};
	worker->call->fails = 1;
}

/* Pushes what is between the function and its arguments; returns how many values that are. */
static int push_input(lua_State *L, const iocp_task *task, const iocp_task *input)
{
	if (!input || iocp_task_settling(task) == IOCP_FINALLY)
		return 0;
	return iocp_task_settling(task) == IOCP_CATCH ? iocp_task_push_failure(L, input)
												  : push_payload(L, iocp_task_payload(input));
}

/* Runs protected: calls the innermost task's function and keeps the results, if anybody may ask for them. */
static int perform(lua_State *L)
{
	iocp_lua_worker *worker = iocp_lua_worker_current();
	iocp_run *run = worker->call->run;
	const iocp_function *function = iocp_task_function(run->task);
	const iocp_task *input = iocp_task_input(run->task);
	int count = 0, settling = iocp_task_settling(run->task);
	if (settling == IOCP_CATCH && iocp_task_state(input) == IOCP_TASK_COMPLETED) {
		pass_on(L, worker, input);
		return 0;
	}
	if (iocp_task_runner(run->task)) {
		push_runners(L);
		lua_rawgeti(L, 1, iocp_task_runner(run->task));
		lua_remove(L, 1);
		count++; /* the function */
	}
	iocp_function_push(L, &worker->decoded, function);
	if (function->wants_state) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, worker->state);
		count++;
	}
	count += push_input(L, run->task, input);
	count += push_payload(L, iocp_task_payload(run->task));
	if (iocp_debugs())
		count += iocp_debug_watch(L, iocp_task_runner(run->task) ? 2 : 1);
	lua_call(L, count, iocp_task_is_posted(run->task) ? 0 : LUA_MULTRET);
	if (settling == IOCP_FINALLY)
		pass_on(L, worker, input);
	else
		keep_results(L, run);
	return 0;
}

/* Runs protected. At 1 the error value, at 2 what lua_pcall returned; keeps it, and lets failures be known. */
static int keep_error(lua_State *L)
{
	iocp_lua_worker *worker = iocp_lua_worker_current();
	iocp_pool *pool = worker->worker.pool;
	iocp_run *run = worker->call->run;
	const char *name = iocp_task_body(run->task)->name;
	int status = (int)lua_tointeger(L, 2);
	iocp_values failure = {NULL, 0, NULL};
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler);
	lua_replace(L, 2);
	lua_pushvalue(L, 1);
	iocp_outcome_push_message(L, 2, status);
	advise(L, run->task);
	iocp_chunk_name_item(L, worker->call);
	iocp_outcome_keep_failure(L, &failure, run->task);
	if (!iocp_task_is_retried(run->task))
		note_failure(L, worker, &failure);
	run->outcome = (iocp_payload){.block = failure.block, .size = failure.size, .owner = failure.owner};
	if (iocp_thread_cancelled() || iocp_task_is_retried(run->task))
		return 0;
	lua_pushfstring(L, "%s: %s failed in worker %d: %s", iocp_pool_name(pool), name, (int)worker->worker.index,
		lua_tostring(L, -1));
	fail(pool, lua_tostring(L, -1), !iocp_task_runner(run->task)); /* a loop raises its own */
	lua_pop(L, 1);
	report(L, worker, name);
	return 0;
}

static enum iocp_task_state call_task(lua_State *L, iocp_lua_worker *worker)
{
	int top = lua_gettop(L), status;
	enum iocp_task_state state = IOCP_TASK_COMPLETED;
	iocp_hook hook; /* of the task that waits for this one and runs it in place */
	iocp_hook_save(&worker->running, L, &hook);
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler);
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->perform);
	status = lua_pcall(L, 0, 0, top + 1);
	if (iocp_hook_drop(L))
		hook.f = NULL; /* debug.sethook has another function for it now */
	if (status == 0 && worker->call->fails) {
		state = IOCP_TASK_FAILED;
	} else if (status != 0) {
		state = iocp_thread_cancelled() ? IOCP_TASK_CANCELLED : IOCP_TASK_FAILED;
		iocp_payload_free(&worker->call->run->outcome); /* its results, if a cancel came behind them */
		lua_rawgeti(
			L, LUA_REGISTRYINDEX, worker->keep_error); /* which takes no memory, where an error would not be caught */
		lua_insert(L, -2);
		lua_pushinteger(L, status);
		(void)lua_pcall(L, 2, 0, 0); /* without memory for the message there is none */
	}
	iocp_hook_restore(&worker->running, L, &hook);
	lua_settop(L, top);
	return state;
}

static void say_begins(const iocp_task *task)
{
	const char *made = iocp_task_runner(task) ? "" : iocp_task_made(task); /* a chunk was made by a line of ours */
	iocp_debug_say("task %s begins%s%s", iocp_task_body(task)->name, *made ? ", made at " : "", made);
}

static enum iocp_task_state run(iocp_worker *worker, iocp_run *innermost, void *L)
{
	iocp_lua_worker *own = (iocp_lua_worker *)worker; /* its first member */
	iocp_call call = {.run = innermost}, *outer = own->call;
	const char *name = iocp_task_body(innermost->task)->name;
	enum iocp_task_state state;
	own->call = &call;
	if (iocp_debugs())
		say_begins(innermost->task);
	state = call_task(L, own);
	if (iocp_debugs())
		iocp_debug_say("task %s ends: %s", name,
			state == IOCP_TASK_COMPLETED ? "completed"
			: state == IOCP_TASK_FAILED  ? "failed"
										 : "cancelled");
	own->call = outer;
	return state;
}

/* ---- its end, hard ----------------------------------------------------------------------------------------------- */

/* A hook. The first error is raised at once; what it passes on its way out, __close and what catches it, then has some
** time in which nothing is raised. */
static void raise_in_worker(lua_State *L, lua_Debug *activation)
{
	iocp_lua_worker *worker = iocp_lua_worker_current();
	const iocp_pool_plan *plan = iocp_pool_owner(worker->worker.pool);
	double now = iocp_clock();
	if (worker->raised > 0 && now < worker->raised + plan->grace)
		return;
	if (worker->raised <= 0)
		worker->raised = now;
	iocp_raise_cancelled(L, activation);
}

/* ---- its state --------------------------------------------------------------------------------------------------- */

/* Calls init, at the top, in whose place it leaves the state that tasks may ask for. Raises its message, which was
** reported. */
static void call_init(lua_State *L, iocp_lua_worker *worker)
{
	int handler = lua_gettop(L), status;
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler);
	lua_insert(L, handler);
	status = lua_pcall(L, 0, 1, handler);
	(void)iocp_hook_drop(L);
	if (status != 0) {
		iocp_outcome_push_message(L, handler, status);
		report(L, worker, "init");
		(void)lua_error(L);
	}
	lua_remove(L, handler);
}

/* Runs protected: makes the state what its pool wants. lua/iocp/worker.lua gives a function that reports failures,
** or nil, init and fini. */
static int initialise(lua_State *L)
{
	iocp_lua_worker *worker = iocp_lua_worker_current();
	const iocp_pool_plan *plan = iocp_pool_owner(worker->worker.pool);
	int count;
	iocp_state_prepare(L, &plan->description, &worker->running);
	lua_pushnil(L); /* see iocp_function_push */
	lua_pushcclosure(L, perform, 1);
	worker->perform = luaL_ref(L, LUA_REGISTRYINDEX);
	iocp_outcome_push_handler(L);
	worker->handler = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushcfunction(L, keep_error);
	worker->keep_error = luaL_ref(L, LUA_REGISTRYINDEX);
	iocp_state_begin(L);
	worker->running.raise = raise_in_worker;
	iocp_running_begin(&worker->running, L);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "iocp.worker");
	lua_call(L, 1, 1);
	count = push_values(L, &plan->setup);
	lua_call(L, count, 3);
	worker->fini = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_insert(L, -2);
	worker->report = luaL_ref(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		call_init(L, worker);
	worker->state = luaL_ref(L, LUA_REGISTRYINDEX);
	(void)iocp_hook_drop(L); /* a module's */
	return 0;
}

/* The message at the top is init's: it is told if nobody asks for it. */
static void note_death(lua_State *L, const iocp_lua_worker *worker)
{
	iocp_pool_plan *plan = iocp_pool_owner(worker->worker.pool);
	iocp_failed who = {.kind = IOCP_FAILED_POOL};
	iocp_unobserved *death, *none = NULL;
	if (is_reported(L, worker))
		return;
	snprintf(who.name, sizeof(who.name), "%s", iocp_pool_name(worker->worker.pool));
	memcpy(who.made, plan->made, sizeof(who.made));
	death = iocp_unobserved_new(&who, lua_tostring(L, -1));
	/* Release: what it says is there for who sees it. */
	if (!atomic_compare_exchange_strong_explicit(
			&plan->death, &none, death, memory_order_acq_rel, memory_order_acquire)) {
		iocp_unobserved_see(death); /* the first is enough: they mostly say the same */
		iocp_unobserved_end(death);
	}
}

/* Runs protected. At 1 why the worker died: a failure of its pool. */
static int report_death(lua_State *L)
{
	iocp_lua_worker *worker = iocp_lua_worker_current();
	iocp_push_text(L, 1);
	if (!worker->worker.initialised)
		note_death(L, worker);
	lua_pushfstring(L, "%s: worker %d died: %s", iocp_pool_name(worker->worker.pool), (int)worker->worker.index,
		lua_tostring(L, -1));
	fail(worker->worker.pool, lua_tostring(L, -1), 1);
	lua_pop(L, 1);
	if (worker->worker.initialised) /* else it has been reported */
		report(L, worker, "the worker itself");
	return 0;
}

/* Runs protected: calls fini with the state, if there is one. Its error is a failure of the pool's. */
static int finish(lua_State *L)
{
	iocp_lua_worker *worker = iocp_lua_worker_current();
	int status;
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler);
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->fini);
	if (lua_isnil(L, -1))
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, worker->state);
	status = lua_pcall(L, 1, 0, 1);
	(void)iocp_hook_drop(L);
	if (status == 0)
		return 0;
	iocp_outcome_push_message(L, 1, status);
	lua_pushfstring(L, "%s: fini failed in worker %d: %s", iocp_pool_name(worker->worker.pool),
		(int)worker->worker.index, lua_tostring(L, -1));
	fail(worker->worker.pool, lua_tostring(L, -1), 1);
	lua_pop(L, 1);
	report(L, worker, "fini");
	return 0;
}

/* The second article's loop. 1: it is to go on in a new state. */
static int serve(lua_State *L, iocp_worker *worker)
{
	const iocp_pool_plan *plan = iocp_pool_owner(worker->pool);
	uint64_t before = worker->tasks;
	int goes_on;
	do {
		iocp_give_back(L);
		goes_on = iocp_worker_step(worker, L);
	} while (goes_on && (!plan->fresh || worker->tasks == before || iocp_thread_cancelled()));
	return goes_on;
}

static int supervise(lua_State *L)
{
	iocp_lua_worker *own = iocp_lua_worker_current();
	iocp_worker *worker = &own->worker;
	lua_pushcfunction(L, report_death);
	lua_pushcfunction(L, initialise);
	worker->initialised = lua_pcall(L, 0, 0, 0) == 0;
	own->again = worker->initialised && serve(L, worker);
	if (worker->initialised && (own->again || worker->end != IOCP_WORKER_DIED)) {
		lua_pushcfunction(L, finish);
		(void)lua_pcall(L, 0, 0, 0); /* without memory for the message there is none */
	}
	iocp_running_end(&own->running, L);
	if (own->again)
		return 0;
	if (worker->initialised)
		lua_pushliteral(L, "its thread was cancelled");
	if (worker->end == IOCP_WORKER_DIED)
		(void)lua_pcall(L, 1, 0, 0); /* as above */
	return 0;
}

/* What of a worker belongs to its state. */
static void forget_state(iocp_lua_worker *worker)
{
	memset(&worker->decoded, 0, sizeof(worker->decoded));
	worker->state = worker->report = worker->fini = worker->perform = worker->handler = worker->keep_error = 0;
}

/* In a state of its own; sets again if it is to go on in another. */
static void work_in_state(iocp_lua_worker *worker)
{
	iocp_state_memory *memory;
	lua_State *L = iocp_state_open(&memory);
	worker->again = 0;
	forget_state(worker);
	worker->worker.end = IOCP_WORKER_DIED;
	if (L) {
		(void)iocp_protect(L, supervise, NULL); /* how it went is in the worker */
		iocp_state_close(L, memory);
	} else {
		worker->worker.initialised = 0;
		fail(worker->worker.pool, "a worker died: out of memory for its Lua state", 1);
	}
}

static void work(iocp_worker *worker)
{
	iocp_lua_worker *own = (iocp_lua_worker *)worker; /* its first member */
	if (iocp_debugs())
		iocp_debug_say("worker %d begins", (int)worker->index);
	do
		work_in_state(own);
	while (own->again);
	if (iocp_debugs())
		iocp_debug_say("worker %d ends%s", (int)worker->index, worker->end == IOCP_WORKER_DIED ? ": it died" : "");
}

static void interrupted(iocp_thread *thread)
{
	iocp_lua_worker *worker = iocp_thread_data(thread);
	iocp_running_interrupted(&worker->running);
}

int iocp_lua_worker_cancel(iocp_worker *worker)
{
	return iocp_running_cancel(&((iocp_lua_worker *)worker)->running, worker->thread, interrupted);
}

/* Nobody can ask for init's failure any more. */
static void leave_plan(void *owner)
{
	iocp_pool_plan *plan = owner;
	iocp_unobserved_end(atomic_exchange_explicit(&plan->death, NULL, memory_order_acq_rel));
}

static void free_plan(void *owner)
{
	iocp_pool_plan *plan = owner;
	leave_plan(plan);
	iocp_description_free(&plan->description);
	iocp_values_free(&plan->setup);
	free(plan);
}

const iocp_pool_calls iocp_lua_pool_calls = {
	.worker_size = sizeof(iocp_lua_worker),
	.work = work,
	.run = run,
	.cancel = iocp_lua_worker_cancel,
	.free_payload = iocp_payload_free,
	.payload_holds = iocp_payload_holds,
	.leave_owner = leave_plan,
	.free_owner = free_plan,
};
