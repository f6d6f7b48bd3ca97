--- TINN's NativeSocket, over this module's streams and servers.
-- @module iocp.tinn.NativeSocket
local ffi = require "ffi"
local iocp = require "iocp"

local NativeSocket = require "iocp.tinn.class"()

-- By the system's number: streams of connections that were accepted, which his programs hand on by it.
local accepted = {}

local function new(fields)
  return setmetatable(fields, NativeSocket)
end

--- The object of a connection that accept gave, which closes with its last reference. Or `nil, err`.
function NativeSocket:init(native)
  local stream = accepted[tonumber(native)]
  if not stream then
    return nil, "no such connection"
  end
  accepted[tonumber(native)] = nil
  return new { stream = stream, native = native }
end

--- One that is to be connected; family, type and protocol follow from the address.
function NativeSocket:create()
  return new {}
end

--- Connects to an address of SocketUtils: true; or `false, err`.
function NativeSocket:connectTo(address)
  local stream, _, code = iocp.connect(address.host, address.port)
  if not stream then
    return false, code
  end
  self.stream = stream
  return true
end

--- One that is connected; or `nil, err`.
function NativeSocket:createClient(host, port)
  local stream, _, code = iocp.connect(host, port)
  if not stream then
    return nil, code
  end
  return new { stream = stream }
end

--- One that listens on all addresses. params: port, backlog, nodelay; or `nil, err`.
function NativeSocket:createServer(params)
  local server, _, code = iocp.listen("0.0.0.0", params.port or 80,
    { backlog = params.backlog or 15, nodelay = params.nodelay or nil })
  if not server then
    return nil, code
  end
  return new { server = server }
end

--- Waits for a client: the system's number of its connection, for NativeSocket:init(number); or `false, err`.
function NativeSocket:accept()
  local stream, _, code = self.server:accept()
  if not stream then
    return false, code
  end
  local native = stream.socket:native()
  accepted[native] = stream
  return native
end

--- Closes what accept gave, and nobody wants.
function NativeSocket.refuse(native)
  local socket = NativeSocket:init(native)
  return socket and socket:closeDown()
end

function NativeSocket:getNativeSocket()
  local one = self.stream or self.server
  return one.socket:native()
end

function NativeSocket:getNativeHandle()
  return ffi.cast("void *", ffi.cast("intptr_t", self:getNativeSocket() or -1))
end

-- ---- data -----------------------------------------------------------------------------------------------------------

--- Sends a string, or bytes behind a pointer: how many; or `false, err`.
function NativeSocket:send(data, size)
  local text = data
  if type(data) == "cdata" then
    text = ffi.string(data, size)
  elseif size then
    text = data:sub(1, size)
  end
  local ok, _, code = self.stream:write(text)
  if not ok then
    return false, code
  end
  return #text
end

--- Receives what is there: how many bytes, 0 at the end; or `false, err`.
function NativeSocket:receive(buffer, size)
  local text, _, code = self.stream:read_some(size)
  if code then
    return false, code
  end
  ffi.copy(buffer, text or "", text and #text or 0)
  return text and #text or 0
end

-- ---- the rest -------------------------------------------------------------------------------------------------------

function NativeSocket:isConnected()
  return self.stream ~= nil and self.stream.socket:peer() ~= nil
end

function NativeSocket:closeDown()
  local one = self.stream or self.server
  return one:close()
end
NativeSocket.forceClose = NativeSocket.closeDown

function NativeSocket:shutdown()
  return self.stream:shutdown()
end

local function set(option)
  return function(self, value)
    local one = self.stream or self.server
    local ok, _, code = one.socket:option(option, value or false)
    return ok and true or false, code
  end
end

NativeSocket.setNoDelay, NativeSocket.setReuseAddress = set "nodelay", set "reuseaddr"

--- @param keepalive whether the peer is asked once nothing came for `timeout` milliseconds, two minutes if not said
function NativeSocket:setKeepAlive(keepalive, timeout)
  return set "keepalive"(self, keepalive and math.max(math.floor((timeout or 120000) / 1000), 1))
end

--- Nothing here ever blocks the thread.
function NativeSocket:setNonBlocking()
  return true
end

return NativeSocket
