--- How luasocket's connected sockets receive and send.
-- @module iocp.luasocket.buffer
local core, fibers, reader = require "iocp.core", require "iocp.fiber", require "iocp.reader"
local scheduler = require "iocp.scheduler"
local private = require "iocp.private"
local object, words = require "iocp.luasocket.object", require "iocp.luasocket.words"
local concat, sub, find, gsub = table.concat, string.sub, string.find, string.gsub
local buffer = {}

-- ---- receiving ------------------------------------------------------------------------------------------------------

--- More of what comes is there, if nothing is: nil; or the text of what failed.
local function fill(self, limit)
  if self.data ~= "" then
    return nil
  elseif not self.socket then
    return "closed"
  end
  local chunk, message, code = reader.receive(self, limit)
  if not chunk then
    return code and words.of(code, message) or "closed"
  end
  self.data, self.at = chunk, 1
  return nil
end

--- Takes what is there up to `last`.
local function take(self, last)
  local data, at = self.data, self.at
  self.received = self.received + last - at + 1
  if last == #data then
    self.data, self.at = "", 1
    return at == 1 and data or sub(data, at)
  end
  self.at = last + 1
  return sub(data, at, last)
end

--- buffer.take(self, pattern): what is asked for, where all of it is there already, as it mostly is, and nothing is to
-- be done to it; nil. `pattern`: nil or "*l", or how many bytes. In C where LuaJIT does not compile it.
buffer.take = private.take
if rawget(_G, "jit") and jit.status() then
  local next_line = reader.next_line
  function buffer.take(self, pattern)
    local data, at = self.data, self.at
    local text, last
    if pattern == nil or pattern == "*l" then
      text, last = next_line(data, at)
      if not text or find(text, "\r", 1, true) then
        return nil
      end
    elseif type(pattern) == "number" and pattern > 0 and at + pattern - 1 <= #data and pattern % 1 == 0 then
      last = at + pattern - 1
      text = sub(data, at, last)
    else
      return nil
    end
    self.received = self.received + last - at + 1
    if last == #data then
      self.data, self.at = "", 1
    else
      self.at = last + 1
    end
    return text
  end
end

