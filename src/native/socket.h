/*
** socket.h - what the files of sockets share: the socket itself.
**
**   socket.c          its life, its association, and how it ends
**   socket_start.c    the operations that iocp.h has, from the call to the queue
**   socket_advance.c  what operations do: tries, ends, failures
**   socket_address.c  where it is
**   socket_option.c   options
*/

#ifndef IOCP_NATIVE_SOCKET_H
#define IOCP_NATIVE_SOCKET_H

#include "native/address.h"
#include "native/poll.h"

#ifndef MSG_NOSIGNAL /* macOS before 11, where the socket itself knows: iocp_prim_hush */
#define MSG_NOSIGNAL 0
#endif

#pragma GCC visibility push(hidden)

enum iocp_socket_state {
	IOCP_SOCKET_FRESH, /* neither bound nor connected; it has no descriptor before somebody asks for it */
	IOCP_SOCKET_TAKEN, /* given to accept */
	IOCP_SOCKET_OPEN,  /* bound, or its connect has failed */
	IOCP_SOCKET_LISTENING,
	IOCP_SOCKET_CONNECTING,
	IOCP_SOCKET_CONNECTED,
	IOCP_SOCKET_CLOSED
};

/* All but what is fixed at birth is guarded by `lock`, within which the poll's is taken, and the table's. */
struct iocp_socket {
	iocp_source source;
	uint8_t family, type; /* IOCP_INET and so on; fixed */
	uint8_t adopted;      /* fixed: others use the descriptor, too */
	uint8_t state;        /* enum iocp_socket_state */
	iocp_lock lock;
	int descriptor; /* -1: none */
	uint8_t associated;
	uint8_t port_ended;
	uint8_t interest;     /* IOCP_PRIM_*: what it is in the set for; 0: it is not */
	uint8_t possible;     /* IOCP_PRIM_*: what may succeed; what is not here is in vain until an event comes */
	uint8_t told;         /* IOCP_PRIM_*: what an event has just said is possible */
	uint8_t ends_writing; /* the write side is to end behind the sends that are queued */
	uint8_t hangs;        /* the peer's end, or an error, was seen: everything is tried */
	uint8_t starved;      /* accepts wait until there are descriptors */
	uint16_t write_error; /* the number that sends fail with from now on, or 0 */
	uint16_t reset;       /* the number of the failure that ended the connection: no receive meets a proper end; or 0 */
	iocp_poll *poll;      /* whose member it is: alive as long as it stands here; NULL: nobody's */
	iocp_handle port;     /* the handle of its port */
	uintptr_t key;
	iocp_operations reading, writing;
};

/* ---- socket.c ---------------------------------------------------------------------------------------------------- */

/* Under the lock: it has a descriptor from now on. 0 or a number. */
int iocp_socket_need_descriptor(iocp_socket *socket);
/* Under the lock: whether it is connected; one that was adopted may be by what others have done since. */
int iocp_socket_is_connected(iocp_socket *socket);
/* Takes the lock of a socket with a descriptor. IOCP_OK; or a number, IOCP_INVALID if it is closed or given to accept,
** and the lock is not held. */
int iocp_socket_lock(iocp_socket *socket);
/* Clients of accepts that have ended get their connections and are associated, or are fresh again. `by_packet`: packets
** tell of them, and not the calls. No lock is held. */
void iocp_socket_welcome(iocp_finished *finished, int by_packet);
/* The same; then the packets are posted to the port, or dropped if it has ended. */
void iocp_socket_post(iocp_handle port, iocp_finished *finished);

/* ---- socket_advance.c -------------------------------------------------------------------------------------------- */

/* Under the lock, all of them. */
static inline iocp_operations *iocp_operations_of(iocp_socket *socket, const iocp_operation *operation)
{
	return operation->side == IOCP_PRIM_READ ? &socket->reading : &socket->writing;
}

/* Tries an operation. */
int iocp_socket_try(iocp_socket *socket, iocp_operation *operation);
/* An event is to come for these (IOCP_PRIM_*); `now`: one for what is the case already, too. 0 or a number. */
int iocp_socket_expect(iocp_socket *socket, uint32_t what, int now);
/* An operation has ended with this number: what follows from it for the socket. */
void iocp_socket_ended(iocp_socket *socket, iocp_operation *operation, int number);
/* Takes the lock, and goes on with what is queued. Clients of accepts that have ended are to be welcomed. */
void iocp_socket_advance(iocp_socket *socket, uint32_t what, iocp_finished *finished);
/* Ends the operations that `matches` says, with IOCP_ECANCELED; all of them if it is NULL. Returns how many. */
uint32_t iocp_socket_end(iocp_socket *socket, int (*matches)(const iocp_operation *operation, const void *with),
	const void *with, iocp_finished *finished);
/* Operations may have ended: where a send has failed, those behind it do, too; and the write side ends if it is to, and
** nothing is queued there any more. */
void iocp_socket_end_writing(iocp_socket *socket, iocp_finished *finished);

#pragma GCC visibility pop

#endif
