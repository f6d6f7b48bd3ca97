/*
** file_info.c - what a file is, and how large; at once. Owns nothing. The lock is held over the system's calls, so that
** the descriptor stays.
*/

#include "core/features.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/sized.h"
#include "native/file.h"

static int look(iocp_file *file, struct stat *told)
{
	int r;
	iocp_lock_acquire(&file->lock);
	if (file->closed)
		r = IOCP_INVALID;
	else
		r = fstat(file->descriptor, told) == 0 ? IOCP_OK : iocp_number_of(errno);
	iocp_lock_release(&file->lock);
	return r;
}

int iocp_file_size(iocp_file *file, uint64_t *size)
{
	struct stat told;
	int r = look(file, &told);
	if (r == IOCP_OK)
		*size = (uint64_t)told.st_size;
	return r;
}

int iocp_file_truncate(iocp_file *file, uint64_t size)
{
	int r = IOCP_INVALID;
	if (size > INT64_MAX)
		return IOCP_INVALID;
	iocp_lock_acquire(&file->lock);
	if (!file->closed) {
		do
			r = ftruncate(file->descriptor, (off_t)size);
		while (r != 0 && errno == EINTR);
		if (r != 0)
			r = iocp_number_of(errno);
	}
	iocp_lock_release(&file->lock);
	return r;
}

static enum iocp_file_type type_of(const iocp_file *file, const struct stat *told)
{
	switch (told->st_mode & S_IFMT) {
	case S_IFREG:
		return IOCP_TYPE_FILE;
	case S_IFDIR:
		return IOCP_TYPE_DIRECTORY;
	case S_IFIFO:
		return IOCP_TYPE_PIPE;
	case S_IFCHR:
		return !file->has_offsets && isatty(file->native) ? IOCP_TYPE_TERMINAL : IOCP_TYPE_DEVICE;
	case S_IFBLK:
		return IOCP_TYPE_DEVICE;
	default:
		return IOCP_TYPE_OTHER;
	}
}

int iocp_file_stat(iocp_file *file, iocp_file_info *info)
{
	enum { NINE_BITS = 0777 };
	struct stat told;
	iocp_file_info now;
	int r = look(file, &told);
	if (r != IOCP_OK)
		return r;
	now = (iocp_file_info){
		.size = info->size,
		.type = type_of(file, &told),
		.permissions = told.st_mode & NINE_BITS,
		.bytes = (uint64_t)told.st_size,
		.links = told.st_nlink,
		.volume = told.st_dev,
		.id = told.st_ino,
	};
	iocp_prim_file_times(&told, &now.modified_ns, &now.accessed_ns);
	iocp_copy_known(info, info->size, &now, sizeof(now));
	return IOCP_OK;
}
