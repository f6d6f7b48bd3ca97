/*
** lock.c - the lock of os.h: a slim reader/writer lock, which is one pointer, zero when free.
*/

#include "windows/windows.h"

void iocp_lock_acquire(iocp_lock *lock)
{
	AcquireSRWLockExclusive((SRWLOCK *)&lock->slim);
}

void iocp_lock_release(iocp_lock *lock)
{
	ReleaseSRWLockExclusive((SRWLOCK *)&lock->slim);
}
