--- How streams are read: what has come and was not read yet is a string, `data` from `at` on. A read that fails leaves
-- it as it was.
-- @module iocp.reader
local core, fibers, scratch = require "iocp.core", require "iocp.fiber", require "iocp.scratch"
local private = require "iocp.private"
local find, sub, byte, concat = string.find, string.sub, string.byte, table.concat
local enter, park, said, yield, PARK = fibers.enter, fibers.park, fibers.failure, coroutine.yield, fibers.PARK
local current = fibers.current
local SIZE = scratch.SIZE
local reader = {}

-- ---- what comes -----------------------------------------------------------------------------------------------------

--- nil, message, code of an operation that has not begun.
local function refused(stream, message, code)
  if stream.is_closed then
    return nil, "it was closed meanwhile", "CLOSED"
  end
  return nil, message, code
end
reader.refused = refused

--- The same for the bytes of one that failed.
local function failure(stream, bytes)
  local code, message = core.describe(bytes)
  return refused(stream, message, code)
end
reader.failure = failure

--- The wait was in vain; its packet will come, and must not meet the next one.
local function give_up(stream)
  local overlapped = stream.slot
  if overlapped and not fibers.give_up(overlapped) then -- else it was closed meanwhile, or has come
    stream.slot = nil
    fibers.let_go(overlapped)
    stream.socket:cancel(overlapped)
  end
end

--- Begins to wait: the fiber, which is to yield then; or nil, message, code. What is parked is to have few frames on
-- its stack, so the yield is the caller's.
local function begin_wait(stream, limit)
  local me = enter()
  if stream.reader and stream.reader ~= me then
    error("another fiber reads from this stream: one at a time", 0)
  end
  local refusal = me.is_watched and fibers.refused(me)
  if refusal then
    return said(me, refusal)
  end
  local overlapped = stream.slot
  if not overlapped then
    overlapped = fibers.keep()
    stream.slot = overlapped
  end
  local ok, message, code = stream.socket:ready("read", overlapped)
  if not ok then
    return refused(stream, message, code)
  end
  stream.reader = me
  fibers.await_kept(me, overlapped, limit)
  return me
end

--- The wait has ended: true; or nil, message, code.
local function end_wait(stream, me, value)
  stream.reader = nil
  if type(value) == "string" then
    give_up(stream)
    return said(me, value)
  elseif value < 0 then
    return failure(stream, value)
  end
  return true
end

--- Waits until a receive would not: true; or nil, message, code.
function reader.wait(stream, limit)
  local me, message, code = begin_wait(stream, limit)
  if not me then
    return nil, message, code
  end
  return end_wait(stream, me, fibers.yield(me))
end

--- The stream is closed: it waits no more.
function reader.close(stream)
  local overlapped = stream.slot
  if overlapped then
    fibers.let_go(overlapped)
    stream.slot = nil
  end
end

--- The receive was to find something, and did not: it has the block. What comes is the stream's, whoever waits then.
local function wait_longer(stream, limit)
  local me = fibers.enter()
  local bytes
  local block = scratch.give_away(function(n, text)
    bytes = n
    stream.data = stream.data .. text
    stream.is_ended = stream.is_ended or n == 0
    fibers.wake(me, stream, true)
  end)
  stream.reader = me
  local value = park(me, stream, limit)
  stream.reader = nil
  if type(value) == "string" then
    stream.socket:cancel(block)
    return said(me, value)
  elseif bytes < 0 then
    return failure(stream, bytes)
  end
  local chunk = sub(stream.data, stream.at)
  stream.data, stream.at = "", 1
  return bytes > 0 and chunk or nil
end

--- What is there; nil: the end; or nil, message, code.
local function take(stream, limit)
  local bytes, message, code = stream.socket:receive(scratch.block(), SIZE, false)
  if bytes == true then
    stream.is_full = nil
    return wait_longer(stream, limit)
  elseif not bytes then
    return refused(stream, message, code)
  elseif bytes == 0 then
    stream.is_ended = true
    return nil
  end
  if bytes == SIZE then
    stream.is_full = true
  elseif stream.is_full then
    stream.is_full = nil
  end
  return scratch.read(0, bytes)
end

--- The next bytes; nil: the end; or nil, message, code.
local function receive(stream, limit)
  if stream.is_ended then
    return nil
  elseif not stream.is_full and (current() or stream.reader) then -- where no fiber runs only one can wait
    local me, message, code = begin_wait(stream, limit)
    if not me then
      return nil, message, code
    end
    local value = me.thread and yield(PARK) or fibers.yield(me)
    if value == 0 then
      stream.reader = nil
    else
      value, message, code = end_wait(stream, me, value)
      if not value then
        return nil, message, code
      end
    end
  end
  return take(stream, limit)
end
reader.receive = receive

-- What follows reads any stream, by `fill` of its class: as receive.

-- ---- pieces ---------------------------------------------------------------------------------------------------------

local MANY = 64

