/*
** file_create.c - opening by a name, and what has none: pipes, temporary files.
**
** A file that appends is opened with FILE_APPEND_DATA alone, by which the system writes at its end whatever offset is
** asked for. All share what they open with everybody, as files elsewhere do.
*/

#include "windows/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "core/os.h"

#define SHARED (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

enum {
	ROOM = 64 * 1024, /* bytes that a pipe holds, as far as the system keeps to that */
	TRIES = 100
};

/* ---- by a name --------------------------------------------------------------------------------------------------- */

/* As UTF-16, from malloc. IOCP_OK, IOCP_NOMEM or a number. */
static int widen(const char *path, WCHAR **wide)
{
	int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
	if (length == 0)
		return IOCP_EILSEQ;
	*wide = malloc((size_t)length * sizeof(**wide));
	if (!*wide)
		return IOCP_NOMEM;
	MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, *wide, length);
	return IOCP_OK;
}

/* A path that is too long for the usual way of saying it is said in full, as the system wants it then. *wide is
** replaced, or freed. IOCP_OK or IOCP_NOMEM. */
static int lengthen(WCHAR **wide)
{
	static const WCHAR here[] = L"\\\\?\\", there[] = L"\\\\?\\UNC"; /* on this machine; on another one: \\name */
	enum { ROOM_FOR_PREFIX = sizeof(there) / sizeof(there[0]) - 1 };
	DWORD size = GetFullPathNameW(*wide, 0, NULL, NULL), length;
	WCHAR *full, *path;
	int is_shared;
	if (size <= MAX_PATH || wcsncmp(*wide, L"\\\\?\\", 4) == 0 || wcsncmp(*wide, L"\\\\.\\", 4) == 0)
		return IOCP_OK;
	full = malloc((ROOM_FOR_PREFIX + size) * sizeof(*full));
	path = full + ROOM_FOR_PREFIX;
	length = full ? GetFullPathNameW(*wide, size, path, NULL) : 0;
	free(*wide);
	*wide = full;
	if (!full)
		return IOCP_NOMEM;
	if (length == 0 || length >= size) /* the current folder has changed */
		length = 0;
	path[length] = 0;
	is_shared = wcsncmp(path, L"\\\\", 2) == 0;
	memmove(
		full + wcslen(is_shared ? there : here), path + is_shared, (length + 1 - (size_t)is_shared) * sizeof(*full));
	memcpy(full, is_shared ? there : here, wcslen(is_shared ? there : here) * sizeof(*full));
	return IOCP_OK;
}

static DWORD access_of(int mode)
{
	DWORD access = mode & IOCP_FILE_READ ? FILE_GENERIC_READ : 0;
	if (mode & IOCP_FILE_APPEND)
		access |= FILE_GENERIC_WRITE & ~(DWORD)FILE_WRITE_DATA;
	else if (mode & IOCP_FILE_WRITE)
		access |= FILE_GENERIC_WRITE;
	return access;
}

static DWORD disposition_of(int mode)
{
	if (!(mode & IOCP_FILE_CREATE))
		return OPEN_EXISTING;
	return mode & IOCP_FILE_EXCLUSIVE ? CREATE_NEW : OPEN_ALWAYS;
}

/* IOCP_OK or a number. */
static int open_wide(const WCHAR *path, int mode, HANDLE *system)
{
	HANDLE opened = CreateFileW(
		path, access_of(mode), SHARED, NULL, disposition_of(mode), FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED, NULL);
	DWORD error = GetLastError(), attributes;
	int r = IOCP_OK;
	if (opened == INVALID_HANDLE_VALUE) {
		attributes = error == ERROR_ACCESS_DENIED ? GetFileAttributesW(path) : INVALID_FILE_ATTRIBUTES;
		if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY))
			return IOCP_EISDIR;
		return iocp_io_error_of(error);
	}
	if (iocp_file_waits(opened)) /* a console, whatever is asked for */
		r = IOCP_EOPNOTSUPP;
	/* Not by the disposition, which refuses hidden files and forgets attributes. */
	else if ((mode & IOCP_FILE_TRUNCATE) && GetFileType(opened) == FILE_TYPE_DISK)
		r = iocp_file_end_at(opened, (mode & IOCP_FILE_APPEND) != 0, 0);
	if (r == IOCP_OK)
		*system = opened;
	else
		CloseHandle(opened);
	return r;
}

int iocp_file_create(const char *path, int mode, iocp_file **file)
{
	HANDLE system = NULL;
	WCHAR *wide;
	int r;
	if (!(mode & (IOCP_FILE_READ | IOCP_FILE_WRITE | IOCP_FILE_APPEND)))
		return IOCP_INVALID;
	r = widen(path, &wide);
	if (r == IOCP_OK)
		r = lengthen(&wide);
	if (r != IOCP_OK)
		return r;
	r = open_wide(wide, mode, &system);
	free(wide);
	return r == IOCP_OK ? iocp_file_make(system, 0, (mode & IOCP_FILE_APPEND) != 0, file) : r;
}

