/*
** winsock.c - loads the system's sockets, once. Owns the library, for good.
*/

#include "windows/winsock.h"

#include "core/io_error.h"

struct iocp_winsock iocp_winsock;

static iocp_lock begin_lock;
static int begun; /* under the lock */

/* ws2_32.dll is one of the DLLs that the system takes from its own folder, whatever the search path says. */
static int load(void)
{
	HMODULE library = LoadLibraryW(L"ws2_32.dll");
	int complete = library != NULL;
#define LOAD(name)                                                                                                     \
	if (complete)                                                                                                      \
		complete = (iocp_winsock.name = (__typeof__(&name))(uintptr_t)GetProcAddress(library, #name)) != NULL;
	IOCP_WINSOCK(LOAD)
	return complete ? IOCP_OK : IOCP_ENOSYS;
}

/* A function that the provider of `socket` has beside those of the library. 0: it has not. */
static uintptr_t extension(SOCKET socket, GUID id)
{
	uintptr_t address = 0;
	DWORD bytes;
	int r = iocp_winsock.WSAIoctl(
		socket, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id), &address, sizeof(address), &bytes, NULL, NULL);
	return r == 0 ? address : 0;
}

static int load_extensions(void)
{
	SOCKET socket;
	int r = iocp_winsock_socket(AF_INET, SOCK_STREAM, &socket);
	if (r != IOCP_OK)
		return r;
	iocp_winsock.AcceptEx = (LPFN_ACCEPTEX)extension(socket, (GUID)WSAID_ACCEPTEX);
	iocp_winsock.ConnectEx = (LPFN_CONNECTEX)extension(socket, (GUID)WSAID_CONNECTEX);
	iocp_winsock.TransmitFile = (LPFN_TRANSMITFILE)extension(socket, (GUID)WSAID_TRANSMITFILE);
	iocp_winsock.closesocket(socket);
	return iocp_winsock.AcceptEx && iocp_winsock.ConnectEx && iocp_winsock.TransmitFile ? IOCP_OK : IOCP_ENOSYS;
}

static int begin(void)
{
	WSADATA data;
	int r = iocp_pin() == IOCP_OK ? load() : IOCP_ENOMEM; /* threads of the system's pool may be inside it */
	if (r == IOCP_OK && (r = iocp_winsock.WSAStartup(MAKEWORD(2, 2), &data)) != 0)
		return iocp_io_error_of((DWORD)r);
	return r == IOCP_OK ? load_extensions() : r;
}

int iocp_winsock_begin(void)
{
	int r = IOCP_OK;
	/* Held while the library is loaded, which takes no lock of ours: exit.c does not either. */
	iocp_lock_acquire(&begin_lock);
	if (!begun) {
		r = begin();
		begun = r == IOCP_OK;
	}
	iocp_lock_release(&begin_lock);
	return r;
}

int iocp_winsock_error(void)
{
	return iocp_io_error_of(GetLastError());
}

int iocp_winsock_socket(int family, int type, SOCKET *made)
{
	int protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	SOCKET socket =
		iocp_winsock.WSASocketW(family, type, protocol, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
	if (socket == INVALID_SOCKET && GetLastError() == WSAEINVAL) { /* Windows 7 without its service pack */
		socket = iocp_winsock.WSASocketW(family, type, protocol, NULL, 0, WSA_FLAG_OVERLAPPED);
		if (socket != INVALID_SOCKET)
			SetHandleInformation((HANDLE)socket, HANDLE_FLAG_INHERIT, 0);
	}
	if (socket == INVALID_SOCKET)
		return iocp_winsock_error();
	*made = socket;
	return IOCP_OK;
}
