/*
** exit.c - the end of a thread, and of the process. Owns nothing.
*/

#include "windows/windows.h"

/* The process ends, and the system has ended all threads but the calling one, wherever they were. What locks they held,
** a heap's in a library's allocator, say, are held for ever, and the libraries that are told after this one would wait
** for them. So if a thread that used this library was ended like that, the process ends here, with the exit code that
** the system gave that thread as well. No lock is taken: nobody else is left. */
static void end_process(void)
{
	DWORD code;
	if (iocp_context_ended_by_system(&code))
		TerminateProcess(GetCurrentProcess(), code);
}

/* Only a library is told of these: linked into a program, this is not called, and a context is left for each thread
** that others made. It is not called for the thread that ends the process either. Called under the loader's lock:
** nothing here loads, waits or joins. */
BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, LPVOID reserved)
{
	(void)library;
	if (reason == DLL_THREAD_DETACH)
		iocp_context_detach();
	else if (reason == DLL_PROCESS_DETACH && reserved)
		end_process();
	return TRUE;
}
