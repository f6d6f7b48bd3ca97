/*
** child.c - child processes, by CreateProcessW. A child's `native` is the HANDLE of it, which is closed as it is
** forgotten.
**
** Sources: Microsoft's CreateProcessW, "Parsing C++ command-line arguments" (what CommandLineToArgvW undoes), and
** InitializeProcThreadAttributeList for the list of handles that it inherits.
*/

#include "windows/windows.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "core/io_error.h"
#include "core/os.h"

enum { STREAMS = 3, LONGEST = 32767 /* characters of a command line */, KILL = 9, TERM = 15 };

/* What a child says that iocp_child_kill has ended, besides the signal's number. */
#define KILLED_BY UINT32_C(0x6f630000)

const char *iocp_child_signal_name(int signal)
{
	return signal == TERM ? "TERM" : signal == KILL ? "KILL" : NULL;
}

int iocp_child_signal(const char *name)
{
	return strcmp(name, "TERM") == 0 ? TERM : strcmp(name, "KILL") == 0 ? KILL : 0;
}

int iocp_child_kill(const iocp_child *child, int signal)
{
	/* One that is just ending says that access is denied. */
	if (!TerminateProcess((HANDLE)child->native, KILLED_BY | (UINT)signal)
		&& WaitForSingleObject((HANDLE)child->native, 0) != WAIT_OBJECT_0)
		return iocp_io_error_of(GetLastError());
	return IOCP_OK;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Text that grows. Once memory is out nothing is added any more, and `failed` says so. */
typedef struct text {
	WCHAR *characters;
	size_t length, capacity;
	int failed;
} text;

static void add(text *t, const WCHAR *characters, size_t count)
{
	if (!t->failed && t->length + count > t->capacity) {
		size_t capacity = (t->length + count) * 2 + 64;
		WCHAR *more = realloc(t->characters, capacity * sizeof(*more));
		t->failed = more == NULL;
		if (more) {
			t->characters = more;
			t->capacity = capacity;
		}
	}
	if (!t->failed) {
		memcpy(t->characters + t->length, characters, count * sizeof(*characters));
		t->length += count;
	}
}

static void add_times(text *t, WCHAR character, size_t count)
{
	for (; count > 0; count--)
		add(t, &character, 1);
}

/* From malloc; NULL: out of memory. */
static WCHAR *widen(const char *utf8)
{
	int length = MultiByteToWideChar(CP_UTF8, 0, utf8, -1, NULL, 0);
	WCHAR *wide = malloc((size_t)(length > 0 ? length : 1) * sizeof(*wide));
	if (wide && MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, length) == 0)
		*wide = 0;
	return wide;
}

/* Whether it means the same without quotes, to the C library and to programs that read the line themselves: cmd.exe
** knows its /c and its own words only so. What it is made of is neither a wildcard, which some C libraries expand, nor
** a sign of cmd's. */
static int is_plain(const WCHAR *argument)
{
	const WCHAR *c;
	for (c = argument; *c; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9')
			&& !wcschr(L"-_./\\:", *c))
			return 0;
	return c > argument;
}

/* Quoted so that the C library of the child gives it back as it is: backslashes before a quote are doubled, the quote
** has one more. */
static void add_argument(text *t, const WCHAR *argument)
{
	size_t backslashes = 0;
	if (is_plain(argument)) {
		add(t, argument, wcslen(argument));
		return;
	}
	add_times(t, '"', 1);
	for (; *argument; argument++) {
		if (*argument == '\\') {
			backslashes++;
			continue;
		}
		add_times(t, '\\', *argument == '"' ? backslashes * 2 + 1 : backslashes);
		backslashes = 0;
		add(t, argument, 1);
	}
	add_times(t, '\\', backslashes * 2);
	add_times(t, '"', 1);
}

static int ends_with(const char *name, size_t length, const char *end)
{
	size_t size = strlen(end);
	return length >= size && _strnicmp(name + length - size, end, size) == 0;
}

/* A command interpreter would parse the arguments anew, by rules of its own. The system ignores dots and spaces at the
** end of a name. */
static int is_batch(const char *program)
{
	size_t length = strlen(program);
	while (length > 0 && (program[length - 1] == ' ' || program[length - 1] == '.'))
		length--;
	return ends_with(program, length, ".bat") || ends_with(program, length, ".cmd");
}

static void add_all(text *line, const char *const *arguments)
{
	size_t i;
	for (i = 0; arguments[i] && !line->failed; i++) {
		WCHAR *wide = widen(arguments[i]);
		if (i > 0)
			add_times(line, ' ', 1);
		if (wide)
			add_argument(line, wide);
		else
			line->failed = 1;
		free(wide);
	}
	add_times(line, 0, 1);
}

static int by_name(const void *a, const void *b)
{
	return _wcsicmp(*(WCHAR *const *)a, *(WCHAR *const *)b);
}

