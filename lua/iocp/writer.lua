--- How streams are written: each write is one send. What is not sent at once is copied by the library, in order; a
-- writer waits while more than `max_unsent` bytes are there, so that a slow reader holds its writer, and not memory.
-- @module iocp.writer
local core, fibers, scheduler = require "iocp.core", require "iocp.fiber", require "iocp.scheduler"
local condition = require "iocp.condition"
local park, said = fibers.park, fibers.failure
local pending = scheduler.pending
local writer = {}

-- `can_send`: nothing of what follows is in the way of a write. A stream with unsent bytes has `sends`: how many are
-- pending, and `unsent`, their bytes. What stands for one is { size, overlapped, transferred, is_over }: one that is
-- cancelled may end before others that began earlier. Who waits is
-- `waiter`, until `unsent` is at most `threshold`; only one fiber at a time does, whose turn it is (`turn`), and others
-- wait for it in `queue`. Once the write side has ended there are `write_code` and `write_message`.

local AGAIN = 50 -- ms
local BROKEN = "the stream's write side has ended"

--- nil, message, code for what a send returned.
local function refused(stream, message, code)
  if stream.is_closed then
    return nil, "the stream is closed", "CLOSED"
  elseif code == "ECANCELED" then -- a send was cut, and nothing can follow it
    return nil, BROKEN, "EPIPE"
  end
  return nil, message, code
end

-- ---- sends that are pending -----------------------------------------------------------------------------------------

--- Something of what keeps a write from being sent at once has begun, or ended.
local function settle(stream)
  stream.can_send = not (stream.sends or stream.turn or stream.write_code or stream.is_shut)
end
writer.settle = settle

--- A pending send has ended.
local function ended(stream, send, bytes)
  send.transferred = bytes
  if bytes >= 0 and bytes < send.size then -- which is to be no outcome of a send
    stream.write_code, stream.write_message = "EPIPE", BROKEN
  elseif bytes < 0 then
    local code, message, transferred = core.describe(bytes)
    send.transferred = transferred
    if code ~= "ECANCELED" then
      stream.write_code, stream.write_message = code, message
    elseif transferred > 0 then
      stream.write_code, stream.write_message = "EPIPE", BROKEN
    end
  end
  send.is_over = true
  stream.sends, stream.unsent = stream.sends - 1, stream.unsent - send.size
  if stream.sends == 0 then
    stream.sends = nil
    pending[stream.key] = nil
    if stream.is_shut and not stream.is_closed then
      stream.socket:shutdown("write")
    end
  end
  settle(stream)
  local waiter = stream.waiter
  if waiter and (stream.unsent <= stream.threshold or send.awaited) then
    fibers.wake(waiter, stream, true)
  end
end

local function note(stream, send)
  stream.sends, stream.unsent = (stream.sends or 0) + 1, stream.unsent + send.size
  stream.can_send = false
  return send
end

-- Not in `send`: what makes closures LuaJIT does not compile.
local function end_of(stream, send)
  return function(bytes) ended(stream, send, bytes) end
end

