/*
** process.c - iocp.Process: child processes, and files as their streams.
*/

#include <stdio.h>
#include <string.h>

#include "lua/binding.h"
#include "work/work.h"

#define STREAMS_OF "iocp.Process.streams" /* registry key: process -> {stdin =, stdout =, stderr =}, weak keys */

enum { STREAMS = 3, OUTPUT = 1, ERRORS = 2 };

static const char *const stream_names[STREAMS] = {"stdin", "stdout", "stderr"};

static iocp_process *check_self(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_PROCESS, "self");
}

/* ---- what is asked for; the options are at 1 --------------------------------------------------------------------- */

typedef struct plan {
	iocp_child_options options;
	int pipes[STREAMS];        /* stack indices of the files that are to be its ends of pipes; 0: none */
	uintptr_t theirs[STREAMS]; /* the children's ends, while there are any */
	int errors_join;           /* its errors go where its output goes */
} plan;

/* The value at the top as text that C takes as it is. */
static const char *check_text(lua_State *L, const char *name)
{
	size_t length;
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
	if (!text || strlen(text) != length) {
		lua_replace(L, 1); /* where the error looks for what came */
		iocp_bad_argument(L, 1, name, "a string without zero bytes");
	}
	return text;
}

/* The strings stay the options' own. */
static void read_arguments(lua_State *L, plan *p)
{
	size_t i, count = lua_rawlen(L, 1);
	const char **arguments = lua_newuserdata(L, (count + 1) * sizeof(*arguments));
	char name[32];
	if (count == 0)
		iocp_argument_error(L, 1, "options: expected the program and its arguments as a list, got an empty one");
	for (i = 0; i < count; i++) {
		lua_rawgeti(L, 1, (int)i + 1);
		snprintf(name, sizeof(name), i == 0 ? "program" : "argument %zu", i);
		arguments[i] = check_text(L, name);
		lua_pop(L, 1);
	}
	arguments[count] = NULL;
	p->options.arguments = arguments;
}

/* "NAME=value" of each entry of the table at the top, which are left on the stack in a table. */
static void read_environment(lua_State *L, plan *p)
{
	int table = lua_gettop(L), texts;
	const char **environment;
	size_t count = 0;
	lua_pushnil(L);
	while (lua_next(L, table)) {
		lua_pop(L, 1);
		count++;
	}
	environment = lua_newuserdata(L, (count + 1) * sizeof(*environment));
	lua_newtable(L);
	texts = lua_gettop(L);
	count = 0;
	lua_pushnil(L);
	while (lua_next(L, table)) {
		const char *value = check_text(L, "env: a value"), *name;
		lua_pushvalue(L, -2);
		name = check_text(L, "env: a name");
		if (!*name || strchr(name, '='))
			iocp_argument_error(L, 1, "env: a name is empty, or has a '=' in it");
		environment[count++] = lua_pushfstring(L, "%s=%s", name, value);
		lua_rawseti(L, texts, (int)count);
		lua_pop(L, 2);
	}
	environment[count] = NULL;
	p->options.environment = environment;
}

/* The stream's value is at the top; pushes the file that a pipe is to be. */
static void read_stream(lua_State *L, plan *p, int which)
{
	iocp_child_stream *stream = &p->options.streams[which];
	enum iocp_class c;
	void *file = iocp_object_test(L, lua_gettop(L), &c);
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
	if (lua_isnil(L, -1))
		return;
	if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
		stream->kind = IOCP_STREAM_NOTHING;
	} else if (file && c == IOCP_CLASS_FILE) {
		stream->kind = IOCP_STREAM_NATIVE;
		stream->native = iocp_file_native(file);
	} else if (strcmp(text, "pipe") == 0) {
		iocp_object_push(L, IOCP_CLASS_FILE);
		p->pipes[which] = lua_gettop(L);
	} else if (which == ERRORS && strcmp(text, "stdout") == 0) {
		p->errors_join = 1;
	} else {
		lua_replace(L, 1);
		iocp_bad_argument(L, 1, stream_names[which],
			which == ERRORS ? "nil, false, \"pipe\", an iocp.File, or \"stdout\""
							: "nil, false, \"pipe\" or an iocp.File");
	}
}

