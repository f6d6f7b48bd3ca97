/*
** file_advance.c - reads and writes of pipes, FIFOs, terminals and the like: each is tried, without waiting, and ends
** or waits for an event, as those of sockets: see socket_advance.c.
**
** A descriptor of our own never waits. One of others does, since the flag for that is theirs: it is read and written
** with a call that does not, and where the system has none for it, only after poll(2), and no more than there is room
** for then.
**
** Locking: the file's lock is held in all of this, and no call of the system in it waits.
*/

#include "core/features.h"

#include "native/file.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "native/quiet.h"

enum {
	AT_ONCE = 256 * 1024, /* bytes of one pass, so that no file keeps others from their turn */
	SURE_OF_A_PIPE = PIPE_BUF,
	SURE_OF_A_TERMINAL = 256 /* bytes that there is room for, if poll says that there is room */
};

/* ---- single steps ------------------------------------------------------------------------------------------------ */

static int wait_for(iocp_file *file, uint32_t side)
{
	file->possible &= (uint8_t)~side;
	if (file->poll && file->interest)
		iocp_prim_set_used(&file->poll->set, file->descriptor, side);
	return IOCP_WAIT;
}

/* What a call that returned n < 0 has brought. */
static int failed(iocp_file *file, uint32_t side)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? wait_for(file, side) : iocp_number_of(errno);
}

static short events_of(int descriptor, short events)
{
	struct pollfd asked = {.fd = descriptor, .events = events};
	return poll(&asked, 1, 0) > 0 ? asked.revents : 0;
}

/* Whether the side's calls have to ask poll first. */
static int is_untold(iocp_file *file, uint32_t side)
{
	return (atomic_load_explicit(&file->untold, memory_order_relaxed) & side) != 0;
}

static void set_untold(iocp_file *file, uint32_t side)
{
	atomic_fetch_or_explicit(&file->untold, (uint8_t)side, memory_order_relaxed);
}

static ssize_t would_wait(void)
{
	errno = EAGAIN;
	return -1;
}

static ssize_t read_some(iocp_file *file, void *data, size_t size)
{
	ssize_t n;
	if (!file->adopted)
		return read(file->descriptor, data, size);
	if (!is_untold(file, IOCP_PRIM_READ)) {
		n = iocp_prim_read_at_once(file->descriptor, data, size, -1);
		if (n >= 0 || errno != EOPNOTSUPP)
			return n;
		set_untold(file, IOCP_PRIM_READ);
	}
	return events_of(file->descriptor, POLLIN) ? read(file->descriptor, data, size) : would_wait();
}

static ssize_t write_some(iocp_file *file, const void *data, size_t size)
{
	size_t sure = file->is_fifo ? SURE_OF_A_PIPE : SURE_OF_A_TERMINAL;
	ssize_t n;
	if (!file->adopted)
		return write(file->descriptor, data, size);
	if (!is_untold(file, IOCP_PRIM_WRITE)) {
		n = iocp_prim_write_at_once(file->descriptor, data, size, -1);
		if (n >= 0 || errno != EOPNOTSUPP)
			return n;
		set_untold(file, IOCP_PRIM_WRITE);
	}
	return events_of(file->descriptor, POLLOUT) ? write(file->descriptor, data, size < sure ? size : sure)
												: would_wait();
}

/* Of a FIFO nothing comes also before the first that writes to it has opened it, which is not its end. */
static int has_ended(const iocp_file *file)
{
	return !file->is_fifo || (events_of(file->descriptor, POLLIN) & POLLHUP);
}

