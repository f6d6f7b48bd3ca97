/*
** io_error.c - the table of I/O errors: numbers, names, texts. Owns nothing; may be called from anywhere.
*/

#include "core/io_error.h"

#include <stdio.h>

#include "core/os.h"

#define ROW(name, number, text) {#name, text, number},

static const iocp_io_error_row rows[] = {IOCP_IO_ERRORS(ROW)};

enum { ROWS = sizeof(rows) / sizeof(rows[0]), LARGEST = 65535 };

const iocp_io_error_row *iocp_io_error_at(size_t index)
{
	return index < ROWS ? &rows[index] : NULL;
}

static const iocp_io_error_row *find(int number)
{
	size_t i;
	for (i = 0; i < ROWS; i++)
		if (rows[i].number == number)
			return &rows[i];
	return NULL;
}

int iocp_io_error_unnamed(int code)
{
	return code > 0 && code <= LARGEST - IOCP_IO_OTHER ? IOCP_IO_OTHER + code : IOCP_EIO;
}

const char *iocp_io_error_name(int number)
{
	const iocp_io_error_row *row = find(number);
	return row ? row->name : NULL;
}

void iocp_io_error_text(int number, char *buffer, size_t size)
{
	const iocp_io_error_row *row = find(number);
	if (size == 0)
		return;
	if (row)
		snprintf(buffer, size, "%s", row->text);
	else if (number > IOCP_IO_OTHER)
		iocp_system_error_text(number - IOCP_IO_OTHER, buffer, size);
	else
		snprintf(buffer, size, "unknown I/O error %d", number);
}
