--- TINN's NetStream: bytes, lines and texts of a NativeSocket.
-- @module iocp.tinn.NetStream
local ffi = require "ffi"
local NativeSocket, StopWatch = require "iocp.tinn.NativeSocket", require "iocp.tinn.StopWatch"

local NetStream = require "iocp.tinn.class"()

--- The stream of a NativeSocket; nil without one.
function NetStream:init(socket)
  if not socket then
    return nil
  end
  return setmetatable({ Socket = socket, CanSeek = false, ReadTimer = StopWatch(), WriteTimer = StopWatch() }, self)
end

--- One that is connected; or `nil, err`.
function NetStream:connect(host, port)
  local socket, err = NativeSocket:createClient(host, port)
  if not socket then
    return nil, err
  end
  return self:init(socket)
end

function NetStream:isConnected()
  return self.Socket:isConnected()
end

function NetStream:closeDown()
  return self.Socket:closeDown()
end

function NetStream:setNonBlocking(nonblocking)
  return self.Socket:setNonBlocking(nonblocking)
end

function NetStream:getLength()
  return 0
end

-- ---- idle -----------------------------------------------------------------------------------------------------------

function NetStream:setReadTimeout(seconds)
  self.ReadTimeout = seconds
end

function NetStream:setWriteTimeout(seconds)
  self.WriteTimeout = seconds
end

function NetStream:setIdleInterval(seconds)
  self:setReadTimeout(seconds)
  self:setWriteTimeout(seconds)
end

function NetStream:resetTimeout()
  self.ReadTimer:Reset()
  self.WriteTimer:Reset()
end

--- Whether the sides that have a time-out have been idle for longer; false where none has.
function NetStream:isIdle()
  local reads, writes = self.ReadTimeout, self.WriteTimeout
  return (reads or writes) ~= nil and (not reads or self.ReadTimer:Seconds() > reads)
    and (not writes or self.WriteTimer:Seconds() > writes)
end

-- ---- reading --------------------------------------------------------------------------------------------------------

--- What a read of the stream gave; or false, "eof" or its code.
local function result(self, text, _, code)
  self.ReadTimer:Reset()
  if not text then
    return false, code or "eof"
  end
  return text
end

--- A byte, as a number; or `false, err`, "eof" at the end.
function NetStream:readByte()
  local text, err = result(self, self.Socket.stream:read(1))
  if not text then
    return false, err
  end
  return text:byte()
end

--- Reads into a buffer: how many bytes, fewer only at the end; or `false, err`.
function NetStream:readBytes(buffer, size, offset)
  local text, err = result(self, self.Socket.stream:read(size))
  if not text then
    return false, err
  end
  ffi.copy(ffi.cast("uint8_t *", buffer) + (offset or 0), text, #text)
  return #text
end

function NetStream:readString(size)
  return result(self, self.Socket.stream:read(size or 1500))
end

--- A line without its end; at the end of the stream "", as his.
function NetStream:readLine()
  local line, err = result(self, self.Socket.stream:read("*l"))
  if not line and err == "eof" then
    return ""
  end
  return line, err
end

-- ---- writing --------------------------------------------------------------------------------------------------------

local function write(self, text)
  local written, err = self.Socket:send(text)
  self.WriteTimer:Reset()
  return written, err
end

function NetStream:canWrite()
  return self.Socket.stream.unsent == 0
end

function NetStream:writeByte(value)
  return write(self, string.char(value))
end

--- Writes bytes of a buffer, or a string: how many; or `false, err`.
function NetStream:writeBytes(buffer, size, offset)
  offset = offset or 0
  if type(buffer) == "string" then
    return write(self, buffer:sub(offset + 1, offset + (size or #buffer)))
  end
  return write(self, ffi.string(ffi.cast("const uint8_t *", buffer) + offset, size))
end

function NetStream:writeString(text, size, offset)
  return self:writeBytes(text, size, offset)
end

function NetStream:writeLine(line)
  return write(self, (line or "") .. "\r\n")
end

--- Copies up to `size` bytes of another stream: how many.
function NetStream:writeStream(stream, size)
  local count, byte = 0, stream:readByte()
  while byte and count < size do
    self:writeByte(byte)
    count, byte = count + 1, stream:readByte()
  end
  return count
end

return NetStream
