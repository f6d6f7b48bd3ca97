/*
** value/values.c - values that cross otherwise than as a message: the arguments, results and errors of threads and
** tasks. They belong to their job, in memory from malloc that no script reaches.
*/

#include <stdlib.h>

#include "lua/value/format.h"

int iocp_values_copy(lua_State *L, const iocp_encoding *encoding, iocp_values *values)
{
	iocp_values copy = {NULL, 0, encoding->owner};
	int r = iocp_encode(L, encoding, &copy.block, &copy.size);
	if (r == IOCP_OK)
		*values = copy;
	return r;
}

/* It was the encoder that wrote the block. */
static void open_values(const iocp_values *values, iocp_parcel *parcel)
{
	(void)iocp_parcel_open(parcel, values->block, values->size, 0);
	parcel->owner = values->owner;
}

int iocp_values_push(lua_State *L, const iocp_values *values)
{
	iocp_parcel parcel;
	int count = iocp_plain_push(L, values->block, values->size);
	if (count >= 0)
		return count;
	open_values(values, &parcel);
	return iocp_decode(L, &parcel);
}

int iocp_values_hold(const iocp_values *values)
{
	iocp_parcel parcel;
	if (!values->block)
		return 0;
	open_values(values, &parcel);
	return parcel.object_count > 0;
}

int iocp_values_lost(const iocp_values *values)
{
	return values->block ? ((const uint8_t *)values->block)[1] / IOCP_PARCEL_LOST : 0;
}

void iocp_values_free(iocp_values *values)
{
	iocp_parcel parcel;
	if (values->block) {
		iocp_unobserved *unobserved = iocp_unobserved_of(values);
		open_values(values, &parcel);
		iocp_parcel_release(&parcel);
		free(values->block);
		values->block = NULL;
		iocp_unobserved_end(unobserved);
	}
}
