--- The compiled methods of ports: see iocp.jit.
-- @module iocp.jit.port
local fast, core, ffi = require "iocp.jit.fast", require "iocp.core", require "ffi"
local getmetatable, pcall, tonumber, type = getmetatable, pcall, tonumber, type
local C, BATCH, EXACT, INTERRUPTED = fast.C, fast.BATCH, fast.EXACT, fast.INTERRUPTED
local c_enqueue, c_enqueue_many, c_dequeue_many = C.iocp_jit_enqueue, C.iocp_jit_enqueue_many, C.iocp_jit_dequeue_many
local c_clock = C.iocp_jit_clock
local is_integer, object_of, texts, names = fast.is_integer, fast.object_of, fast.texts, fast.names
local left, taken, packets_type, parts = fast.left, fast.taken, fast.packets_type, fast.parts
local packets, count = taken.packets + 0, ffi.new("size_t[1]")
local hand_out, hand_out_in_loop, fill_classic = parts.hand_out, parts.hand_out_in_loop, parts.fill
local give_back = parts.give_back
local class, classic = fast.class "IOCompletionPort"

local MESSAGE = core.MESSAGE or EXACT
local TIMEOUT = -1
-- Waits on Windows run the host's asynchronous procedure calls, and one that is a callback must not run where
-- compiled code is under way (src/windows/wait.c). There a method only looks, and the classic one, which the
-- interpreter calls, waits.
local WAITS = ffi.os ~= "Windows"

local methods = {}

-- ---- packets --------------------------------------------------------------------------------------------------------

--- Whether a packet can be handed out as three numbers. The key and the overlapped are signed here, since the
-- processor turns those into numbers in one step.
local function is_plain(p)
  local key, overlapped = p.key, p.overlapped
  return p.code == 0 and key >= 0 and key < EXACT
    and (overlapped == 0 or overlapped > 0 and overlapped < EXACT and overlapped ~= MESSAGE)
end

local function values(p)
  local overlapped = p.overlapped
  if overlapped == 0 then
    return tonumber(p.key), p.bytes, nil
  end
  return tonumber(p.key), p.bytes, tonumber(overlapped)
end

--- Whether the bytes and the overlapped of a post are such numbers.
local function are_plain(bytes, overlapped)
  return (bytes == nil or is_integer(bytes, 2 ^ 32))
    and (overlapped == nil or is_integer(overlapped, EXACT) and overlapped ~= MESSAGE)
end

-- ---- posting --------------------------------------------------------------------------------------------------------

local classic_enqueue = classic.enqueue
function methods.enqueue(self, key, bytes, overlapped)
  local port = object_of(self, class)
  if port and is_integer(key, EXACT) and are_plain(bytes, overlapped) then
    local code = c_enqueue(port, key, bytes or 0, overlapped or 0)
    if code == 0 then
      return true
    elseif code < 0 then
      return nil, texts[code], names[code]
    end
  end
  return classic_enqueue(self, key, bytes, overlapped)
end

local posted -- BATCH packets, made when first needed

--- Writes `n` packets with these keys; false if one is no plain key.
local function write_keys(keys, n, bytes, overlapped)
  for i = 1, n do
    local key = keys[i]
    if not is_integer(key, EXACT) then
      return false
    end
    local p = posted[i - 1]
    p.key, p.overlapped, p.bytes, p.code = key, overlapped, bytes, 0
  end
  return true
end

local classic_enqueue_many = classic.enqueue_many
function methods.enqueue_many(self, keys, bytes, overlapped)
  local port = object_of(self, class)
  if port and left.busy == 0 and type(keys) == "table" and getmetatable(keys) == nil and #keys <= BATCH
    and are_plain(bytes, overlapped) then
    local n = #keys
    posted = posted or ffi.new(packets_type, BATCH)
    left.busy = 1
    local code = write_keys(keys, n, bytes or 0, overlapped or 0) and c_enqueue_many(port, posted, n) or 1
    left.busy = 0
    if code == 0 then
      return n
    elseif code < 0 then
      return nil, texts[code], names[code]
    end
  end
  return classic_enqueue_many(self, keys, bytes, overlapped)
end

-- ---- getting --------------------------------------------------------------------------------------------------------

