/*
** binding.h - what the files of the Lua binding share.
**
** One userdata is one counted reference to a port, heap or thread. Wrong use raises through iocp_argument_error with
** the argument's name; what can happen at run time returns nil, message, code. Nothing here knows which backend runs.
*/

#ifndef IOCP_BINDING_H
#define IOCP_BINDING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/atomic.h"
#include "core/api.h"
#include "lauxlib.h"
#include "lua.h"

#pragma GCC visibility push(hidden)

/* ---- compat.c: one C API for LuaJIT and Lua 5.1 to 5.5 ----------------------------------------------------------- */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

/* luaL_setfuncs, which Lua 5.1 lacks. */
void iocp_set_functions(lua_State *L, const luaL_Reg *functions, int upvalues);

/* Pushes a table of them with room for as many `others`: growing one by one is most of what a new state's tables
** take. */
void iocp_new_table(lua_State *L, const luaL_Reg *functions, int others);

/* What LuaJIT's lua_type says of a cdata. */
#define IOCP_TCDATA 10

/* Pushes a traceback of L from `level` on, to stand behind a message. May raise. */
void iocp_push_traceback(lua_State *L, int level);
/* Pushes a text for the value at `index` > 0: itself, what its __tostring gives, or its type. Raises for lack of memory
** only. */
void iocp_push_text(lua_State *L, int index);
/* luaL_loadbuffer that takes text only. */
int iocp_load_text(lua_State *L, const char *text, size_t length, const char *name);
/* Calls f with `data` as its only argument, from where no error may escape; nothing is allocated outside. A status. */
int iocp_protect(lua_State *L, lua_CFunction f, void *data);
/* lua_dump with debug information, of the Lua function at the top. */
int iocp_dump(lua_State *L, lua_Writer writer, void *data);
/* Pushes what that writes, a string. */
void iocp_dump_push(lua_State *L);
typedef struct iocp_running iocp_running; /* below */
/* Runs a coroutine with the `count` values at the top, as the coroutine library does; `running` follows it meanwhile.
** In their place what it gives, and returns how much; or -1, and the message. */
int iocp_resume(lua_State *L, lua_State *co, int count, iocp_running *running);
/* The coroutine at `index`; anything else is refused in the words of the library. */
lua_State *iocp_check_coroutine(lua_State *L, int index);
/* Refuses likewise what is no function that a coroutine can run. */
void iocp_check_body(lua_State *L, int index);
/* Whether what coroutine.wrap makes says where it was called before the error at the top, which ended the coroutine
** with that status. */
int iocp_error_is_text(lua_State *L, int status);
/* Registry key of the coroutine library's own resume. */
#define IOCP_RESUME "iocp.resume"
void iocp_push_globals(lua_State *L);
/* The stream in an open file of Lua's io library at `index`; NULL: anything else. */
FILE *iocp_to_stream(lua_State *L, int index);
/* What upvalue n of the function at `index` is known by; NULL: nobody knows. */
const void *iocp_upvalue_id(lua_State *L, int index, int n);
/* Makes upvalue n1 of the function at index1 the one that is upvalue n2 of the function at index2. 0: this Lua
** cannot. */
int iocp_upvalue_join(lua_State *L, int index1, int n1, int index2, int n2);
/* 1; or 0 with a message pushed: LuaJIT refuses some pointers. */
int iocp_push_lightuserdata(lua_State *L, void *pointer);

/* ---- support.c: arguments and results ---------------------------------------------------------------------------- */

