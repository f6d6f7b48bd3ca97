--- What waits in this module, inside fibers: iocp.sleep, the gets of ports, thread:join, task:wait, lookup:wait. Each
-- first looks, which never blocks, and yields until a packet says to look again. Where no fiber runs the methods are
-- what they were.
-- @module iocp.waits
local core, private, fibers = require "iocp.core", require "iocp.private", require "iocp.fiber"
local clock, current, enter, park = core.clock, fibers.current, fibers.enter, fibers.park
local refused, refusal = fibers.refused, fibers.refusal
local scheduler -- see the end
local methods = package.loaded["iocp.methods"]

-- ---- sleep ---------------------------------------------------------------------------------------------------------

local sleep = core.sleep
local function sleep_in_fiber(ms)
  if not current() then
    return sleep(ms)
  end
  if not (type(ms) == "number" and ms >= 0) then
    return sleep(ms) -- raises, as it does elsewhere
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

-- ---- what ends once: threads, tasks, lookups -----------------------------------------------------------------------

--- Waits for the packet that ask(port, overlapped) gives a timer for: nil; or the code, and a message if it is not the
-- fiber's.
local function wait_for_packet(me, limit, ask)
  local overlapped = fibers.expect(me)
  local timer, message, code = ask(scheduler.port(), overlapped)
  if not timer then
    fibers.forget(overlapped)
    return code, message
  end
  local value = park(me, overlapped, limit)
  if type(value) == "string" then
    if timer:cancel() then
      fibers.forget(overlapped)
    else
      fibers.give_up(overlapped)
    end
    return value
  end
  return nil
end

local function wait_for_end(me, object, limit)
  return wait_for_packet(me, limit, function(port, overlapped) return object:notify(port, 0, overlapped) end)
end

--- What the look gave, or what it gives when the object has ended.
local function await(me, object, look, limit, ...)
  local first, _, code = ...
  if first ~= nil or code ~= "TIMEOUT" then
    return ...
  end
  local message
  code = refused(me)
  if not code and limit and clock() >= limit then
    code = "TIMEOUT"
  elseif not code then
    code, message = wait_for_end(me, object, limit)
  end
  if message then
    return nil, message, code
  elseif code then
    return refusal(me, code)
  end
  return await(me, object, look, limit, look(object, 0))
end

local function wait_method(look, name)
  return function(self, ms)
    if not current() then
      return look(self, ms)
    end
    local limit = fibers.limit(ms, name)
    return await(enter(), self, look, limit, look(self, 0))
  end
end

-- ---- ports ---------------------------------------------------------------------------------------------------------

local sources = {} -- by handle: ports that fibers wait for, with the fibers in the order in which they came

local function next_waiter(source)
  while source.first <= source.last do
    local fiber = source[source.first]
    if fiber and fiber.waits == source then
      return fiber
    end
    source[source.first] = nil
    source.first = source.first + 1
  end
  return nil
end

--- Has the port say when there is something, if somebody waits: true; or nil, message, code.
local function arm(source)
  if source.timer or not next_waiter(source) then
    return true
  end
  local overlapped = fibers.expect(function()
    source.timer = nil
    local fiber = next_waiter(source)
    if fiber then
      fibers.wake(fiber, source, true)
    end
  end)
  local timer, message, code = source.port:notify(scheduler.port(), 0, overlapped)
  if not timer then
    fibers.forget(overlapped)
    return nil, message, code
  end
  source.timer, source.overlapped = timer, overlapped
  return true
end

--- One of those that waited has looked: the next one is to be told.
local function leave(source)
  if next_waiter(source) then
    arm(source)
  else
    if source.timer and source.timer:cancel() then
      fibers.forget(source.overlapped)
      source.timer = nil
    end
    if not source.timer then
      sources[source.handle] = nil
    end
  end
end

--- Waits until there may be something in the port: nil; or the code, and a message if it is not the fiber's.
local function wait_for_port(me, port, limit)
  local handle = port:handle()
  local source = sources[handle]
  if not source then
    source = { handle = handle, port = port, first = 1, last = 0 }
    sources[handle] = source
  end
  local index = source.last + 1
  source.last, source[index] = index, me
  me.waits = source -- arm looks for it
  local ok, message, code = arm(source)
  if not ok then
    me.waits, source[index] = nil, false
    return code, message
  end
  local value = park(me, source, limit)
  if type(value) == "string" then
    leave(source)
    return value
  end
  return nil
end

local function is_own(port)
  local own = scheduler.port()
  return port == own
end

--- What a look gave, or what a later one gives. look(port, max, batch)
local function get(me, port, look, limit, max, batch, ...)
  local first, _, code = ...
  local source = sources[port:handle()]
  if source then
    leave(source)
  end
  if first ~= nil or code ~= "TIMEOUT" then
    return ...
  end
  local message
  code = refused(me)
  if not code and limit and clock() >= limit then
    code = "TIMEOUT"
  elseif not code and is_own(port) then
    code = scheduler.wait_for_packet(me, limit)
  elseif not code then
    code, message = wait_for_port(me, port, limit)
  end
  if message then
    return nil, message, code
  elseif code then
    return refusal(me, code)
  end
  return get(me, port, look, limit, max, batch, look(port, max, batch))
end

local port_methods = methods["iocp.IOCompletionPort"]
local probe = core.IOCompletionPort()
local _ = probe.dequeue -- so that LuaJIT's compiled methods are there, if they are to be: see late.c
probe:close()
local dequeue, receive = port_methods.dequeue, port_methods.receive
local dequeue_many, receive_many, packets = port_methods.dequeue_many, port_methods.receive_many, port_methods.packets
local MESSAGE = core.MESSAGE

