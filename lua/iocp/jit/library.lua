--- The library's functions for LuaJIT's ffi; false where they cannot be had.
-- @module iocp.jit.library
local core, ffi = require "iocp.core", require "ffi"

-- Names of our own for the functions, so that nothing a script declares itself meets them. An address is an integer
-- here.
local DECLARATIONS = [[
  int iocp_jit_enqueue(void *, uintptr_t, uint32_t, uintptr_t) __asm__("iocp_port_enqueue");
  int iocp_jit_enqueue_many(void *, const void *, size_t) __asm__("iocp_port_enqueue_many");
  int iocp_jit_dequeue_many(void *, void *, size_t, size_t *, double) __asm__("iocp_port_dequeue_many");
  int iocp_jit_open(uint64_t, void **) __asm__("iocp_port_open");
  void iocp_jit_release(void *) __asm__("iocp_port_release");
  int iocp_jit_alloc(void *, size_t, int, uintptr_t *) __asm__("iocp_heap_alloc");
  int iocp_jit_free(void *, uintptr_t) __asm__("iocp_heap_free");
  int iocp_jit_size(void *, uintptr_t, size_t *) __asm__("iocp_heap_size");
  int iocp_jit_read(void *, uintptr_t, size_t, void *, size_t) __asm__("iocp_heap_read");
  int iocp_jit_write(void *, uintptr_t, size_t, const char *, size_t) __asm__("iocp_heap_write");
  int iocp_jit_is_open(const void *) __asm__("iocp_socket_is_open");
  int iocp_jit_receive(void *, uintptr_t, size_t, size_t, uintptr_t, int64_t *) __asm__("iocp_socket_receive");
  int iocp_jit_send(void *, uintptr_t, size_t, size_t, uintptr_t, int64_t *) __asm__("iocp_socket_send");
  int iocp_jit_send_copy(void *, const char *, size_t, uintptr_t, int64_t *) __asm__("iocp_socket_send_copy");
  int iocp_jit_ready(void *, int, uintptr_t, int64_t *) __asm__("iocp_socket_ready");
  int iocp_jit_file_is_open(const void *) __asm__("iocp_file_is_open");
  int iocp_jit_has_offsets(const void *, int) __asm__("iocp_file_has_offsets");
  int iocp_jit_file_read(void *, uintptr_t, size_t, size_t, uint64_t, uintptr_t, int64_t *) __asm__("iocp_file_read");
  int iocp_jit_file_write(void *, uintptr_t, size_t, size_t, uint64_t, uintptr_t, int64_t *)
    __asm__("iocp_file_write");
  int iocp_jit_file_write_copy(void *, const char *, size_t, uint64_t, uintptr_t, int64_t *)
    __asm__("iocp_file_write_copy");
  double iocp_jit_clock(void) __asm__("iocp_clock");
  const char *iocp_jit_error_name(int) __asm__("iocp_error_name");
  void iocp_jit_error_text(int, char *, size_t) __asm__("iocp_error_text");
]]

--- The very library that made our objects knows their handles; a copy of it that package.cpath leads to does not.
local function is_ours(C)
  local probe, opened = core.IOCompletionPort(), ffi.new("void *[1]")
  if not probe or C.iocp_jit_open(tonumber(probe:handle()), opened) ~= 0 then
    return false
  end
  C.iocp_jit_release(opened[0])
  probe:close()
  return true
end

local function open()
  local file = package.searchpath("iocp.core", package.cpath)
  if not file or not pcall(debug.getregistry) then
    return false
  end
  local loaded, C = pcall(ffi.load, file)
  if not loaded then
    return false
  end
  if not pcall(function() return C.iocp_jit_enqueue end) then
    ffi.cdef(DECLARATIONS)
  end
  return is_ours(C) and C
end

return open()
