/*
** thread.c - iocp.Thread: a thread, its Lua state, and what passes between it and those who hold it.
**
** Ownership: all that the thread needs is copied into a `job` before it starts, and the call is freed once the thread
** has it; the job belongs to the thread object and is freed with it, so results can be read again and again. The state
** is made, used and closed by the thread alone. `results` and `failure` are written before the thread ends and read
** after a join that saw the end.
*/

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/pool/pool.h"

typedef struct job {
	iocp_running running;
	iocp_description description; /* of the parent's state */
	iocp_values call;             /* the body, a function or the code of one, and its arguments, until they are taken */
	int lost;                     /* as iocp_values_lost says of them */
	iocp_values results;          /* of a body that returned */
	iocp_values failure;          /* message with traceback, and the error value if it can cross */
	char made[IOCP_PLACE];        /* where */
} job;

static iocp_thread *check_thread(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_THREAD, "self");
}

static void free_job(void *data)
{
	job *j = data;
	iocp_description_free(&j->description);
	iocp_values_free(&j->call);
	iocp_values_free(&j->results);
	iocp_values_free(&j->failure);
	free(j);
}

/* ---- in the thread ----------------------------------------------------------------------------------------------- */

/* Pushes the body and its arguments, which nobody else needs; how many values these are. */
static int push_call(lua_State *L, job *j)
{
	int body = lua_gettop(L) + 1, count;
	j->lost = iocp_values_lost(&j->call);
	count = iocp_values_push(L, &j->call);
	if (count < -1)
		return luaL_error(L, "arg %d: %s", -count - 1, lua_tostring(L, -1));
	if (count < 0)
		return lua_error(L);
	iocp_values_free(&j->call);
	if (lua_type(L, body) == LUA_TSTRING) {
		size_t size;
		const char *code = lua_tolstring(L, body, &size);
		if (luaL_loadbuffer(L, code, size, "=body") != 0) /* the code has a name of its own */
			return lua_error(L);
		lua_replace(L, body);
	}
	return count;
}

/* Runs protected, in a fresh state. Leaves the results in the job. */
static int run_body(lua_State *L)
{
	job *j = iocp_thread_data(iocp_thread_current());
	iocp_encoding encoding = {.first = 1, .what = "result", .owner = iocp_thread_current()};
	int count;
	iocp_state_prepare(L, &j->description, &j->running);
	count = push_call(L, j);
	if (iocp_debugs())
		count += iocp_debug_watch(L, 1);
	iocp_state_begin(L);
	iocp_running_begin(&j->running, L);
	lua_call(L, count - 1, LUA_MULTRET);
	iocp_running_end(&j->running, L);
	encoding.count = lua_gettop(L);
	iocp_outcome_keep(L, &encoding, &j->results);
	return 0;
}

/* The message is at the top. What is wrong may be what the call's values lost. */
static void advise(lua_State *L, const job *j)
{
	char argument[32];
	snprintf(argument, sizeof(argument), "arg %d", j->lost - 1);
	iocp_outcome_advise(L, j->lost == 0                ? NULL
						   : j->lost == 1              ? "an upvalue"
						   : j->lost == IOCP_LOST_MOST ? "an argument"
													   : argument);
}

/* The message is at the top: it is told if nobody joins the thread. */
static void note_failure(lua_State *L, job *j)
{
	iocp_failed who = {.kind = IOCP_FAILED_THREAD};
	if (iocp_thread_cancelled())
		return;
	snprintf(who.name, sizeof(who.name), "%s", iocp_thread_name(iocp_thread_current()));
	memcpy(who.made, j->made, sizeof(who.made));
	iocp_unobserved_add(&j->failure, &who, lua_tostring(L, -1));
}

/* Runs protected. Where memory is out for a message, there is none. */
static int supervise(lua_State *L)
{
	job *j = iocp_thread_data(iocp_thread_current());
	int status;
	lua_settop(L, 0);
	if (iocp_debugs())
		iocp_debug_say("begins, made at %s", j->made);
	iocp_outcome_push_handler(L);
	lua_pushcfunction(L, run_body);
	status = lua_pcall(L, 0, 0, 1);
	if (status != 0) {
		iocp_running_end(&j->running, L);
		iocp_outcome_push_message(L, 1, status);
		advise(L, j);
		iocp_outcome_keep_failure(L, &j->failure, iocp_thread_current());
		note_failure(L, j);
	}
	if (iocp_debugs())
		iocp_debug_say("ends: %s", status == 0 ? "finished" : lua_tostring(L, -1));
	return 0;
}

