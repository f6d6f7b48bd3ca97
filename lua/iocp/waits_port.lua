--- The gets of ports inside fibers: iocp.waits' part for them. A packet of another port is picked, which leaves the
-- thread one of the scheduler's own port; of the scheduler's own it is what the loop has taken and is not its own.
-- @module iocp.waits_port
local core, private, fibers = require "iocp.core", require "iocp.private", require "iocp.fiber"
local await, scheduler = require "iocp.await", require "iocp.scheduler"
local options = require "iocp.options"
local current, enter, pick = fibers.current, fibers.enter, private.pick
local MESSAGE = core.MESSAGE

local methods = package.loaded["iocp.methods"]["iocp.IOCompletionPort"]
local probe = core.IOCompletionPort()
local _ = probe.dequeue -- so that LuaJIT's compiled methods are there, if they are to be: see late.c
probe:close()
local blocking = {}
for _, name in ipairs { "dequeue", "receive", "dequeue_many", "receive_many", "packets" } do
  blocking[name] = methods[name]
end

local sources = await.sources(methods.notify)

local function is_own(port)
  return port == scheduler.port()
end

--- A packet: key, bytes, overlapped; or nil, message, code.
local function take(port)
  if is_own(port) then
    return scheduler.take()
  end
  return pick(port)
end

--- What the look found; whose turn it was has had it.
local function looked(port, ...)
  await.leave(sources, port)
  return ...
end

-- ---- what a packet is to each get -----------------------------------------------------------------------------------

local NO_NUMBER = "the packet's key does not fit a number of this Lua"

--- nil, message, code, key, bytes, overlapped of a packet that is no success, or nothing.
local function trouble(key, bytes, overlapped)
  if bytes < 0 then
    local name, text, transferred = core.describe(bytes)
    return nil, text, name, key, transferred, overlapped
  elseif type(key) == "string" then
    return nil, NO_NUMBER, "INVALID", key, bytes, overlapped
  end
end

--- nil, message, MESSAGE, values... as dequeue has it.
local function message_met(ok, ...)
  if not ok then
    return nil, ...
  end
  return nil, "a message that was posted with send: receive takes it", "MESSAGE", ...
end

local function as_dequeue(port, key, bytes, overlapped)
  if not key then
    return nil, bytes, overlapped
  elseif overlapped == MESSAGE then
    return message_met(port:unpack(key))
  elseif bytes < 0 or type(key) == "string" then
    return trouble(key, bytes, overlapped)
  end
  return key, bytes, overlapped
end

local function as_receive(port, key, bytes, overlapped)
  if not key then
    return nil, bytes, overlapped
  elseif overlapped == MESSAGE then
    return port:unpack(key)
  elseif bytes < 0 or type(key) == "string" then
    return trouble(key, bytes, overlapped)
  end
  return nil, "a packet that was posted with enqueue, not send", "RAW", key, bytes, overlapped
end

--- What it becomes in receive_many's list.
local function as_entry(ok, ...)
  if ok then
    return { n = select("#", ...), ... }
  end
  local text, code, key, bytes, overlapped = ...
  if code == "RAW" then
    return { n = 3, key, bytes, overlapped, code = code }
  elseif key then -- a failed operation
    return { n = 6, nil, text, code, key, bytes, overlapped, code = "RAW" }
  end
  return { n = 1, text, code = code }
end

--- Calls keep(n, key, bytes, overlapped) for up to `max` packets that are there: how many; or nil, message, code.
local function take_many(port, max, keep)
  local n, key, bytes, overlapped = 0, take(port)
  while key do
    n = n + 1
    keep(n, key, bytes, overlapped)
    if n == max then
      break
    end
    key, bytes, overlapped = take(port)
  end
  if n == 0 then
    return nil, bytes, overlapped
  end
  return n
end

-- ---- looks ----------------------------------------------------------------------------------------------------------

local looks = {}

function looks.dequeue(port)
  return looked(port, as_dequeue(port, take(port)))
end

function looks.receive(port)
  return looked(port, as_receive(port, take(port)))
end

function looks.dequeue_many(port, max, batch)
  batch = batch or {}
  local n, message, code = take_many(port, max, function(i, key, bytes, overlapped)
    batch[3 * i - 2], batch[3 * i - 1], batch[3 * i] = key, bytes, overlapped
  end)
  if n then
    return looked(port, batch, n)
  end
  return looked(port, nil, message, code)
end

function looks.receive_many(port, max)
  local list = {}
  local n, message, code = take_many(port, max, function(i, ...)
    list[i] = as_entry(as_receive(port, ...))
  end)
  if n then
    return looked(port, list, n)
  end
  return looked(port, nil, message, code)
end

-- ---- gets -----------------------------------------------------------------------------------------------------------

local function wait(me, port, limit)
  if is_own(port) then
    return scheduler.wait_for_packet(me, limit)
  end
  return await.turn(me, sources, port, limit)
end

local function get(name, port, limit, max, batch)
  local me, look = enter(), looks[name]
  local code = fibers.refused(me)
  if code then
    return fibers.refusal(me, code)
  end
  return await.found(me, port, look, wait, limit, max, batch, look(port, max, batch))
end

local replaced = {}

for _, name in ipairs { "dequeue", "receive" } do
  local method = blocking[name]
  replaced[name] = function(self, ms)
    if not current() or type(self) ~= "userdata" then
      return method(self, ms)
    end
    local limit = fibers.limit(ms)
    return get(name, self, limit)
  end
end

local MOST = { dequeue_many = 715827882, receive_many = 16384 } -- as C's

--- Whether it is an integer from 1 on; LuaJIT's 64-bit integers are left to C.
local function is_count(value, most)
  return type(value) == "number" and value >= 1 and value <= most and value % 1 == 0 or type(value) == "cdata"
end

local function check_max(name, max)
  if not is_count(max, MOST[name]) then
    options.refuse("max", "an integer from 1 to " .. MOST[name], max)
  end
end

function replaced.dequeue_many(self, max, ms, batch)
  check_max("dequeue_many", max)
  if not current() or type(self) ~= "userdata" then
    return blocking.dequeue_many(self, max, ms, batch)
  end
  local limit = fibers.limit(ms)
  return get("dequeue_many", self, limit, max, batch)
end

function replaced.receive_many(self, max, ms)
  check_max("receive_many", max)
  if not current() or type(self) ~= "userdata" then
    return blocking.receive_many(self, max, ms)
  end
  local limit = fibers.limit(ms)
  return get("receive_many", self, limit, max)
end

local ENDS = { CLOSED = true, ABANDONED = true, CANCELLED = true }

--- In a fiber the iterator takes one packet at a time.
function replaced.packets(self, batch)
  options.check("self", self, type(self) == "userdata", "iocp.IOCompletionPort",
    "; methods are called with a colon: port:packets()")
  options.check("batch", batch, batch == nil or is_count(batch, MOST.dequeue_many),
    "an integer from 1 to " .. MOST.dequeue_many)
  if not current() then
    return blocking.packets(self, batch)
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

return function()
  for name, method in pairs(replaced) do
    private.put(methods, "iocp.methods\0iocp.IOCompletionPort", name, method)
  end
end
