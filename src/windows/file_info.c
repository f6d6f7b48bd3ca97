/*
** file_info.c - what is known of a file at once, and what is done to it at once.
*/

#include "windows/file.h"

#include "core/sized.h"

#define EPOCH INT64_C(116444736000000000) /* 1970 in the system's time: units of 100 ns since 1601 */

static int64_t time_of(FILETIME time)
{
	return ((int64_t)((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime) - EPOCH) * 100;
}

static uint64_t number_of(DWORD high, DWORD low)
{
	return (uint64_t)high << 32 | low;
}

static uint32_t type_of(HANDLE system)
{
	DWORD mode;
	switch (GetFileType(system)) {
	case FILE_TYPE_PIPE:
		return IOCP_TYPE_PIPE;
	case FILE_TYPE_CHAR:
		return GetConsoleMode(system, &mode) ? IOCP_TYPE_TERMINAL : IOCP_TYPE_DEVICE;
	default:
		return IOCP_TYPE_OTHER;
	}
}

/* Of a file on a disk. IOCP_OK or a number. */
static int examine(HANDLE system, iocp_file_info *now)
{
	BY_HANDLE_FILE_INFORMATION info;
	FILE_STANDARD_INFO standard;
	if (!GetFileInformationByHandle(system, &info))
		return iocp_io_error_of(GetLastError());
	now->type = info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? IOCP_TYPE_DIRECTORY : IOCP_TYPE_FILE;
	now->permissions = info.dwFileAttributes & FILE_ATTRIBUTE_READONLY ? 0444 : 0666;
	now->bytes = number_of(info.nFileSizeHigh, info.nFileSizeLow);
	now->links = info.nNumberOfLinks;
	now->volume = info.dwVolumeSerialNumber;
	now->id = number_of(info.nFileIndexHigh, info.nFileIndexLow);
	now->modified_ns = time_of(info.ftLastWriteTime);
	now->accessed_ns = time_of(info.ftLastAccessTime);
	/* The last of its names goes when it is closed. */
	if (GetFileInformationByHandleEx(system, FileStandardInfo, &standard, sizeof(standard)) && standard.DeletePending)
		now->links = 0;
	return IOCP_OK;
}

int iocp_file_stat(iocp_file *file, iocp_file_info *info)
{
	iocp_file_info now = {.size = info->size, .permissions = 0666, .links = 1};
	int r = iocp_file_enter(file);
	if (r != IOCP_OK)
		return r;
	if (file->has_offsets)
		r = examine(file->system, &now);
	else
		now.type = type_of(file->system);
	iocp_file_leave(file);
	if (r == IOCP_OK)
		iocp_copy_known(info, info->size, &now, sizeof(now));
	return r;
}

int iocp_file_size(iocp_file *file, uint64_t *size)
{
	LARGE_INTEGER bytes = {0};
	int r = iocp_file_enter(file);
	if (r != IOCP_OK)
		return r;
	if (file->has_offsets && !GetFileSizeEx(file->system, &bytes))
		r = iocp_io_error_of(GetLastError());
	iocp_file_leave(file);
	if (r == IOCP_OK)
		*size = (uint64_t)bytes.QuadPart;
	return r;
}

/* ---- truncating -------------------------------------------------------------------------------------------------- */

int iocp_file_end_at(HANDLE system, int appends, uint64_t size)
{
	FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (LONGLONG)size};
	HANDLE whole = system;
	DWORD error = 0;
	if (appends) /* its own handle has no right to that */
		whole = ReOpenFile(system, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0);
	if (whole == INVALID_HANDLE_VALUE || !SetFileInformationByHandle(whole, FileEndOfFileInfo, &end, sizeof(end)))
		error = GetLastError();
	if (appends && whole != INVALID_HANDLE_VALUE)
		CloseHandle(whole);
	return error == 0 ? IOCP_OK : error == ERROR_ACCESS_DENIED ? IOCP_EINVAL : iocp_io_error_of(error);
}

int iocp_file_truncate(iocp_file *file, uint64_t size)
{
	int r = size <= INT64_MAX ? iocp_file_enter(file) : IOCP_INVALID;
	if (r != IOCP_OK)
		return r;
	r = file->has_offsets ? iocp_file_end_at(file->system, file->appends, size) : IOCP_EINVAL;
	iocp_file_leave(file);
	return r;
}
