/*
** winsock.h - the system's sockets. Included first, before the system's other headers.
*/

#ifndef IOCP_WINDOWS_WINSOCK_H
#define IOCP_WINDOWS_WINSOCK_H

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0601
#endif

#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>

#include "windows/windows.h"

/* Those of ws2_32.dll that are used. It is loaded with the first socket, or the first look for a host: a program
** without either neither needs it nor spends the time that its start takes. */
#define IOCP_WINSOCK(X)                                                                                                \
	X(FreeAddrInfoW)                                                                                                   \
	X(GetAddrInfoW)                                                                                                    \
	X(WSAConnect)                                                                                                      \
	X(WSAIoctl)                                                                                                        \
	X(WSARecv)                                                                                                         \
	X(WSARecvFrom)                                                                                                     \
	X(WSASend)                                                                                                         \
	X(WSASendTo)                                                                                                       \
	X(WSASocketW)                                                                                                      \
	X(WSAStartup)                                                                                                      \
	X(bind)                                                                                                            \
	X(closesocket)                                                                                                     \
	X(getnameinfo)                                                                                                     \
	X(getpeername)                                                                                                     \
	X(getsockname)                                                                                                     \
	X(getsockopt)                                                                                                      \
	X(inet_ntop)                                                                                                       \
	X(inet_pton)                                                                                                       \
	X(listen)                                                                                                          \
	X(ntohs)                                                                                                           \
	X(setsockopt)                                                                                                      \
	X(shutdown)

#define IOCP_WINSOCK_FIELD(name) __typeof__(&name) name;
/* Written once, before the first socket is there. */
extern struct iocp_winsock {
	IOCP_WINSOCK(IOCP_WINSOCK_FIELD)
	LPFN_ACCEPTEX AcceptEx; /* these are known by numbers, not by names */
	LPFN_CONNECTEX ConnectEx;
	LPFN_TRANSMITFILE TransmitFile;
} iocp_winsock;

/* IOCP_OK: all of it is there. Else the number of why not; the next call tries again. */
int iocp_winsock_begin(void);
/* A socket of the system's, for overlapped use, that no child inherits. IOCP_OK or a number. */
int iocp_winsock_socket(int family, int type, SOCKET *made);
/* The number of what the thread's last call of the above failed with. WSAGetLastError is GetLastError. */
int iocp_winsock_error(void);

#endif