/* result.c: nil, message, code for a result code; `message` NULL: the code's own text. Returns 3. */
int iocp_failure(lua_State *L, int code, const char *message);
/* What an error says that it got: a number, a string in quotes behind its type, the beginning of a long one; else the
** type, or what the metatable of a userdata calls itself. Pushes one value. */
const char *iocp_got(lua_State *L, int index);
/* luaL_typename, or what the metatable of a userdata calls itself. */
const char *iocp_type_name(lua_State *L, int index);
/* The table at the top, the module or a class, has functions that are called with a dot. */
void iocp_dotted_add(lua_State *L);
/* Whether it is such a table: where an argument is expected, a colon stood in the place of a dot. */
int iocp_takes_dot(lua_State *L, int index);
/* Pushes where the script called the module, as luaL_where has it: past the module's own files in Lua, and C. */
void iocp_push_where(lua_State *L);
/* Raises the message, which is formatted as lua_pushfstring's, from there. */
int iocp_raise(lua_State *L, const char *format, ...);
/* luaL_argerror from there: of the function that the script called, whatever that calls. */
int iocp_argument_error(lua_State *L, int index, const char *text);
/* private.raise(text): as iocp_raise. private.called(): the name of what the script called; nil: it has none. */
int iocp_lua_raise(lua_State *L);
int iocp_lua_called(lua_State *L);
/* Pushes how an error names the key at `index`, which is no option. */
const char *iocp_push_option(lua_State *L, int index);
/* Raises, where a text came for an address: bad argument, and what takes texts instead. */
int iocp_refuse_text(lua_State *L, int index, const char *name, const char *instead);
/* Raises: bad argument, with its name, what was expected and what came. */
int iocp_bad_argument(lua_State *L, int index, const char *name, const char *expected);
/* The number at `index` as an integer 0..max; 0: it is none. */
int iocp_to_integer(lua_State *L, int index, uint64_t max, uint64_t *value);
/* As iocp_check_address, without the error. */
int iocp_to_address(lua_State *L, int index, uintptr_t *value);
/* An integer 0..max that a number holds exactly; anything else raises. */
uint64_t iocp_check_integer(lua_State *L, int index, const char *name, uint64_t max);
uint64_t iocp_opt_integer(lua_State *L, int index, const char *name, uint64_t max, uint64_t otherwise);
/* An address or key: as above up to the largest exact integer; also a lightuserdata, a LuaJIT pointer or 64-bit
** integer. */
uintptr_t iocp_check_address(lua_State *L, int index, const char *name);
/* As above, or nil: 0. */
uintptr_t iocp_opt_address(lua_State *L, int index, const char *name);
/* Milliseconds. */
double iocp_check_ms(lua_State *L, int index);
/* The same, or nil: IOCP_INFINITE. */
double iocp_check_timeout(lua_State *L, int index);
/* Milliseconds from `least` to 1e15; anything else raises. */
double iocp_check_delay(lua_State *L, int index, double least);
/* A handle as scripts pass it on; 0 (nobody's) for one that cannot be right; another type raises. */
iocp_handle iocp_check_handle(lua_State *L, int index);
void iocp_push_handle(lua_State *L, iocp_handle handle);
/* Pushes an address or key as a number and returns 1; 0, and nothing pushed, if no number of this Lua is exact. */
int iocp_push_address(lua_State *L, uintptr_t value);
void iocp_push_count(lua_State *L, uint64_t value);
/* t[name] = value, for the table at the top. */
void iocp_set_count(lua_State *L, const char *name, uint64_t value);
/* value/cdata.c: replaces the cdata at `index` > 0 by its number; it stays if it has none. */
void iocp_cdata_convert(lua_State *L, int index);

/* ---- debug.c: IOCP_DEBUG=1 --------------------------------------------------------------------------------------- */

enum { IOCP_DEBUG_PATIENCE = 5000 /* ms after which a wait is told */ };

extern _Atomic int iocp_debugging;
static inline int iocp_debugs(void)
{
	return atomic_load_explicit(&iocp_debugging, memory_order_relaxed);
}

/* What follows is to be called only if iocp_debugs(). */
/* Where the script called what called this, in a file of lua/iocp: "file:line", pushed; "?": not from a function. */
const char *iocp_debug_push_maker(lua_State *L);
__attribute__((format(printf, 1, 2))) void iocp_debug_say(const char *format, ...);
/* The function that runs gives its caller nil, message, code. */
void iocp_debug_refused(lua_State *L, const char *message, int code);
/* The function that runs waits for long. */
void iocp_debug_waits(lua_State *L);
/* The table at the top, which stays, loses its metatable: it is in value n of what is sent. */
void iocp_debug_lost(lua_State *L, const char *what, int n);
/* At 1 is a function, behind it what it is to be called with. Has that call tell which upvalues it has assigned to: the
** function's, or with `which` 2 those of its first argument. Returns how many values it has put before the function. */
int iocp_debug_watch(lua_State *L, int which);
/* Reads the environment. */
void iocp_debug_open(void);

/* ---- taken.c: packets taken together ----------------------------------------------------------------------------- */

/* What a state has left of packets; lua/iocp/jit/fast.lua knows both structs. */
typedef struct iocp_left {
	struct iocp_taken *newest;
	uint32_t busy; /* of the compiled methods: their own packets are in use */
} iocp_left;