static int try_read(iocp_file *file, iocp_operation *operation)
{
	ssize_t n;
	do
		n = read_some(file, operation->data, operation->size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failed(file, IOCP_PRIM_READ);
	if (n == 0 && !has_ended(file))
		return wait_for(file, IOCP_PRIM_READ);
	operation->packet.bytes = (uint32_t)n;
	return IOCP_DONE;
}

static int try_write(iocp_file *file, iocp_operation *operation)
{
	size_t budget = AT_ONCE;
	while (operation->packet.bytes < operation->size) {
		size_t left = operation->size - operation->packet.bytes;
		iocp_quiet quiet;
		ssize_t n;
		if (budget == 0)
			return IOCP_MORE;
		left = left < budget ? left : budget;
		iocp_quiet_begin(&quiet);
		n = write_some(file, operation->data, left);
		iocp_quiet_end(&quiet, n, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(file, IOCP_PRIM_WRITE);
		operation->packet.bytes += (uint32_t)n;
		operation->data += n;
		budget -= (size_t)n;
	}
	return IOCP_DONE;
}

int iocp_file_try(iocp_file *file, iocp_operation *operation)
{
	return operation->kind == IOCP_READ ? try_read(file, operation) : try_write(file, operation);
}

/* ---- waiting for events ------------------------------------------------------------------------------------------ */

int iocp_file_expect(iocp_file *file, uint32_t what, int now)
{
	uint32_t interest = file->interest | what;
	uint64_t name = file->source.object.handle;
	int code = 0;
	if (!file->interest)
		code = iocp_prim_set_add(&file->poll->set, file->descriptor, interest, name);
	else if (interest != file->interest || now)
		code = iocp_prim_set_change(&file->poll->set, file->descriptor, interest, name);
	if (code != 0)
		return iocp_number_of(code);
	file->interest = (uint8_t)interest;
	return 0;
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

/* As far as it goes. Returns IOCP_MORE if it stopped for the others' sake. */
static int go_on(iocp_file *file, iocp_operations *operations, iocp_finished *finished)
{
	size_t budget = AT_ONCE;
	while (operations->first) {
		iocp_operation *operation = operations->first;
		int outcome = iocp_file_try(file, operation);
		if (outcome < 0)
			return outcome;
		iocp_operations_remove_first(operations);
		iocp_finish(finished, operation, outcome);
		if (operation->packet.bytes >= budget)
			return operations->first ? IOCP_MORE : IOCP_DONE;
		budget -= operation->packet.bytes;
	}
	return IOCP_DONE;
}

void iocp_file_advance(iocp_file *file, uint32_t what, iocp_finished *finished)
{
	uint32_t again = 0;
	uint8_t both = IOCP_PRIM_READ | IOCP_PRIM_WRITE;
	iocp_lock_acquire(&file->lock);
	if (what & IOCP_PRIM_ENDED) {
		file->hangs = 1;
		what |= both;
	}
	file->possible |= (uint8_t)(what & both);
	if (!file->closed && what & IOCP_PRIM_READ && go_on(file, &file->reading, finished) == IOCP_MORE)
		again |= IOCP_PRIM_READ;
	if (!file->closed && what & IOCP_PRIM_WRITE && go_on(file, &file->writing, finished) == IOCP_MORE)
		again |= IOCP_PRIM_WRITE;
	if (again && file->poll)
		(void)iocp_file_expect(file, again, 1);
	iocp_lock_release(&file->lock);
}

void iocp_file_close_unused(iocp_file *file)
{
	if (!file->closed || file->away || file->descriptor < 0)
		return;
	if (file->owned)
		close(file->descriptor);
	file->descriptor = -1;
}

void iocp_file_came_back(iocp_file *file)
{
	file->away--;
	iocp_file_close_unused(file);
}

uint32_t iocp_file_end(
	iocp_file *file, int (*matches)(const iocp_operation *, const void *), const void *with, iocp_finished *finished)
{
	iocp_operations taken = {NULL, NULL};
	uint32_t count = iocp_operations_take(&file->reading, matches, with, &taken)
					 + iocp_operations_take(&file->writing, matches, with, &taken);
	while (taken.first) {
		iocp_operation *operation = taken.first;
		iocp_operations_remove_first(&taken);
		if (file->has_offsets)
			iocp_file_came_back(file);
		iocp_finish(finished, operation, IOCP_ECANCELED);
	}
	return count;
}