/* Names that are not known are mistakes. */
static void check_names(lua_State *L)
{
	static const char *const known[] = {"stdin", "stdout", "stderr", "env", "cwd"};
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		size_t i, found = lua_type(L, -2) == LUA_TNUMBER;
		for (i = 0; !found && i < sizeof(known) / sizeof(known[0]); i++)
			found = lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), known[i]) == 0;
		if (!found)
			iocp_argument_error(L, 1,
				lua_pushfstring(L, "options: there is no '%s'; there are stdin, stdout, stderr, env and cwd",
					lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2)));
		lua_pop(L, 1);
	}
}

/* Raises, as long as nothing is there that would have to be closed. */
static void read_options(lua_State *L, plan *p)
{
	int i;
	*p = (plan){.errors_join = 0};
	if (!lua_istable(L, 1))
		iocp_bad_argument(
			L, 1, "options", "a table: {program, argument, ..., stdin =, stdout =, stderr =, env =, cwd =}");
	lua_settop(L, 1);
	luaL_checkstack(L, 32, "options");
	check_names(L);
	read_arguments(L, p);
	lua_getfield(L, 1, "cwd");
	if (!lua_isnil(L, -1))
		p->options.directory = check_text(L, "cwd");
	lua_getfield(L, 1, "env");
	if (lua_istable(L, -1)) {
		read_environment(L, p);
	} else if (!lua_isnil(L, -1)) {
		lua_replace(L, 1);
		iocp_bad_argument(L, 1, "env", "a table of names and values, or nil: as this process");
	}
	for (i = 0; i < STREAMS; i++) {
		lua_getfield(L, 1, stream_names[i]);
		read_stream(L, p, i);
	}
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* Nothing raises from here on until the pipes' ends are in their userdata. */
static int make_pipes(lua_State *L, plan *p)
{
	int i, r = IOCP_OK;
	for (i = 0; i < STREAMS && r == IOCP_OK; i++) {
		iocp_file *ours;
		if (!p->pipes[i])
			continue;
		r = iocp_process_pipe(i == 0, &ours, &p->theirs[i]);
		if (r != IOCP_OK) {
			p->pipes[i] = 0;
			break;
		}
		lua_pushvalue(L, p->pipes[i]);
		iocp_object_set(L, ours);
		lua_pop(L, 1);
		p->options.streams[i].kind = IOCP_STREAM_NATIVE;
		p->options.streams[i].native = p->theirs[i];
	}
	if (p->errors_join) {
		p->options.streams[ERRORS] = p->options.streams[OUTPUT];
		if (p->options.streams[OUTPUT].kind == IOCP_STREAM_INHERITED)
			p->options.streams[ERRORS] = (iocp_child_stream){IOCP_STREAM_OUTPUT, 0};
	}
	return r;
}

static void close_pipes(plan *p)
{
	int i;
	for (i = 0; i < STREAMS; i++)
		if (p->pipes[i] && p->options.streams[i].kind == IOCP_STREAM_NATIVE)
			iocp_process_close_pipe(p->theirs[i]);
}

/* streams[process] = the files, which are on the stack; the process is at the top. */
static void keep_streams(lua_State *L, const plan *p)
{
	int i;
	lua_getfield(L, LUA_REGISTRYINDEX, STREAMS_OF);
	lua_pushvalue(L, -2);
	lua_createtable(L, 0, STREAMS);
	for (i = 0; i < STREAMS; i++)
		if (p->pipes[i]) {
			lua_pushvalue(L, p->pipes[i]);
			lua_setfield(L, -2, stream_names[i]);
		}
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/* Pushes the words of a text, as a list of Lua's. */
static void push_words(lua_State *L, const char *text)
{
	lua_pushliteral(L, "");
	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t length = strcspn(text, " ");
		lua_pushlstring(L, text, length);
		lua_pushfstring(L, "%s%s\"%s\"", lua_tostring(L, -2), *lua_tostring(L, -2) ? ", " : "", lua_tostring(L, -1));
		lua_replace(L, -3);
		lua_pop(L, 1);
		text += length;
	}
}

/* nil, message, code. The system does not say whether it lacks the program or the folder, so both are named; nor that
** a line for a shell is no program. */
static int start_failure(lua_State *L, const plan *p, int r)
{
	const char *program = p->options.arguments[0], *folder = p->options.directory;
	const char *what = folder ? lua_pushfstring(L, "%s in %s", program, folder) : program;
	if (!p->options.arguments[1] && program[strcspn(program, " /\\")] == ' ') { /* else it begins with a folder */
		push_words(L, program);
		what = lua_pushfstring(L, "%s (there is no shell: {%s})", what, lua_tostring(L, -1));
	}
	(void)iocp_io_failure(L, r, NULL);
	return iocp_failure_of(L, what);
}

int iocp_lua_process(lua_State *L)
{
	plan p;
	iocp_process *process;
	int r, i;
	read_options(L, &p);
	iocp_object_push(L, IOCP_CLASS_PROCESS);
	r = make_pipes(L, &p);
	if (r == IOCP_OK)
		r = iocp_process_start(&p.options, &process);
	close_pipes(&p);
	if (r != IOCP_OK)
		return start_failure(L, &p, r);
	iocp_object_set(L, process);
	keep_streams(L, &p);
	for (i = 0; i < STREAMS; i++)
		if (p.pipes[i]) { /* found again by its handle, as every file of this state */
			lua_pushvalue(L, p.pipes[i]);
			iocp_object_enlist(L);
			lua_pop(L, 1);
		}
	return 1;
}

/* ---- methods ----------------------------------------------------------------------------------------------------- */

static int wait_process(void *process, void *argument, double ms)
{
	(void)argument;
	return iocp_process_wait(process, ms);
}

/* true, code; or true, nil, signal */
static int process_wait(lua_State *L)
{
	iocp_process *process = check_self(L);
	int64_t code;
	int signal, r = iocp_wait_in_lua(L, wait_process, process, NULL, iocp_check_timeout(L, 2));
	const char *name;
	if (r != IOCP_OK)
		return iocp_failure(L, r, NULL);
	(void)iocp_process_result(process, &code, &signal);
	lua_pushboolean(L, 1);
	if (code >= 0)
		iocp_push_count(L, (uint64_t)code);
	else
		lua_pushnil(L);
	if (signal == 0)
		return 2;
	name = iocp_process_signal_name(signal);
	if (name)
		lua_pushstring(L, name);
	else
		lua_pushinteger(L, signal);
	return 3;
}

static int process_notify(lua_State *L)
{
	iocp_process *process = check_self(L);
	iocp_packet packet;
	iocp_port *target;
	iocp_timer *timer = iocp_notify_arguments(L, &target, &packet);
	int r = iocp_process_notify(process, target, &packet, timer);
	return r == IOCP_OK ? 1 : iocp_failure(L, r, NULL);
}

static int process_kill(lua_State *L)
{
	iocp_process *process = check_self(L);
	const char *name = lua_isnoneornil(L, 2) ? "TERM" : lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
	int r = name ? iocp_process_kill(process, name) : IOCP_INVALID;
	if (r == IOCP_INVALID)
		return iocp_bad_argument(L, 2, "signal", "a signal's name without SIG: \"TERM\" (default), \"KILL\" ...");
	if (r != IOCP_OK)
		return iocp_io_failure(L, r, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int process_id(lua_State *L)
{
	iocp_push_count(L, iocp_process_id(check_self(L)));
	return 1;
}

static int process_to_string(lua_State *L)
{
	char detail[64] = "";
	enum iocp_class c;
	iocp_process *process = iocp_object_test(L, 1, &c);
	int64_t code;
	int signal;
	if (!process || c != IOCP_CLASS_PROCESS)
		return iocp_object_to_string(L, NULL);
	if (!iocp_process_result(process, &code, &signal))
		snprintf(detail, sizeof(detail), "%llu, running", (unsigned long long)iocp_process_id(process));
	else if (signal)
		snprintf(detail, sizeof(detail), "ended by signal %d", signal);
	else
		snprintf(detail, sizeof(detail), "ended with %lld", (long long)code);
	return iocp_object_to_string(L, detail);
}

/* process.stdin and its like, besides the methods. */
static int process_index(lua_State *L)
{
	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (!lua_isnil(L, -1))
		return 1;
	lua_pushvalue(L, 1);
	lua_rawget(L, lua_upvalueindex(2));
	if (!lua_istable(L, -1)) /* it came from another state, or was made without pipes */
		return 0;
	lua_pushvalue(L, 2);
	lua_rawget(L, -2);
	return 1;
}

void iocp_lua_open_process(lua_State *L)
{
	static const luaL_Reg metamethods[] = {{"__tostring", process_to_string}, {NULL, NULL}};
	static const luaL_Reg methods[] = {
		{"wait", process_wait},
		{"notify", process_notify},
		{"kill", process_kill},
		{"id", process_id},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_PROCESS, methods, metamethods);
	lua_pushvalue(L, -1);
	iocp_weak_push(L, STREAMS_OF, "k");
	lua_pushcclosure(L, process_index, 2);
	lua_setfield(L, -3, "__index");
}
