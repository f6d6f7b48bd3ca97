--- TINN's waitForSignal: tasks that wait for a name, in the order in which they came.
-- @module iocp.tinn.waitForSignal
local iocp = require "iocp"

local waitForSignal = require "iocp.tinn.class"()

function waitForSignal:init(scheduler)
  scheduler = scheduler or self.Scheduler
  if not scheduler then
    return nil, "no scheduler specified"
  end
  return setmetatable({ Scheduler = scheduler, conditions = {} }, self)
end

--- Waits until the name is signalled.
function waitForSignal:yield(name)
  if not iocp.fiber() then
    return false, "not currently in a running task"
  end
  local condition = self.conditions[name] or iocp.Condition()
  self.conditions[name] = condition
  self.Scheduler:suspend(function() condition:wait() end)
end

local function signal(self, name, method)
  local condition = self.conditions[name]
  if not condition then
    return false, "event not registered"
  elseif condition[method](condition) == 0 then
    return false, "no tasks waiting for event"
  end
  return true
end

function waitForSignal:signalOne(name)
  return signal(self, name, "signal")
end

function waitForSignal:signalAll(name)
  return signal(self, name, "broadcast")
end

return waitForSignal