static int thread_main(iocp_thread *thread, void *data)
{
	job *j = data;
	iocp_state_memory *memory;
	lua_State *L = iocp_state_open(&memory);
	if (!L)
		return IOCP_NOMEM;
	(void)iocp_protect(L, supervise, NULL); /* how it went is in the job */
	iocp_state_close(L, memory);
	(void)thread;
	if (j->results.block)
		return IOCP_OK;
	return iocp_thread_cancelled() ? IOCP_CANCELLED : IOCP_ERROR;
}

/* ---- creating ---------------------------------------------------------------------------------------------------- */

enum { LONGEST_NAME = 63, MOST_PROCESSORS = 1024, LEAST_STACK = 256 * 1024 /* as the backends have */ };

typedef struct options {
	const char *name;
	size_t stack;
	int suspended, priority;
	size_t processor_count;
	uint32_t processors[MOST_PROCESSORS];
} options;

static int bad_option(lua_State *L, const char *name, const char *expected)
{
	lua_pushfstring(L, "%s: expected %s, got %s", name, expected, iocp_got(L, lua_gettop(L)));
	return iocp_argument_error(L, 1, lua_tostring(L, -1));
}

/* Raises if the table at 1 has a key that is no option. */
static void refuse_others(lua_State *L)
{
	static const char *const known[] = {"affinity", "body", "name", "priority", "stack", "suspended"};
	size_t i;
	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		for (i = 0; i < sizeof(known) / sizeof(*known) && strcmp(name, known[i]) != 0; i++)
			;
		if (i == sizeof(known) / sizeof(*known))
			iocp_argument_error(L, 1,
				lua_pushfstring(L, "options: %s is none of affinity, body, name, priority, stack, suspended%s",
					iocp_push_option(L, lua_gettop(L) - 1), lua_isfunction(L, -1) ? "; the function is body =" : ""));
	}
}

/* Where and how much the thread is to run. */
static void read_scheduling(lua_State *L, options *o)
{
	static const char expected[] = "a list of 1 to 1024 numbers of processors, from 0 on";
	lua_Number priority;
	lua_getfield(L, 1, "affinity");
	if (!lua_isnil(L, -1)) {
		size_t i, count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
		if (count == 0 || count > MOST_PROCESSORS)
			bad_option(L, "affinity", expected);
		for (i = 0; i < count; i++) {
			uint64_t number;
			lua_rawgeti(L, -1, (int)i + 1);
			if (!iocp_to_integer(L, lua_gettop(L), UINT32_MAX, &number))
				bad_option(L, "affinity", expected);
			o->processors[i] = (uint32_t)number;
			lua_pop(L, 1);
		}
		o->processor_count = count;
	}
	lua_getfield(L, 1, "priority");
	priority = lua_isnil(L, -1) ? 0 : lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
	if (!(priority >= -2 && priority <= 2) || priority != floor(priority))
		bad_option(L, "priority", "an integer from -2 to 2");
	o->priority = (int)priority;
	lua_pop(L, 2);
}

/* Turns the table at 1 into options, and pushes the name, which it may have made up, and its body. */
static void read_options(lua_State *L, options *o)
{
	refuse_others(L);
	read_scheduling(L, o);
	lua_getfield(L, 1, "stack");
	if (!lua_isnil(L, -1)) {
		uint64_t stack;
		if (!iocp_to_integer(L, lua_gettop(L), SIZE_MAX / 2, &stack) || (stack > 0 && stack < LEAST_STACK))
			bad_option(L, "stack", "a number of bytes from 262144 on, or 0 for 2 MiB");
		o->stack = (size_t)stack;
	}
	lua_getfield(L, 1, "suspended");
	if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
		bad_option(L, "suspended", "a boolean");
	o->suspended = lua_toboolean(L, -1);
	lua_pop(L, 2);
	lua_getfield(L, 1, "name");
	if (!lua_isnil(L, -1)) {
		size_t length;
		o->name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
		if (!o->name || length > LONGEST_NAME || strlen(o->name) < length)
			bad_option(L, "name", "a string of at most 63 bytes, none of them 0");
	}
	lua_getfield(L, 1, "body");
}

static const char BODIES[] = "a string chunk, a function or a table of options";

/* Makes the body at `index` a function, or the code of one, if it comes as text: that needs no names of modules. */
static void compile(lua_State *L, int index, const char *name)
{
	if (lua_type(L, index) == LUA_TSTRING) {
		size_t length;
		const char *text = lua_tolstring(L, index, &length);
		const char *chunk = name ? lua_pushfstring(L, "=%s", name) : text;
		if (iocp_load_text(L, text, length, chunk) != 0)
			iocp_argument_error(L, 1, lua_pushfstring(L, "body: %s", lua_tostring(L, -1)));
		iocp_dump_push(L);
		lua_replace(L, index);
	} else if (!lua_isfunction(L, index)) {
		lua_pushvalue(L, index);
		lua_replace(L, 1); /* the argument that the error is about */
		iocp_bad_argument(L, 1, "body", BODIES);
	}
}

