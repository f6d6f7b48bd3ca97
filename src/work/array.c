/*
** array.c - arrays of numbers that threads share: iocp.h. The memory begins at a cache line, and lies behind the object
** in one block. Nothing here is locked: what is in an array is its users' affair.
*/

#include <stdlib.h>

#include "work/work.h"

enum { LINE = 64, MOST = 0x7fffffff /* elements */ };

struct iocp_array {
	iocp_object object;
	enum iocp_element type;
	size_t count;
	char *data;
};

static const struct {
	const char *name;
	size_t size;
} types[] = {
	{"int8", 1},
	{"uint8", 1},
	{"int16", 2},
	{"uint16", 2},
	{"int32", 4},
	{"uint32", 4},
	{"int64", 8},
	{"float", sizeof(float)},
	{"double", sizeof(double)},
};

const char *iocp_element_name(int type)
{
	return type >= 0 && type <= IOCP_DOUBLE ? types[type].name : NULL;
}

size_t iocp_element_size(enum iocp_element type)
{
	return types[type].size;
}

static void free_array(iocp_object *object)
{
	free(object); /* its first member */
}

int iocp_array_create(enum iocp_element type, size_t count, iocp_array **array)
{
	iocp_array *made;
	int r;
	if (!iocp_element_name((int)type) || count == 0 || count > MOST)
		return IOCP_INVALID;
	made =
		calloc(1, sizeof(*made) + LINE + count * types[type].size); /* zeroed pages of the system's, if it is large */
	if (!made)
		return IOCP_NOMEM;
	made->type = type;
	made->count = count;
	made->data = (char *)(((uintptr_t)(made + 1) + LINE - 1) & ~(uintptr_t)(LINE - 1));
	r = iocp_object_register(&made->object, IOCP_KIND_ARRAY, made, free_array);
	if (r == IOCP_OK)
		*array = made;
	else
		free(made);
	return r;
}

void *iocp_array_data(iocp_array *array)
{
	return array->data;
}

size_t iocp_array_count(const iocp_array *array)
{
	return array->count;
}

enum iocp_element iocp_array_type(const iocp_array *array)
{
	return array->type;
}
