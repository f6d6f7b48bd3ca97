/*
** system.c - clock, processors, pinning, error codes and texts, and the functions that not every Windows has or that no
** import library of a compiler's defaults brings. Owns no state but what never changes once it is known.
*/

#include "windows/windows.h"

#include <io.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

/* ---- time -------------------------------------------------------------------------------------------------------- */

double iocp_clock(void)
{
	LARGE_INTEGER count, frequency;
	QueryPerformanceFrequency(&frequency); /* fixed at boot, and no system call */
	QueryPerformanceCounter(&count);
	/* In two parts: a double would lose digits of a count that has run for months. */
	return (double)(count.QuadPart / frequency.QuadPart) * 1e3
		   + (double)(count.QuadPart % frequency.QuadPart) * 1e3 / (double)frequency.QuadPart;
}

uint64_t iocp_now(void)
{
	return (uint64_t)(iocp_clock() * 1e6);
}

double iocp_system_time(void)
{
	const double ticks = 1e7, from_1601_to_1970 = 11644473600;
	FILETIME now;
	GetSystemTimeAsFileTime(&now);
	return (now.dwHighDateTime * 4294967296.0 + now.dwLowDateTime) / ticks - from_1601_to_1970;
}

double iocp_deadline(double ms)
{
	return ms >= 0 ? iocp_clock() + ms : HUGE_VAL;
}

DWORD iocp_remaining(double deadline)
{
	const double longest = 1e9; /* eleven days: whoever waits longer looks at the clock and waits again */
	double ms = deadline - iocp_clock();
	if (deadline == HUGE_VAL)
		return INFINITE;
	return ms <= 0 ? 0 : ms < longest ? (DWORD)ceil(ms) : (DWORD)longest;
}

void iocp_yield(void)
{
	SwitchToThread();
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

int iocp_system_host_name(char *buffer, size_t size)
{
	DWORD room = (DWORD)size;
	return GetComputerNameExA(ComputerNameDnsHostname, buffer, &room) != 0;
}

uint32_t iocp_processors(void)
{
	DWORD_PTR mine = 0, all;
	uint32_t count = 0;
	GetProcessAffinityMask(GetCurrentProcess(), &mine, &all);
	for (; mine; mine &= mine - 1)
		count++;
	if (count == 0) /* a process on more than one group of 64 processors has no mask */
		count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
	return count ? count : 1;
}

size_t iocp_processor_list(uint32_t *numbers, size_t capacity)
{
	DWORD_PTR mine = 0, all;
	size_t count = 0;
	uint32_t i;
	GetProcessAffinityMask(GetCurrentProcess(), &mine, &all); /* 0: on more than one group of 64 processors */
	for (i = 0; i < sizeof(mine) * CHAR_BIT && count < capacity; i++)
		if (mine >> i & 1)
			numbers[count++] = i;
	return count;
}

int iocp_terminal_columns(int descriptor)
{
	CONSOLE_SCREEN_BUFFER_INFO info;
	if (!GetConsoleScreenBufferInfo(GetStdHandle(descriptor == 1 ? STD_OUTPUT_HANDLE : STD_ERROR_HANDLE), &info))
		return 0;
	return info.srWindow.Right - info.srWindow.Left + 1;
}

uintptr_t iocp_stream_native(FILE *stream)
{
	(void)fflush(stream);
	return (uintptr_t)_get_osfhandle(_fileno(stream));
}

int iocp_pin(void)
{
	HMODULE self;
	return GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
			   (LPCWSTR)(uintptr_t)iocp_pin, &self)
			   ? IOCP_OK
			   : (int)GetLastError();
}

/* ---- what is looked up ------------------------------------------------------------------------------------------- */

/* A function's address, 0 if this system lacks it; an integer, since C converts no other pointer to a function's. */
static uintptr_t look_up(const char *library, const char *name)
{
	HMODULE module = GetModuleHandleA(library); /* loaded in every process */
	return module ? (uintptr_t)GetProcAddress(module, name) : 0;
}

