/*
** socket.h - what the files of the socket share. Included first, as winsock.h is.
**
**   socket.c            a socket's life: creating, adopting, associating, closing
**   socket_pair.c       two that are connected
**   socket_address.c    addresses as text, and the calls that take or give one at once
**   socket_option.c     options, multicast
**   socket_operation.c  how an operation begins and ends, is cancelled, shut down
**   socket_transfer.c   sending and receiving
**   socket_connection.c accepting, connecting
**   socket_ready.c      readiness
*/

#ifndef IOCP_WINDOWS_SOCKET_H
#define IOCP_WINDOWS_SOCKET_H

#include "windows/winsock.h"

#include "core/io_error.h"
#include "windows/operation.h"
#include "windows/port.h"

/* Locking: all calls of the system's with its number are made under the socket's lock, so that none is made with a
** number that was closed meanwhile, and sends start in the order of their calls. None of them waits. A listener's lock
** is taken before its client's. Whoever takes an operation's packet takes the lock, too: so the call that started it
** has ended by then. */
struct iocp_socket {
	iocp_object object;
	iocp_association association; /* under port_end.c's lock */
	SOCKET system;                /* INVALID_SOCKET once it is closed; this and all that follows is under the lock */
	iocp_lock lock;
	iocp_port *port; /* what it is associated with: not a reference, NULL once either is closed */
	uintptr_t key;
	iocp_operations operations; /* that the kernel has */
	int32_t keepalive;          /* seconds, as they were set */
	int32_t linger;             /* as it was set */
	int32_t send_error;         /* the number with which the write side has ended, or 0 */
	unsigned family : 8;        /* the contract's; fixed at birth, as are the next two */
	unsigned type : 8;
	unsigned adopted : 1;
	unsigned used : 1;      /* it is no fresh one: bound, connected, associated, or an accept has it */
	unsigned accepting : 1; /* an accept has it */
	unsigned bound : 1;
	unsigned listens : 1;
	unsigned connected : 1;
	unsigned skips : 1; /* what is done at once sends no packet by itself */
	unsigned ended : 1; /* its port has ended */
	unsigned read_ended : 1;
	unsigned write_ended : 1; /* in good order; see send_error */
	unsigned reset : 1;       /* by its peer, as far as a poll has said */
	unsigned reuse : 1;       /* what was set, of a stream */
};

/* The lock is held, here and in the next. */
static inline int iocp_socket_is_closed(const iocp_socket *socket)
{
	return socket->system == INVALID_SOCKET;
}

/* Whether it is there for calls that are done at once. IOCP_INVALID: it is closed, or an accept has it. */
static inline int iocp_socket_usable(const iocp_socket *socket)
{
	return iocp_socket_is_closed(socket) || socket->accepting ? IOCP_INVALID : IOCP_OK;
}

typedef struct iocp_request iocp_request;

/* A kind of operation. These are called with the lock held, but for the last. */
typedef struct iocp_call {
	/* Whether the socket is in a state for it: 0, or the number that says why not. */
	int (*fits)(const iocp_socket *socket);
	/* Starts one, and says how far that came. */
	iocp_outcome (*start)(iocp_socket *socket, iocp_request *request, const void *data);
	/* Does what is to be done when it has ended, and may change how it has; `port` is where its packet comes to. It may
	** have begun anew: pending. NULL: nothing. */
	void (*ended)(iocp_socket *socket, iocp_request *request, iocp_port *port, iocp_outcome *outcome);
	/* The socket is about to be closed, and the kernel may have done it already. NULL: nothing. */
	void (*settle)(iocp_socket *socket, iocp_request *request);
	/* The record is freed: gives up what it holds beside its memory. No lock is held. NULL: nothing. */
	void (*release)(iocp_request *request);
	int sides;   /* IOCP_SIDE_*: what ends with the read side */
	int ordered; /* on a stream, none of these may be left out where one behind it is done */
} iocp_call;

