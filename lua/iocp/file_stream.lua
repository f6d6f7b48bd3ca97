--- Files, pipes and terminals as streams: iocp.open_file, read_file, write_file, stdin, stdout and stderr. What is read
-- and written, and how, is as of sockets (reader.lua, writer.lua); a file also has a place where it is at.
-- @classmod iocp.FileStream
local core, fibers, streams = require "iocp.core", require "iocp.fiber", require "iocp.stream"
local private = require "iocp.private"
local reader, writer, scratch = require "iocp.reader", require "iocp.writer", require "iocp.scratch"
local options = require "iocp.options"
local park, said = fibers.park, fibers.failure
local check = options.check

local LINGER = 5000 -- ms
local UNSENT = 65536 -- bytes, of a pipe

-- A stream of a file has `file`, and `place`: where the next read or write that begins is at; nil: it has no places.
-- `keeps_cr`: only "\n" ends a line. `blocking`: io's file instead.
local FileStream = { keeps_cr = true }

-- ---- reading --------------------------------------------------------------------------------------------------------

--- A read goes on with the block. What comes is the stream's, whoever waits then: { bytes, text }.
local function go_on(stream)
  local reading = {}
  scratch.give_away(function(bytes, text)
    reading.bytes, reading.text = bytes, bytes > 0 and text
    if stream.reader then
      fibers.wake(stream.reader, reading, true)
    end
  end)
  stream.reading = reading
  return reading
end

local function take(stream, bytes, text)
  if bytes < 0 then
    return reader.failure(stream, bytes)
  elseif stream.place then
    stream.place = stream.place + bytes
  end
  return text or nil
end

--- Waits for a read that goes on: what it gave; nil: the end; or nil, message, code.
local function wait_for(stream, reading, limit)
  local me = fibers.enter()
  if stream.reader then
    error("another fiber reads from this stream: one at a time", 0)
  end
  local refusal = fibers.refused(me)
  if refusal then
    return said(me, refusal)
  elseif not reading.bytes then
    stream.reader = me
    local value = park(me, reading, limit)
    stream.reader = nil
    if type(value) == "string" then
      return said(me, value)
    end
  end
  stream.reading = nil
  return take(stream, reading.bytes, reading.text)
end

--- A line with its end, of a file of Lua's. PUC Lua 5.1 gives none, so that the last line gets one if it had none:
-- whether there is more can only be known by waiting for it.
local function read_line(file)
  if _VERSION ~= "Lua 5.1" or rawget(_G, "jit") then
    return file:read("*L")
  end
  local line = file:read("*l")
  return line and line .. "\n"
end

--- The next bytes, behind what was written: as reader.receive.
local function fill(self, limit)
  if self.blocking then
    return read_line(self.blocking)
  end
  if self.sends and self.place then
    local ok, message, code = writer.flush(self, limit)
    if not ok then
      return nil, message, code
    end
  end
  if self.reading then
    return wait_for(self, self.reading, limit)
  end
  local bytes, message, code = self.file:read(scratch.block(), scratch.SIZE, self.place or 0, false)
  if not bytes then
    return reader.refused(self, message, code)
  elseif bytes == true then
    return wait_for(self, go_on(self), limit)
  end
  return take(self, bytes, bytes > 0 and scratch.read(0, bytes))
end

local QUIET = { CANCELLED = true, CLOSED = true }

--- Iterates over the lines that are to come, until the end, or a cancel. Raises what else fails.
function FileStream:lines(format)
  streams.check_self(self)
  return function()
    local line, message, code = self:read(format)
    if code and not QUIET[code] then
      error("lines: " .. message, 2)
    end
    return line
  end
end

-- ---- writing --------------------------------------------------------------------------------------------------------