void iocp_name_this_thread(const char *name)
{
	/* Windows 10, version 1607, and later; at first, and on servers for long, not in kernel32. Source: Microsoft's
	** SetThreadDescription. */
	typedef HRESULT(WINAPI * describe)(HANDLE, PCWSTR);
	describe set_description = (describe)look_up("kernelbase.dll", "SetThreadDescription");
	WCHAR wide[64];
	if (set_description && MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, sizeof(wide) / sizeof(wide[0])))
		set_description(GetCurrentThread(), wide);
}

long iocp_port_depth(HANDLE port)
{
	/* Class 0, IoCompletionBasicInformation: a LONG. The only way to count packets that others queue. */
	typedef LONG(NTAPI * query)(HANDLE, int, void *, ULONG, ULONG *);
	query query_port = (query)look_up("ntdll.dll", "NtQueryIoCompletion");
	LONG depth = 0;
	return query_port && query_port(port, 0, &depth, sizeof(depth), NULL) >= 0 ? depth : -1;
}

/* What an I/O that is given back failed with: the number, in a status of the kind that the system leaves to users. */
#define GIVEN_BACK UINT32_C(0xE10C0000)

/* Source: Microsoft's RtlNtStatusToDosError. */
static DWORD error_of(LONG status)
{
	typedef ULONG(NTAPI * convert)(LONG);
	convert to_error = (convert)look_up("ntdll.dll", "RtlNtStatusToDosError");
	return to_error ? to_error(status) : ERROR_GEN_FAILURE;
}

int iocp_port_post(HANDLE port, const iocp_packet *packet)
{
	/* PostQueuedCompletionStatus knows no failed I/O; what it calls does. */
	typedef LONG(NTAPI * set)(HANDLE, ULONG_PTR, ULONG_PTR, LONG, ULONG_PTR);
	set set_completion = packet->code ? (set)look_up("ntdll.dll", "NtSetIoCompletion") : NULL;
	if (set_completion) {
		LONG status = (LONG)(GIVEN_BACK | ((uint32_t)packet->code & 0xffff));
		LONG r = set_completion(port, packet->key, packet->overlapped, status, packet->bytes);
		return r >= 0 ? IOCP_OK : iocp_system_code(error_of(r));
	}
	return PostQueuedCompletionStatus(port, packet->bytes, packet->key, (OVERLAPPED *)packet->overlapped)
			   ? IOCP_OK
			   : iocp_system_code(GetLastError());
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

int iocp_system_code(DWORD error)
{
	switch (error) {
	case 0: /* the call failed and did not say why */
	case ERROR_NOT_ENOUGH_MEMORY:
	case ERROR_OUTOFMEMORY:
	case ERROR_NO_SYSTEM_RESOURCES:
	case ERROR_NONPAGED_SYSTEM_RESOURCES:
	case ERROR_PAGED_SYSTEM_RESOURCES:
	case ERROR_WORKING_SET_QUOTA:
	case ERROR_PAGEFILE_QUOTA:
	case ERROR_NOT_ENOUGH_QUOTA:
	case ERROR_COMMITMENT_LIMIT:
	case ERROR_MAX_THRDS_REACHED:
		return IOCP_NOMEM;
	default:
		return (int)error;
	}
}

int32_t iocp_status_code(ULONG_PTR status)
{
	/* Negative statuses are warnings and errors, as for GetQueuedCompletionStatus. */
	if ((LONG)status >= 0)
		return 0;
	if (((uint32_t)status & 0xffff0000) == GIVEN_BACK)
		return (int32_t)((uint32_t)status & 0xffff);
	return iocp_io_error_of(error_of((LONG)status));
}

void iocp_system_error_text(int code, char *buffer, size_t size)
{
	WCHAR wide[512];
	DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, (DWORD)code, 0,
		wide, sizeof(wide) / sizeof(wide[0]), NULL);
	int bytes;
	while (length > 0 && (wide[length - 1] <= L' ' || wide[length - 1] == L'.'))
		length--;
	do /* what does not fit is cut */
		bytes = size > 1 ? WideCharToMultiByte(CP_UTF8, 0, wide, (int)length, buffer, (int)size - 1, NULL, NULL) : 0;
	while (bytes == 0 && length > 0 && --length > 0);
	if (bytes > 0)
		buffer[bytes] = 0;
	else
		snprintf(buffer, size, "system error %d", code);
}
