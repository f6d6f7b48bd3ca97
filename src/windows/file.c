/*
** file.c - a file's life: adopting, associating, closing.
**
** Ownership: as a socket's. Its association holds a reference, which goes when it is closed or when its port ends; its
** operations hold one each; the port's pointer in it is none.
**
** Its name goes before the handle does: the system may give the number to another file at once, which somebody may
** adopt.
*/

#include "windows/file.h"

#include <stdlib.h>

#define SKIP_PORT_ON_SUCCESS 1 /* FILE_SKIP_COMPLETION_PORT_ON_SUCCESS, which not every header has; and */
#define SKIP_SET_EVENT 2       /* FILE_SKIP_SET_EVENT_ON_HANDLE */

/* ---- birth and death --------------------------------------------------------------------------------------------- */

static void free_file(iocp_object *object)
{
	iocp_file *file = (iocp_file *)object;
	if (file->system != INVALID_HANDLE_VALUE && !file->adopted)
		CloseHandle(file->system);
	free(file);
}

/* The port ends, and the reference of the association is this one's. */
static void end_association(iocp_association *association, iocp_port *port)
{
	iocp_file *file = (iocp_file *)((char *)association - offsetof(iocp_file, association));
	(void)port;
	iocp_lock_acquire(&file->lock);
	if (!file->closed) {
		file->port = NULL;
		file->ended = 1;
		iocp_file_stop(file, NULL, NULL);
	}
	iocp_lock_release(&file->lock);
	iocp_file_release(file);
}

int iocp_file_make(HANDLE system, int adopted, int appends, iocp_file **file)
{
	iocp_file *f = calloc(1, sizeof(*f));
	iocp_object *entered = &f->object;
	int r = f ? iocp_operation_begin() : IOCP_NOMEM;
	if (r == IOCP_OK) {
		f->association.end = end_association;
		f->system = system;
		f->adopted = adopted != 0;
		f->has_offsets = GetFileType(system) == FILE_TYPE_DISK;
		f->appends = appends && f->has_offsets;
		f->is_pipe = !f->has_offsets && GetNamedPipeInfo(system, NULL, NULL, NULL, NULL);
		r = adopted ? iocp_object_adopt(&entered, IOCP_KIND_FILE, system, free_file)
					: iocp_object_register(entered, IOCP_KIND_FILE, system, free_file);
	}
	if (r == IOCP_OK)
		*file = (iocp_file *)entered;
	if (r != IOCP_OK || entered != &f->object)
		free(f);
	if (r != IOCP_OK && !adopted)
		CloseHandle(system);
	return r;
}

int iocp_file_waits(HANDLE system)
{
	/* Source: Microsoft's NtQueryInformationFile. Class 16, FileModeInformation: a ULONG of how it was opened. */
	typedef LONG(NTAPI * query)(HANDLE, void *, void *, ULONG, int);
	enum { MODE_CLASS = 16, SYNCHRONOUS = 0x10 | 0x20 };
	query query_file = (query)(uintptr_t)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtQueryInformationFile");
	struct {
		ULONG_PTR status, information;
	} outcome;
	ULONG mode = 0;
	return query_file && query_file(system, &outcome, &mode, sizeof(mode), MODE_CLASS) >= 0 && (mode & SYNCHRONOUS);
}

int iocp_file_adopt(uintptr_t native, iocp_file **file)
{
	HANDLE system = (HANDLE)native;
	/* The kernel ignores a handle's two lowest bits, and knows handles that mean something else to each caller. */
	if ((intptr_t)native <= 0 || native % 4 != 0 || GetFileType(system) == FILE_TYPE_UNKNOWN || iocp_file_waits(system))
		return IOCP_INVALID;
	return iocp_file_make(system, 1, 0, file);
}

uintptr_t iocp_file_native(iocp_file *file)
{
	uintptr_t native;
	iocp_lock_acquire(&file->lock);
	native = file->closed ? UINTPTR_MAX : (uintptr_t)file->system;
	iocp_lock_release(&file->lock);
	return native;
}

int iocp_file_has_offsets(const iocp_file *file, int side)
{
	return file->has_offsets && !(side == IOCP_SIDE_WRITE && file->appends);
}

/* ---- associating ------------------------------------------------------------------------------------------------- */

/* The caller has entered the port, and the lock is held. */
static int associate(iocp_file *file, iocp_port *port, uintptr_t key)
{
	int r;
	if (file->closed || file->port || file->ended)
		return IOCP_INVALID;
	r = iocp_port_associate(port, file->system, key);
	if (r != IOCP_OK)
		return r;
	/* Whose success is a warning (of pipes with messages) may or may not send one then, and others' files may be such
	** pipes; ours are not. */
	file->skips =
		!file->adopted && SetFileCompletionNotificationModes(file->system, SKIP_PORT_ON_SUCCESS | SKIP_SET_EVENT);
	iocp_object_retain(&file->object);
	r = iocp_port_keep(port, &file->association);
	if (r == IOCP_OK) {
		file->port = port;
		file->key = key;
	} else { /* the kernel has it for good */
		file->ended = 1;
		iocp_object_release(&file->object); /* not the last: the caller has one */
	}
	return r;
}

int iocp_file_associate(iocp_file *file, iocp_port *port, uintptr_t key)
{
	int r;
	if (!iocp_port_enter(port))
		return IOCP_CLOSED;
	iocp_lock_acquire(&file->lock);
	r = associate(file, port, key);
	iocp_lock_release(&file->lock);
	iocp_port_leave(port);
	return r;
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

int iocp_file_close(iocp_file *file)
{
	int closed;
	iocp_lock_acquire(&file->lock);
	closed = file->closed;
	if (!closed) {
		iocp_file_stop(file, NULL, NULL);
		file->closed = 1;
		file->port = NULL;
		file->users++; /* this call, until its name is gone */
	}
	iocp_lock_release(&file->lock);
	if (closed)
		return IOCP_INVALID;
	iocp_object_revoke(&file->object);
	iocp_file_leave(file);
	if (iocp_association_take(&file->association))
		iocp_file_release(file);
	return IOCP_OK;
}
