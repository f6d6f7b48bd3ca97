/*
** pool/task.c - tasks: their making, and their methods.
**
** Who waits for tasks waits on notices (task_watch.c), which lie in a userdata, so that an error in a hook that runs
** meanwhile drops them. A worker that waits for a task of its own pool which nobody has begun runs it itself, on the
** spot. That is safe where running just anything would not be: it could go on only after that task anyway.
*/

#include <stdio.h>
#include <string.h>

#include "lua/pool/pool.h"

static iocp_task *check_task(lua_State *L, int index, const char *name)
{
	return iocp_object_check(L, index, IOCP_CLASS_TASK, name);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Upvalues of a function that makes tasks, behind those of iocp_function_check: quicker to come by than what the
** registry has. */
enum { METATABLE = IOCP_LATEST_WORK + 1, UPVALUES = METATABLE };

#define RESOLVE "iocp.resolve" /* registry key: what lua/iocp/pool.lua makes of work that is no function */

/* Makes what stands for a function at `index` a work object. */
static void resolve(lua_State *L, int index)
{
	int type = lua_type(L, index);
	enum iocp_class c;
	if (type == LUA_TUSERDATA && iocp_object_test(L, index, &c))
		iocp_bad_argument(
			L, index, "f", c == IOCP_CLASS_TASK ? "a function (a task is submitted by task:submit())" : "a function");
	if (type == LUA_TFUNCTION || type == LUA_TUSERDATA)
		return;
	lua_getfield(L, LUA_REGISTRYINDEX, RESOLVE);
	lua_pushvalue(L, index);
	lua_call(L, 1, 1);
	lua_replace(L, index);
}

/* Too dear to be known of every task. */
static void note_place(lua_State *L, iocp_task *task)
{
	char made[IOCP_PLACE];
	iocp_unobserved_where(L, 1, made, sizeof(made));
	iocp_task_set_made(task, made);
}

/* As iocp_task_make, with `count` arguments. Nothing is raised once there is a task. */
static iocp_task *make(lua_State *L, iocp_pool *pool, int function, int count)
{
	iocp_encoding encoding = {.first = function + 1, .count = count, .what = "arg"};
	iocp_payload arguments = {.block = NULL};
	iocp_function *body;
	iocp_task *task;
	resolve(L, function);
	body = iocp_function_check(L, function);
	if (count > 0 && iocp_payload_copy(L, &encoding, &arguments) != IOCP_OK)
		return NULL;
	task = iocp_task_new(pool, &body->body, &arguments);
	if (!task)
		iocp_payload_free(&arguments);
	return task;
}

/* How many arguments stand behind the function. */
static int count_arguments(lua_State *L, int function)
{
	int count = lua_gettop(L) - function;
	if (count < 0)
		iocp_bad_argument(L, function, "f", "a function");
	return count;
}

iocp_task *iocp_task_make(lua_State *L, iocp_pool *pool, int function)
{
	return make(L, pool, function, count_arguments(L, function));
}

iocp_task *iocp_task_create(lua_State *L, iocp_pool *pool, int function)
{
	int count = count_arguments(L, function);
	iocp_task *task;
	iocp_object_push_with(L, IOCP_CLASS_TASK, lua_upvalueindex(METATABLE));
	task = make(L, pool, function, count);
	if (task)
		iocp_object_set(L, task);
	if (task && iocp_debugs())
		note_place(L, task);
	return task;
}

void iocp_task_set_makers(lua_State *L, const luaL_Reg *functions)
{
	iocp_works_push(L);
	lua_pushnil(L);
	lua_pushnil(L);
	luaL_getmetatable(L, iocp_class_name(IOCP_CLASS_TASK));
	iocp_set_functions(L, functions, UPVALUES);
}

/* parts.set_resolver(f) */
static int set_resolver(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	lua_setfield(L, LUA_REGISTRYINDEX, RESOLVE);
	return 0;
}

/* A chunk of a loop, which that alone knows, is not to run once the loop has lost it: an error may have ended that. */
static int task_collect(lua_State *L)
{
	enum iocp_class class;
	void *object = iocp_object_take(L, &class);
	if (!object)
		return 0;
	if (class == IOCP_CLASS_TASK && iocp_task_runner(object))
		(void)iocp_task_cancel(object, IOCP_BY_CALL);
	iocp_object_drop(object);
	return 0;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static const char *const states[] = {"unscheduled", "scheduled", "running", "completed", "failed", "cancelled"};

/* Neither this nor tostring counts as asking: a task that failed is still told. */
static int task_status(lua_State *L)
{
	lua_pushstring(L, states[iocp_task_state(check_task(L, 1, "self"))]);
	return 1;
}

static int task_to_string(lua_State *L)
{
	enum iocp_class c;
	const iocp_task *task = iocp_object_test(L, 1, &c);
	if (!task || c != IOCP_CLASS_TASK)
		return iocp_object_to_string(L, NULL);
	lua_pushfstring(L, "%s, %s", iocp_task_body(task)->name, states[iocp_task_state(task)]);
	return iocp_object_to_string(L, lua_tostring(L, -1));
}

static int task_name(lua_State *L)
{
	lua_pushstring(L, iocp_task_body(check_task(L, 1, "self"))->name);
	return 1;
}

/* What came of a task that has ended. Where it never ran, who cancelled it may just be freeing its arguments. */
static iocp_values outcome_of(const iocp_task *task)
{
	iocp_values none = {NULL, 0, NULL};
	return iocp_task_has_run(task) ? iocp_payload_values(iocp_task_payload(task)) : none;
}

/* nil, message, "CANCELLED" for a task that was to run after one that did not complete. */
static int push_blame(lua_State *L, const iocp_task *cause)
{
	iocp_values values = outcome_of(cause);
	int first = lua_gettop(L) + 1;
	const char *what = iocp_task_state(cause) == IOCP_TASK_FAILED ? "failed"
					   : iocp_task_reason(cause) == IOCP_BY_TIME  ? "ran out of its time"
																  : "was cancelled";
	lua_pushfstring(
		L, "the task was cancelled: '%s', which it was to run after, %s", iocp_task_body(cause)->name, what);
	if (values.block && iocp_values_push(L, &values) > 0) {
		iocp_unobserved_see(iocp_unobserved_of(&values));
		lua_pushfstring(L, "%s: %s", lua_tostring(L, first), lua_tostring(L, first + 1));
		lua_replace(L, first);
	}
	lua_settop(L, first);
	return iocp_failure(L, IOCP_CANCELLED, lua_tostring(L, first));
}

/* nil, message, "TIMEOUT" and the milliseconds that it had, which tell it from a wait that was too short. */
static int push_late(lua_State *L, const iocp_task *task)
{
	iocp_values values = outcome_of(task);
	double ms = iocp_task_body(task)->terms.timeout;
	char text[96];
	int first = lua_gettop(L) + 1;
	snprintf(text, sizeof(text), "the task ran out of its time, %.14g ms%s", ms,
		iocp_task_has_run(task) ? "" : ", before it began");
	lua_pushstring(L, text);
	if (values.block && iocp_values_push(L, &values) > 0) {
		iocp_unobserved_see(iocp_unobserved_of(&values));
		lua_pushfstring(L, "%s; what that ended: %s", lua_tostring(L, first), lua_tostring(L, first + 1));
		lua_replace(L, first);
	}
	lua_settop(L, first);
	(void)iocp_failure(L, IOCP_TIMEOUT, lua_tostring(L, first));
	lua_pushnumber(L, (lua_Number)ms);
	return 4;
}

/* nil, message, "CANCELLED" for a task that never ran; else as a failure. */
static int push_cancelled(lua_State *L, const iocp_task *task)
{
	static const char *const reasons[] = {
		"the task was cancelled",
		"the task was cancelled: its pool was closed",
		NULL,
		"the task was cancelled: out of memory to queue it",
	};
	enum iocp_task_reason reason = iocp_task_reason(task);
	iocp_pool *pool = iocp_task_pool(task);
	iocp_values values = outcome_of(task);
	if (reason == IOCP_BY_TIME)
		return push_late(L, task);
	if (values.block)
		return iocp_outcome_push_failure(L, IOCP_CANCELLED, &values);
	if (reason == IOCP_BY_DEPENDENCY)
		return push_blame(L, iocp_task_input(task));
	if (reason == IOCP_BY_CLOSE && iocp_pool_is_broken(pool))
		return iocp_failure(
			L, IOCP_CANCELLED, "the task was cancelled: its pool has no workers left; pool:last_error() says why");
	return iocp_failure(L, IOCP_CANCELLED, reasons[reason]);
}

/* For a task that has ended: true and its results, or nil, message, code and perhaps the error value. */
static int push_outcome(lua_State *L, const iocp_task *task)
{
	iocp_values values = outcome_of(task);
	int count = 0;
	switch (iocp_task_state(task)) {
	case IOCP_TASK_CANCELLED:
		return push_cancelled(L, task);
	case IOCP_TASK_FAILED:
		return iocp_outcome_push_failure(L, IOCP_ERROR, &values);
	default:
		lua_pushboolean(L, 1);
		if (values.block)
			count = iocp_values_push(L, &values);
		return count >= 0 ? 1 + count : iocp_failure(L, IOCP_INVALID, lua_tostring(L, -1));
	}
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static int has_ended(const iocp_task *task)
{
	return iocp_task_state(task) >= IOCP_TASK_COMPLETED;
}

/* In a worker: runs the task on the spot, if it is queued. 1: it did. */
static int run_in_place(lua_State *L, iocp_task *task)
{
	iocp_worker *worker = iocp_worker_current();
	return worker && lua_checkstack(L, LUA_MINSTACK) && iocp_worker_run_in_place(worker, task, L);
}

#define NOTICES "iocp.notices"

static int collect_notices(lua_State *L)
{
	iocp_notices **box = lua_touserdata(L, 1);
	iocp_notices_release(*box);
	*box = NULL;
	return 0;
}

/* Pushes new notices; NULL: out of memory. */
static iocp_notices *push_notices(lua_State *L)
{
	iocp_notices **box = lua_newuserdata(L, sizeof(*box));
	*box = NULL;
	if (luaL_newmetatable(L, NOTICES)) {
		lua_pushcfunction(L, collect_notices);
		lua_setfield(L, -2, "__gc");
		lua_pushboolean(L, 0);
		lua_setfield(L, -2, "__metatable"); /* nobody else calls it */
	}
	lua_setmetatable(L, -2);
	*box = iocp_notices_new();
	return *box;
}

static int wait_notices(void *notices, void *key, double ms)
{
	return iocp_notices_wait(notices, key, ms);
}

/* What a protected wait is called with. */
typedef struct waiting {
	iocp_notices *notices;
	uintptr_t *key;
	double ms;
	int r;
} waiting;

static int wait_protected(lua_State *L)
{
	waiting *w = lua_touserdata(L, 1);
	w->r = iocp_wait_in_lua(L, wait_notices, w->notices, w->key, w->ms);
	return 0;
}

/* Waits for a notice, in which a worker counts as blocked; `task`, or NULL, is what it waits for, for which it may not
** wait if that waits for it. A finalizer may raise where the wait allocates: that goes on once neither counts. */
static int wait_blocked(lua_State *L, iocp_task *task, iocp_notices *notices, uintptr_t *key, double ms)
{
	iocp_worker *worker = iocp_worker_current();
	waiting w = {notices, key, ms, IOCP_OK};
	int r, failed = 0;
	if (!worker || !worker->initialised)
		return iocp_wait_in_lua(L, wait_notices, notices, key, ms);
	r = iocp_notices_wait(
		notices, key, 0); /* mostly it is there already, and nobody need be started in this one's place */
	if (r != IOCP_TIMEOUT)
		return r;
	luaL_checkstack(L, 4, NULL);
	lua_pushcfunction(L, wait_protected);
	lua_pushlightuserdata(L, &w);
	r = task && ms < 0 ? iocp_worker_await(worker, task) : IOCP_OK; /* with a time, it ends */
	if (r != IOCP_OK)
		return r;
	r = iocp_pool_block(worker->pool);
	if (r == IOCP_OK) {
		failed = lua_pcall(L, 1, 0, 0);
		r = w.r;
		iocp_pool_unblock(worker->pool);
	}
	iocp_worker_awaited(worker);
	return failed ? lua_error(L) : r;
}

static int wait_end(lua_State *L, iocp_task *task, double ms)
{
	iocp_notices *notices = push_notices(L);
	uintptr_t key;
	int r = notices ? iocp_task_watch(task, notices, 0) : IOCP_NOMEM;
	if (r != IOCP_OK)
		return r;
	r = wait_blocked(L, task, notices, &key, ms);
	if (r != IOCP_OK)
		iocp_task_unwatch(task, notices);
	return r == IOCP_OK || has_ended(task) ? IOCP_OK : r;
}

/* What the calling thread cannot wait for; NULL if there is nothing. */
static const char *why_not(const iocp_task *task)
{
	const iocp_worker *worker = iocp_worker_current();
	if (worker && !worker->initialised && worker->pool == iocp_task_pool(task))
		return "init cannot wait for a task of its own pool, which this worker is to run";
	return iocp_task_is_submitted(task) ? NULL : "the task was not submitted, so it does not end";
}

static int push_wait_failure(lua_State *L, int r)
{
	return iocp_failure(L, r,
		r == IOCP_TIMEOUT   ? "the task has not ended in time"
		: r == IOCP_INVALID ? "the task waits for this one, perhaps by way of others: neither would end"
		: r == IOCP_ERROR   ? "no worker would be left that does not wait, and none can be started: init fails"
							: NULL);
}

/* What it is in does not look, as a wait of iocp's or iocp.cancelled() does, and a hook does not come to it. */
static int fail_told(lua_State *L)
{
	lua_pushfstring(L,
		"the task has not ended in time, though it was told to stop: it is in a call of C that nothing interrupts "
		"(os.execute, a library): run that as an iocp.Process and kill it%s; or hard was not said, and it does not "
		"look: iocp.cancelled()",
		iocp_has_compiler(L) ? ", or in a compiled loop: jit = false" : "");
	return iocp_failure(L, IOCP_TIMEOUT, lua_tostring(L, -1));
}

static int task_wait(lua_State *L)
{
	iocp_task *task = check_task(L, 1, "self");
	double ms = iocp_check_timeout(L, 2);
	int r = IOCP_OK;
	lua_settop(L, 2);
	if (!has_ended(task) && !(ms < 0 && run_in_place(L, task))) {
		const char *message = why_not(task);
		if (message)
			return iocp_failure(L, IOCP_INVALID, message);
		r = ms == 0 ? IOCP_TIMEOUT : wait_end(L, task, ms);
	}
	if (r == IOCP_OK || has_ended(task))
		return push_outcome(L, task);
	if (r == IOCP_TIMEOUT && iocp_task_is_told(task))
		return fail_told(L);
	return push_wait_failure(L, r);
}

static int task_notify(lua_State *L)
{
	iocp_task *task = check_task(L, 1, "self");
	iocp_packet packet;
	iocp_port *target;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_task_notify(task, target, &packet, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static int task_result(lua_State *L)
{
	const iocp_task *task = check_task(L, 1, "self");
	return has_ended(task) ? push_outcome(L, task) : iocp_failure(L, IOCP_TIMEOUT, "the task has not ended");
}

/* parts.notices(): what a loop waits with for the ends of its tasks. */
static int new_notices(lua_State *L)
{
	return push_notices(L) ? 1 : iocp_failure(L, IOCP_NOMEM, NULL);
}

iocp_notices *iocp_notices_check(lua_State *L, int index)
{
	return *(iocp_notices **)luaL_checkudata(L, index, NOTICES);
}

/* parts.run_task(task): in a worker, runs it on the spot if it is queued. */
static int run_task(lua_State *L)
{
	lua_pushboolean(L, run_in_place(L, check_task(L, 1, "task")));
	return 1;
}

/* parts.wait_notice(notices [, ms [, task]]): the key of a notice; or nil, message, code. `task` is one of those that
** are waited for. */
static int wait_notice(lua_State *L)
{
	iocp_task *task = lua_isnoneornil(L, 3) ? NULL : check_task(L, 3, "task");
	uintptr_t key;
	int r = wait_blocked(L, task, iocp_notices_check(L, 1), &key, iocp_check_timeout(L, 2));
	if (r != IOCP_OK)
		return push_wait_failure(L, r);
	(void)iocp_push_address(L, key);
	return 1;
}

/* parts.notify_notice(notices, port, key, overlapped): a packet when there is a notice. */
static int notify_notice(lua_State *L)
{
	iocp_notices *notices = iocp_notices_check(L, 1);
	iocp_packet packet;
	iocp_port *target;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_notices_notify(notices, target, &packet, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

/* parts.block(): a fiber of the calling thread is to wait for tasks; a worker's pool has another one meanwhile, until
** parts.unblock(). true; or nil, message, code: see iocp_pool_block. */
static int block(lua_State *L)
{
	iocp_worker *worker = iocp_worker_current();
	int r = worker && worker->initialised ? iocp_pool_block(worker->pool) : IOCP_OK;
	if (r != IOCP_OK)
		return push_wait_failure(L, r);
	lua_pushboolean(L, 1);
	return 1;
}

static int unblock(lua_State *L)
{
	iocp_worker *worker = iocp_worker_current();
	(void)L;
	if (worker && worker->initialised)
		iocp_pool_unblock(worker->pool);
	return 0;
}

/* ---- cancelling, and what comes first ---------------------------------------------------------------------------- */

static int task_cancel(lua_State *L)
{
	iocp_task *task = check_task(L, 1, "self");
	const char *how = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	int hard = strcmp(how, "hard") == 0, r;
	if (!hard && !lua_isnoneornil(L, 2))
		return iocp_bad_argument(L, 2, "how", "\"hard\" or nil");
	r = hard ? iocp_task_cancel_hard(task, IOCP_BY_CALL) : iocp_task_cancel(task, IOCP_BY_CALL);
	if (r > 0)
		return iocp_running_refused(L, r);
	lua_pushboolean(L, r != IOCP_INVALID);
	return 1;
}

static int task_after(lua_State *L)
{
	iocp_task *task = check_task(L, 1, "self");
	int i, count = lua_gettop(L);
	for (i = 2; i <= count; i++)
		(void)check_task(L, i, "task");
	for (i = 2; i <= count; i++) {
		int r = iocp_task_after(task, check_task(L, i, "task"), IOCP_AFTER);
		if (r == IOCP_ERROR)
			return iocp_argument_error(
				L, i, "task: it runs after this one, or waits for it; tasks cannot wait for each other in a circle");
		if (r == IOCP_INVALID)
			return iocp_argument_error(L, 1, "self: the task was submitted; say what it runs after before that");
		if (r == IOCP_NOMEM)
			return iocp_failure(L, r, NULL);
	}
	lua_settop(L, 1);
	return 1;
}

static int task_submit(lua_State *L)
{
	iocp_task *task = check_task(L, 1, "self");
	double ms = lua_isnoneornil(L, 2) ? 0 : iocp_check_delay(L, 2, 0);
	int r = iocp_task_submit(task, ms, 0);
	if (r == IOCP_INVALID)
		return iocp_argument_error(L, 1, "self: the task was submitted before");
	if (r == IOCP_CANCELLED)
		return push_cancelled(L, task);
	if (r != IOCP_OK)
		return iocp_failure(L, r, r == IOCP_CLOSED ? "the pool is closed" : NULL);
	lua_settop(L, 1);
	return 1;
}

int iocp_task_push_failure(lua_State *L, const iocp_task *task)
{
	const iocp_task *cause =
		iocp_task_state(task) == IOCP_TASK_CANCELLED && iocp_task_reason(task) == IOCP_BY_DEPENDENCY
			? iocp_task_input(task)
			: task;
	int first = lua_gettop(L) + 1, count = push_outcome(L, cause), base = lua_gettop(L) - count + 1, i;
	if (count < 4)
		lua_pushnil(L);       /* there is no error value */
	for (i = 0; i < 3; i++) { /* what is at `base` is nil, and something may lie beneath */
		lua_pushvalue(L, base + 1 + i);
		lua_replace(L, first + i);
	}
	lua_settop(L, first + 2);
	return 3;
}

/* A task that is made and submitted to run after this one, whatever is to become of that. */
static int settle(lua_State *L, enum iocp_after how, int settling)
{
	iocp_task *earlier = check_task(L, 1, "self"), *task;
	int r;
	task = iocp_task_create(L, iocp_task_pool(earlier), 2);
	if (!task)
		return iocp_failure(L, IOCP_NOMEM, NULL);
	iocp_task_set_settling(task, settling);
	r = iocp_task_after(task, earlier, how);
	if (r == IOCP_OK)
		r = iocp_task_submit(task, 0, 0);
	if (r != IOCP_OK && r != IOCP_CANCELLED)
		return iocp_failure(L, r, r == IOCP_CLOSED ? "the pool is closed" : NULL);
	return 1;
}

/* task:then_(f, ...): a task that calls f with this one's results and the arguments, once it has completed. */
static int task_then(lua_State *L)
{
	return settle(L, IOCP_RESULTS, 0);
}

/* task:catch(f, ...): the same with message, code and error value, if it did not complete; else its results. */
static int task_catch(lua_State *L)
{
	return settle(L, IOCP_OUTCOME, IOCP_CATCH);
}

/* task:finally(f, ...): a task that calls f with the arguments once it has ended, and ends as it did. */
static int task_finally(lua_State *L)
{
	return settle(L, IOCP_OUTCOME, IOCP_FINALLY);
}

void iocp_lua_open_task(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__gc", task_collect}, {"__tostring", task_to_string}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"status", task_status},
		{"name", task_name},
		{"wait", task_wait},
		{"result", task_result},
		{"notify", task_notify},
		{"cancel", task_cancel},
		{"after", task_after},
		{"submit", task_submit},
		{NULL, NULL},
	};
	static const luaL_Reg makers[] = {
		{"then_", task_then}, {"catch", task_catch}, {"finally", task_finally}, {NULL, NULL}};
	static const luaL_Reg functions[] = {
		{"notices", new_notices},
		{"set_resolver", set_resolver},
		{"run_task", run_task},
		{"wait_notice", wait_notice},
		{"notify_notice", notify_notice},
		{"block", block},
		{"unblock", unblock},
		{NULL, NULL},
	};
	iocp_class_register(L, IOCP_CLASS_TASK, methods, metamethods);
	luaL_getmetatable(L, iocp_class_name(IOCP_CLASS_TASK));
	lua_getfield(L, -1, "__index");
	iocp_task_set_makers(L, makers);
	lua_pop(L, 2);
	iocp_set_functions(L, functions, 0);
}
