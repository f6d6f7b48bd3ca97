/*
** queue.c - the yardstick of bench/remote: a client and a worker of iocp.remote's queue over hiredis, which send the
** same commands, with the same scripts, as the ones in Lua do, and have nothing to compute. The scripts stand in
** build/remote/NAME.redis.
** usage: queue client|worker SOCKET [JOBS]
*/

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, WINDOW = 2000, PREFETCH = 201, MOST = 8 + 5 * 512 };

#define BASE "iocp:{bench}"

static void stop(const char *text)
{
	fprintf(stderr, "queue: %s\n", text);
	exit(1);
}

/* A command's arguments, copied into one block. */
static struct {
	int count;
	const char *argv[MOST];
	size_t length[MOST];
	char block[1 << 20];
	size_t used;
} command;

static void begin(void)
{
	command.count = 0;
	command.used = 0;
}

static void add(const char *text, size_t length)
{
	if (command.count == MOST || command.used + length > sizeof command.block)
		stop("a command is too long");
	memcpy(command.block + command.used, text, length);
	command.argv[command.count] = command.block + command.used;
	command.length[command.count++] = length;
	command.used += length;
}

static void add_text(const char *text)
{
	add(text, strlen(text));
}

static void append(redisContext *redis)
{
	redisAppendCommandArgv(redis, command.count, command.argv, command.length);
}

static redisReply *get(redisContext *redis)
{
	void *reply = NULL;
	if (redisGetReply(redis, &reply) != REDIS_OK)
		stop(redis->errstr);
	if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
		stop(((redisReply *)reply)->str);
	return reply;
}

static redisContext *open_redis(const char *path)
{
	redisContext *redis = redisConnectUnix(path);
	if (redis == NULL || redis->err)
		stop("cannot connect");
	return redis;
}

static void load(redisContext *redis, const char *name, char *sha)
{
	static char text[1 << 16];
	char path[256];
	snprintf(path, sizeof path, "build/remote/%s.redis", name);
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		stop(path);
	size_t length = fread(text, 1, sizeof text, file);
	fclose(file);
	begin();
	add_text("SCRIPT");
	add_text("LOAD");
	add(text, length);
	append(redis);
	redisReply *reply = get(redis);
	snprintf(sha, 41, "%s", reply->str);
	freeReplyObject(reply);
}

static void begin_script(const char *sha)
{
	begin();
	add_text("EVALSHA");
	add_text(sha);
	add_text("1");
	add_text(BASE);
}

/* ---- the client ---- */

static void submit(redisContext *redis, const char *sha, long first, long count)
{
	begin_script(sha);
	add_text("");
	add_text("yardstick");
	for (long i = first; i < first + count; i++) {
		char id[32];
		snprintf(id, sizeof id, "y%lx", i);
		add_text(id);
		add_text("bench.remote.jobs:add");
		add("\2\1\2", 3);
		add_text("");
	}
	append(redis);
	freeReplyObject(get(redis));
}

/* How many outcomes came. */
static long hear(redisContext *redis, char *last)
{
	int trims = strcmp(last, "0") != 0;
	if (trims)
		redisAppendCommand(redis, "XTRIM %s MINID %s", BASE ":told:yardstick", last);
	redisAppendCommand(redis, "XREAD COUNT 500 BLOCK 5000 STREAMS %s %s", BASE ":told:yardstick", last);
	if (trims)
		freeReplyObject(get(redis));
	redisReply *reply = get(redis);
	long count = 0;
	if (reply->type == REDIS_REPLY_ARRAY) {
		redisReply *entries = reply->element[0]->element[1];
		count = (long)entries->elements;
		if (count > 0)
			snprintf(last, 64, "%s", entries->element[count - 1]->element[0]->str);
	}
	freeReplyObject(reply);
	return count;
}

static void be_client(const char *path, long jobs)
{
	redisContext *sending = open_redis(path), *hearing = open_redis(path);
	char sha[41], last[64] = "0";
	load(sending, "submit", sha);
	long sent = 0, open = 0;
	while (sent < jobs || open > 0) {
		while (sent < jobs && open + BATCH <= WINDOW) {
			long count = jobs - sent < BATCH ? jobs - sent : BATCH;
			submit(sending, sha, sent, count);
			sent += count;
			open += count;
		}
		open -= hear(hearing, last);
	}
}

/* ---- the worker ---- */

static redisReply *take(redisContext *redis, const char *sha, redisReply *read)
{
	begin_script(sha);
	add_text("yardstick");
	add_text("201");
	add_text("30000");
	add_text(read == NULL ? "1" : "");
	add_text("3");
	add_text("hnl");
	for (size_t i = 0; read != NULL && read->type == REDIS_REPLY_ARRAY && i < read->elements; i++) {
		redisReply *entry = read->element[i]->element[1]->element[0];
		add_text("n");
		add(entry->element[0]->str, entry->element[0]->len);
		add(entry->element[1]->element[1]->str, entry->element[1]->element[1]->len);
	}
	append(redis);
	return get(redis);
}

static void finish(redisContext *redis, const char *sha, redisReply *taken)
{
	begin_script(sha);
	for (size_t i = 1; i + 6 < taken->elements; i += 7) {
		for (size_t k = 0; k < 3; k++)
			add(taken->element[i + k]->str, taken->element[i + k]->len);
		add_text("completed");
		add("\1\3", 2);
	}
	append(redis);
	freeReplyObject(get(redis));
}

static void be_worker(const char *path)
{
	redisContext *redis = open_redis(path);
	char take_sha[41], finish_sha[41];
	load(redis, "take", take_sha);
	load(redis, "finish", finish_sha);
	redisReply *read = NULL;
	for (;;) {
		redisReply *taken = take(redis, take_sha, read);
		if (read != NULL)
			freeReplyObject(read);
		if (taken->elements > 1) {
			finish(redis, finish_sha, taken);
			redisAppendCommand(redis, "PING"); /* so that `read` is none of a wait */
		} else {
			redisAppendCommand(redis, "XREADGROUP GROUP workers yardstick COUNT 1 BLOCK 250 STREAMS %s %s %s > > >",
				BASE ":high", BASE ":normal", BASE ":low");
		}
		freeReplyObject(taken);
		read = get(redis);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		stop("usage: queue client|worker SOCKET [JOBS]");
	if (strcmp(argv[1], "client") == 0)
		be_client(argv[2], argc > 3 ? atol(argv[3]) : 10000);
	else
		be_worker(argv[2]);
	return 0;
}