typedef struct iocp_taken {
	iocp_port *port; /* with a reference; NULL: not in use */
	struct iocp_taken *newer, *older;
	iocp_left *left; /* the state's list, which has it while count > 0, unless max is 1: such a one leaves nothing */
	size_t max, next, count;
	iocp_packet packets[]; /* those from `next` to `count` are left */
} iocp_taken;

/* Those in use in this process that may leave packets; a hint for iocp_give_back. */
extern _Atomic uint32_t iocp_takers;

iocp_left *iocp_push_left(lua_State *L);
/* Pushes a userdata for up to `max` packets, not in use. */
iocp_taken *iocp_taken_push(lua_State *L, size_t max);
/* From here it is in use, with `count` packets of the port. May be ended by garbage collection or the end of a loop. */
void iocp_taken_begin(iocp_taken *t, iocp_port *port, size_t count);
void iocp_taken_end(iocp_taken *t);
/* What is still in it is nobody's any more. */
void iocp_taken_forget(iocp_taken *t);
/* Once it has packets: those left are the state's. */
void iocp_taken_enlist(iocp_taken *t);
/* The next packet, which the caller owns from now on; NULL: none is left. It stays there until packets are taken
** again. */
static inline const iocp_packet *iocp_taken_next(iocp_taken *t)
{
	return t->next < t->count ? &t->packets[t->next++] : NULL;
}
/* Pushes a table with the sizes and offsets that lua/iocp/jit/fast.lua assumes. */
void iocp_layout_push(lua_State *L);
/* To be called before the state waits: what nobody can come to hand out goes back to its port. */
void iocp_give_back_left(lua_State *L);
static inline void iocp_give_back(lua_State *L)
{
	if (atomic_load_explicit(&iocp_takers, memory_order_relaxed)) /* its own are there: this thread counted them */
		iocp_give_back_left(L);
}

/* ---- wait.c: how a state waits ---------------------------------------------------------------------------------- */

/* After IOCP_INTERRUPTED: gives the hooks their turn, which an interpreter's signal handler sets for Ctrl-C. May
** raise. */
void iocp_run_hooks(lua_State *L);
/* Repeats a call, whose result goes to r, for as long as signals interrupt it. */
#define IOCP_RETRY(L, r, call)                                                                                         \
	do {                                                                                                               \
		while ((r = (call)) == IOCP_INTERRUPTED)                                                                       \
			iocp_run_hooks(L);                                                                                         \
	} while (0)
/* Calls wait(object, argument, ms) until it returns something else than IOCP_INTERRUPTED; in between hooks run, and
** what is left of `ms` shrinks. Before, what the state has left of packets goes back: taken.c. */
int iocp_wait_in_lua(
	lua_State *L, int (*wait)(void *object, void *argument, double ms), void *object, void *argument, double ms);
/* Such a wait: iocp_port_dequeue. */
int iocp_wait_packet(void *port, void *packet, double ms);
/* Takes packets, when none are left. A result code; may raise. */
int iocp_taken_wait(lua_State *L, iocp_taken *t, double ms);

/* ---- cancel.c: hooks, and an error raised in another thread ------------------------------------------------------ */

/* In the data of each thread that runs scripts. */
struct iocp_running {
	_Atomic(lua_State *) state; /* while code of a script may run: the coroutine that does */
	_Atomic int hard;           /* iocp_running_cancel was called */
	/* What raises, in the place of iocp_raise_cancelled. NULL: that. Fixed before the first begin. */
	lua_Hook raise;
};

/* A hook: raises that the thread was cancelled. */
void iocp_raise_cancelled(lua_State *L, lua_Debug *activation);
/* Around what scripts run, in their thread. */
void iocp_running_begin(iocp_running *running, lua_State *L);
void iocp_running_end(iocp_running *running, lua_State *L);
/* From now on this coroutine runs. What did until now; NULL: nothing, before the begin and after the end. */
lua_State *iocp_running_follow(iocp_running *running, lua_State *co);
/* What follow returned runs again. Each follow has its go_back, in reverse order: between them nothing may raise. */
void iocp_running_go_back(iocp_running *running, lua_State *before);
/* What a state was hooked by. debug.sethook's function is not in it, but in the state. */
typedef struct iocp_hook {
	lua_Hook f; /* NULL: by nothing */
	int mask, count;
} iocp_hook;

