/*
** socket_ready.c - readiness: the driver's own poll of a socket, whose packet comes to the port as all others do.
**
** A receive of nothing would do for streams alone, and there is no send of nothing that waits. The poll is what the
** system's select uses; its codes are not in the headers, but have not changed since there were any.
** Source: Microsoft's WSAPoll and select, for what is ready when.
*/

#include "windows/socket.h"

#define IOCTL_AFD_POLL 0x00012024
#define SIO_BASE_HANDLE_CODE 0x48000022 /* SIO_BASE_HANDLE */
#define STATUS_PENDING_CODE 0x103

enum {
	CAN_RECEIVE = 1,
	CAN_RECEIVE_URGENT = 2,
	CAN_SEND = 4,
	PEER_HAS_ENDED = 8,
	PEER_HAS_RESET = 0x10,
	WAS_CLOSED_HERE = 0x20,
	CAN_ACCEPT = 0x80,
	CONNECT_HAS_FAILED = 0x100
};

/* The driver's own handle, where something stands between it and the caller. */
static SOCKET base_of(SOCKET socket)
{
	SOCKET base;
	DWORD bytes;
	int r = iocp_winsock.WSAIoctl(socket, SIO_BASE_HANDLE_CODE, NULL, 0, &base, sizeof(base), &bytes, NULL, NULL);
	return r == 0 ? base : socket;
}

/* Source: Microsoft's NtDeviceIoControlFile. The packet's `lpOverlapped` is what is given for the call's context. */
static LONG control(SOCKET socket, iocp_request *request)
{
	typedef LONG(NTAPI * device_io_control)(
		HANDLE, HANDLE, void *, void *, void *, ULONG, void *, ULONG, void *, ULONG);
	device_io_control call =
		(device_io_control)(uintptr_t)GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtDeviceIoControlFile");
	struct iocp_poll *poll = &request->with.poll;
	OVERLAPPED *system = &request->operation.system;
	return call((HANDLE)socket, NULL, NULL, system, &system->Internal, IOCTL_AFD_POLL, poll, sizeof(*poll), poll,
		sizeof(*poll));
}

static iocp_outcome start_ready(iocp_socket *socket, iocp_request *request, const void *data)
{
	const ULONG *events = data;
	iocp_outcome outcome = {0};
	LONG status;
	if (socket->read_ended && (*events & CAN_RECEIVE))
		return outcome;
	request->with.poll = (struct iocp_poll){
		.timeout.QuadPart = INT64_MAX, .count = 1, .handle = (HANDLE)base_of(socket->system), .events = *events};
	request->operation.system.Internal = STATUS_PENDING_CODE;
	status = control(socket->system, request);
	outcome.pending = status == STATUS_PENDING_CODE || (status >= 0 && !socket->skips);
	outcome.code = outcome.pending ? 0 : iocp_status_code((ULONG_PTR)(ULONG)status);
	return outcome;
}

static void ready_ended(iocp_socket *socket, iocp_request *request, iocp_port *port, iocp_outcome *outcome)
{
	(void)port;
	outcome->bytes = 0; /* the driver counts its own */
	if (!outcome->code && (request->with.poll.events & PEER_HAS_RESET))
		socket->reset = 1;
	if (!outcome->code && iocp_socket_is_closed(socket) && (request->with.poll.events & WAS_CLOSED_HERE))
		outcome->code = IOCP_ECANCELED;
}

static int can_be_ready(const iocp_socket *socket)
{
	return socket->listens || socket->connected || socket->type == IOCP_DATAGRAM ? IOCP_OK : IOCP_ENOTCONN;
}

static const iocp_call read_ready = {
	.fits = can_be_ready, .start = start_ready, .ended = ready_ended, .sides = IOCP_SIDE_READ};
static const iocp_call write_ready = {
	.fits = can_be_ready, .start = start_ready, .ended = ready_ended, .sides = IOCP_SIDE_WRITE};

int iocp_socket_ready(iocp_socket *socket, int side, uintptr_t overlapped, int64_t *done)
{
	static const ULONG read =
		CAN_RECEIVE | CAN_RECEIVE_URGENT | CAN_ACCEPT | PEER_HAS_ENDED | PEER_HAS_RESET | WAS_CLOSED_HERE;
	static const ULONG write = CAN_SEND | PEER_HAS_RESET | CONNECT_HAS_FAILED | WAS_CLOSED_HERE;
	iocp_request *request;
	int r;
	if (side != IOCP_SIDE_READ && side != IOCP_SIDE_WRITE)
		return IOCP_INVALID;
	r = iocp_request_make(socket, side == IOCP_SIDE_READ ? &read_ready : &write_ready, overlapped, &request);
	return r == IOCP_OK ? iocp_request_run(request, side == IOCP_SIDE_READ ? &read : &write, done) : r;
}