/* ---- without a name ---------------------------------------------------------------------------------------------- */

/* Writes a name behind `folder` that nobody else is likely to have. 0: it does not fit. */
static int make_name(WCHAR *name, size_t size, const WCHAR *folder)
{
	static _Atomic uint32_t last; /* relaxed: it counts, and orders nothing */
	uint32_t number = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed);
	LARGE_INTEGER now;
	int length;
	QueryPerformanceCounter(&now);
	length = _snwprintf(name, size, L"%lsiocp-%lx-%lx-%llx", folder, (unsigned long)GetCurrentProcessId(),
		(unsigned long)number, (unsigned long long)now.QuadPart);
	return length > 0 && (size_t)length < size;
}

/* It has a name, by which nobody opens it, until it is closed. */
int iocp_file_temporary(iocp_file **file)
{
	WCHAR folder[MAX_PATH + 1], name[MAX_PATH + 64];
	HANDLE system;
	DWORD length = GetTempPathW(MAX_PATH + 1, folder);
	DWORD error = length == 0 ? GetLastError() : length > MAX_PATH ? ERROR_FILENAME_EXCED_RANGE : ERROR_FILE_EXISTS;
	int i;
	for (i = 0; i < TRIES && error == ERROR_FILE_EXISTS; i++) {
		if (!make_name(name, sizeof(name) / sizeof(name[0]), folder))
			return IOCP_ENAMETOOLONG;
		system = CreateFileW(name, FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE, FILE_SHARE_DELETE, NULL, CREATE_NEW,
			FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OVERLAPPED, NULL);
		if (system != INVALID_HANDLE_VALUE)
			return iocp_file_make(system, 0, 0, file);
		error = GetLastError();
	}
	return iocp_io_error_of(error);
}

/* overlapped[]: FILE_FLAG_OVERLAPPED or 0, of the end to read from and of the other. IOCP_OK or a number. Whoever else
** comes to the pipe first takes it from us, and nothing comes of it: another one is made. */
static int make_pipe(HANDLE ends[2], const DWORD overlapped[2])
{
	WCHAR name[64];
	DWORD error = ERROR_PIPE_BUSY;
	int i;
	for (i = 0; i < TRIES && (error == ERROR_PIPE_BUSY || error == ERROR_ACCESS_DENIED); i++) {
		make_name(name, sizeof(name) / sizeof(name[0]), L"\\\\.\\pipe\\");
		ends[0] = CreateNamedPipeW(name, PIPE_ACCESS_INBOUND | overlapped[0] | FILE_FLAG_FIRST_PIPE_INSTANCE,
			PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, ROOM, ROOM, 0, NULL);
		error = GetLastError();
		if (ends[0] == INVALID_HANDLE_VALUE)
			continue;
		ends[1] = CreateFileW(name, GENERIC_WRITE | FILE_READ_ATTRIBUTES, 0, NULL, OPEN_EXISTING, overlapped[1], NULL);
		if (ends[1] != INVALID_HANDLE_VALUE)
			return IOCP_OK;
		error = GetLastError();
		CloseHandle(ends[0]);
	}
	return iocp_io_error_of(error);
}

int iocp_file_pipe(iocp_file *pair[2])
{
	static const DWORD overlapped[2] = {FILE_FLAG_OVERLAPPED, FILE_FLAG_OVERLAPPED};
	iocp_file *reader, *writer;
	HANDLE ends[2];
	int r = make_pipe(ends, overlapped);
	if (r != IOCP_OK)
		return r;
	r = iocp_file_make(ends[0], 0, 0, &reader);
	if (r != IOCP_OK) {
		CloseHandle(ends[1]);
		return r;
	}
	r = iocp_file_make(ends[1], 0, 0, &writer);
	if (r != IOCP_OK) {
		iocp_file_release(reader);
		return r;
	}
	pair[0] = reader;
	pair[1] = writer;
	return IOCP_OK;
}

/* ---- for a child ------------------------------------------------------------------------------------------------- */

/* Its end is not overlapped: programs expect one that waits. */
int iocp_child_pipe(int child_reads, iocp_file **ours, uintptr_t *theirs)
{
	const int mine = child_reads ? 1 : 0;
	const DWORD overlapped[2] = {mine == 0 ? FILE_FLAG_OVERLAPPED : 0, mine == 1 ? FILE_FLAG_OVERLAPPED : 0};
	HANDLE ends[2];
	int r = make_pipe(ends, overlapped);
	if (r != IOCP_OK)
		return r;
	r = iocp_file_make(ends[mine], 0, 0, ours);
	if (r != IOCP_OK) {
		CloseHandle(ends[1 - mine]);
		return r;
	}
	*theirs = (uintptr_t)ends[1 - mine];
	return IOCP_OK;
}

void iocp_child_close_pipe(uintptr_t theirs)
{
	CloseHandle((HANDLE)theirs);
}
