/*
** file.c - iocp.File: making and finding them, and their operations. As of sockets, a state has one userdata for each.
*/

#include <inttypes.h>
#include <string.h>

#include "lua/binding.h"
#include "work/work.h"

#define NOT_ASSOCIATED "the file is not associated with a port: file:associate(port)"
#define NOT_A_BLOCK                                                                                                    \
	NOT_ASSOCIATED ", or no block that can be used for this begins at that address: it is not live (of any heap), "    \
				   "is in use by another operation, or is smaller than what is asked for"

static iocp_file *check_self(lua_State *L)
{
	return iocp_object_check(L, 1, IOCP_CLASS_FILE, "self");
}

/* nil, message, code; `invalid`: what IOCP_INVALID says of an open one. */
static int failure(lua_State *L, iocp_file *file, int r, const char *invalid)
{
	return iocp_io_failure(L, r, file && !iocp_file_is_open(file) ? "the file is closed" : invalid);
}

static int push_result(lua_State *L, iocp_file *file, int r, const char *invalid)
{
	if (r != IOCP_OK)
		return failure(L, file, r, invalid);
	lua_pushboolean(L, 1);
	return 1;
}

/* ---- making and finding ------------------------------------------------------------------------------------------ */

/* "r", "w" or "a", and behind it, in any order, "+", "x", and "b", which changes nothing. 0: it is none of them. */
static int mode_of(const char *text)
{
	int mode = *text == 'r'   ? IOCP_FILE_READ
			   : *text == 'w' ? IOCP_FILE_WRITE | IOCP_FILE_CREATE | IOCP_FILE_TRUNCATE
			   : *text == 'a' ? IOCP_FILE_APPEND | IOCP_FILE_CREATE
							  : 0;
	int creates = mode & IOCP_FILE_CREATE;
	const char *more;
	for (more = text + 1; mode && *more; more++) {
		if (strchr(more + 1, *more))
			return 0;
		if (*more == '+')
			mode |= IOCP_FILE_READ | (*text == 'r' ? IOCP_FILE_WRITE : 0);
		else if (*more == 'x' && creates)
			mode |= IOCP_FILE_EXCLUSIVE;
		else if (*more != 'b')
			return 0;
	}
	return mode;
}

static int check_mode(lua_State *L, int index)
{
	int mode = lua_isnoneornil(L, index)           ? IOCP_FILE_READ
			   : lua_type(L, index) == LUA_TSTRING ? mode_of(lua_tostring(L, index))
												   : 0;
	if (!mode)
		iocp_bad_argument(L, index, "mode",
			"\"r\", \"w\" or \"a\", behind it \"+\" to read and write, and of the last two \"x\": it must not exist");
	return mode;
}

static const char *check_path(lua_State *L, int index)
{
	size_t length;
	const char *path = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
	if (!path || strlen(path) != length)
		iocp_bad_argument(L, index, "path", "a string without zero bytes");
	return path;
}

/* The userdata at the top gets what was made, with this result. */
static int push_made(lua_State *L, int r, iocp_file *file, const char *invalid)
{
	if (r != IOCP_OK)
		return failure(L, NULL, r, invalid);
	iocp_object_set(L, file);
	iocp_object_enlist(L);
	return 1;
}

static int file_create(lua_State *L)
{
	const char *path = check_path(L, 1);
	int mode = check_mode(L, 2), r;
	iocp_file *file = NULL;
	iocp_object_push(L, IOCP_CLASS_FILE);
	r = iocp_file_create(path, mode, &file);
	return r == IOCP_OK ? push_made(L, r, file, NULL) : (failure(L, NULL, r, NULL), iocp_failure_of(L, path));
}

static int file_temporary(lua_State *L)
{
	iocp_file *file = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_FILE);
	r = iocp_file_temporary(&file);
	return push_made(L, r, file, NULL);
}

static int file_pipe(lua_State *L)
{
	iocp_file *pair[2];
	int r;
	lua_settop(L, 0);
	iocp_object_push(L, IOCP_CLASS_FILE);
	iocp_object_push(L, IOCP_CLASS_FILE);
	r = iocp_file_pipe(pair);
	if (r != IOCP_OK)
		return failure(L, NULL, r, NULL);
	iocp_object_set(L, pair[1]);
	lua_insert(L, 1);
	iocp_object_set(L, pair[0]);
	iocp_object_enlist(L);
	lua_insert(L, 1);
	iocp_object_enlist(L);
	return 2;
}

static int is_open(const void *file)
{
	return iocp_file_is_open(file);
}

/* Upvalue: what the state has. */
static int file_open(lua_State *L)
{
	return iocp_listed_open(L, IOCP_CLASS_FILE, is_open);
}

