/*
** semaphore.c - the same for every backend, which has the threads wait (os.h).
**
** A post that finds a thread waiting hands its one over under the lock, past the count, so nobody who comes later gets
** it first; and whether a wait was served or ended otherwise is decided under the same lock, so none is lost to a
** timeout or a cancel. spec/model/pool.pml has it as a model.
**
** Who asks for `ready` does so first, then looks at the count under the lock; a post changes the count under the lock,
** then tells. So either the look comes after the post, and finds it, or the post after the look, and with it after the
** asking: nobody is left untold.
*/

#include "core/semaphore.h"

#include "iocp.h"

int iocp_semaphore_wait(iocp_semaphore *semaphore, double ms)
{
	int r = iocp_waiters_ready();
	iocp_lock_acquire(&semaphore->lock);
	if (semaphore->closed)
		r = IOCP_CLOSED; /* to a thread that is cancelled, too: it need not wait to know */
	else if (r == IOCP_OK && semaphore->count)
		semaphore->count--;
	else if (r == IOCP_OK && ms != 0)
		return iocp_waiters_join(&semaphore->waiters, &semaphore->lock, ms);
	else if (r == IOCP_OK)
		r = IOCP_TIMEOUT;
	iocp_lock_release(&semaphore->lock);
	return r;
}

void iocp_semaphore_post(iocp_semaphore *semaphore)
{
	iocp_lock_acquire(&semaphore->lock);
	if (semaphore->waiters.count) {
		iocp_waiters_serve_oldest(&semaphore->waiters, &semaphore->lock, IOCP_OK);
		return;
	}
	semaphore->count++;
	iocp_lock_release(&semaphore->lock);
	iocp_event_tell(&semaphore->ready);
}

int iocp_semaphore_is_ready(iocp_semaphore *semaphore)
{
	int ready;
	iocp_lock_acquire(&semaphore->lock);
	ready = semaphore->closed || semaphore->count > 0;
	iocp_lock_release(&semaphore->lock);
	return ready;
}

void iocp_semaphore_close(iocp_semaphore *semaphore)
{
	iocp_lock_acquire(&semaphore->lock);
	semaphore->closed = 1;
	iocp_lock_release(&semaphore->lock);
	iocp_waiters_serve_all(&semaphore->waiters, &semaphore->lock, IOCP_ABANDONED); /* nobody joins them any more */
	iocp_event_happen(&semaphore->ready);
}
