--- The base types of Windows as ffi declarations, with the sizes they have on 64-bit Windows, whatever the system.
-- @module iocp.tinn.WTypes
local ffi = require "ffi"

-- Declared once a state, even if the module is loaded again.
if not pcall(ffi.typeof, "ULONG_PTR") then
  ffi.cdef [[
    typedef uint8_t   BYTE, BOOLEAN, UCHAR;
    typedef char      CHAR;
    typedef uint16_t  WORD, USHORT, WCHAR, ATOM;
    typedef int16_t   SHORT;
    typedef int32_t   BOOL, INT, LONG, INT32, LONG32, HRESULT;
    typedef uint32_t  DWORD, UINT, ULONG, UINT32, ULONG32, DWORD32, COLORREF;
    typedef int64_t   LONGLONG, INT64, LONG64;
    typedef uint64_t  ULONGLONG, DWORDLONG, UINT64, ULONG64, DWORD64;
    typedef float     FLOAT;
    typedef void      VOID;
    typedef size_t    SIZE_T;
    typedef intptr_t  INT_PTR, LONG_PTR, LPARAM, LRESULT, SSIZE_T;
    typedef uintptr_t UINT_PTR, ULONG_PTR, DWORD_PTR, WPARAM;

    typedef void *PVOID, *LPVOID, *HANDLE;
    typedef const void *LPCVOID;
    typedef char *PSTR, *LPSTR, *PCHAR;
    typedef const char *PCSTR, *LPCSTR;
    typedef WCHAR *PWSTR, *LPWSTR;
    typedef const WCHAR *PCWSTR, *LPCWSTR;
    typedef BYTE *PBYTE, *LPBYTE;
    typedef BOOL *PBOOL, *LPBOOL;
    typedef WORD *PWORD, *LPWORD;
    typedef DWORD *PDWORD, *LPDWORD;
    typedef LONG *PLONG, *LPLONG;
    typedef UINT *PUINT;
    typedef ULONG *PULONG;
    typedef ULONG_PTR *PULONG_PTR;
    typedef SIZE_T *PSIZE_T;
    typedef HANDLE *PHANDLE, *LPHANDLE;

    typedef HANDLE HWND, HINSTANCE, HMODULE, HMENU, HICON, HCURSOR, HBRUSH, HBITMAP, HDC, HFONT, HPEN, HRGN, HGDIOBJ,
      HGLOBAL, HLOCAL, HKEY, HHOOK, HMONITOR, HDESK, HWINSTA;

    typedef struct tagPOINT { LONG x, y; } POINT, *PPOINT, *LPPOINT;
    typedef struct tagSIZE { LONG cx, cy; } SIZE, *PSIZE, *LPSIZE;
    typedef struct tagRECT { LONG left, top, right, bottom; } RECT, *PRECT, *LPRECT;
    typedef union _LARGE_INTEGER {
      struct { DWORD LowPart; LONG HighPart; };
      struct { DWORD LowPart; LONG HighPart; } u;
      LONGLONG QuadPart;
    } LARGE_INTEGER, *PLARGE_INTEGER;
    typedef struct _FILETIME { DWORD dwLowDateTime, dwHighDateTime; } FILETIME, *PFILETIME, *LPFILETIME;
    typedef struct _OVERLAPPED {
      ULONG_PTR Internal, InternalHigh;
      union {
        struct { DWORD Offset, OffsetHigh; };
        PVOID Pointer;
      };
      HANDLE hEvent;
    } OVERLAPPED, *LPOVERLAPPED;
  ]]
end

return {
  INFINITE = 0xFFFFFFFF,
}
