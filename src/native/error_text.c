/*
** error_text.c - the system's sentence about its own error code. Owns nothing.
**
** Without features.h: glibc has a strerror_r of its own, which returns something else, for who asks for all that it
** has.
*/

#undef _GNU_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "core/os.h"

#include <errno.h>
#include <string.h>

void iocp_system_error_text(int code, char *buffer, size_t size)
{
	if (strerror_r(code, buffer, size) == EINVAL) /* else, at worst, the text is cut */
		snprintf(buffer, size, "system error %d", code);
}
