/*
** embed.c - a C program with Lua in its threads: a thread of iocp.h has a Lua state of its own, whose script takes what
** C has posted from a port, and gives back what comes of it.
**
**   make build/lua5.4/embed && build/lua5.4/embed
**
** It is linked with the Lua module itself, iocp/core.so, which exports iocp.h: so C and Lua have one library, and the
** handles of the one are those of the other.
*/

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <iocp.h>

enum { WORKERS = 2, JOBS = 6, QUIT = 0 };

typedef struct job {
	int number;
	char text[60];
} job;

/* What a worker is told: objects of main's, which lives longer. Scripts know them by their handles. */
typedef struct plan {
	iocp_port *jobs, *answers;
	iocp_heap *heap;
} plan;

static const char script[] =
	"local iocp = require 'iocp'\n"
	"local jobs, answers = iocp.IOCompletionPort.open((...)), iocp.IOCompletionPort.open((select(2, ...)))\n"
	"local heap = iocp.Heap.open((select(3, ...)))\n"
	"for address, size in jobs:packets() do\n"
	"  if address == 0 then break end\n"
	"  local text = heap:read(address, 4, size)\n"
	"  heap:write(address, text:upper(), 4)\n"
	"  answers:enqueue(address, size)\n"
	"end\n";

static void check(int code, const char *what)
{
	char text[256];
	if (code == IOCP_OK)
		return;
	iocp_error_text(code, text, sizeof(text));
	fprintf(stderr, "%s: %s\n", what, text);
	exit(1);
}

/* The body of a thread. The state belongs to it: nobody else touches it. */
static int work(iocp_thread *thread, void *data)
{
	const plan *mine = (const plan *)data;
	lua_State *L = luaL_newstate();
	int code = IOCP_ERROR;
	(void)thread;
	if (L == NULL)
		return IOCP_NOMEM;
	luaL_openlibs(L);
	if (luaL_loadstring(L, script) == 0) {
		lua_pushnumber(L, (lua_Number)iocp_port_handle(mine->jobs)); /* below 2^52: a double holds it */
		lua_pushnumber(L, (lua_Number)iocp_port_handle(mine->answers));
		lua_pushnumber(L, (lua_Number)iocp_heap_handle(mine->heap));
		if (lua_pcall(L, 3, 0, 0) == 0)
			code = IOCP_OK;
	}
	if (code != IOCP_OK) {
		fprintf(stderr, "worker: %s\n", lua_tostring(L, -1));
		iocp_port_close(mine->answers); /* so that main does not wait for ever */
	}
	lua_close(L);
	return code;
}

static void post(const plan *shared, int number)
{
	void *block;
	job *next;
	check(iocp_heap_alloc(shared->heap, sizeof(job), IOCP_ZERO, &block), "alloc");
	next = (job *)block;
	next->number = number;
	snprintf(next->text, sizeof(next->text), "job number %d", number);
	check(iocp_port_enqueue(shared->jobs, (uintptr_t)block, (uint32_t)strlen(next->text), 0), "enqueue");
}

int main(void)
{
	iocp_thread *threads[WORKERS];
	iocp_thread_options options;
	char texts[JOBS][60];
	plan shared;
	int i;
	check(iocp_port_create(0, &shared.jobs), "create a port");
	check(iocp_port_create(0, &shared.answers), "create a port");
	check(iocp_heap_create(0, 0, &shared.heap), "create a heap");
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	options.main = work;
	options.data = &shared;
	options.name = "lua";
	for (i = 0; i < WORKERS; i++)
		check(iocp_thread_create(&options, &threads[i]), "create a thread");
	for (i = 0; i < JOBS; i++)
		post(&shared, i);
	for (i = 0; i < JOBS; i++) { /* in whichever order they are done */
		iocp_packet packet;
		job *done;
		check(iocp_port_dequeue(shared.answers, &packet, 60000), "dequeue");
		done = (job *)packet.key;
		memcpy(texts[done->number], done->text, sizeof(done->text));
		check(iocp_heap_free(shared.heap, done), "free");
	}
	for (i = 0; i < WORKERS; i++)
		check(iocp_port_enqueue(shared.jobs, QUIT, 0, 0), "enqueue");
	for (i = 0; i < WORKERS; i++) {
		check(iocp_thread_join(threads[i], IOCP_INFINITE), "join");
		iocp_thread_release(threads[i]);
	}
	for (i = 0; i < JOBS; i++)
		printf("%s\n", texts[i]);
	iocp_heap_release(shared.heap);
	iocp_port_release(shared.answers);
	iocp_port_release(shared.jobs);
	return 0;
}
