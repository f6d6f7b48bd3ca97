--- TINN's TINNThread: a thread whose body is a code chunk, and the pointer strings that carry objects into it.
-- @module iocp.tinn.TINNThread
local ffi = require "ffi"
local iocp = require "iocp"
local wrap = require "iocp.tinn.wrap"

local uintptr = ffi.typeof("uintptr_t")

local TINNThread = {}
TINNThread.__index = TINNThread

--- A new thread from `{ CodeChunk = text, CreateSuspended = boolean }`, or `false, err`. Without arguments: the thread
-- that calls, or `false, err` in the main thread.
function TINNThread:create(params)
  if not params then
    return wrap(TINNThread, "thread", iocp.current(), "the main thread is no object", "INVALID")
  end
  if not params.CodeChunk then
    return false, "no code chunk specified"
  end
  local ok, thread, message, code = pcall(iocp.Thread,
    { body = params.CodeChunk, suspended = params.CreateSuspended and true or false })
  if not ok then
    return false, thread -- the chunk does not compile
  end
  return wrap(TINNThread, "thread", thread, message, code)
end

--- The thread that a native handle stands for, or `false, "INVALID"`. Of nil: one that stands for nothing, as his is.
function TINNThread:init(rawhandle)
  if rawhandle == nil then
    return setmetatable({}, TINNThread)
  end
  return wrap(TINNThread, "thread", iocp.Thread.open(rawhandle))
end

--- The address in a pointer as a hexadecimal string, to be formatted into the chunk of a thread.
function TINNThread:CreatePointerString(instance)
  local address = ffi.cast(uintptr, ffi.cast("void *", instance))
  return ("0x%08x%08x"):format(tonumber(address / 2 ^ 32), tonumber(address % 2 ^ 32))
end

TINNThread.PointerToString = TINNThread.CreatePointerString

--- The pointer that such a string, or a number, stands for, or `nil, err`.
function TINNThread:StringToPointer(text)
  local number = tonumber(text)
  if not number then
    return nil, "invalid number"
  end
  return ffi.cast("void *", ffi.cast("intptr_t", number))
end

function TINNThread:getNativeHandle()
  return self.Handle
end

--- The system's number of the thread, or `false, err` before it has started.
function TINNThread:getThreadId()
  local id = self.thread:id()
  if not id then
    return false, "the thread has not started"
  end
  return id
end

--- Starts a thread that was created suspended: true, or `false, err`.
function TINNThread:resume()
  local ok, _, code = self.thread:resume()
  if not ok then
    return false, code
  end
  return true
end

--- Lets another thread run.
function TINNThread:yield()
  return iocp.yield()
end

return setmetatable(TINNThread, {
  __call = function(class, ...)
    return class:create(...)
  end,
})
