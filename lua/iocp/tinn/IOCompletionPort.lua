--- TINN's IOCompletionPort: `false, err` where ours says nil, message, code; keys as ULONG_PTR are our numbers.
-- @module iocp.tinn.IOCompletionPort
local ffi = require "ffi"
local iocp = require "iocp"
local constants = require "iocp.tinn.globals"
local wrap = require "iocp.tinn.wrap"

local IOCompletionPort = {}
IOCompletionPort.__index = IOCompletionPort

--- A new port.
-- @tparam[opt] nil existing_port, file_handle accepted for the sake of the original's arguments, and ignored
-- @tparam[opt] number threads how many threads may run at once
function IOCompletionPort:create(_, _, threads)
  return wrap(IOCompletionPort, "port", iocp.IOCompletionPort(threads))
end

--- The port that a native handle stands for; `false, "INVALID"` if it stands for none. Of nil: one that stands for
-- nothing, as his is.
function IOCompletionPort:init(rawhandle)
  if rawhandle == nil then
    return setmetatable({}, IOCompletionPort)
  end
  return wrap(IOCompletionPort, "port", iocp.IOCompletionPort.open(rawhandle))
end

--- The port's handle as a HANDLE, to be passed to other threads through TINNThread:CreatePointerString.
function IOCompletionPort:getNativeHandle()
  return self.Handle
end

--- What makes it anew in another thread.
function IOCompletionPort:__toEssence()
  return ('IOCompletionPort:init(TINNThread:StringToPointer("0x%016x"))'):format(
    tonumber(ffi.cast("uintptr_t", self.Handle)))
end

--- What is done with a descriptor (Windows: a SOCKET) of other code completes here: true, or `false, err`.
function IOCompletionPort:addIoHandle(handle, key)
  local native = type(handle) == "cdata" and tonumber(ffi.cast("intptr_t", handle)) or handle
  local socket, _, code = iocp.Socket.adopt(native)
  local ok = socket
  if socket then
    ok, _, code = socket:associate(self.port, key and tonumber(ffi.cast("uintptr_t", ffi.cast("void *", key))))
  end
  if not ok then
    return false, code
  end
  return true
end

--- Whether an OVERLAPPED is no longer pending.
function IOCompletionPort.HasOverlappedIoCompleted(overlapped)
  local STATUS_PENDING = 0x103
  return ffi.cast("OVERLAPPED *", overlapped).Internal ~= STATUS_PENDING
end

--- Posts a packet. The key may be a pointer, a struct, whose address it is, or a number. Returns the port, or
-- `false, err`.
function IOCompletionPort:enqueue(key, bytes, overlapped)
  if not key then
    return false, "no data specified"
  end
  if type(key) == "cdata" and not tonumber(key) then
    key = ffi.cast("void *", key)
  end
  local ok, _, code = self.port:enqueue(key, bytes or 0, overlapped)
  if not ok then
    return false, code
  end
  return self
end

--- Takes a packet, waiting `milliseconds` or for ever. Returns key, bytes, overlapped; or `false, WAIT_TIMEOUT`; of an
-- operation that failed `false, err, key, bytes, overlapped`; or `false, err`.
function IOCompletionPort:dequeue(milliseconds)
  if milliseconds == constants.INFINITE then
    milliseconds = nil
  end
  local key, bytes, overlapped, its_key, its_bytes, its_overlapped = self.port:dequeue(milliseconds)
  if key then
    return key, bytes, overlapped
  elseif overlapped == "TIMEOUT" then
    return false, constants.WAIT_TIMEOUT
  end
  return false, overlapped, its_key, its_bytes, its_overlapped
end

return setmetatable(IOCompletionPort, {
  __call = function(class, ...)
    return class:create(...)
  end,
})
