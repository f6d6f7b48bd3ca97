/*
** process.c - what the specs need of Windows and Lua's own libraries lack: child processes, clocks, measures of this
** process. A Lua module, spec_process.
*/

#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601
#include <windows.h>

#include <psapi.h>
#include <tlhelp32.h>
#include <winternl.h>

#include "lauxlib.h"
#include "lua.h"

enum { HUNG = 124 }; /* what timeout(1) answers */

static int fail(lua_State *L, const char *what)
{
	return luaL_error(L, "%s: system error %d", what, (int)GetLastError());
}

/* A job without windows' error boxes, whose processes end with it. */
static HANDLE create_job(size_t memory)
{
	JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
	HANDLE job = CreateJobObjectA(NULL, NULL);
	limits.BasicLimitInformation.LimitFlags =
		JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
	if (memory) {
		limits.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
		limits.ProcessMemoryLimit = memory;
	}
	if (job)
		SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof(limits));
	return job;
}

static lua_Number hundred_nanoseconds(FILETIME time)
{
	return (lua_Number)(((ULONGLONG)time.dwHighDateTime << 32) | time.dwLowDateTime);
}

/* CPU seconds of a process. */
static lua_Number cpu_seconds(HANDLE process)
{
	FILETIME created, ended, kernel, user;
	if (!GetProcessTimes(process, &created, &ended, &kernel, &user))
		return 0;
	return (hundred_nanoseconds(kernel) + hundred_nanoseconds(user)) / 1e7;
}

/* Whether a process has one thread only, which is on a CPU all the time. */
static int spins_alone(HANDLE process, DWORD id)
{
	THREADENTRY32 entry = {.dwSize = sizeof(entry)};
	HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
	lua_Number before = cpu_seconds(process);
	int threads = 0, more;
	if (snapshot == INVALID_HANDLE_VALUE)
		return 0;
	for (more = Thread32First(snapshot, &entry); more; more = Thread32Next(snapshot, &entry))
		threads += entry.th32OwnerProcessID == id;
	CloseHandle(snapshot);
	Sleep(200);
	return threads == 1 && cpu_seconds(process) - before > 0.05;
}

/* run(command line, seconds [, KiB]): the exit code, 124 if it hung and was killed; what it printed; when it hung,
** whether its last thread was spinning. Its standard input is a pipe that nobody writes to. It has a console of its
** own, so that its Ctrl-C is nobody else's. */
static int process_run(lua_State *L)
{
	const char *given = luaL_checkstring(L, 1);
	DWORD limit = (DWORD)(luaL_checknumber(L, 2) * 1000), code = HUNG, n;
	size_t memory = (size_t)(luaL_optnumber(L, 3, 0) * 1024);
	SECURITY_ATTRIBUTES inherited = {sizeof(inherited), NULL, TRUE};
	STARTUPINFOA start = {0};
	PROCESS_INFORMATION process;
	HANDLE job, input, writer, output;
	int alone = 0;
	char folder[MAX_PATH], path[MAX_PATH], command[4096], buffer[4096];
	luaL_Buffer text;

	if (!GetTempPathA(sizeof(folder), folder) || !GetTempFileNameA(folder, "out", 0, path))
		return fail(L, "no temporary file");
	output = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
		&inherited, CREATE_ALWAYS, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
	if (output == INVALID_HANDLE_VALUE)
		return fail(L, "cannot open a temporary file");
	if (!CreatePipe(&input, &writer, &inherited, 0))
		return fail(L, "cannot create a pipe");
	SetHandleInformation(writer, HANDLE_FLAG_INHERIT, 0);

	start.cb = sizeof(start);
	start.dwFlags = STARTF_USESTDHANDLES;
	start.hStdInput = input;
	start.hStdOutput = start.hStdError = output;
	lstrcpynA(command, given, sizeof(command));
	if (!CreateProcessA(
			NULL, command, NULL, NULL, TRUE, CREATE_NO_WINDOW | CREATE_SUSPENDED, NULL, NULL, &start, &process))
		return fail(L, "cannot start a process");
	job = create_job(memory);
	AssignProcessToJobObject(job, process.hProcess);
	ResumeThread(process.hThread);
	if (WaitForSingleObject(process.hProcess, limit) == WAIT_OBJECT_0)
		GetExitCodeProcess(process.hProcess, &code);
	else
		alone = spins_alone(process.hProcess, process.dwProcessId);
	TerminateJobObject(job, HUNG);
	WaitForSingleObject(process.hProcess, 10000);

	lua_pushnumber(L, code);
	SetFilePointer(output, 0, NULL, FILE_BEGIN);
	luaL_buffinit(L, &text);
	while (ReadFile(output, buffer, sizeof(buffer), &n, NULL) && n > 0)
		luaL_addlstring(&text, buffer, n);
	luaL_pushresult(&text);
	lua_pushboolean(L, alone);
	CloseHandle(job);
	CloseHandle(process.hThread);
	CloseHandle(process.hProcess);
	CloseHandle(input);
	CloseHandle(writer);
	CloseHandle(output);
	return 3;
}

/* The name of a new empty file. */
static int process_temporary(lua_State *L)
{
	char folder[MAX_PATH], path[MAX_PATH];
	if (!GetTempPathA(sizeof(folder), folder) || !GetTempFileNameA(folder, "lua", 0, path))
		return fail(L, "no temporary file");
	lua_pushstring(L, path);
	return 1;
}

static DWORD WINAPI interrupt(void *milliseconds)
{
	Sleep((DWORD)(UINT_PTR)milliseconds);
	GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
	return 0;
}

