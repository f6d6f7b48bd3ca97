--- TINN's waitForTime.
-- @module iocp.tinn.waitForTime
local iocp = require "iocp"

local waitForTime = require "iocp.tinn.class"()

function waitForTime:init(scheduler)
  scheduler = scheduler or self.Scheduler
  if not scheduler then
    return nil, "no scheduler specified"
  end
  return setmetatable({ Scheduler = scheduler, waiting = 0 }, self)
end

function waitForTime:tasksPending()
  return self.waiting
end

function waitForTime:tasksArePending()
  return self.waiting > 0
end

--- Sleeps: in a task that task alone.
function waitForTime:yield(milliseconds)
  self.waiting = self.waiting + 1
  local ok, message = iocp.pcall(self.Scheduler.sleep, self.Scheduler, math.max(milliseconds, 0))
  self.waiting = self.waiting - 1
  if not ok then
    error(message, 0)
  end
end

function waitForTime:yieldUntilTime(time)
  return self:yield(time - self.Scheduler.Clock:Milliseconds())
end

--- His looks, in a task of its own, for who may go on; the scheduler below does that.
function waitForTime:start() end

return waitForTime
