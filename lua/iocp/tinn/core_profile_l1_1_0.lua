--- Windows' core_profile_l1_1_0: a counter and how often it counts in a second.
-- @module iocp.tinn.core_profile_l1_1_0
local iocp = require "iocp"

local core_profile = {}

local MICROSECONDS = 1000 -- in a millisecond

function core_profile.getPerformanceFrequency()
  return 1000 * MICROSECONDS
end

function core_profile.getPerformanceCounter()
  return math.floor(iocp.clock() * MICROSECONDS)
end

return core_profile
