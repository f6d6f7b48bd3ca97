--- TINN's StopWatch.
-- @module iocp.tinn.StopWatch
local iocp = require "iocp"

local StopWatch = require "iocp.tinn.class"()

--- @param frequency seconds a tick, by default those of iocp.clock
-- @param start_count the tick it begins at, by default now
function StopWatch:init(frequency, start_count)
  return setmetatable({ Frequency = frequency or 0.001, StartCount = start_count or iocp.clock() }, self)
end

function StopWatch:GetCurrentTicks()
  return iocp.clock()
end

--- Begins anew.
function StopWatch:Reset()
  self.StartCount = iocp.clock()
end

function StopWatch:Seconds()
  return (iocp.clock() - self.StartCount) * self.Frequency
end

function StopWatch:Milliseconds()
  return self:Seconds() * 1000
end

function StopWatch:__tostring()
  return ("Frequency: %g  Count: %d"):format(self.Frequency, self.StartCount)
end

return StopWatch