/* Around what is to run without the hooks of others, but for the one that cancels. */
void iocp_hook_save(iocp_running *running, lua_State *L, iocp_hook *hook);
void iocp_hook_restore(iocp_running *running, lua_State *L, const iocp_hook *hook);
/* Whether a hook was left, which is gone then. */
int iocp_hook_drop(lua_State *L);
/* Cancels the thread, and raises an error in what it runs: `interrupted` finds the thread's iocp_running for the
** next. IOCP_OK, or why it is cancelled only: the system's code. */
int iocp_running_cancel(iocp_running *running, iocp_thread *thread, void (*interrupted)(iocp_thread *));
/* Does what a signal handler may. */
void iocp_running_interrupted(iocp_running *running);
/* Returns nil, message and code to Lua for what the above fails with. */
int iocp_running_refused(lua_State *L, int code);

/* ---- coroutine.c ------------------------------------------------------------------------------------------------- */

/* From now on the functions of the state's coroutine library tell `running` what they run. It outlives the state. */
void iocp_coroutines_follow(lua_State *L, iocp_running *running);

/* ---- object.c: the userdata -------------------------------------------------------------------------------------- */

enum iocp_class {
	IOCP_CLASS_PORT = 0,
	IOCP_CLASS_HEAP = 1,
	IOCP_CLASS_THREAD = 2,
	IOCP_CLASS_POOL = 3,
	IOCP_CLASS_TASK = 4,
	IOCP_CLASS_SOCKET = 5,
	IOCP_CLASS_LOOKUP = 6,
	IOCP_CLASS_FILE = 7,
	IOCP_CLASS_PROCESS = 8,
	IOCP_CLASS_ATOMIC = 9,
	IOCP_CLASS_DICT = 10,
	IOCP_CLASS_ARRAY = 11,
	IOCP_CLASS_FROZEN = 12,
	IOCP_CLASS_COUNT = 13,
	IOCP_LIMITED_PORTS = IOCP_CLASS_COUNT /* no class, but for iocp_class_load: see limited.c */
};

/* What a userdata holds: see object.c; lua/iocp/jit/fast.lua knows it. */
typedef struct iocp_box {
	void *object;
	uint64_t mark;
	uint64_t owns; /* 1: a socket or file that is closed when the userdata is collected */
} iocp_box;

/* ---- late.c: what comes when it pays ----------------------------------------------------------------------------- */

/* The class has been registered: where its compiled methods are not there with the module, they are to come when they
** pay. */
void iocp_late_watch(lua_State *L, enum iocp_class c);
/* Whether this is LuaJIT. */
int iocp_has_compiler(lua_State *L);

/* ---- object.c: the classes --------------------------------------------------------------------------------------- */

/* A state has the classes of which it has met objects, or which its script has asked for: see module.c. */