--- n bytes behind those of `pieces`: nil; or the text of what failed. It waits for something even where n is 0.
local function receive_bytes(self, pieces, limit, n)
  repeat
    local failure = fill(self, limit)
    if failure then
      return failure
    end
    local chunk = take(self, math.min(self.at + n - 1, #self.data))
    n = n - #chunk
    pieces[#pieces + 1] = chunk
  until n <= 0
  return nil
end

--- A line, without its end and all its "\r".
local function receive_line(self, pieces, limit)
  while true do
    local failure = fill(self, limit)
    if failure then
      return failure
    end
    local last = find(self.data, "\n", self.at, true)
    local chunk = take(self, last or #self.data)
    if find(chunk, "\r", 1, true) then
      chunk = gsub(chunk, "\r", "")
    end
    pieces[#pieces + 1] = last and sub(chunk, 1, -2) or chunk
    if last then
      return nil
    end
  end
end

local function receive_all(self, pieces, limit)
  local is_something = false
  while true do
    local failure = fill(self, limit)
    if failure then
      return not (failure == "closed" and is_something) and failure or nil
    end
    is_something = true
    pieces[#pieces + 1] = take(self, #self.data)
  end
end

--- How to receive a pattern behind so many bytes of a prefix; and how many bytes.
local function receiver(pattern, size)
  local n = tonumber(pattern)
  if n then
    if n < 0 then
      words.refuse("receive", 1, "invalid receive pattern")
    end
    n = math.floor(n)
    return (size == 0 or n > size) and receive_bytes, n - size
  end
  local kind = pattern == nil and "*l" or sub(words.text("receive", 1, pattern), 1, 2)
  if kind == "*l" then
    return receive_line
  elseif kind == "*a" then
    return receive_all
  end
  words.refuse("receive", 1, "invalid receive pattern")
end

--- @return what was received behind the prefix; or nil, the text of what failed, and what was received until then
function buffer.receive(self, pattern, prefix)
  prefix = prefix == nil and "" or words.text("receive", 2, prefix)
  local receive, n = receiver(pattern, #prefix)
  if not receive then
    return prefix
  end
  local limit = object.limit(self)
  local failure = fill(self, limit)
  if failure then
    return nil, failure, prefix
  end
  local whole = buffer.take(self, n or pattern)
  if whole then
    return prefix == "" and whole or prefix .. whole
  end
  local pieces = { prefix }
  failure = receive(self, pieces, limit, n)
  local text = pieces[3] and concat(pieces) or prefix .. (pieces[2] or "")
  if failure then
    return nil, failure, text
  end
  return text
end

-- ---- sending --------------------------------------------------------------------------------------------------------

-- What the system does not take at once is with the library, which sends it as the system sends what is in its buffer:
-- at most one piece, which has been sent as far as the caller is told.
local PIECE = 16384
local pending = scheduler.pending
local LINGER = 5000 -- ms

--- A piece is the library's until its packet comes.
local function hold(self, socket)
  local key = tonumber(socket:handle())
  self.piece = key
  pending[key] = function(n)
    pending[key], self.piece = nil, nil
    if n < 0 then
      self.broken = core.describe(n)
    end
    if self.sender then
      fibers.wake(self.sender, key, true)
    end
  end
end

--- Begins to send: nil, and no piece is pending or this is; or the code of what failed.
local function begin(self, piece)
  local socket = self.socket
  local bytes, _, code = socket:send(piece, false)
  if bytes == true then
    hold(self, socket) -- not here: what makes closures LuaJIT does not compile
  elseif not bytes then
    return code
  end
  return nil
end

--- Waits until no piece is pending: nil; or the code of what failed.
local function settle(self, limit, shielded)
  while self.piece do
    if self.sender then
      error("another fiber sends through this socket: one at a time", 0)
    end
    local me = fibers.enter()
    local code = not shielded and fibers.refused(me)
    if not code then
      self.sender = me
      local value = fibers.park(me, self.piece, limit, shielded)
      self.sender = nil
      code = type(value) == "string" and value
    end
    if code then
      return code
    end
  end
  return self.broken
end

--- Sends data from i to j: nil, or the code of what failed; and how far it was sent.
local function send(self, data, i, j, limit)
  while i <= j do
    local code = self.piece and settle(self, limit) or self.broken
    if not code and not self.socket then
      code = "CLOSED"
    end
    local last = math.min(i + PIECE - 1, j)
    code = code or begin(self, (i > 1 or last < #data) and sub(data, i, last) or data)
    if code then
      return code, i - 1
    end
    self.sent = self.sent + last - i + 1
    i = last + 1
  end
  return nil, i - 1
end

--- @return the index of the last byte that was sent; or nil, the text of what failed, and that
function buffer.send(self, data, i, j)
  if type(data) == "string" and data ~= "" and #data <= PIECE and i == nil and j == nil and self.socket
    and not self.piece and not self.broken then
    local code = begin(self, data)
    if code then
      return nil, words.of(code, code), 0
    end
    self.sent = self.sent + #data
    return #data
  end
  data = words.text("send", 1, data)
  i, j = words.number("send", 2, i, 1), words.number("send", 3, j, -1)
  i = math.max(i < 0 and #data + i + 1 or i, 1)
  j = math.min(j < 0 and #data + j + 1 or j, #data)
  local code, last = send(self, data, i, j, object.limit(self))
  if code then
    return nil, words.of(code, code), last
  end
  return last
end

--- Waits for what is pending, as long as a close does; not for what another fiber sends, which fails by the close.
function buffer.flush(self)
  if self.sender then
    return
  elseif self.piece and not settle(self, core.clock() + LINGER, true) then
    return
  elseif self.piece then
    self.socket:option("linger", 0)
    pending[self.piece] = nil
  end
end

return buffer
