/*
** child.c - what Linux' C libraries have for children beyond POSIX. Owns nothing.
*/

#include "core/features.h"

#include "native/prim.h"

#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

/* glibc 2.29, which some have brought into older ones; musl 1.1.24. Where it is sure to be there it is not looked up: a
** static program cannot. */
int iocp_prim_child_directory(posix_spawn_file_actions_t *actions, const char *path)
{
#if defined(__GLIBC__) && __GLIBC__ == 2 && __GLIBC_MINOR__ < 29
	typedef int (*add_path)(posix_spawn_file_actions_t *, const char *);
	add_path add = (add_path)(uintptr_t)dlsym(RTLD_DEFAULT, "posix_spawn_file_actions_addchdir_np");
	return add ? add(actions, path) : ENOSYS;
#else
	return posix_spawn_file_actions_addchdir_np(actions, path);
#endif
}

/* glibc 2.34. */
int iocp_prim_child_streams_only(posix_spawn_file_actions_t *actions, short *flags)
{
	typedef int (*add_number)(posix_spawn_file_actions_t *, int);
	add_number add = (add_number)(uintptr_t)dlsym(RTLD_DEFAULT, "posix_spawn_file_actions_addclosefrom_np");
	(void)flags;
	return add ? add(actions, STDERR_FILENO + 1) : 0;
}

char **iocp_prim_environment(void)
{
	return environ;
}
