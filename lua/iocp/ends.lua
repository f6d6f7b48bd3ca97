--- Ends of many things, told one by one as they come: of tasks of any pool, threads, processes, lookups and fibers.
--
-- Each is a packet to the scheduler's port (notify), or a fiber's own word, so who waits yields inside a fiber; where
-- no fiber runs the loop runs meanwhile. A worker that waits so counts as blocked: its pool has another one for the
-- time.
--
-- Ownership: what is expected holds these ends, and nothing else: whoever loses the things, and these, leaves nothing
-- behind once they have ended.
-- @module iocp.ends
local fibers, scheduler = require "iocp.fiber", require "iocp.scheduler"
local core, private = require "iocp.core", require "iocp.private"
local setmetatable, pairs = setmetatable, pairs
local parts = core.Pool and private.pool_parts

local Ends = {}
Ends.__index = Ends

local ends = {}

--- Nothing is added yet.
function ends.new()
  return setmetatable({
    told = {}, -- tags of what has ended, from `first` to `last`
    first = 1, last = 0,
    back = {}, -- by tag: a function that takes it back
    open = 0, -- how many have not ended
    waiter = nil, -- the fiber that waits
  }, Ends)
end

local function tell(self, tag)
  self.last = self.last + 1
  self.told[self.last] = tag
  self.back[tag] = nil
  self.open = self.open - 1
  if self.waiter then
    fibers.wake(self.waiter, self, true)
  end
end

local function expect(self, object, tag)
  local overlapped = fibers.expect(function() tell(self, tag) end)
  local timer, message, code = object:notify(scheduler.port(), 0, overlapped)
  if not timer then
    fibers.forget(overlapped)
    return nil, message, code
  end
  return function()
    if timer:cancel() then
      fibers.forget(overlapped)
    else
      fibers.give_up(overlapped)
    end
  end
end

--- The end of the object is told as `tag`, which no other has. True; or nil, message, code.
function Ends:add(object, tag)
  local back, message, code
  self.open = self.open + 1
  if fibers.is_fiber(object) then
    back = fibers.when_ended(object, function() tell(self, tag) end)
    back = not object.outcome and back or nil
  else
    back, message, code = expect(self, object, tag)
    if not back then
      self.open = self.open - 1
      return nil, message, code
    end
  end
  self.back[tag] = back
  return true
end

local function take(self)
  local tag = self.told[self.first]
  self.told[self.first] = nil
  self.first = self.first + 1
  return tag
end

--- Waits outside fibers, where an error may come out of the loop, Ctrl-C: what park gave, or code and message.
local function wait_outside(self, me, limit)
  local blocked, message, code = parts.block()
  if not blocked then
    return code, message
  end
  local ok, value = pcall(fibers.park, me, self, limit)
  parts.unblock()
  self.waiter = nil
  if not ok then
    error(value, 0)
  end
  return value
end

--- Waits until something is told. What park gave; or code and message.
local function wait(self, me, limit)
  self.waiter = me
  if me.is_outside then
    return wait_outside(self, me, limit)
  end
  local value = fibers.park(me, self, limit)
  self.waiter = nil
  return value
end

--- The tag of the next end; or nil, message, code: TIMEOUT once it is `limit` (nil: never), CANCELLED.
function Ends:next(limit)
  if self.first <= self.last then
    return take(self)
  end
  local me = fibers.enter()
  local code, message = fibers.refused(me), nil
  if not code then
    code, message = wait(self, me, limit)
  end
  if self.first <= self.last then
    return take(self)
  elseif message then
    return nil, message, code
  end
  return fibers.refusal(me, code)
end

--- What has not ended is not told any more.
function Ends:close()
  for _, back in pairs(self.back) do
    back()
  end
  self.back, self.open = {}, 0
end

return ends
