--- iocp.Condition(): what fibers of one thread wait for until another one says that it has come.
-- @classmod iocp.Condition
local fibers, private = require "iocp.fiber", require "iocp.private"
local options = require "iocp.options"
local park, wake = fibers.park, fibers.wake

local Condition = {} -- methods
local class = { __index = Condition }
private.stays(class, "iocp.Condition: it stays in its thread")

local function check_self(self)
  if getmetatable(self) ~= class then
    options.refuse("self", "a condition", self, "; methods are called with a colon")
  end
end

--- Waits for a signal: nil, or TIMEOUT, CANCELLED.
local function await(self, me, limit, shielded)
  local index = self.last + 1
  self.last, self[index] = index, me
  local value = park(me, self, limit, shielded)
  if value == true then
    return nil
  elseif self[index] == me then -- a signal may have begun anew before it came here: the place is another's then
    self[index] = false
  end
  return value
end

--- Waits until it is signalled.
-- @param ms how long; nil for ever
-- @return true; or nil, message, code: TIMEOUT, CANCELLED
function Condition:wait(ms)
  check_self(self)
  local limit = fibers.limit(ms)
  local me = fibers.enter()
  local code = fibers.refused(me) or await(self, me, limit)
  if code then
    return fibers.refusal(me, code)
  end
  return true
end

--- Wakes those that have waited longest.
-- @param n how many at most; nil: one
-- @return how many
function Condition:signal(n)
  check_self(self)
  options.check("n", n, n == nil or type(n) == "number" and n >= 0, "a number from 0 on, or nil")
  local woken, most = 0, n or 1
  local first, last = self.first, self.last
  while woken < most and first <= last do
    local fiber = self[first]
    self[first] = nil
    first = first + 1
    if fiber and wake(fiber, self, true) then
      woken = woken + 1
    end
  end
  if first > last then
    first, self.last = 1, 0
  end
  self.first = first
  return woken
end

--- Wakes all of them.
-- @return how many
function Condition:broadcast()
  check_self(self)
  return self:signal(math.huge)
end

local function new()
  return setmetatable({ first = 1, last = 0 }, class)
end

return { new = new, await = await }
