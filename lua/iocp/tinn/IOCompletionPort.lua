--- TINN's IOCompletionPort: `false, err` where ours says nil, message, code; keys as ULONG_PTR are our numbers.
-- @module iocp.tinn.IOCompletionPort
local iocp = require "iocp"
local wrap = require "iocp.tinn.wrap"

local IOCompletionPort = {}
IOCompletionPort.__index = IOCompletionPort

--- A new port.
-- @tparam[opt] nil existing_port, file_handle accepted for the sake of the original's arguments, and ignored
-- @tparam[opt] number threads how many threads may run at once
function IOCompletionPort:create(_, _, threads)
  return wrap(IOCompletionPort, "port", iocp.IOCompletionPort(threads))
end

--- The port that a native handle stands for; `false, "INVALID"` if it stands for none.
function IOCompletionPort:init(rawhandle)
  return wrap(IOCompletionPort, "port", iocp.IOCompletionPort.open(rawhandle))
end

--- The port's handle as a HANDLE, to be passed to other threads through TINNThread:CreatePointerString.
function IOCompletionPort:getNativeHandle()
  return self.Handle
end

--- Posts a packet. The key may be a pointer or a number. Returns the port, or `false, err`.
function IOCompletionPort:enqueue(key, bytes, overlapped)
  if not key then
    return false, "no data specified"
  end
  local ok, _, code = self.port:enqueue(key, bytes or 0, overlapped)
  if not ok then
    return false, code
  end
  return self
end

--- Takes a packet, waiting `milliseconds` or for ever. Returns key, bytes, overlapped, or `false, err`.
function IOCompletionPort:dequeue(milliseconds)
  local key, bytes, overlapped = self.port:dequeue(milliseconds)
  if not key then
    return false, overlapped -- the code
  end
  return key, bytes, overlapped
end

return setmetatable(IOCompletionPort, {
  __call = function(class, ...)
    return class:create(...)
  end,
})