/* What the kernel's record is the beginning of. */
struct iocp_request {
	iocp_operation operation;
	const iocp_call *call;
	void *memory;              /* a copy of what is sent, or room for addresses; freed with it */
	uint32_t size;             /* of what is transferred, as it was asked for */
	unsigned chosen : 1;       /* to be stopped; and */
	unsigned behind : 1;       /* to be stopped because it is behind such a one */
	unsigned stopped : 1;      /* the system was asked to stop it, and had not done it */
	unsigned in_call : 1;      /* its call tells the outcome, unless it is begun; */
	unsigned unassociated : 1; /* accept's flag; and */
	unsigned has_client : 1;   /* the client is this accept's */
	union {
		struct {
			iocp_socket *client; /* a reference */
			iocp_handle port;    /* what the client is to be associated with; 0: the listener's */
			iocp_port *opened;   /* that one, or NULL: a reference, and entered */
		} accept;
		int peer_size;
		struct iocp_poll {
			LARGE_INTEGER timeout;
			ULONG count, exclusive;
			HANDLE handle;
			ULONG events;
			LONG status;
		} poll;
	} with;
};

_Static_assert(sizeof(iocp_request) <= IOCP_OPERATION_SIZE, "a record is too small");

/* ---- socket.c ---------------------------------------------------------------------------------------------------- */

/* Before all else here. IOCP_OK, IOCP_NOMEM or a number. */
int iocp_socket_begin(void);
/* Takes over one of the system's, closing it on failure unless it is adopted. */
int iocp_socket_make(SOCKET system, int family, int type, int adopted, iocp_socket **socket);
/* Associates it, whose lock is held. As iocp_socket_associate; for the port see iocp_port_associate. */
int iocp_socket_associate_locked(iocp_socket *socket, iocp_port *port, uintptr_t key);

/* ---- socket_address.c -------------------------------------------------------------------------------------------- */

typedef struct iocp_address {
	union {
		struct sockaddr any;
		struct sockaddr_in inet;
		struct sockaddr_in6 inet6;
	} as;
	int size;
} iocp_address;

/* Digits, or NULL for any, as an address of the family (IOCP_INET, IOCP_INET6; 0: that of the digits). IOCP_OK, or
** IOCP_EINVAL. */
int iocp_address_parse(int family, const char *host, uint16_t port, iocp_address *address);
/* Of an inet socket nothing changes; for an inet6 one an inet address becomes one of its own. IOCP_EAFNOSUPPORT: it
** does not fit; IOCP_EDESTADDRREQ: it is no address. */
int iocp_address_fit(int family, iocp_address *address);
/* Any address becomes this machine's own: what a connect to it means elsewhere. */
void iocp_address_go_home(iocp_address *address);
/* Has the system choose an address for one that has none, which some calls ask for. IOCP_OK or a number. The lock is
** held. */
int iocp_socket_bind_any(iocp_socket *socket);

/* ---- socket_operation.c ------------------------------------------------------------------------------------------ */

/* The record of an operation that uses no block. IOCP_INVALID: `overlapped` cannot be one. IOCP_NOMEM. */
int iocp_request_make(iocp_socket *socket, const iocp_call *call, uintptr_t overlapped, iocp_request **request);
/* The record of one that uses address[at .. at + size - 1]. IOCP_INVALID also: that is not to be had. */
int iocp_request_make_on(iocp_socket *socket, const iocp_call *call, const void *address, size_t at, size_t size,
	uintptr_t overlapped, iocp_request **request);
/* Starts it, and sees to its packet or to *done. From then on the record is the kernel's, or is freed. Returns what the
** operation does. */
int iocp_request_run(iocp_request *request, const void *data, int64_t *done);
/* With what is in it. */
void iocp_request_free(iocp_request *request);
/* What a call of the system's came to that has just succeeded, or not. The lock is held. */
iocp_outcome iocp_outcome_of(const iocp_socket *socket, int succeeded, const DWORD *bytes);
/* Asks those to stop that are chosen, and the ordered ones behind one of them. How many were chosen. The lock is
** held. */
uint32_t iocp_socket_stop(
	iocp_socket *socket, int (*chosen)(const iocp_request *request, const void *data), const void *data);
/* Chooses every one. */
int iocp_request_any(const iocp_request *request, const void *data);

static inline iocp_socket *iocp_request_socket(const iocp_request *request)
{
	return (iocp_socket *)request->operation.object;
}

#endif