--- Sends it behind others that are pending: what stands for it; or nil, message, code.
local function send_behind(stream, data)
  local send = { size = #data, transferred = 0 }
  send.overlapped = fibers.expect(end_of(stream, send))
  local ok, message, code = stream.socket:send(data, send.overlapped)
  if not ok then
    fibers.forget(send.overlapped)
    return refused(stream, message, code)
  end
  return note(stream, send)
end

--- What a send gave before which none was pending: true: it is sent; or what stands for it; or nil, message, code.
local function first_send(stream, data, bytes, message, code)
  if bytes == true then
    local send = { size = #data, overlapped = 0, transferred = 0 }
    stream.key = tonumber(stream.socket:handle())
    pending[stream.key] = end_of(stream, send)
    return note(stream, send)
  elseif bytes then
    return true
  end
  return refused(stream, message, code)
end

--- Waits until at most `threshold` bytes are unsent: nil, or TIMEOUT, CANCELLED.
local function wait(stream, me, threshold, limit, shielded)
  while stream.unsent > threshold do
    stream.waiter, stream.threshold = me, threshold
    local value = park(me, stream, limit, shielded)
    stream.waiter = nil
    if type(value) == "string" then
      return value
    end
  end
  return nil
end

-- ---- turns ----------------------------------------------------------------------------------------------------------

--- Waits for the turn: nil, or TIMEOUT, CANCELLED.
function writer.take_turn(stream, me, limit, shielded)
  if not stream.turn then
    stream.turn, stream.can_send = true, false
    return nil
  end
  stream.queue = stream.queue or condition.new()
  return condition.await(stream.queue, me, limit, shielded) -- who wakes us leaves us the turn
end

function writer.pass_turn(stream)
  if not stream.queue or stream.queue:signal() == 0 then
    stream.turn = nil
    settle(stream)
  end
end

local take_turn, pass_turn = writer.take_turn, writer.pass_turn

-- ---- writing --------------------------------------------------------------------------------------------------------

--- Takes back a send that waited too long. Whether it was sent whole after all.
local function take_back(stream, me, one)
  one.awaited = true
  while not one.is_over do -- Wine's CancelIoEx now and then says that it has, and has not
    stream.socket:cancel(one.overlapped)
    stream.waiter, stream.threshold = me, -1
    park(me, stream, core.clock() + AGAIN, true)
    stream.waiter = nil
  end
  return one.transferred == one.size
end

--- Waits until little enough is unsent, behind a send of one's own.
local function wait_for_room(stream, me, one, limit)
  local code = wait(stream, me, stream.max_unsent, limit)
  local is_sent = one.is_over and one.transferred == one.size
  if is_sent or code and take_back(stream, me, one) then
    return stream
  elseif code then
    return said(me, code)
  elseif stream.write_code then
    return nil, stream.write_message, stream.write_code
  end
  return stream
end

local function write_in_turn(stream, me, data, limit)
  local code = wait(stream, me, stream.max_unsent, limit)
  if code then
    return said(me, code)
  elseif stream.write_code or stream.is_shut then
    return nil, stream.write_message or BROKEN, stream.write_code or "EPIPE"
  end
  local one, message
  if stream.sends then
    one, message, code = send_behind(stream, data)
  else
    one, message, code = first_send(stream, data, stream.socket:send(data, false))
  end
  if not one then
    return nil, message, code
  elseif one == true then
    return stream
  end
  return wait_for_room(stream, me, one, limit)
end

--- The write has to wait, for others or for room.
local function write_slowly(stream, data, limit)
  local me = fibers.enter()
  local code = fibers.refused(me) or take_turn(stream, me, limit)
  if code then
    return said(me, code)
  end
  local result, message
  result, message, code = write_in_turn(stream, me, data, limit)
  pass_turn(stream)
  return result, message, code
end

--- A large write is under way, and nothing else.
local function wait_for(stream, one, limit)
  local me = fibers.enter()
  stream.turn, stream.can_send = true, false
  local result, message, code = wait_for_room(stream, me, one, limit)
  pass_turn(stream)
  return result, message, code
end

--- Writes a string where nothing is in the way: the stream; or nil, message, code. `ms`: how long that may take.
function writer.write_first(stream, data, ms)
  local bytes, message, code = stream.socket:send(data, false)
  if bytes == #data then
    return stream
  end
  local one
  one, message, code = first_send(stream, data, bytes, message, code)
  if not one then
    return nil, message, code
  elseif one == true or one.size <= stream.max_unsent then
    return stream
  end
  return fibers.results(wait_for(stream, one, ms and core.clock() + ms))
end

--- Writes a string: the stream; or nil, message, code.
function writer.write(stream, data, limit)
  if stream.write_code or stream.is_shut then
    return nil, stream.write_message or BROKEN, stream.write_code or "EPIPE"
  elseif not stream.can_send then
    return write_slowly(stream, data, limit)
  end
  return writer.write_first(stream, data, stream.ms)
end

--- Ends the write side behind what is unsent: true; or nil, message, code.
function writer.shut(stream)
  if stream.is_shut then
    return true
  end
  stream.is_shut, stream.can_send = true, false
  if stream.sends then
    return true -- when they have ended: the system might drop them
  end
  return stream.socket:shutdown("write")
end

--- Waits until all is with the system: the stream; or nil, message, code.
function writer.flush(stream, limit, shielded)
  if stream.sends then
    local me = fibers.enter()
    local code = not shielded and fibers.refused(me) or take_turn(stream, me, limit, shielded)
    if not code then
      code = wait(stream, me, 0, limit, shielded)
      pass_turn(stream)
    end
    if code then
      return said(me, code)
    end
  end
  if stream.write_code then
    return nil, stream.write_message, stream.write_code
  end
  return stream
end

return writer
