--- TINN's waitForIO: tasks that wait for the packet of an operation, which they know by its overlapped.
-- @module iocp.tinn.waitForIO
local iocp = require "iocp"
local arch, IOCompletionPort = require "iocp.tinn.arch", require "iocp.tinn.IOCompletionPort"

local waitForIO = require "iocp.tinn.class"()

function waitForIO:init(scheduler)
  scheduler = scheduler or self.Scheduler
  if not scheduler then
    return nil, "no scheduler specified"
  end
  return setmetatable({
    Scheduler = scheduler, IOEventQueue = IOCompletionPort:create(), OperationId = 0,
    waiting = 0, packets = {}, -- by overlapped, as a text: those that came, and nobody has asked for yet
    come = iocp.Condition(), -- one has
  }, self)
end

function waitForIO:setMessageQuanta(milliseconds)
  self.MessageQuanta = milliseconds
end

function waitForIO:getNextOperationId()
  self.OperationId = self.OperationId + 1
  return self.OperationId
end

function waitForIO:tasksArePending()
  return self.waiting > 0
end

--- What is done with a handle completes here from now on.
function waitForIO:watchForIOEvents(handle, key)
  return self.IOEventQueue:addIoHandle(handle, key)
end

--- Takes packets while somebody waits for one. One task does at a time, and the others wait for what it finds.
local function take(self)
  self.is_taking = true
  local key, bytes, overlapped, its_bytes, its_overlapped = self.IOEventQueue:dequeue()
  self.is_taking = false
  local packet = { key, bytes, overlapped }
  if not key then
    packet = { overlapped, its_bytes, its_overlapped }
  end
  if packet[3] then
    self.packets[arch.pointerToString(packet[3])] = packet
  end
  self.come:broadcast()
end

--- Waits for the packet of the overlapped: key, bytes, overlapped.
function waitForIO:yield(_, overlapped)
  if not iocp.fiber() then
    return nil, "not currently running within a task"
  end
  local name = arch.pointerToString(overlapped)
  self.waiting = self.waiting + 1
  while not self.packets[name] do
    if self.is_taking then
      self.come:wait()
    else
      take(self)
    end
  end
  self.waiting = self.waiting - 1
  local packet = self.packets[name]
  self.packets[name] = nil
  return packet[1], packet[2], packet[3]
end

--- His looks, in a task of its own, for who may go on; the scheduler below does that.
function waitForIO:start() end

return waitForIO
