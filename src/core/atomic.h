/*
** atomic.h - the C11 atomics everything here uses, and the processor's hint for a spinning loop.
**
** Orders are written out at every access. Where an access is not relaxed, a comment names the access it pairs with.
*/

#ifndef IOCP_ATOMIC_H
#define IOCP_ATOMIC_H

#include <stdatomic.h>

static inline void iocp_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ __volatile__("yield");
#endif
}

#endif
