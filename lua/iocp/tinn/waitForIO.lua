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

--- Takes a packet while somebody waits for one. One task does at a time, and the others wait for what it finds. Nil;
-- or what was in the way.
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
  return not key and not packet[3] and bytes or nil
end

--- Waits until the packet of that name has come: nil; or what was in the way.
local function await(self, name)
  while not self.packets[name] do
    local trouble, _
    if self.is_taking then
      _, _, trouble = self.come:wait()
    else
      trouble = take(self)
    end
    if trouble then
      return trouble
    end
  end
  return nil
end

--- Waits for the packet of the overlapped: key, bytes, overlapped; or nil and a code, CANCELLED ...
function waitForIO:yield(_, overlapped)
  if not iocp.fiber() then
    return nil, "not currently running within a task"
  end
  local name = arch.pointerToString(overlapped)
  self.waiting = self.waiting + 1
  local trouble = await(self, name)
  self.waiting = self.waiting - 1
  if trouble then
    return nil, trouble
  end
  local packet = self.packets[name]
  self.packets[name] = nil
  return packet[1], packet[2], packet[3]
end

--- His looks, in a task of its own, for who may go on; the scheduler below does that.
function waitForIO:start() end

return waitForIO