/* Has the class registered. */
void iocp_class_load(lua_State *L, enum iocp_class c);
/* Pushes its metatable, which is made if it is not there. */
void iocp_class_push(lua_State *L, enum iocp_class c);
/* Pushes package.loaded[IOCP_METHODS], from the name of a class to its methods: so they cross by name, as functions of
** modules do. */
#define IOCP_METHODS "iocp.methods"
void iocp_methods_push(lua_State *L);
/* Pushes the metatable and its table of methods; what the class's row in object.c says it has comes besides `methods`.
** */
void iocp_class_begin(lua_State *L, enum iocp_class c, const luaL_Reg *methods, const luaL_Reg *metamethods);
/* With these two at the top: what of the class is Lua's. Calls what lua/iocp's file `name` returns with the methods, to
** which it adds, and a table of the parts in C that it needs. */
void iocp_class_complete(lua_State *L, const char *name, const luaL_Reg *parts);
/* With these two at the top, which are popped, and whatever else was put into them: the class is registered. */
void iocp_class_end(lua_State *L, enum iocp_class c);
/* Both. */
void iocp_class_register(lua_State *L, enum iocp_class c, const luaL_Reg *methods, const luaL_Reg *metamethods);
/* Pushes a userdata without an object, then iocp_object_set gives it the caller's reference. In two steps, so that a
** memory error of Lua comes before there is a reference to lose. */
void iocp_object_push(lua_State *L, enum iocp_class c);
/* The same in a state that has opened the class, with its metatable at the absolute index `metatable`: quicker. */
void iocp_object_push_with(lua_State *L, enum iocp_class c, int metatable);
void iocp_object_set(lua_State *L, void *object);
/* private.own */
int iocp_lua_own(lua_State *L);
/* After that: of a class of whose objects a state has one userdata each, the one that it has takes the place of the one
** at the top, or that one is it from now on. */
void iocp_object_enlist(lua_State *L);
/* Registry key of those: a weak table, by handle as a number. Pushes it, made if it is not there. */
#define IOCP_LISTED "iocp.listed"
void iocp_listed_push(lua_State *L);
/* Pushes the table of that name in the registry, weak by `mode`, as __mode says it; it is made if there is none yet. */
void iocp_weak_push(lua_State *L, const char *name, const char *mode);
/* The object of a userdata of the class, else raises with the argument's name. */
void *iocp_object_check(lua_State *L, int index, enum iocp_class c, const char *name);
/* For a class' own __tostring: pushes class and handle of the first argument, and `detail`, if not NULL, in brackets.
** Returns 1; raises for what is no userdata of ours. */
int iocp_object_to_string(lua_State *L, const char *detail);
/* The object and class of any userdata of ours; NULL for anything else. */
void *iocp_object_test(lua_State *L, int index, enum iocp_class *c);
const char *iocp_class_name(enum iocp_class c);
/* One more reference by handle: IOCP_INVALID. 0: it has no handle. */
int iocp_object_open_handle(enum iocp_class c, iocp_handle handle, void **object);
iocp_handle iocp_object_handle(const void *object);
void iocp_object_keep(void *object);
void iocp_object_drop(void *object);
/* For a class that has its own __gc: takes the reference of the userdata at 1, whatever its class; NULL: it has
** none. */
void *iocp_object_take(lua_State *L, enum iocp_class *c);
/* With r IOCP_OK: gives the userdata at the top the object, which is the result; else a failure. */
int iocp_push_found(lua_State *L, int r, void *object);
/* open(handle) of the class, with the handle at 1. */
int iocp_class_open(lua_State *L, enum iocp_class c);
/* Pushes a list of the class' objects for which `lives` holds, in no order. Each is one more reference. */
void iocp_living_push(lua_State *L, enum iocp_class c, int (*lives)(void *object));
/* The same for one of whose objects a state has one userdata each; one that it has is found without asking the table of
** objects. Upvalue 1: IOCP_LISTED's table. */
int iocp_listed_open(lua_State *L, enum iocp_class c, int (*is_open)(const void *object));
/* Pushes open(handle). */
void iocp_class_push_open(lua_State *L, enum iocp_class c);
/* Pushes what stands in the module table under that name: called it makes an object, and it has open and, unless that
** is NULL, adopt. */
void iocp_class_make(lua_State *L, enum iocp_class c, const char *name, lua_CFunction create, lua_CFunction adopt);

/* ---- state.c: new states ----------------------------------------------------------------------------------------- */

/* Registry keys of what module.c gives every state. */
#define IOCP_PREPARE "iocp.prepare" /* prepare(): makes the module known to a fresh state */
#define IOCP_OPEN "iocp.open"       /* open(class): see iocp_class_load */

typedef struct iocp_description iocp_description; /* see value/format.h */

/* What a new state gets from its parent: package.path, package.cpath, Lua functions of package.preload. Zeroed before.
** IOCP_NOMEM. May raise; what was copied until then is for iocp_description_free too. */
int iocp_state_describe(lua_State *L, iocp_description *description);
void iocp_description_free(iocp_description *description);
/* Opens the libraries and applies a description, which outlives the state, to a fresh one. Its collector is stopped: so
** far there is nothing to collect. May raise. */
void iocp_state_prepare(lua_State *L, const iocp_description *description, iocp_running *running);
/* A script is about to run in it: the collector goes on. */
void iocp_state_begin(lua_State *L);

/* ---- state_memory.c: where they live ----------------------------------------------------------------------------- */

typedef struct iocp_state_memory iocp_state_memory;

/* As luaL_newstate and lua_close; what the first gives in `memory` is for the second. */
lua_State *iocp_state_open(iocp_state_memory **memory);
void iocp_state_close(lua_State *L, iocp_state_memory *memory);

/* ---- part.c: lua/iocp in new states ------------------------------------------------------------------------------ */

/* Has a fresh state find the module's own files, which lie along the path at `path`, a string, compiled already. */
void iocp_parts_open(lua_State *L, int path);
/* A state has required the module: if it is the first one, its files are found where that state's package.path
** leads. */
void iocp_parts_remember(lua_State *L);
/* Whether a function's source, as lua_Debug has it, is one of these files. */
int iocp_parts_include(const char *source);

