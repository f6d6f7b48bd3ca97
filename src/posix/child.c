/*
** child.c - what macOS and the BSDs have for children beyond the POSIX of 2008, each under its own name: what is a
** function is looked up in the process, so that a system that lacks it loads the library all the same. Owns nothing.
*/

#include "core/features.h"

#include "native/prim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#ifdef __APPLE__
#include <crt_externs.h>
#endif

/* POSIX has it from 2024 on, as NetBSD 10; macOS 10.15 and FreeBSD 13.1 have the other name. */
int iocp_prim_child_directory(posix_spawn_file_actions_t *actions, const char *path)
{
	typedef int (*add_path)(posix_spawn_file_actions_t *, const char *);
	add_path add = (add_path)(uintptr_t)dlsym(RTLD_DEFAULT, "posix_spawn_file_actions_addchdir_np");
	if (!add)
		add = (add_path)(uintptr_t)dlsym(RTLD_DEFAULT, "posix_spawn_file_actions_addchdir");
	return add ? add(actions, path) : ENOSYS;
}

#ifdef POSIX_SPAWN_CLOEXEC_DEFAULT /* macOS: what no action names is closed */

int iocp_prim_child_streams_only(posix_spawn_file_actions_t *actions, short *flags)
{
	int i, r = 0;
	*flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
	for (i = 0; i <= STDERR_FILENO && r == 0; i++)
		if (fcntl(i, F_GETFD) >= 0) /* what an action opens is inherited anyway */
			r = posix_spawn_file_actions_addinherit_np(actions, i);
	return r;
}

#else

/* FreeBSD 13.1. */
int iocp_prim_child_streams_only(posix_spawn_file_actions_t *actions, short *flags)
{
	typedef int (*add_number)(posix_spawn_file_actions_t *, int);
	add_number add = (add_number)(uintptr_t)dlsym(RTLD_DEFAULT, "posix_spawn_file_actions_addclosefrom_np");
	(void)flags;
	return add ? add(actions, STDERR_FILENO + 1) : 0;
}

#endif

#ifdef __APPLE__ /* where a library has no other way to it */

char **iocp_prim_environment(void)
{
	return *_NSGetEnviron();
}

#else

extern char **environ;

char **iocp_prim_environment(void)
{
	return environ;
}

#endif
