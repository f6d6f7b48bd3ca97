--- Streams: connected sockets, read and written as files are. reader.lua and writer.lua have how; connect.lua and
-- server.lua where they come from.
-- @classmod iocp.Stream
local core, fibers, scheduler = require "iocp.core", require "iocp.fiber", require "iocp.scheduler"
local private = require "iocp.private"
local reader, writer, options = require "iocp.reader", require "iocp.writer", require "iocp.options"
local clock, operate, results, said = core.clock, fibers.operate, fibers.results, fibers.failure
local concat, getmetatable, select, type = table.concat, getmetatable, select, type
local next_line, receive, write_first = reader.next_line, reader.receive, writer.write_first
local streams = {}

local LINGER = 5000 -- ms

-- Methods, and what few streams have otherwise.
local Stream = { max_line = 1048576, max_unsent = 65536, unsent = 0 }
local class = { __index = Stream, fill = receive } -- fill(stream, limit): the next bytes; see reader.lua
local classes = { [class] = true } -- and those that are made of it
private.stays(class, "iocp.Stream: it stays in its thread")

local function is_count(v)
  return type(v) == "number" and v >= 1 and v % 1 == 0
end

local function is_time(v)
  return type(v) == "number" and v >= 0
end

--- The options of streams, which those of connect and listen begin with.
streams.rules = {
  { "timeout", is_time, "milliseconds, a number from 0 on" },
  { "max_line", is_count, "bytes, an integer from 1 on" },
  { "max_unsent", is_count, "bytes, an integer from 1 on" },
  { "linger", is_time, "milliseconds, a number from 0 on" },
  { "nodelay", function(v) return type(v) == "boolean" end, "a boolean" },
}

local OWN = { timeout = "ms", max_line = "max_line", max_unsent = "max_unsent", linger = "linger" }

function streams.set_options(stream, given)
  for from, to in pairs(OWN) do
    if given[from] then
      stream[to] = given[from]
    end
  end
end

--- The stream of a connected socket that is associated with the scheduler's port.
function streams.new(socket, given, is_unix)
  if not is_unix and given.nodelay ~= false then
    socket:option("nodelay", true)
  end
  local host, port = socket:peer()
  local stream = setmetatable({
    socket = socket, host = host, port = port,
    data = "", at = 1, -- reader.lua has these, and slot and reader
    can_send = true, -- writer.lua
  }, class)
  streams.set_options(stream, given)
  private.own(socket, "iocp.Stream") -- with the stream, which alone has it
  return stream
end

-- ---- reading and writing --------------------------------------------------------------------------------------------

local function check_self(self)
  if not classes[getmetatable(self)] then
    options.refuse("self", "a stream", self, "; methods are called with a colon")
  end
end
streams.check_self = check_self

--- When an operation that begins now is to have ended; nil: whenever.
local function limit_of(stream)
  local ms = stream.ms
  return ms and clock() + ms
end

local function read(stream, format, limit)
  if format == "*l" or format == "l" or format == nil then
    return reader.line(stream, false, limit)
  elseif type(format) == "number" and format >= 0 and format % 1 == 0 then
    return reader.bytes(stream, format, limit)
  elseif format == "*L" or format == "L" then
    return reader.line(stream, true, limit)
  elseif format == "*a" or format == "a" then
    return reader.all(stream, limit)
  end
  options.check("format", format, false, '"l", "L", "a", each with or without a star, or how many bytes')
end

--- The results of a read, without what says nothing.
local function finish(value, message, code)
  if value ~= nil or not code then
    return value
  end
  return results(nil, message, code)
end

--- What keeps an operation from its begin: nothing; or true, nil, message, code.
local function hindrance(stream)
  if stream.is_closed then
    return true, nil, "the stream is closed", "CLOSED"
  end
  local left = fibers.left - 1
  fibers.left = left
  local code = left < 0 and operate()
  if code then
    return true, said(fibers.current(), code)
  end
end

--- Reads.
-- @param format "*l", a line without its end, which is "\n" or "\r\n"; "*L", a line as it is; "*a", all until the end;
-- how many bytes. Nothing: "*l"
-- @return a string; nil: the end; or nil, message, code: TIMEOUT, CANCELLED, CLOSED, EMSGSIZE (the line is too long),
-- ECONNRESET ... Then nothing was read
function Stream:read(format)
  if getmetatable(self) ~= class then
    check_self(self)
  elseif format == nil or format == "*l" then -- a line that is there
    local left, data, at = fibers.left, self.data, self.at
    if left > 0 and data == "" and not self.ms then
      local message, code
      data, message, code = receive(self)
      if not data then
        return finish(nil, message, code)
      end
      self.data, self.at, at, left = data, 1, 1, fibers.left
    end
    local line, last = next_line(data, at)
    if line and left > 0 and last - at <= self.max_line then
      fibers.left = left - 1
      if last == #data then
        self.data, self.at = "", 1
      else
        self.at = last + 1
      end
      return line
    end
  end
  local is_hindered, value, message, code = hindrance(self)
  if not is_hindered then
    value, message, code = read(self, format, limit_of(self))
  end
  return finish(value, message, code)
end

--- Reads what is there.
-- @param max bytes at most; nil: all of it
-- @return as read
function Stream:read_some(max)
  if getmetatable(self) ~= class then
    check_self(self)
  elseif max == nil and self.data == "" and fibers.left > 0 and not self.is_closed then -- what comes next
    local ms = self.ms
    local data, message, code = receive(self, ms and clock() + ms)
    if not data then
      return finish(nil, message, code)
    end
    fibers.left = fibers.left - 1
    return data
  end
  options.check("max", max, max == nil or is_count(max), "an integer from 1 on")
  local is_hindered, value, message, code = hindrance(self)
  if not is_hindered then
    value, message, code = reader.some(self, max or math.huge, limit_of(self))
  end
  return finish(value, message, code)
