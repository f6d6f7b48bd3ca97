/*
** pages.c - a kernel whose pages are larger, to be preloaded: as the module's own mmap, munmap, madvise and sysconf see
** it, not malloc's, which are inside the C library. PAGE: bytes, a power of two.
**
** What such a kernel refuses ends the process here, with a word, so that nobody overlooks it.
*/

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PAGE
#define PAGE 65536
#endif

static size_t up(size_t n)
{
	return (n + PAGE - 1) & ~(size_t)(PAGE - 1);
}

static void check(const char *call, const void *address)
{
	if ((uintptr_t)address & (PAGE - 1)) {
		fprintf(stderr, "%s(%p): not at a page of %d bytes\n", call, address, PAGE);
		abort();
	}
}

static void give_back(char *from, const char *to)
{
	if (to > from)
		syscall(SYS_munmap, from, (size_t)(to - from));
}

static void *system_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset)
{
	return (void *)syscall(SYS_mmap, address, size, protection, flags, descriptor, offset);
}

void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset)
{
	size_t whole = up(size);
	char *memory, *aligned;
	if (address)
		return system_mmap(address, size, protection, flags, descriptor, offset);
	memory = system_mmap(NULL, whole + PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return MAP_FAILED;
	aligned = (char *)up((uintptr_t)memory);
	give_back(memory, aligned);
	give_back(aligned + whole, memory + whole + PAGE);
	return system_mmap(aligned, size, protection, flags | MAP_FIXED, descriptor, offset);
}

int munmap(void *address, size_t size)
{
	check("munmap", address);
	return (int)syscall(SYS_munmap, address, up(size));
}

int madvise(void *address, size_t size, int advice)
{
	check("madvise", address);
	return (int)syscall(SYS_madvise, address, up(size), advice);
}

long sysconf(int name)
{
	static long (*real)(int);
	if (name == _SC_PAGESIZE)
		return PAGE;
	if (!real)
		real = (long (*)(int))(uintptr_t)dlsym(RTLD_NEXT, "sysconf");
	return real(name);
}