/* ---- the classes ------------------------------------------------------------------------------------------------- */

IOCP_API int luaopen_iocp_core(lua_State *L);
/* Each begins its class: see iocp_class_begin. */
void iocp_lua_open_port(lua_State *L);
void iocp_lua_open_heap(lua_State *L);
void iocp_lua_open_thread(lua_State *L);
void iocp_lua_open_socket(lua_State *L);
void iocp_lua_open_lookup(lua_State *L);
/* private.resolve_name(host, service, required): a Lookup of the name of an address, whose wait gives that and the
** service's; see iocp_system_name. */
int iocp_lua_resolve_name(lua_State *L);
void iocp_lua_open_file(lua_State *L);
void iocp_lua_open_process(lua_State *L);
void iocp_lua_open_atomic(lua_State *L);
void iocp_lua_open_dict(lua_State *L);
void iocp_lua_open_array(lua_State *L);
/* Each pushes what stands for its class in the module table. */
void iocp_lua_push_port(lua_State *L);
void iocp_lua_push_heap(lua_State *L);
void iocp_lua_push_thread(lua_State *L);
void iocp_lua_push_socket(lua_State *L);
void iocp_lua_push_file(lua_State *L);
void iocp_lua_push_atomic(lua_State *L);
void iocp_lua_push_dict(lua_State *L);
void iocp_lua_push_array(lua_State *L);
/* Each adds to a class that has begun. */
void iocp_message_add_methods(lua_State *L); /* a port's */
void iocp_timer_add_methods(lua_State *L);   /* a port's */
void iocp_address_add_methods(lua_State *L); /* a socket's */
void iocp_peer_add_method(lua_State *L);     /* a heap's */
void iocp_calls_add_methods(lua_State *L);   /* a dictionary's */
void iocp_view_add_method(lua_State *L);     /* an array's */
/* Registry key of the metatable that ports with a capacity have, and what makes it. */
#define IOCP_LIMITED "iocp.limited"
void iocp_lua_open_limited(lua_State *L);
/* iocp.Process(options) */
int iocp_lua_process(lua_State *L);
/* iocp.resolve(host [, service]) */
int iocp_lua_resolve(lua_State *L);
/* iocp.signal(name) */
int iocp_lua_signal(lua_State *L);
/* private.quietly(f, ...): f(...), whose writes to who is gone raise no SIGPIPE. */
int iocp_lua_quietly(lua_State *L);
/* private.open_pool(), for lua/iocp/init.lua: makes the classes of pools and tasks, which need methods that are
** Lua's; a table of what the files in Lua need for that. */
int iocp_lua_open_pool(lua_State *L);
/* Adds the class of tasks, and to the table at the top. */
void iocp_lua_open_task(lua_State *L);
int iocp_lua_current(lua_State *L);
/* iocp.threads(), iocp.pools() */
int iocp_lua_threads(lua_State *L);
int iocp_lua_pools(lua_State *L);
/* private.open_fast(max), for lua/iocp/jit/fast.lua: a table of what it needs to take up to `max` packets itself. */
int iocp_lua_open_fast(lua_State *L);

/* ---- io_error.c: what an I/O failed with ------------------------------------------------------------------------ */

/* nil, message, code for a packet's `code`: POSIX' name, or the system's own number. Returns 3. */
int iocp_push_io_error(lua_State *L, int number);
/* A packet's bytes where there is no room for that: of a failed I/O -(transferred * 65536 + number). */
void iocp_push_bytes(lua_State *L, const iocp_packet *packet);
/* iocp.describe(bytes): name, text, transferred; for what has not failed nil, nil, bytes. */
int iocp_lua_describe(lua_State *L);
/* private.io_error(number), for lua/iocp/jit/operation.lua: nil, message, code. */
int iocp_lua_io_error(lua_State *L);
/* private.io_errors(), for lua/iocp/init.lua: a new table of the numbers by name. */
int iocp_lua_io_errors(lua_State *L);

/* ---- ending.c: operations of I/O --------------------------------------------------------------------------------- */

enum { IOCP_LARGEST_TRANSFER = 0x7ffffffe /* bytes of one operation */ };

/* How an operation ends: by its packet, with this `overlapped`; or, if `done` is not NULL, at once. */
typedef struct iocp_ending {
	uintptr_t overlapped;
	int64_t bytes;
	int64_t *done;
} iocp_ending;

