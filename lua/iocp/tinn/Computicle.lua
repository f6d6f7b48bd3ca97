--- TINN's Computicle: a thread with a heap and a port, which runs a chunk of code and then the code that it is sent.
-- @module iocp.tinn.Computicle
local Heap, IOCompletionPort = require "iocp.tinn.Heap", require "iocp.tinn.IOCompletionPort"
local TINNThread, core_synch = require "iocp.tinn.TINNThread", require "iocp.tinn.core_synch_l1_2_0"
local arch, ComputicleOps = require "iocp.tinn.arch", require "iocp.tinn.ComputicleOps"

local Computicle = { Threads = {} }
Computicle.__index = Computicle

-- The code that a computicle's thread runs: what scripts find there as globals, then theirs, then the messages.
local PROLOG = [[
require "iocp.tinn"
for name in ("TINNThread Computicle ComputicleOps IOCompletionPort Heap Application"):gmatch "%S+" do
  _G[name] = require(name)
end
exit = function() SELFICLE:quit() end
_params = {}
]]

local EPILOG = [[
Application:run(require "iocp.tinn.messages", SELFICLE)
]]

--- The code of a computicle's thread: the chunk, between what has to be there before and the loop of messages.
function Computicle:createThreadChunk(chunk, params, code_params)
  return table.concat({
    PROLOG, ComputicleOps.packParams(params), ComputicleOps.packParams(code_params),
    "SELFICLE = Computicle:init(_params.HeapHandle, _params.IOCPHandle)",
    "Application:coop(function()", chunk, "end)", EPILOG,
  }, "\n")
end

--- The computicle that handles stand for.
function Computicle:init(heap_handle, port_handle, thread_handle)
  return setmetatable({
    Heap = Heap(heap_handle), IOCP = IOCompletionPort:init(port_handle), Thread = TINNThread:init(thread_handle),
  }, self)
end

--- A new one, which runs the chunk. The fields of `params` are `_params`' there.
function Computicle:create(chunk, params)
  local heap, port = Heap:create(), IOCompletionPort:create()
  local code = self:createThreadChunk(chunk or "",
    { HeapHandle = heap:getNativeHandle(), IOCPHandle = port:getNativeHandle() }, params)
  local thread, err = TINNThread { CodeChunk = code }
  if not thread then
    return nil, err
  end
  table.insert(Computicle.Threads, thread)
  return setmetatable({ Heap = heap, IOCP = port, Thread = thread }, self)
end

function Computicle:createFromFile(filename, params)
  local file = io.open(filename)
  if not file then
    return nil, "could not load file"
  end
  local chunk = file:read("*a")
  file:close()
  return self:create(chunk, params)
end

--- One that requires a module.
function Computicle:load(name, params)
  return self:create(("require(%q)"):format(name), params)
end

function Computicle:loadAndRun(name, params)
  local computicle, err = self:load(name, params)
  if not computicle then
    return false, err
  end
  return computicle:waitForFinish()
end

--- What makes it anew in another thread.
function Computicle:__toEssence()
  return ('Computicle:init(TINNThread:StringToPointer("%s"), TINNThread:StringToPointer("%s"))'):format(
    arch.pointerToString(self.Heap:getNativeHandle()), arch.pointerToString(self.IOCP:getNativeHandle()))
end

-- ---- messages -------------------------------------------------------------------------------------------------------

--- The next message: its number, the bytes, the data; or `false, err`.
function Computicle:getMessage(milliseconds)
  return self.IOCP:dequeue(milliseconds)
end

function Computicle:allocData(size)
  if not size then
    return false, "no size specified"
  end
  return self.Heap:alloc(size)
end

function Computicle:freeData(data)
  if data ~= nil then
    self.Heap:free(data)
  end
  return self
end
Computicle.freeMessage = Computicle.freeData

--- Sends it a message, with data of its own heap, which it frees. True; or `false, err`.
function Computicle:receiveMessage(message, data, size)
  local ok, err = self.IOCP:enqueue(message, size, data)
  if not ok then
    return false, err
  end
  return true
end

--- Has it end behind what it was sent before.
function Computicle:quit()
  return self:receiveMessage(ComputicleOps.Messages.QUIT)
end

--- Waits for its thread's end: true; or false, WAIT_TIMEOUT.
function Computicle:waitForFinish(milliseconds)
  local status = core_synch.WaitForSingleObject(self.Thread:getNativeHandle(), milliseconds or core_synch.INFINITE)
  if status == core_synch.WAIT_OBJECT_0 then
    return true
  end
  return false, status
end

return setmetatable(Computicle, {
  __call = function(class, ...)
    return class:create(...)
  end,
})