--- Takes up to `max` packets within `ms` (-1: for ever): the code, and what is left of the time if the classic method
-- is to go on. `busy` is set from then on. The clock is asked only where there is nothing at once.
local function take(port, max, ms)
  left.busy = 1
  local code = c_dequeue_many(port, packets, max, count, (ms > 0 or not WAITS) and 0 or ms)
  if code == TIMEOUT and ms > 0 and WAITS then
    local started = c_clock()
    code = c_dequeue_many(port, packets, max, count, ms)
    if code == INTERRUPTED then
      local rest = started + ms - c_clock()
      return code, rest > 0 and rest or 0
    end
  end
  return code, ms
end

--- Whether a get may take packets itself. What a broken-off loop left goes back to its port first.
local function is_free()
  return left.busy == 0 and (left.newest == nil or give_back())
end

local function is_time(ms)
  return ms == nil or type(ms) == "number" and ms >= 0
end

--- What is left of a time for the classic method.
local function or_nil(ms)
  return ms >= 0 and ms or nil
end

--- Whether a get that ended with this code has ended; else the classic method gets.
local function has_ended(code, ms)
  return code < 0 and code ~= INTERRUPTED and (WAITS or ms == 0 or code ~= TIMEOUT)
end

local classic_dequeue = classic.dequeue
function methods.dequeue(self, ms)
  local port = object_of(self, class)
  if not port or not is_time(ms) or not is_free() then
    return classic_dequeue(self, ms)
  end
  local code, rest = take(port, 1, ms or -1)
  if code == 0 then
    if is_plain(packets[0]) then
      local key, bytes, overlapped = values(packets[0])
      left.busy = 0
      return key, bytes, overlapped
    end
    return hand_out(self)
  end
  left.busy = 0
  if has_ended(code, ms) then
    return nil, texts[code], names[code]
  end
  return classic_dequeue(self, or_nil(rest))
end

--- Writes `n` packets into a flat batch; false if one of them is not plain.
local function fill(batch, from, n)
  for i = 0, n - 1 do
    local p = from[i]
    if not is_plain(p) then
      return false
    end
    local last = i + i + i -- 3 * i would not stay an integer
    batch[last + 1], batch[last + 2], batch[last + 3] = values(p)
  end
  return true
end

local classic_dequeue_many = classic.dequeue_many
function methods.dequeue_many(self, max, ms, batch)
  local port = object_of(self, class)
  if not port or not is_integer(max, BATCH + 1) or max == 0 or not is_time(ms)
    or not (batch == nil or type(batch) == "table" and getmetatable(batch) == nil) or not is_free() then
    return classic_dequeue_many(self, max, ms, batch)
  end
  local into = batch or {}
  local code, rest = take(port, max, ms or -1)
  if code == 0 then
    local n = tonumber(count[0])
    local fine, filled = pcall(fill, into, packets, n)
    if fine and filled then
      left.busy = 0
      return into, n
    end
    return fill_classic(self, n, into) -- also where memory was out: it says so, and loses nothing
  end
  left.busy = 0
  if has_ended(code, ms) then
    return nil, texts[code], names[code]
  end
  return classic_dequeue_many(self, max, or_nil(rest), batch)
end

-- ---- packets() ------------------------------------------------------------------------------------------------------

local classic_packets = classic.packets
local classic_next = setmetatable({}, { __mode = "k" }) -- by the port: one iterator, however often its loop waits

local function next_packet(self)
  local port = object_of(self, class)
  if port and is_free() then
    local code = take(port, 1, -1)
    if code == 0 then
      if is_plain(packets[0]) then
        local key, bytes, overlapped = values(packets[0])
        left.busy = 0
        return key, bytes, overlapped
      end
      return hand_out_in_loop(self)
    end
    left.busy = 0
  end
  local iterate = classic_next[self]
  if not iterate then
    iterate = classic_packets(self)
    classic_next[self] = iterate
  end
  return iterate() -- waits, ends the loop, raises, or takes what is not plain
end

--- With a batch the classic iterator gives back what a loop that is left has not used.
function methods.packets(self, batch)
  if object_of(self, class) and (batch == nil or batch == 1) then
    return next_packet, self
  end
  return classic_packets(self, batch)
end

return function()
  return methods
end
