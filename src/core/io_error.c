/*
** io_error.c - the table of I/O errors: numbers, names, texts. Owns nothing; may be called from anywhere.
*/

#include "core/io_error.h"

#include <stdio.h>

#include "core/os.h"

#define ROW(name, number, text) [number] = {#name, text},

static const struct row {
	const char *name, *text;
} rows[IOCP_IO_NAMED] = {IOCP_IO_ERRORS(ROW)}; /* by number, with gaps */

enum { LARGEST = 65535 };

int iocp_io_error_unnamed(int code)
{
	return code > 0 && code <= LARGEST - IOCP_IO_OTHER ? IOCP_IO_OTHER + code : IOCP_EIO;
}

const char *iocp_io_error_name(int number)
{
	return number > 0 && number < IOCP_IO_NAMED ? rows[number].name : NULL;
}

void iocp_io_error_text(int number, char *buffer, size_t size)
{
	if (size == 0)
		return;
	if (iocp_io_error_name(number))
		snprintf(buffer, size, "%s", rows[number].text);
	else if (number > IOCP_IO_OTHER)
		iocp_system_error_text(number - IOCP_IO_OTHER, buffer, size);
	else
		snprintf(buffer, size, "unknown I/O error %d", number);
}