--- What was not read yet, as the first piece of a longer text.
local function begin(stream)
  local data = stream.data
  local first = stream.at > 1 and sub(data, stream.at) or data
  return { first, n = 1, size = #first }
end

--- Adds what comes next: it; nil: the end; or nil, message, code, and all is as it was.
local function add(stream, pieces, limit)
  stream.data, stream.at = "", 1
  local chunk, message, code = getmetatable(stream).fill(stream, limit)
  if not chunk then
    if code then
      pieces[pieces.n + 1] = stream.data
      stream.data = concat(pieces)
    end
    return nil, message, code
  end
  if pieces.n == MANY then
    pieces[1], pieces.n = concat(pieces, "", 1, MANY), 1
    for i = 2, MANY do
      pieces[i] = nil
    end
  end
  pieces.n, pieces.size = pieces.n + 1, pieces.size + #chunk
  pieces[pieces.n] = chunk
  return chunk
end

--- All of them; what is behind the first n bytes stays unread.
local function finish(stream, pieces, n)
  local text = concat(pieces)
  if n and n < #text then
    stream.data, stream.at = text, n + 1
    return sub(text, 1, n)
  end
  stream.data, stream.at = "", 1
  return text
end

--- Puts them back.
local function keep(stream, pieces)
  stream.data, stream.at = concat(pieces), 1
end

-- ---- the formats ----------------------------------------------------------------------------------------------------

local TOO_LONG = "the line is longer than %d bytes"

local function too_long(stream)
  return nil, TOO_LONG:format(stream.max_line), "EMSGSIZE"
end

--- The line that begins at `at`, without its end, and where its newline is; nothing: there is none. In C where
-- LuaJIT does not compile it.
local next_line = private.next_line
if rawget(_G, "jit") and jit.status() then
  function next_line(data, at)
    local last = find(data, "\n", at, true)
    if not last then
      return nil
    elseif last > at and byte(data, last - 1) == 13 then
      return sub(data, at, last - 2), last
    end
    return sub(data, at, last - 1), last
  end
end
reader.next_line = next_line

--- Takes a whole line, if one is there; nothing: none is; or nil, message, code.
local function take_line(stream, keeps_end)
  local data, at = stream.data, stream.at
  local line, last = next_line(data, at)
  if not line then
    return nil
  elseif last - at > stream.max_line then
    return too_long(stream)
  end
  if last == #data then
    stream.data, stream.at = "", 1
  else
    stream.at = last + 1
  end
  if keeps_end or stream.keeps_cr then
    return sub(data, at, keeps_end and last or last - 1)
  end
  return line
end

--- The end came before a newline did.
local function last_line(stream, pieces)
  local text = finish(stream, pieces)
  return text ~= "" and text or nil
end

local function wait_for_line(stream, keeps_end, limit)
  local pieces = begin(stream)
  while pieces.size <= stream.max_line do
    local chunk, message, code = add(stream, pieces, limit)
    if not chunk then
      if code then
        return nil, message, code
      end
      return last_line(stream, pieces)
    end
    if find(chunk, "\n", 1, true) then
      keep(stream, pieces)
      return take_line(stream, keeps_end)
    end
  end
  keep(stream, pieces)
  return too_long(stream)
end

function reader.line(stream, keeps_end, limit)
  local data = stream.data
  if data == "" then -- what comes mostly has a whole line
    local message, code
    data, message, code = getmetatable(stream).fill(stream, limit)
    if not data then
      return nil, message, code
    end
    stream.data, stream.at = data, 1
  end
  local line, message, code = take_line(stream, keeps_end)
  if line or code then
    return line, message, code
  end
  return wait_for_line(stream, keeps_end, limit)
end

--- n bytes; fewer only before the end, where there is at least one.
function reader.bytes(stream, n, limit)
  local data, at = stream.data, stream.at
  if at + n - 1 < #data then
    stream.at = at + n
    return sub(data, at, at + n - 1)
  end
  local pieces = begin(stream)
  while pieces.size < n or pieces.size == 0 do
    local chunk, message, code = add(stream, pieces, limit)
    if not chunk then
      if code then
        return nil, message, code
      end
      return last_line(stream, pieces)
    end
  end
  return finish(stream, pieces, n)
end

--- All until the end.
function reader.all(stream, limit)
  local pieces = begin(stream)
  while true do
    local chunk, message, code = add(stream, pieces, limit)
    if not chunk then
      if code then
        return nil, message, code
      end
      return finish(stream, pieces)
    end
  end
end

--- What is there, at most `max` bytes; waits only for the first.
function reader.some(stream, max, limit)
  if stream.data == "" then
    local chunk, message, code = getmetatable(stream).fill(stream, limit)
    if not chunk then
      return nil, message, code
    end
    stream.data, stream.at = chunk, 1
  end
  local data, at = stream.data, stream.at
  if at + max - 1 < #data then
    stream.at = at + max
    return sub(data, at, at + max - 1)
  end
  stream.data, stream.at = "", 1
  return at > 1 and sub(data, at) or data
end

return reader
