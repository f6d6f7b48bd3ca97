/*
** features.h - included first, before any header of the system: all that it has is to be declared, whatever standard
** the compiler is told to keep to.
*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* glibc and musl; macOS and the BSDs declare all, unless they are told less */
#endif
