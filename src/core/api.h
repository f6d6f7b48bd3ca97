/*
** api.h - iocp.h as the library's own sources see it: what it declares is defined here, not imported.
*/

#ifndef IOCP_CORE_API_H
#define IOCP_CORE_API_H

#define IOCP_BUILDING
#include "iocp.h"

#endif
