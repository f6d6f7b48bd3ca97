/*
** signal.c - what the console and the system ask of the process: the events of SetConsoleCtrlHandler, each of which
** comes in a thread of its own, so who asked is told there.
**
** The handler is set with the first signal that begins, after context.c's and the interpreter's, since the newest is
** asked first. What nobody wants goes on to the others.
*/

#include "windows/windows.h"

static _Atomic(int (*)(int)) tell; /* relaxed: the system's call that sets the handler orders it */
static _Atomic int ours[IOCP_SIGNAL_BREAK + 1];

/* 0: nobody's. Relaxed, all of it: an event that comes while a signal begins or ends is either's. */
static int signal_of(DWORD event)
{
	int signal = event == CTRL_C_EVENT          ? IOCP_SIGNAL_INT
				 : event == CTRL_BREAK_EVENT    ? IOCP_SIGNAL_BREAK
				 : event == CTRL_CLOSE_EVENT    ? IOCP_SIGNAL_HUP
				 : event == CTRL_SHUTDOWN_EVENT ? IOCP_SIGNAL_TERM
												: 0;
	return atomic_load_explicit(&ours[signal], memory_order_relaxed) ? signal : 0;
}

static BOOL WINAPI on_event(DWORD event)
{
	int signal = signal_of(event);
	if (!signal || !atomic_load_explicit(&tell, memory_order_relaxed)(signal))
		return FALSE;
	if (event == CTRL_CLOSE_EVENT || event == CTRL_SHUTDOWN_EVENT)
		Sleep(INFINITE); /* the process ends when this returns, and anyhow after some seconds */
	return TRUE;
}

int iocp_signals_ready(int (*came)(int signal))
{
	atomic_store_explicit(&tell, came, memory_order_relaxed);
	return iocp_context_get() ? IOCP_OK : IOCP_NOMEM;
}

int iocp_signal_begin(int signal)
{
	static int is_set; /* the caller sees to it that one thread at a time is here */
	if (!is_set && !SetConsoleCtrlHandler(on_event, TRUE))
		return iocp_system_code(GetLastError());
	is_set = 1;
	atomic_store_explicit(&ours[signal], 1, memory_order_relaxed);
	return IOCP_OK;
}

void iocp_signal_end(int signal)
{
	atomic_store_explicit(&ours[signal], 0, memory_order_relaxed); /* the handler stays, and passes all on */
}

/* There is no such signal. */
void iocp_run_quietly(void (*call)(void *data), void *data)
{
	call(data);
}