/* The block that CreateProcessW takes: sorted by name, a zero behind each and one behind all. */
static void add_environment(text *block, const char *const *environment)
{
	size_t count = 0, i;
	WCHAR **entries;
	while (environment[count])
		count++;
	entries = calloc(count + 1, sizeof(*entries));
	block->failed = entries == NULL;
	for (i = 0; entries && i < count; i++)
		if (!(entries[i] = widen(environment[i])))
			block->failed = 1;
	if (!block->failed)
		qsort(entries, count, sizeof(*entries), by_name);
	for (i = 0; !block->failed && i < count; i++)
		add(block, entries[i], wcslen(entries[i]) + 1);
	add_times(block, 0, count ? 1 : 2);
	for (i = 0; entries && i < count; i++)
		free(entries[i]);
	free(entries);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* The HANDLE that a child is to inherit as that stream: 0 or a number. *copy: NULL, there is none. */
static int copy_stream(const iocp_child_stream *stream, int which, HANDLE *copy)
{
	static const DWORD standard[STREAMS] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
	SECURITY_ATTRIBUTES inherited = {sizeof(inherited), NULL, TRUE};
	HANDLE from = stream->kind == IOCP_STREAM_NATIVE   ? (HANDLE)stream->native
				  : stream->kind == IOCP_STREAM_OUTPUT ? GetStdHandle(STD_OUTPUT_HANDLE)
													   : GetStdHandle(standard[which]);
	if (stream->kind == IOCP_STREAM_NOTHING) {
		HANDLE nothing = CreateFileW(L"NUL", which == 0 ? GENERIC_READ : GENERIC_WRITE,
			FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited, OPEN_EXISTING, 0, NULL);
		if (nothing == INVALID_HANDLE_VALUE)
			return iocp_io_error_of(GetLastError());
		*copy = nothing;
		return 0;
	}
	if (!from || from == INVALID_HANDLE_VALUE) /* this process has none itself */
		return stream->kind == IOCP_STREAM_NATIVE ? IOCP_EBADF : 0;
	if (!DuplicateHandle(GetCurrentProcess(), from, GetCurrentProcess(), copy, 0, TRUE, DUPLICATE_SAME_ACCESS))
		return iocp_io_error_of(GetLastError());
	return 0;
}

typedef struct inheritance {
	STARTUPINFOEXW info;
	HANDLE streams[STREAMS]; /* what the child inherits, and nothing else */
	size_t count;
} inheritance;

static void end_inheritance(inheritance *i)
{
	size_t each;
	if (i->info.lpAttributeList) {
		DeleteProcThreadAttributeList(i->info.lpAttributeList);
		free(i->info.lpAttributeList);
	}
	for (each = 0; each < i->count; each++)
		CloseHandle(i->streams[each]);
}

/* The list of handles. 0 or a number. */
static int list_handles(inheritance *i)
{
	SIZE_T size = 0;
	if (i->count == 0)
		return 0;
	InitializeProcThreadAttributeList(NULL, 1, 0, &size);
	i->info.lpAttributeList = malloc(size);
	if (!i->info.lpAttributeList)
		return IOCP_ENOMEM;
	if (!InitializeProcThreadAttributeList(i->info.lpAttributeList, 1, 0, &size)) {
		free(i->info.lpAttributeList);
		i->info.lpAttributeList = NULL;
		return iocp_io_error_of(GetLastError());
	}
	return UpdateProcThreadAttribute(i->info.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, i->streams,
			   i->count * sizeof(i->streams[0]), NULL, NULL)
			   ? 0
			   : iocp_io_error_of(GetLastError());
}

/* 0 or a number; either way it is to be ended. */
static int begin_inheritance(inheritance *i, const iocp_child_options *options)
{
	HANDLE *ends[STREAMS] = {
		&i->info.StartupInfo.hStdInput, &i->info.StartupInfo.hStdOutput, &i->info.StartupInfo.hStdError};
	int which, r = 0;
	memset(i, 0, sizeof(*i));
	i->info.StartupInfo.cb = sizeof(i->info);
	i->info.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
	for (which = 0; which < STREAMS && r == 0; which++) {
		r = copy_stream(&options->streams[which], which, ends[which]);
		if (r == 0 && *ends[which])
			i->streams[i->count++] = *ends[which];
	}
	return r ? r : list_handles(i);
}

static int create(const iocp_child_options *options, inheritance *i, text *line, text *block, iocp_child *child)
{
	PROCESS_INFORMATION made;
	WCHAR *directory = options->directory ? widen(options->directory) : NULL;
	int r = options->directory && !directory ? IOCP_NOMEM : IOCP_OK;
	if (r == IOCP_OK
		&& !CreateProcessW(NULL, line->characters, NULL, NULL, i->count > 0,
			EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT, block->characters, directory,
			&i->info.StartupInfo, &made))
		r = GetLastError() == ERROR_DIRECTORY ? IOCP_ENOENT : iocp_io_error_of(GetLastError());
	free(directory);
	if (r != IOCP_OK)
		return r;
	CloseHandle(made.hThread);
	child->id = made.dwProcessId;
	child->native = (uintptr_t)made.hProcess;
	return IOCP_OK;
}

int iocp_child_start(const iocp_child_options *options, iocp_child *child)
{
	text line = {NULL, 0, 0, 0}, block = {NULL, 0, 0, 0};
	inheritance i;
	int r;
	if (is_batch(options->arguments[0]))
		return IOCP_ENOEXEC;
	add_all(&line, options->arguments);
	if (options->environment)
		add_environment(&block, options->environment);
	r = line.failed || block.failed ? IOCP_NOMEM : line.length > LONGEST ? IOCP_E2BIG : IOCP_OK;
	if (r == IOCP_OK) {
		r = begin_inheritance(&i, options);
		if (r == IOCP_OK)
			r = create(options, &i, &line, &block, child);
		end_inheritance(&i);
	}
	free(line.characters);
	free(block.characters);
	return r;
}

/* ---- its end ----------------------------------------------------------------------------------------------------- */

void iocp_child_await(const iocp_child *child)
{
	(void)WaitForSingleObject((HANDLE)child->native, INFINITE);
}

void iocp_child_forget(const iocp_child *child, int64_t *code, int *signal)
{
	DWORD said;
	*code = -1;
	*signal = 0;
	if (GetExitCodeProcess((HANDLE)child->native, &said)) {
		if (said == (KILLED_BY | KILL) || said == (KILLED_BY | TERM))
			*signal = (int)(said & ~KILLED_BY);
		else
			*code = said;
	}
	CloseHandle((HANDLE)child->native);
}