--- What was read ahead is read again.
local function rewind(stream)
  if stream.place then
    stream.place = stream.place - (#stream.data - stream.at + 1)
    stream.data, stream.at, stream.reading = "", 1, nil
  end
end

--- Writes as streams do, at the place where the file is at; in mode a to its end.
function FileStream:write(...)
  streams.check_self(self)
  rewind(self)
  return streams.write(self, ...)
end

-- What writer.lua sends by, as by a socket.
local Sender = {}
Sender.__index = Sender

function Sender:send(data, overlapped)
  local stream = self.stream
  local bytes, message, code = self.file:write(data, stream.place or 0, overlapped)
  if bytes and stream.place then
    stream.place = stream.place + #data
  end
  return bytes, message, code
end

function Sender:cancel(overlapped)
  return self.file:cancel(overlapped)
end

function Sender:handle()
  return self.file:handle()
end

-- ---- the rest -------------------------------------------------------------------------------------------------------

local WHENCE = { set = true, cur = true, ["end"] = true }

--- Where the next read or write is to be, as io's.
-- @param whence "set", from the start; "cur" (default), from where it is at; "end"
-- @param offset bytes, 0 if left out
-- @return where that is; or nil, message, code: ESPIPE, it has no places; EINVAL
function FileStream:seek(whence, offset)
  streams.check_self(self)
  check("whence", whence, whence == nil or WHENCE[whence], '"set", "cur", "end" or nil')
  check("offset", offset, offset == nil or type(offset) == "number" and offset % 1 == 0, "an integer")
  if self.is_closed then
    return nil, "the stream is closed", "CLOSED"
  elseif not self.place then
    return nil, "a pipe or a terminal has no places", "ESPIPE"
  end
  local ok, message, code = self:flush()
  if not ok then
    return nil, message, code
  end
  rewind(self)
  local from = whence == "set" and 0 or whence == "end" and self.file:size() or self.place
  local place = from + (offset or 0)
  if place < 0 then
    return nil, "a place before the file's start", "EINVAL"
  end
  self.place = place
  return place
end

--- Closes, behind what was written, for as long as the option `linger` says.
-- @return true, again and again; or nil, message, code: what was written is not all there
function FileStream:close()
  streams.check_self(self)
  if self.is_closed then
    return true
  end
  self.is_closed, self.can_send, self.data, self.at = true, false, "", 1
  local ok, message, code = writer.flush(self, core.clock() + (self.linger or LINGER), true)
  self.write_code, self.write_message = "CLOSED", "the stream is closed"
  if self.file then
    self.file:close()
  end
  if not ok then
    return nil, message, code
  end
  return true
end

local class = streams.derive(FileStream, { "read", "read_some", "flush", "timeout" }, fill)

function class:__tostring()
  return ("iocp.FileStream: %s (%s)"):format(self.name, self.is_closed and "closed" or "open")
end

-- ---- opening --------------------------------------------------------------------------------------------------------

local rules = {}
for _, rule in ipairs(streams.rules) do
  if rule[1] ~= "nodelay" then
    rules[#rules + 1] = rule
  end
end

--- The stream of a file that is associated with nothing; or nil, message, code.
local function new(file, name, given)
  local info, message, code = file:info()
  local ok = info
  if ok then
    ok, message, code = file:associate(streams.port())
  end
  if not ok then
    return nil, message, code
  end
  local has_places = info.type == "file" or info.type == "device"
  local stream = setmetatable({
    file = file, name = name, place = has_places and 0 or nil,
    data = "", at = 1, can_send = true,
  }, class)
  stream.socket = setmetatable({ file = file, stream = stream }, Sender)
  streams.set_options(stream, given)
  -- Writes to places have no order, so there is one at a time.
  stream.max_unsent = has_places and 0 or stream.max_unsent or UNSENT
  return stream
end

local lib = {}

--- Opens a file as a stream. That may wait for the device, without others running.
-- @param path in UTF-8; or an iocp.File that is associated with nothing, as a process' pipes
-- @param mode of a path: as iocp.File's
-- @param given options: timeout, max_line, max_unsent, linger, as of streams
-- @return the stream; or nil, message, code: ENOENT, EACCES ...
function lib.open(path, mode, given)
  local is_path = type(path) == "string"
  local name = is_path and path or tostring(path)
  check("path", path, is_path or name:find("^iocp.File") ~= nil, "a path, or an iocp.File")
  given = options.read(given, rules)
  local file = path
  if is_path then
    local message, code
    file, message, code = core.File(path, mode)
    if not file then
      return nil, message, code
    end
  end
  local stream, message, code = new(file, name, given)
  if stream then
    private.own(file, "iocp.FileStream")
  elseif is_path then
    file:close()
  end
  return options.outcome(stream, message, code)
end

--- @return all that a file holds; or nil, message, code
function lib.read(path)
  local stream, message, code = lib.open(path)
  local text = stream
  if stream then
    text, message, code = stream:read("a")
    stream:close()
  end
  return options.outcome(text, message, code)
end

--- Makes that all that a file holds, or with mode "a" adds it.
-- @return true; or nil, message, code
function lib.write(path, data, mode)
  check("data", data, type(data) == "string", "a string")
  local stream, message, code = lib.open(path, mode or "w")
  if not stream then
    return nil, message, code
  end
  local ok
  ok, message, code = stream:write(data)
  local closed, why, what = stream:close()
  if not ok then
    return nil, message, code
  end
  return options.outcome(closed, why, what)
end

-- Where one cannot be on a port, as Windows' consoles and what io opened there: what io does, which waits.
local function blocking(name)
  local file = io[name]
  local stream = setmetatable({ name = name, blocking = file, data = "", at = 1, can_send = true }, class)
  stream.socket = {
    send = function(_, data)
      local ok, message = file:write(data)
      file:flush()
      return ok and #data, message, "EIO"
    end,
  }
  return stream
end

--- The stream of the process' own stdin, stdout or stderr, for one thread: in others, as where it cannot be on a port,
-- its reads and writes wait without others running. What io has buffered comes first.
function lib.standard(name)
  if name ~= "stdin" then
    io[name]:flush()
  end
  local file = core.File.adopt(io[name])
  return file and new(file, name, {}) or blocking(name)
end

return lib