/* nil, message, code for what a function of iocp.h's part of I/O returned; `invalid`: what IOCP_INVALID says. */
int iocp_io_failure(lua_State *L, int r, const char *invalid);
/* nil, message, code, which are at the top: the message begins with what failed, a path, say. */
int iocp_failure_of(lua_State *L, const char *what);
/* The overlapped at `index`: an address; nil: the usual one; false: that, and no packet for what is done at once. */
void iocp_check_ending(lua_State *L, int index, uintptr_t usual, iocp_ending *ending);
/* Pushes what a method returns whose operation has begun, or is done. Returns 1. */
int iocp_push_ending(lua_State *L, const iocp_ending *ending);
/* A size from `least` to `most`, or nil: IOCP_REST. */
size_t iocp_check_size(lua_State *L, int index, unsigned least, unsigned most);
/* An open file of the io library, or the system's own number. */
uintptr_t iocp_check_native_file(lua_State *L, int index, const char *name);

/* ---- socket.c ---------------------------------------------------------------------------------------------------- */

iocp_socket *iocp_check_socket(lua_State *L, int index, const char *name);
/* private.detach_socket(socket): its descriptor, which is the caller's; the socket is closed. */
int iocp_lua_detach_socket(lua_State *L);
/* nil, message, code for what a function of a socket's returned; `invalid`: what IOCP_INVALID says of an open one.
** Returns 3. */
int iocp_socket_failure(lua_State *L, iocp_socket *socket, int r, const char *invalid);
/* The same, or true for IOCP_OK. */
int iocp_socket_push_result(lua_State *L, iocp_socket *socket, int r, const char *invalid);
/* A host, NULL for any where that may be, and a port. */
const char *iocp_check_host(lua_State *L, int index, int may_be_any);
uint16_t iocp_check_inet_port(lua_State *L, int index);

/* ---- heap.c ------------------------------------------------------------------------------------------------------ */

/* private.text_at(address, size): those bytes of a block that nobody frees meanwhile. */
int iocp_lua_text_at(lua_State *L);

/* ---- line.c ------------------------------------------------------------------------------------------------------ */

/* private.next_line(data, at): line, where it ends. */
int iocp_lua_next_line(lua_State *L);
/* Pushes private.take(self, pattern): what is asked for of self.data, or nothing. */
void iocp_lua_push_take(lua_State *L);

/* ---- packet.c ---------------------------------------------------------------------------------------------------- */

/* key, bytes, overlapped; for a failed I/O or a key that does not fit: nil, message, code, key, bytes, overlapped. */
int iocp_push_packet(lua_State *L, const iocp_packet *packet);
/* Its parts. A key that no number of this Lua holds comes as a hexadecimal string: 0. */
int iocp_push_key(lua_State *L, const iocp_packet *packet);
void iocp_push_overlapped(lua_State *L, const iocp_packet *packet);
/* An address or nil, but not what marks messages, which only send may post: receivers trust it. */
uintptr_t iocp_check_overlapped(lua_State *L, int index);
/* What a message's packet has for its `overlapped`: nobody else has that address. */
uintptr_t iocp_message_mark(void);
/* Whether a packet is a message. */
int iocp_is_message(const iocp_packet *packet);

/* ---- timer.c ----------------------------------------------------------------------------------------------------- */

/* Reads (target, key [, overlapped]) from index 2 on, as every notify takes them, and pushes the timer that it
** gives. */
iocp_timer *iocp_notify_arguments(lua_State *L, iocp_port **target, iocp_packet *packet);

/* ---- port.c ------------------------------------------------------------------------------------------------------ */

/* private.take_shielded(port, max, ms, batch): dequeue_many for a thread that was cancelled and knows it; not its first
** wait. */
int iocp_lua_take_shielded(lua_State *L);
/* private.pick(port) */
int iocp_lua_pick(lua_State *L);

/* ---- message.c --------------------------------------------------------------------------------------------------- */

/* For a message that dequeue met: nil, message, "MESSAGE" and the values. The number of results. */
int iocp_message_push(lua_State *L, iocp_port *port, const iocp_packet *packet);
/* For a message that goes out as a packet: port:unpack finds it by its key. */
void iocp_message_keep(lua_State *L, iocp_port *port, const iocp_packet *packet);
#pragma GCC visibility pop

#endif
