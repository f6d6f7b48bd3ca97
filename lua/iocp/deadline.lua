--- iocp.within(ms, f, ...): a deadline around any number of waits, in the caller's coroutine.
-- @module iocp.deadline
local core, private, fibers = require "iocp.core", require "iocp.private", require "iocp.fiber"
local options = require "iocp.options"
local clock = core.clock

--- Where an error was raised, for a fiber that it ends.
local function trace(me, value)
  me.traced = { value = value, text = debug.traceback("", 3):sub(2) }
  return value
end

--- What within returns. ok, ...: what f did; `told`: whether a wait inside said TIMEOUT.
local function conclude(me, due, outer, ok, ...)
  local told, is_over = me.told, clock() >= due
  me.deadline, me.told = outer, nil
  fibers.watch(me)
  if outer and told then
    me.told = outer
  end
  if ok and not is_over then
    return ...
  elseif ok or is_over and told then
    local text = "timed out: the time that within gave has passed"
    return nil, ok and text or ("%s; what it ended: %s"):format(text, tostring((...))), "TIMEOUT"
  end
  error((...), 0)
end

--- Calls f(...), in which every wait returns TIMEOUT once `ms` have passed. An outer within ends the inner one.
-- @return f's results; or, once the time has passed, whatever f did: nil, message, TIMEOUT. Raises an error of f's, but
-- none that follows from such a wait
return function(ms, f, ...)
  local limit = fibers.limit(ms)
  if type(f) ~= "function" then
    options.refuse("f", "a function", f)
  end
  local me = fibers.current()
  if not me then
    private.raise("within: there is no fiber here: iocp.run(function() ... end)")
  end
  local outer = me.deadline
  local due = math.min(limit or math.huge, outer or math.huge)
  me.deadline = due < math.huge and due or nil
  fibers.watch(me)
  if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
    return conclude(me, due, outer, core.pcall(f, ...))
  end
  return conclude(me, due, outer, xpcall(f, function(value) return trace(me, value) end, ...))
end