end

local RAISED = { TIMEOUT = true, EMSGSIZE = true }

--- Iterates over the lines that are to come, until the end, a cancel, or until the connection is lost. Raises what is
-- no reason to end, TIMEOUT and EMSGSIZE.
function Stream:lines(format)
  check_self(self)
  return function()
    local line, message, code = self:read(format)
    if RAISED[code] then
      error("lines: " .. message, 2)
    end
    return line
  end
end

--- What is written, as one string. Called by the method whose argument it is, and not in its tail: an error names it.
local function text_of(...)
  local n, parts = select("#", ...), { ... }
  for i = 1, n do
    local part = parts[i]
    if type(part) ~= "string" and type(part) ~= "number" then
      options.refuse("data", "strings and numbers", part)
    end
  end
  return concat(parts, "", 1, n)
end

--- Writes strings and numbers, one behind the other; each call is whole among others'. Waits while too much is unsent.
-- @return the stream; or nil, message, code: TIMEOUT, CANCELLED, CLOSED, EPIPE, ECONNRESET ... One that was cancelled
-- or timed out after part of it went out ends the write side: EPIPE from then on
function Stream:write(data, more, ...)
  if getmetatable(self) ~= class then
    check_self(self)
  end
  if more ~= nil or type(data) ~= "string" then
    data = more == nil and text_of(data) or text_of(data, more, ...)
  end
  local left = fibers.left
  if left > 0 and self.can_send then
    fibers.left = left - 1
    return write_first(self, data, self.ms)
  end
  local is_hindered, value, message, code = hindrance(self)
  if not is_hindered then
    value, message, code = writer.write(self, data, limit_of(self))
  end
  return finish(value, message, code)
end

--- Waits until all that was written is with the system.
-- @return the stream; or nil, message, code
function Stream:flush()
  check_self(self)
  local is_hindered, value, message, code = hindrance(self)
  if not is_hindered then
    value, message, code = writer.flush(self, limit_of(self))
  end
  return finish(value, message, code)
end

streams.write, streams.text_of, streams.hindrance, streams.finish = Stream.write, text_of, hindrance, finish
streams.limit_of = limit_of

-- ---- the rest -------------------------------------------------------------------------------------------------------

--- The time of each operation from now on.
-- @param ms nil: for ever
-- @return the stream
function Stream:timeout(ms)
  check_self(self)
  options.check("ms", ms, ms == nil or is_time(ms), "milliseconds, a number from 0 on, or nil")
  self.ms = ms ~= math.huge and ms or nil
  return self
end

--- Ends the write side, behind what was written.
-- @param side "write" (default) or "read"
-- @return true; or nil, message, code
function Stream:shutdown(side)
  check_self(self)
  if self.is_closed then
    return nil, "the stream is closed", "CLOSED"
  end
  options.check("side", side, side == nil or side == "write" or side == "read", '"write", "read" or nil')
  if side == "read" then
    return self.socket:shutdown("read")
  end
  return writer.shut(self)
end

--- Goes on in TLS, by LuaSec, which is loaded then.
-- @param context a table of what LuaSec's newcontext takes, or what that gave. For a client (mode "client", the default
-- with a name) the peer's certificate is to lead to one of cafile's or capath's (the system's, by default), and to be
-- for the name, unless verify is "none"
-- @param name the server's, which it is told; nil: this is the server
-- @return the stream, whose writes wait for the system from here on; or nil, message, code: EPROTO, TIMEOUT, CANCELLED
-- ... Then the connection is of no use
function Stream:starttls(context, name)
  check_self(self)
  local stream, message, code = require "iocp.tls"(self, context, name)
  return options.outcome(stream, message, code)
end

--- Closes: sends what was written, for as long as the option `linger` says, also in a cancelled fiber; what is unsent
-- then is dropped, and the peer told so.
-- @return true, again and again
function Stream:close()
  check_self(self)
  if self.is_closed then
    return true
  end
  self.is_closed, self.can_send, self.data, self.at = true, false, "", 1
  reader.close(self)
  if self.sends and not writer.flush(self, clock() + (self.linger or LINGER), true) then
    self.socket:option("linger", 0)
  end
  self.write_code, self.write_message = "CLOSED", "the stream is closed"
  self.socket:close()
  return true
end
class.__close = Stream.close

--- @return host, port of the peer, also after the end; of a unix socket path, 0
function Stream:peer()
  check_self(self)
  return self.host, self.port
end

--- @return host, port of its own end; or nil, message, code
function Stream:address()
  check_self(self)
  return self.socket:address()
end

function class:__tostring()
  return ("iocp.Stream: %s (%s)"):format(self.host and ("%s:%d"):format(self.host, self.port) or "?",
    self.is_closed and "closed" or "open")
end

--- A class of streams that are filled in another way, with `own` methods, and of sockets' streams what is no method and
-- those of these names.
function streams.derive(own, names, fill)
  local derived = { __index = own, fill = fill, __close = own.close }
  for name, value in pairs(Stream) do
    if type(value) ~= "function" and own[name] == nil then
      own[name] = value
    end
  end
  for _, name in ipairs(names) do
    own[name] = Stream[name]
  end
  classes[derived] = true
  private.stays(derived, "iocp.Stream: it stays in its thread")
  return derived
end

--- The scheduler's port, for those who make streams.
streams.port = scheduler.port
return streams
