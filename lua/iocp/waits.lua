--- What waits in this module, inside fibers: iocp.sleep, thread:join, lookup:wait, process:wait, atomic:wait, and
-- heap:lock, which blocks; waits_port.lua has the gets of ports, waits_pool.lua what waits of pools and tasks,
-- shared_waits.lua what waits for dictionaries and ports with a capacity. Where no fiber runs the
-- methods are what they were.
-- @module iocp.waits
local core, private, fibers = require "iocp.core", require "iocp.private", require "iocp.fiber"
local await, options = require "iocp.await", require "iocp.options"
local clock, current, enter, park = core.clock, fibers.current, fibers.enter, fibers.park
local refused, refusal = fibers.refused, fibers.refusal
local methods = package.loaded["iocp.methods"]

local function put(class, name, method)
  private.put(methods[class], "iocp.methods\0" .. class, name, method)
end

-- ---- sleep ---------------------------------------------------------------------------------------------------------

local sleep = core.sleep

local function sleep_in_fiber(ms)
  if not current() or not (type(ms) == "number" and ms >= 0) then
    return sleep(ms) -- C refuses what is no time
  end
  local me = enter()
  local code = refused(me)
  if not code and ms == 0 then
    fibers.pause(me)
    return true
  elseif not code then
    local due = clock() + ms
    code = park(me, me, due)
    if code == "TIMEOUT" and not (me.deadline and me.deadline < due) then
      return true
    end
  end
  return refusal(me, code)
end

-- ---- what ends once: threads, lookups, children ---------------------------------------------------------------------

--- The method of a class that waits for the end of its objects.
local function replace_wait(class, name)
  local blocking, notify = methods[class][name], methods[class].notify
  local function look(object)
    return blocking(object, 0)
  end
  local function wait(me, object, limit)
    return await.packet(me, object, notify, limit)
  end
  put(class, name, function(self, ms)
    if not current() then
      return blocking(self, ms)
    end
    local limit = fibers.limit(ms)
    return await.found(enter(), self, look, wait, limit, nil, nil, look(self))
  end)
end

-- ---- atomic:wait ----------------------------------------------------------------------------------------------------

--- Who was woken has waited, whatever the value is by then.
local function replace_wait_of_atomics()
  local atomics = methods["iocp.Atomic"]
  local blocking, notify = atomics.wait, atomics.notify

  put("iocp.Atomic", "wait", function(self, expected, ms)
    if not current() then
      return blocking(self, expected, ms)
    end
    local limit, me = fibers.limit(ms), enter()
    local ok, message, code = blocking(self, expected, 0)
    if ok or code ~= "TIMEOUT" then
      return options.outcome(ok, message, code)
    end
    return await.allowed(me, self, function(object, port, key, overlapped)
      return notify(object, port, key, overlapped, expected)
    end, limit)
  end)
end

-- ---- heap:lock -----------------------------------------------------------------------------------------------------

local heap_methods = methods["iocp.Heap"]
local lock, unlock = heap_methods.lock, heap_methods.unlock
local held = {} -- by handle: how often fibers of this thread have locked it; fibers.locks is the sum

local function lock_counted(self)
  local ok, message, code = lock(self)
  if ok and current() then
    local handle = self:handle()
    held[handle], fibers.locks = (held[handle] or 0) + 1, fibers.locks + 1
  end
  return options.outcome(ok, message, code)
end

local function unlock_counted(self)
  local ok, message, code = unlock(self)
  local handle = ok and fibers.locks > 0 and self:handle()
  if handle and held[handle] then
    held[handle] = held[handle] > 1 and held[handle] - 1 or nil
    fibers.locks = fibers.locks - 1
  end
  return options.outcome(ok, message, code)
end

--- Whether a lock is held, of a heap that is still there.
function fibers.holds_lock()
  for handle, times in pairs(held) do
    if core.Heap.open(handle) then
      return true
    end
    held[handle], fibers.locks = nil, fibers.locks - times
  end
  return false
end

-- ---- what is there once it is used ----------------------------------------------------------------------------------

--- Has part `name` of iocp.shared_waits set up what it replaces, once that is there.
local function replace_waits_of(name)
  local function replace()
    require "iocp.shared_waits"[name](private[name])
  end
  if private[name] then
    replace()
  else
    private[name .. "_opened"] = replace
  end
end

-- ---- all of it -----------------------------------------------------------------------------------------------------

return function()
  private.put(core, "iocp", "sleep", sleep_in_fiber)
  require "iocp.waits_port"()
  put("iocp.Heap", "lock", lock_counted)
  put("iocp.Heap", "unlock", unlock_counted)
  replace_wait("iocp.Thread", "join")
  replace_wait("iocp.Lookup", "wait")
  replace_wait("iocp.Process", "wait")
  if private.pool_parts then
    require "iocp.waits_pool"
  else
    private.pools_opened = function() require "iocp.waits_pool" end
  end
  replace_wait_of_atomics()
  replace_waits_of "dict"
  replace_waits_of "limited"
end