--- nil, message, MESSAGE, values... as dequeue has it.
local function message_met(_, ...)
  return nil, "a message: port:receive gives its values", "MESSAGE", ...
end

--- Looks, in the scheduler's own port: its packets are what the loop has taken and is not its own.
local own_look = {
  dequeue = function(port)
    local found, key, bytes, overlapped = scheduler.take()
    if not found then
      return nil, nil, "TIMEOUT"
    elseif overlapped == MESSAGE then
      return message_met(port:unpack(key))
    elseif bytes < 0 then
      local name, text, transferred = core.describe(bytes)
      return nil, text, name, key, transferred, overlapped
    end
    return key, bytes, overlapped
  end,
  receive = function(port)
    local found, key, bytes, overlapped = scheduler.take()
    if not found then
      return nil, nil, "TIMEOUT"
    elseif overlapped == MESSAGE then
      return port:unpack(key)
    end
    return nil, "a packet that enqueue posted", "RAW", key, bytes, overlapped
  end,
  dequeue_many = function(_, max, batch)
    local n, found, key, bytes, overlapped = 0, scheduler.take()
    batch = batch or {}
    while found do
      batch[3 * n + 1], batch[3 * n + 2], batch[3 * n + 3] = key, bytes, overlapped
      n = n + 1
      if n >= max then
        break
      end
      found, key, bytes, overlapped = scheduler.take()
    end
    if n == 0 then
      return nil, nil, "TIMEOUT"
    end
    return batch, n
  end,
}

--- What a message's values become in receive_many's list.
local function pack_message(ok, ...)
  if ok then
    return { n = select("#", ...), ... }
  end
  local text, code, key, bytes, overlapped = ...
  return { n = 0, text, code = code, key = key, bytes = bytes, overlapped = overlapped }
end

function own_look.receive_many(port, max)
  local list, n = {}, 0
  while n < max do
    local message = pack_message(own_look.receive(port))
    if message.code == "TIMEOUT" then
      break
    end
    n = n + 1
    list[n] = message
  end
  if n == 0 then
    return nil, nil, "TIMEOUT"
  end
  return list, n
end

local looks = {
  dequeue = function(port) return dequeue(port, 0) end,
  receive = function(port) return receive(port, 0) end,
  dequeue_many = function(port, max, batch) return dequeue_many(port, max, 0, batch) end,
  receive_many = function(port, max) return receive_many(port, max, 0) end,
}

--- Gets within a fiber.
local function get_in_fiber(name, port, ms, max, batch)
  local limit, me = fibers.limit(ms, name), enter()
  local code = refused(me)
  if code then
    return refusal(me, code)
  end
  local look = looks[name]
  if is_own(port) then
    look = own_look[name]
  end
  return get(me, port, look, limit, max, batch, look(port, max, batch))
end

local replaced = {
  dequeue = function(self, ms)
    if not current() then
      return dequeue(self, ms)
    end
    return get_in_fiber("dequeue", self, ms)
  end,
  receive = function(self, ms)
    if not current() then
      return receive(self, ms)
    end
    return get_in_fiber("receive", self, ms)
  end,
  dequeue_many = function(self, max, ms, batch)
    if not current() then
      return dequeue_many(self, max, ms, batch)
    end
    return get_in_fiber("dequeue_many", self, ms, max, batch)
  end,
  receive_many = function(self, max, ms)
    if not current() then
      return receive_many(self, max, ms)
    end
    return get_in_fiber("receive_many", self, ms, max)
  end,
}

local ENDS = { CLOSED = true, ABANDONED = true, CANCELLED = true }

--- In a fiber the iterator takes one packet at a time.
function replaced.packets(self, batch)
  if not current() then
    return packets(self, batch)
  end
  local one = {}
  return function()
    local got, message, code = self:dequeue_many(1, nil, one)
    if got then
      return one[1], one[2], one[3]
    elseif not ENDS[code] then
      error("packets: " .. message, 2)
    end
  end
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
  return ok, message, code
end

local function unlock_counted(self)
  local ok, message, code = unlock(self)
  local handle = ok and fibers.locks > 0 and self:handle()
  if handle and held[handle] then
    held[handle] = held[handle] > 1 and held[handle] - 1 or nil
    fibers.locks = fibers.locks - 1
  end
  return ok, message, code
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

-- ---- all of it -----------------------------------------------------------------------------------------------------

local function replace_waits_of_tasks()
  local tasks = methods["iocp.Task"]
  tasks.wait = wait_method(tasks.wait, "wait")
end

--- Has part `name` of iocp.shared_waits set up what it replaces, once that is there.
local function replace_waits_of(name)
  local function replace()
    require "iocp.shared_waits"[name](wait_for_packet, private[name])
  end
  if private[name] then
    replace()
  else
    private[name .. "_opened"] = replace
  end
end

return function(its_scheduler)
  scheduler = its_scheduler
  core.sleep = sleep_in_fiber
  for name, method in pairs(replaced) do
    port_methods[name] = method
  end
  heap_methods.lock, heap_methods.unlock = lock_counted, unlock_counted
  local threads, lookups = methods["iocp.Thread"], methods["iocp.Lookup"]
  threads.join, lookups.wait = wait_method(threads.join, "join"), wait_method(lookups.wait, "wait")
  if rawget(core, "Pool") then
    replace_waits_of_tasks()
  else
    private.pools_opened = replace_waits_of_tasks
  end
  replace_waits_of "shared"
  replace_waits_of "limited"
end