static DWORD WINAPI interrupt_by_break(void *milliseconds)
{
	Sleep((DWORD)(UINT_PTR)milliseconds);
	GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, 0);
	return 0;
}

/* interrupt(ms [, by_break]): Ctrl-C, or Ctrl-Break, for this process after that time. */
static int process_interrupt(lua_State *L)
{
	HANDLE thread = CreateThread(NULL, 0, lua_toboolean(L, 2) ? interrupt_by_break : interrupt,
		(void *)(UINT_PTR)luaL_checknumber(L, 1), 0, NULL);
	if (!thread)
		return fail(L, "cannot create a thread");
	CloseHandle(thread);
	return 0;
}

/* Seconds from an arbitrary start. */
static int process_monotime(lua_State *L)
{
	LARGE_INTEGER now, frequency;
	QueryPerformanceCounter(&now);
	QueryPerformanceFrequency(&frequency);
	lua_pushnumber(L, (lua_Number)now.QuadPart / (lua_Number)frequency.QuadPart);
	return 1;
}

/* Seconds since 1970. */
static int process_gettime(lua_State *L)
{
	FILETIME now;
	GetSystemTimeAsFileTime(&now);
	lua_pushnumber(L, hundred_nanoseconds(now) / 1e7 - 11644473600.0);
	return 1;
}

static int process_sleep(lua_State *L)
{
	Sleep((DWORD)(luaL_checknumber(L, 1) * 1000));
	return 0;
}

/* CPU seconds of this process; os.clock is wall time in Windows' C library. */
static int process_cpu(lua_State *L)
{
	lua_pushnumber(L, cpu_seconds(GetCurrentProcess()));
	return 1;
}

/* Resident memory in KiB. */
static int process_resident(lua_State *L)
{
	PROCESS_MEMORY_COUNTERS counters;
	if (!GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters)))
		return fail(L, "GetProcessMemoryInfo");
	lua_pushnumber(L, (lua_Number)counters.WorkingSetSize / 1024);
	return 1;
}

/* How many regions the address space has that are not free. */
static int process_regions(lua_State *L)
{
	MEMORY_BASIC_INFORMATION region;
	char *address = NULL;
	int n = 0;
	while (VirtualQuery(address, &region, sizeof(region)) == sizeof(region)) {
		if (region.State != MEM_FREE)
			n++;
		address = (char *)region.BaseAddress + region.RegionSize;
	}
	lua_pushinteger(L, n);
	return 1;
}

typedef struct handle_entry {
	void *object;
	ULONG_PTR process;
	ULONG_PTR handle;
	ULONG access;
	USHORT trace;
	USHORT type;
	ULONG attributes;
	ULONG reserved;
} handle_entry;

typedef struct handle_list {
	ULONG_PTR count;
	ULONG_PTR reserved;
	handle_entry entries[1];
} handle_list;

/* How many handles this process has open. Asked of the list of the whole system: under Wine GetProcessHandleCount is 0.
** */
static int process_handles(lua_State *L)
{
	enum { EXTENDED_HANDLES = 64 };
	typedef LONG(WINAPI * query_function)(int, void *, ULONG, ULONG *);
	union {
		FARPROC found;
		query_function call;
	} query = {GetProcAddress(GetModuleHandleA("ntdll"), "NtQuerySystemInformation")};
	ULONG size = 1 << 22;
	handle_list *list = HeapAlloc(GetProcessHeap(), 0, size);
	ULONG_PTR i;
	LONG status;
	int n = 0;
	if (!list || !query.found)
		return fail(L, "NtQuerySystemInformation");
	status = query.call(EXTENDED_HANDLES, list, size, NULL);
	for (i = 0; status == 0 && i < list->count; i++)
		n += list->entries[i].process == GetCurrentProcessId();
	HeapFree(GetProcessHeap(), 0, list);
	if (status != 0)
		return luaL_error(L, "NtQuerySystemInformation: status %d", (int)status);
	lua_pushinteger(L, n);
	return 1;
}

/* The name that debuggers show for the calling thread, in UTF-8; nothing before Windows 10. */
static int process_thread_name(lua_State *L)
{
	typedef HRESULT(WINAPI * get_function)(HANDLE, WCHAR **);
	union {
		FARPROC found;
		get_function call;
	} get = {GetProcAddress(GetModuleHandleA("kernelbase"), "GetThreadDescription")};
	WCHAR *name;
	char text[512];
	if (!get.found || get.call(GetCurrentThread(), &name) < 0)
		return 0;
	if (!WideCharToMultiByte(CP_UTF8, 0, name, -1, text, sizeof(text), NULL, NULL))
		return fail(L, "WideCharToMultiByte");
	LocalFree(name);
	lua_pushstring(L, text);
	return 1;
}

__declspec(dllexport) int luaopen_spec_process(lua_State *L);

int luaopen_spec_process(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"run", process_run},
		{"temporary", process_temporary},
		{"interrupt", process_interrupt},
		{"monotime", process_monotime},
		{"gettime", process_gettime},
		{"sleep", process_sleep},
		{"cpu", process_cpu},
		{"resident", process_resident},
		{"regions", process_regions},
		{"handles", process_handles},
		{"thread_name", process_thread_name},
		{NULL, NULL},
	};
	const luaL_Reg *f;
	lua_newtable(L);
	for (f = functions; f->name; f++) {
		lua_pushcfunction(L, f->func);
		lua_setfield(L, -2, f->name);
	}
	return 1;
}