static int collect_job(lua_State *L)
{
	job **guard = lua_touserdata(L, 1);
	if (*guard)
		free_job(*guard);
	*guard = NULL;
	return 0;
}

/* Pushes a userdata that frees the job it is given, unless it is taken from it: Lua may raise at any step between. */
static job **push_guard(lua_State *L)
{
	job **guard = lua_newuserdata(L, sizeof(*guard));
	*guard = NULL;
	if (luaL_newmetatable(L, "iocp.job")) {
		lua_pushcfunction(L, collect_job);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	*guard = calloc(1, sizeof(job));
	return guard;
}

/* Copies what the thread needs: the body is at 2, `count` arguments behind it. */
static int fill_job(lua_State *L, job *j, int count)
{
	iocp_encoding encoding = {.first = 2, .count = count + 1, .what = "arg", .head = "body"};
	int r = iocp_state_describe(L, &j->description);
	return r == IOCP_OK ? iocp_values_copy(L, &encoding, &j->call) : r;
}

/* Why a thread does not start. */
static int start_failure(lua_State *L, int r)
{
	return iocp_failure(L, r,
		r == IOCP_INVALID ? "affinity: one of these processors does not exist, or this process may run on none" : NULL);
}

/* The native options, apart from the thread's data. */
static iocp_thread_options native_of(const options *o)
{
	return (iocp_thread_options){
		.size = sizeof(iocp_thread_options),
		.main = thread_main,
		.destroy = free_job,
		.name = o->name,
		.stack_size = o->stack,
		.suspended = o->suspended,
		.processors = o->processor_count ? o->processors : NULL,
		.processor_count = o->processor_count,
		.priority = o->priority,
	};
}

static int thread_create(lua_State *L)
{
	options o;
	iocp_thread_options native;
	int count = lua_gettop(L), r;
	iocp_thread *thread;
	job **guard;
	memset(&o, 0, offsetof(options, processors));
	if (count == 0)
		iocp_bad_argument(L, 1, "body", BODIES);
	if (lua_istable(L, 1)) {
		read_options(L, &o);
		lua_insert(L, 2);
		lua_replace(L, 1); /* the name stays there */
	} else {
		lua_pushvalue(L, 1);
		lua_insert(L, 2);
	}
	compile(L, 2, o.name);
	lua_settop(L, count + 1);
	iocp_object_push(L, IOCP_CLASS_THREAD);
	guard = push_guard(L);
	if (!*guard)
		return iocp_failure(L, IOCP_NOMEM, NULL);
	r = fill_job(L, *guard, count - 1);
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	native = native_of(&o);
	iocp_unobserved_where(L, 1, (*guard)->made, sizeof((*guard)->made));
	native.data = *guard;
	lua_settop(L, count + 3);
	r = iocp_thread_create(&native, &thread);
	if (r != IOCP_OK)
		return start_failure(L, r);
	*guard = NULL;
	lua_settop(L, count + 2);
	iocp_object_set(L, thread);
	return 1;
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

/* NULL: a C host made the thread, so it has no state of ours. */
static job *job_of(const iocp_thread *thread)
{
	return iocp_thread_body(thread) == thread_main ? iocp_thread_data(thread) : NULL;
}

static void interrupted(iocp_thread *thread)
{
	job *j = iocp_thread_data(thread);
	iocp_running_interrupted(&j->running);
}

static int cancel_hard(iocp_thread *thread)
{
	if (job_of(thread))
		return iocp_running_cancel(&job_of(thread)->running, thread, interrupted);
	if (iocp_is_worker(thread))
		return iocp_lua_worker_cancel(iocp_thread_data(thread));
	iocp_thread_cancel(thread); /* a C host's, where nothing is raised */
	return IOCP_OK;
}

static int wait_end(void *thread, void *argument, double ms)
{
	(void)argument;
	return iocp_thread_join(thread, ms);
}

static int push_outcome(lua_State *L, const iocp_thread *thread)
{
	const job *j = job_of(thread);
	int count, code = iocp_thread_status(thread) == IOCP_STOPPED ? IOCP_CANCELLED : IOCP_ERROR;
	if (iocp_thread_status(thread) != IOCP_FINISHED)
		return j ? iocp_outcome_push_failure(L, code, &j->failure) : iocp_failure(L, code, NULL);
	lua_pushboolean(L, 1);
	count = j ? iocp_values_push(L, &j->results) : 0;
	return count >= 0 ? 1 + count : iocp_failure(L, IOCP_INVALID, lua_tostring(L, -1));
}

static int thread_join(lua_State *L)
{
	iocp_thread *thread = check_thread(L);
	double ms = iocp_check_timeout(L, 2);
	int r;
	if (thread == iocp_thread_current())
		return iocp_argument_error(L, 1, "self: a thread cannot join itself");
	lua_settop(L, 2);
	r = iocp_wait_in_lua(L, wait_end, thread, NULL, ms);
	return r == IOCP_OK ? push_outcome(L, thread) : iocp_failure(L, r, NULL);
}

static int thread_notify(lua_State *L)
{
	iocp_thread *thread = check_thread(L);
	iocp_packet packet;
	iocp_port *target;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_thread_notify(thread, target, packet.key, packet.overlapped, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static const char *status_of(const iocp_thread *thread)
{
	static const char *const names[] = {"suspended", "running", "finished", "failed", "cancelled"};
	return names[iocp_thread_status(thread)];
}

/* Does not count as asking: what it failed with is still told. */
static int thread_status(lua_State *L)
{
	lua_pushstring(L, status_of(check_thread(L)));
	return 1;
}

static int thread_to_string(lua_State *L)
{
	enum iocp_class c;
	const iocp_thread *thread = iocp_object_test(L, 1, &c);
	const char *name;
	if (!thread || c != IOCP_CLASS_THREAD)
		return iocp_object_to_string(L, NULL);
	name = iocp_thread_name(thread);
	lua_pushfstring(L, "%s%s%s", name, *name ? ", " : "", status_of(thread));
	return iocp_object_to_string(L, lua_tostring(L, -1));
}

static int thread_cancel(lua_State *L)
{
	iocp_thread *thread = check_thread(L);
	const char *how = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	int hard = strcmp(how, "hard") == 0, r = IOCP_OK;
	if (!hard && !lua_isnoneornil(L, 2))
		return iocp_bad_argument(L, 2, "how", "\"hard\" or nil");
	if (hard)
		r = cancel_hard(thread);
	else
		iocp_thread_cancel(thread);
	if (r != IOCP_OK)
		return iocp_running_refused(L, r);
	lua_pushboolean(L, 1);
	return 1;
}

static int thread_resume(lua_State *L)
{
	iocp_thread *thread = check_thread(L);
	int r = iocp_thread_resume(thread);
	if (r != IOCP_OK && iocp_thread_status(thread) == IOCP_SUSPENDED)
		return start_failure(L, r);
	if (r != IOCP_OK)
		return iocp_failure(L, r, r == IOCP_INVALID ? "the thread was started before" : NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int thread_id(lua_State *L)
{
	uint64_t id = iocp_thread_id(check_thread(L));
	if (id)
		iocp_push_count(L, id);
	else
		lua_pushnil(L);
	return 1;
}

static int thread_name(lua_State *L)
{
	lua_pushstring(L, iocp_thread_name(check_thread(L)));
	return 1;
}

int iocp_lua_current(lua_State *L)
{
	iocp_thread *thread = iocp_thread_current();
	if (thread) {
		iocp_object_push(L, IOCP_CLASS_THREAD);
		iocp_object_set(L, iocp_thread_retain(thread));
	} else {
		lua_pushnil(L);
	}
	return 1;
}

/* One that runs Lua, or will; not what C made for itself. */
static int lives(void *thread)
{
	return (job_of(thread) || iocp_is_worker(thread)) && iocp_thread_status(thread) < IOCP_FINISHED;
}

int iocp_lua_threads(lua_State *L)
{
	iocp_living_push(L, IOCP_CLASS_THREAD, lives);
	return 1;
}

static int thread_adopt(lua_State *L)
{
	uintptr_t native = iocp_check_address(L, 1, "native");
	iocp_thread *adopted = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_THREAD);
	r = iocp_thread_adopt((const void *)native, &adopted);
	return iocp_push_found(L, r, adopted);
}

void iocp_lua_open_thread(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__tostring", thread_to_string}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"join", thread_join},
		{"notify", thread_notify},
		{"status", thread_status},
		{"cancel", thread_cancel},
		{"resume", thread_resume},
		{"id", thread_id},
		{"name", thread_name},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_THREAD, methods, metamethods);
}

void iocp_lua_push_thread(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_THREAD, "Thread", thread_create, thread_adopt);
}
