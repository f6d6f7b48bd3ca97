--- iocp.datagram: a socket for datagrams.
-- @classmod iocp.Datagram
local core, fibers, streams = require "iocp.core", require "iocp.fiber", require "iocp.stream"
local private = require "iocp.private"
local options, reader, scratch = require "iocp.options", require "iocp.reader", require "iocp.scratch"
local check = options.check

local Datagram = {} -- methods
local class = { __index = Datagram }
private.stays(class, "iocp.Datagram: it stays in its thread")

local rules = {
  { "timeout", function(v) return type(v) == "number" and v >= 0 end, "milliseconds, a number from 0 on" },
  { "broadcast", function(v) return type(v) == "boolean" end, "a boolean" },
}

local function check_self(self)
  if getmetatable(self) ~= class then
    options.refuse("self", "a datagram socket", self, "; methods are called with a colon")
  end
end

local function limit_of(self)
  return self.ms and core.clock() + self.ms
end

--- Takes one, which is there: its data, host, port; false: it is not; or nil, message, code.
local function take(self)
  local bytes, message, code = self.socket:receive_from(scratch.block(), scratch.LARGEST, false)
  if bytes == true then -- it had a wrong checksum, or somebody else took it
    self.socket:cancel(scratch.give_away(function() end))
    return false
  elseif not bytes then
    return reader.refused(self, message, code)
  end
  local host, port = scratch.peer()
  return scratch.read(core.PEER, bytes), host, port
end

--- Waits for the next one.
-- @return its data, and host, port of its sender; or nil, message, code: TIMEOUT, CANCELLED, CLOSED, EMSGSIZE: it was
-- larger than any may be
function Datagram:receive()
  check_self(self)
  local limit = limit_of(self)
  if self.is_closed then
    return nil, "the socket is closed", "CLOSED"
  end
  local ok, message, code
  repeat
    ok, message, code = reader.wait(self, limit)
    if ok then
      ok, message, code = take(self)
    end
  until ok ~= false
  if ok then
    return ok, message, code
  end
  return fibers.results(nil, message, code)
end

--- Waits until the system has taken it.
local function send(self, me, block, size, limit)
  local bytes, message, code = self.socket:send_to(block, size, false)
  if bytes ~= true then
    scratch.free(block)
    return bytes, message, code
  end
  local sent
  scratch.when_sent(block, function(n)
    sent = n
    fibers.wake(me, block, true)
  end)
  local value = fibers.park(me, block, limit)
  if type(value) == "string" then
    self.socket:cancel(block)
    return fibers.failure(me, value)
  elseif sent < 0 then
    return reader.failure(self, sent)
  end
  return true
end

--- Sends one.
-- @param data a string
-- @param host digits
-- @param port its number
-- @return true; or nil, message, code
function Datagram:send(data, host, port)
  check_self(self)
  check("data", data, type(data) == "string", "a string")
  if self.is_closed then
    return nil, "the socket is closed", "CLOSED"
  end
  local me = fibers.enter()
  local code = fibers.refused(me)
  if code then
    return fibers.refusal(me, code)
  end
  if #data > scratch.LARGEST then
    return nil, ("%d bytes are more than a datagram has"):format(#data), "EMSGSIZE"
  end
  local block, message
  block, message, code = scratch.outgoing(data, host, port)
  if not block then
    return nil, message, code
  end
  local ok
  ok, message, code = send(self, me, block, #data, limit_of(self))
  if ok then
    return true
  end
  return fibers.results(nil, message, code)
end

--- The time of each operation from now on; nil: for ever.
-- @return the socket
function Datagram:timeout(ms)
  check_self(self)
  check("ms", ms, ms == nil or type(ms) == "number" and ms >= 0, "milliseconds, a number from 0 on, or nil")
  self.ms = ms ~= math.huge and ms or nil
  return self
end

--- @return true, again and again
function Datagram:close()
  check_self(self)
  if not self.is_closed then
    self.is_closed = true
    reader.close(self)
    self.socket:close()
  end
  return true
end
class.__close = Datagram.close

--- @return host, port of its own
function Datagram:address()
  check_self(self)
  return self.socket:address()
end

--- As socket:option.
function Datagram:option(name, ...)
  check_self(self)
  return self.socket:option(name, ...)
end

--- A socket that sends and receives datagrams.
-- @param host where it receives: digits, "*" or nil for any
-- @param port nil or 0: the system chooses
-- @param given options: timeout (ms, of each operation), broadcast
-- @return the socket; or nil, message, code
return function(host, port, given)
  given = options.read(given, rules)
  local is_inet6 = host ~= nil and tostring(host):find(":", 1, true) ~= nil
  local socket, message, code = core.Socket(is_inet6 and "inet6" or "inet", "datagram")
  if not socket then
    return nil, message, code
  end
  local ok = true
  if given.broadcast then
    ok, message, code = socket:option("broadcast", true)
  end
  if ok then
    ok, message, code = socket:bind(host, port)
  end
  if ok then
    ok, message, code = socket:associate(streams.port())
  end
  if not ok then
    socket:close()
    return nil, message, code
  end
  private.own(socket, "iocp.Datagram")
  return setmetatable({ socket = socket, ms = given.timeout }, class)
end