static int file_adopt(lua_State *L)
{
	uintptr_t native = iocp_check_native_file(L, 1, "native");
	iocp_file *file = NULL;
	int r;
	iocp_object_push(L, IOCP_CLASS_FILE);
	r = iocp_file_adopt(native, &file);
	return push_made(
		L, r, file, "nothing open has that number, or (on Windows) it completes elsewhere, or is not overlapped");
}

static int file_native(lua_State *L)
{
	iocp_file *file = check_self(L);
	uintptr_t native = iocp_file_native(file);
	if (native == UINTPTR_MAX) /* it might be somebody else's by now */
		return failure(L, file, IOCP_INVALID, NULL);
	return iocp_push_address(L, native) ? 1 : iocp_failure(L, IOCP_INVALID, "no number of this Lua is exact");
}

static int file_associate(lua_State *L)
{
	iocp_file *file = check_self(L);
	iocp_port *port = iocp_object_check(L, 2, IOCP_CLASS_PORT, "port");
	uintptr_t key = lua_isnoneornil(L, 3) ? (uintptr_t)iocp_file_handle(file) : iocp_check_address(L, 3, "key");
	int r = iocp_file_associate(file, port, key);
	return push_result(L, file, r, "the file is associated already: that is for life");
}

static int file_close(lua_State *L)
{
	iocp_file *file = check_self(L);
	return push_result(L, file, iocp_file_close(file), NULL);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

/* Where the read or write begins; nil where that is ignored. */
static uint64_t check_offset(lua_State *L, int index, const iocp_file *file, int side)
{
	uint64_t offset = 0;
	if (lua_isnoneornil(L, index) && !iocp_file_has_offsets(file, side))
		return 0;
	if (!iocp_to_integer(L, index, INT64_MAX, &offset))
		iocp_bad_argument(
			L, index, "offset", "bytes from the file's start, an integer (nil only of pipes and where it appends)");
	return offset;
}

static int push_started(lua_State *L, iocp_file *file, const iocp_ending *ending, int r, const char *invalid)
{
	return r == IOCP_OK ? iocp_push_ending(L, ending) : failure(L, file, r, invalid);
}

static int file_read(lua_State *L)
{
	iocp_file *file = check_self(L);
	uintptr_t address = lua_type(L, 2) == LUA_TSTRING
							? (uintptr_t)iocp_refuse_text(L, 2, "address", "iocp.open_file(file) reads text")
							: iocp_check_address(L, 2, "address");
	size_t size = iocp_check_size(L, 3, 1, IOCP_LARGEST_TRANSFER), at;
	uint64_t offset = check_offset(L, 4, file, IOCP_SIDE_READ);
	iocp_ending ending;
	int r;
	iocp_check_ending(L, 5, address, &ending);
	at = (size_t)iocp_opt_integer(L, 6, "at", SIZE_MAX, 0);
	IOCP_RETRY(L, r, iocp_file_read(file, (void *)address, at, size, offset, ending.overlapped, ending.done));
	return push_started(L, file, &ending, r, NOT_A_BLOCK);
}

/* write(string, offset, overlapped) */
static int write_copy(lua_State *L, iocp_file *file)
{
	size_t size;
	const char *data = lua_tolstring(L, 2, &size);
	uint64_t offset;
	iocp_ending ending;
	if (size > IOCP_LARGEST_TRANSFER)
		return iocp_bad_argument(L, 2, "string", "2147483646 bytes at most");
	offset = check_offset(L, 3, file, IOCP_SIDE_WRITE);
	iocp_check_ending(L, 4, 0, &ending);
	return push_started(L, file, &ending,
		iocp_file_write_copy(file, data, size, offset, ending.overlapped, ending.done), NOT_ASSOCIATED);
}

static int file_write(lua_State *L)
{
	iocp_file *file = check_self(L);
	uintptr_t address;
	size_t size, at;
	uint64_t offset;
	iocp_ending ending;
	int r;
	if (lua_type(L, 2) == LUA_TSTRING)
		return write_copy(L, file);
	if (!iocp_to_address(L, 2, &address))
		return iocp_bad_argument(L, 2, "data", "a string, or the address of a block");
	size = iocp_check_size(L, 3, 1, IOCP_LARGEST_TRANSFER);
	offset = check_offset(L, 4, file, IOCP_SIDE_WRITE);
	iocp_check_ending(L, 5, address, &ending);
	at = (size_t)iocp_opt_integer(L, 6, "at", SIZE_MAX, 0);
	IOCP_RETRY(L, r, iocp_file_write(file, (const void *)address, at, size, offset, ending.overlapped, ending.done));
	return push_started(L, file, &ending, r, NOT_A_BLOCK);
}

static int file_sync(lua_State *L)
{
	iocp_file *file = check_self(L);
	iocp_ending ending;
	iocp_check_ending(L, 2, 0, &ending);
	return push_started(L, file, &ending, iocp_file_sync(file, ending.overlapped, ending.done), NOT_ASSOCIATED);
}

static int file_cancel(lua_State *L)
{
	iocp_file *file = check_self(L);
	uintptr_t overlapped = iocp_opt_address(L, 2, "overlapped");
	iocp_push_count(L, iocp_file_cancel(file, lua_isnoneornil(L, 2) ? NULL : &overlapped));
	return 1;
}

/* ---- what it is -------------------------------------------------------------------------------------------------- */

static int file_size(lua_State *L)
{
	iocp_file *file = check_self(L);
	uint64_t size = 0;
	int r = iocp_file_size(file, &size);
	if (r != IOCP_OK)
		return failure(L, file, r, NULL);
	iocp_push_count(L, size);
	return 1;
}

static int file_truncate(lua_State *L)
{
	iocp_file *file = check_self(L);
	uint64_t size = iocp_check_integer(L, 2, "size", INT64_MAX);
	return push_result(L, file, iocp_file_truncate(file, size), NULL);
}

static const char *type_of(uint32_t type)
{
	static const char *const names[] = {"other", "file", "directory", "pipe", "terminal", "device"};
	return names[type < sizeof(names) / sizeof(names[0]) ? type : 0];
}

static void set_time(lua_State *L, const char *name, int64_t ns)
{
	lua_pushnumber(L, (lua_Number)ns / 1e9);
	lua_setfield(L, -2, name);
}

static int file_info(lua_State *L)
{
	iocp_file *file = check_self(L);
	iocp_file_info info = {.size = sizeof(info)};
	char id[40];
	int r = iocp_file_stat(file, &info);
	if (r != IOCP_OK)
		return failure(L, file, r, NULL);
	lua_createtable(L, 0, 8);
	lua_pushstring(L, type_of(info.type));
	lua_setfield(L, -2, "type");
	iocp_set_count(L, "size", info.bytes);
	iocp_set_count(L, "permissions", info.permissions);
	iocp_set_count(L, "links", info.links);
	set_time(L, "modified", info.modified_ns);
	set_time(L, "accessed", info.accessed_ns);
	snprintf(id, sizeof(id), "%" PRIx64 ":%" PRIx64, info.volume, info.id);
	lua_pushstring(L, id);
	lua_setfield(L, -2, "id");
	return 1;
}

static int file_to_string(lua_State *L)
{
	char detail[64] = "closed";
	iocp_file_info info = {.size = sizeof(info)};
	enum iocp_class c;
	iocp_file *file = iocp_object_test(L, 1, &c);
	if (!file || c != IOCP_CLASS_FILE)
		return iocp_object_to_string(L, NULL);
	if (iocp_file_stat(file, &info) == IOCP_OK) {
		if (info.type == IOCP_TYPE_FILE)
			snprintf(detail, sizeof(detail), "file, %" PRIu64 " bytes", info.bytes);
		else
			snprintf(detail, sizeof(detail), "%s", type_of(info.type));
	}
	return iocp_object_to_string(L, detail);
}

/* ---- the class --------------------------------------------------------------------------------------------------- */

void iocp_lua_open_file(lua_State *L)
{
	static const luaL_Reg metamethods[] = {
		{"__tostring", file_to_string},
		{"__close", file_close}, /* from Lua 5.4 on: local file <close> */
		{NULL, NULL},
	};
	static const luaL_Reg methods[] = {
		{"native", file_native},
		{"associate", file_associate},
		{"read", file_read},
		{"write", file_write},
		{"sync", file_sync},
		{"size", file_size},
		{"truncate", file_truncate},
		{"info", file_info},
		{"cancel", file_cancel},
		{"close", file_close},
		{NULL, NULL},
	};
	iocp_class_begin(L, IOCP_CLASS_FILE, methods, metamethods);
}

void iocp_lua_push_file(lua_State *L)
{
	iocp_class_make(L, IOCP_CLASS_FILE, "File", file_create, file_adopt);
	iocp_listed_push(L);
	lua_pushcclosure(L, file_open, 1);
	lua_setfield(L, -2, "open");
	lua_pushcfunction(L, file_pipe);
	lua_setfield(L, -2, "pipe");
	lua_pushcfunction(L, file_temporary);
	lua_setfield(L, -2, "temporary");
}
