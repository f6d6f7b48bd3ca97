/*
** signal.c - who wants which signal of the process as a packet: an event for each signal (timer.c).
**
** Ownership: what was asked for holds its port, for as long as it is asked for. A signal is the library's while
** `taken`, which is while anybody asks for it, or is about to.
**
** Locking: `lock` guards `taken` and `asking`, and beginning and ending; timer.c's lock is taken under it.
*/

#include "core/os.h"
#include "work/work.h"

enum { SIGNALS = IOCP_SIGNAL_BREAK };

static void left(iocp_event *event);

static iocp_lock lock;
static struct asked {
	iocp_event event;
	int taken;
	int asking; /* calls of iocp_signal_notify that are under way */
} asked[SIGNALS] = {
	{.event.left = left},
	{.event.left = left},
	{.event.left = left},
	{.event.left = left},
};

/* Lets a signal go that nobody asks for. */
static void settle(struct asked *a)
{
	iocp_lock_acquire(&lock);
	if (a->taken && !a->asking && !iocp_event_is_asked(&a->event)) {
		a->taken = 0;
		iocp_signal_end((int)(a - asked) + 1);
	}
	iocp_lock_release(&lock);
}

static void left(iocp_event *event)
{
	settle((struct asked *)event); /* its first member */
}

/* A signal has come. One that was let go meanwhile is not ours. */
static int came(int signal)
{
	struct asked *a = &asked[signal - 1];
	int taken;
	do {
		if (iocp_event_post(&a->event))
			return 1;
		iocp_lock_acquire(&lock);
		taken = a->taken;
		iocp_lock_release(&lock);
		iocp_yield(); /* somebody is just asking for it, or letting it go */
	} while (taken);
	return 0;
}

int iocp_signal_notify(int signal, iocp_port *port, uintptr_t key, uintptr_t overlapped, iocp_timer *timer)
{
	const iocp_packet packet = {.key = key, .overlapped = overlapped};
	struct asked *a;
	int r = signal >= 1 && signal <= SIGNALS ? iocp_signals_ready(came) : IOCP_INVALID;
	if (r != IOCP_OK)
		return r;
	a = &asked[signal - 1];
	iocp_lock_acquire(&lock);
	if (!a->taken)
		r = iocp_signal_begin(signal);
	a->taken = r == IOCP_OK;
	a->asking++;
	iocp_lock_release(&lock);
	if (r == IOCP_OK)
		r = iocp_event_notify(&a->event, port, &packet, timer);
	iocp_lock_acquire(&lock);
	a->asking--;
	iocp_lock_release(&lock);
	settle(a);
	return r;
}

void iocp_any_quietly(void (*call)(void *data), void *data)
{
	iocp_run_quietly(call, data);
}
