--- The first of many that ends, all of them, or each as it does: tasks of any pool, threads, processes, lookups,
--- fibers.
-- @module iocp.completed
local ends, fibers = require "iocp.ends", require "iocp.fiber"
local options = require "iocp.options"
local completed = {}

local ENDS = { ["iocp.Task"] = true, ["iocp.Thread"] = true, ["iocp.Process"] = true, ["iocp.Lookup"] = true }
local WHAT = "a list of tasks, threads, processes, lookups or fibers"

local function ends_once(object)
  local metatable = type(object) == "userdata" and getmetatable(object)
  return fibers.is_fiber(object) or type(metatable) == "table" and ENDS[metatable.__name] or false
end

local function refuse(what, came)
  options.wrong("list", ("expected %s, got %s"):format(what, came))
end

--- Raises unless it is such a list, of at least `least`.
local function check_list(list, least)
  if type(list) ~= "table" then
    refuse(WHAT, type(list))
  elseif #list < least then
    refuse(WHAT .. " that is not empty, as nothing would end", "an empty one")
  end
  for i = 1, #list do
    if not ends_once(list[i]) then
      refuse(WHAT, ("%s at %d"):format(type(list[i]), i))
    end
  end
end

--- What tells the ends of these, by their indices; or nil, message, code.
local function watch(list)
  local set = ends.new()
  for i = 1, #list do
    local ok, message, code = set:add(list[i], i)
    if not ok then
      set:close()
      return nil, message, code
    end
  end
  return set
end

--- Waits until one of them has ended: of several that have, the one that did first, as far as is known.
-- @return it, and its index; or nil, message, code: TIMEOUT, CANCELLED, NOMEM
function completed.wait_any(list, ms)
  check_list(list, 1)
  local limit = fibers.limit(ms)
  local set, message, code = watch(list)
  if not set then
    return nil, message, code
  end
  local index
  index, message, code = set:next(limit)
  set:close()
  if not index then
    return nil, message, code
  end
  return list[index], index
end

--- Waits until all of them have ended, however they did.
-- @return true; or nil, message, code: TIMEOUT, CANCELLED (who waits), NOMEM
function completed.wait_all(list, ms)
  check_list(list, 0)
  local limit = fibers.limit(ms)
  local set, message, code = watch(list)
  if not set then
    return nil, message, code
  end
  while set.open > 0 or set.first <= set.last do
    local index
    index, message, code = set:next(limit)
    if not index then
      set:close()
      return nil, message, code
    end
  end
  return true
end

--- An iterator over them in the order in which they end: each, and its index in the list. Raises where a wait for the
-- next is in vain.
function completed.as_completed(list)
  check_list(list, 0)
  local set, trouble = watch(list)
  if not set then
    error("as_completed: " .. trouble, 2)
  end
  return function()
    if set.open == 0 and set.first > set.last then
      return nil
    end
    local index, message = set:next()
    if not index then
      set:close()
      error("as_completed: " .. message, 2)
    end
    return list[index], index
  end
end

return completed
