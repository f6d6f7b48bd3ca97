--- TINN's waitForCondition: waits until a function says so. Nobody tells when that may be, so it is asked every
-- millisecond.
-- @module iocp.tinn.waitForCondition
local iocp = require "iocp"

local waitForCondition = require "iocp.tinn.class"()

local QUANTUM = 1 -- ms

function waitForCondition:init(scheduler)
  scheduler = scheduler or self.Scheduler
  if not scheduler then
    return nil, "no scheduler specified"
  end
  return setmetatable({ Scheduler = scheduler, waiting = 0 }, self)
end

function waitForCondition:tasksArePending()
  return self.waiting > 0
end

function waitForCondition:yield(predicate)
  if not iocp.fiber() then
    return false, "not currently in a running task"
  end
  self.waiting = self.waiting + 1
  local ok, message = iocp.pcall(function()
    while not predicate() do
      self.Scheduler:sleep(QUANTUM)
    end
  end)
  self.waiting = self.waiting - 1
  if not ok then
    error(message, 0)
  end
end

--- His looks, in a task of its own, for who may go on; the scheduler below does that.
function waitForCondition:start() end

return waitForCondition
