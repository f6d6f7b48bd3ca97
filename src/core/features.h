/*
** features.h - included first, before any header of the system: all that it has is to be declared, whatever standard
** the compiler is told to keep to.
*/

#if !defined(_GNU_SOURCE) && !defined(_POSIX_C_SOURCE) /* a compiler that is told a POSIX keeps to that */
#define _GNU_SOURCE /* glibc and musl; macOS and the BSDs declare all, unless they are told less */
#endif
