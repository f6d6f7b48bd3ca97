/*
** error.c - names and texts of the result codes, and what else of the contract is the same everywhere. Owns nothing;
** may be called from anywhere.
*/

#include <stdio.h>
#include <string.h>

#include "core/os.h"
#include "core/api.h"

static const struct {
	const char *name;
	const char *text;
} codes[] = {
	{"OK", "no error"},
	{"TIMEOUT", "timed out: nothing happened within the time given"},
	{"CLOSED", "the port is closed"},
	{"ABANDONED", "the port was closed while this thread waited on it"},
	{"CANCELLED", "this thread was cancelled: clean up and return"},
	{"NOMEM",
		"out of memory, or at a limit (a heap's maximum, the system's of threads or mappings): free something, or "
		"raise the limit"},
	{"INVALID", "not valid: not a live object of that kind (freed, closed, foreign or made up), or not one this may be "
				"done to"},
	{"ERROR", "the thread's body raised an error"},
	{"INTERRUPTED", "a signal arrived: call again"},
};

enum { LAST_CODE = (int)(sizeof(codes) / sizeof(codes[0])) - 1 };

const char *iocp_version(void)
{
	return IOCP_VERSION;
}

const char *iocp_error_name(int code)
{
	return code < 0 && code >= -LAST_CODE ? codes[-code].name : NULL;
}

void iocp_error_text(int code, char *buffer, size_t size)
{
	if (size == 0)
		return;
	if (code > 0)
		iocp_system_error_text(code, buffer, size);
	else if (code >= -LAST_CODE)
		snprintf(buffer, size, "%s", codes[-code].text);
	else
		snprintf(buffer, size, "unknown result code %d", code);
}
