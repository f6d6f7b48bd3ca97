/*
** shield.c - gets of a thread that was cancelled, and knows it: what it has begun and no cancel ends tells a port of
** its end, and any other get would only say again that it was cancelled.
*/

#include "core/os.h"
#include "work/work.h"

int iocp_port_take_shielded(iocp_port *port, iocp_packet *packets, size_t max, size_t *count, double ms)
{
	int r;
	iocp_shield(1);
	r = iocp_port_dequeue_many(port, packets, max, count, ms);
	iocp_shield(0);
	return r;
}
