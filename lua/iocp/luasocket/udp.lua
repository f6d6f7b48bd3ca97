--- luasocket's udp objects.
-- @module iocp.luasocket.udp
local core, fibers, scratch = require "iocp.core", require "iocp.fiber", require "iocp.scratch"
local object, words = require "iocp.luasocket.object", require "iocp.luasocket.words"
local address = require "iocp.luasocket.address"
local udp = { _DATAGRAMSIZE = 8192 }

local methods = object.methods "udp"
local ANY, CONNECTED, UNCONNECTED = "udp{any}", "udp{connected}", "udp{unconnected}"

-- ---- its addresses --------------------------------------------------------------------------------------------------

--- A socket of the family, unless it has one; or nil, and the text.
local function ensure(self, family)
  if not self.socket or self.family ~= family then
    local ok, message, code = object.open(self, family)
    if not ok then
      return words.failure(ok, message, code)
    end
    self.family = family
  end
  return true
end

--- Calls act(self, one) for each of the addresses until one is good: 1; or nil, and the text.
local function with_each(self, found, text, act)
  for _, one in ipairs(found or {}) do
    local ok, message, code = ensure(self, one.family)
    if ok then
      ok, message, code = act(self, one)
    end
    if ok then
      return 1
    end
    text = words.of(code, message)
  end
  return nil, text
end

function methods:setsockname(host, service)
  object.check(self, "setsockname", UNCONNECTED)
  local found, text = address.find_own(words.text("setsockname", 1, host), words.text("setsockname", 2, service),
    self.family)
  return with_each(self, found, text, function(_, one)
    return self.socket:bind(one.host, one.port)
  end)
end

--- Connects, which is done at once: true; or nil, message, code.
local function connect(self, one)
  local me = fibers.enter()
  local overlapped = fibers.expect(me)
  local ok, message, code = self.socket:connect(one.host, one.port, overlapped)
  if not ok then
    fibers.forget(overlapped)
    return ok, message, code
  end
  local bytes = fibers.park(me, overlapped, nil, true)
  if bytes < 0 then
    code, message = core.describe(bytes)
    return nil, message, code
  end
  return true
end

--- A socket that has no peer, at the same address, in its place.
local function disconnect(self)
  local host, port = object.name(self, "address")
  if host and object.open(self, self.family) then
    self.socket:option("reuseaddr", true)
    self.socket:bind(host, port)
  end
end

function methods:setpeername(host, service)
  object.check(self, "setpeername", ANY)
  host = words.text("setpeername", 1, host)
  if host == "*" then
    if getmetatable(self).name == CONNECTED then
      disconnect(self)
    end
    object.become(self, UNCONNECTED)
    return 1
  end
  local found, text = address.find(host, words.text("setpeername", 2, service), self.family)
  local ok
  ok, text = with_each(self, found, text, connect)
  if not ok then
    return nil, text
  end
  object.become(self, CONNECTED)
  return 1
end

function methods:getpeername()
  object.check(self, "getpeername", CONNECTED)
  return object.name(self, "peer")
end

-- ---- datagrams ------------------------------------------------------------------------------------------------------

--- Waits for the packet of a send that was not done at once: its bytes; or the code of what failed.
local function await(self, block, limit)
  local me, bytes = fibers.enter(), nil
  scratch.when_sent(block, function(n)
    bytes = n
    fibers.wake(me, block, true)
  end)
  local value = fibers.park(me, block, limit)
  if type(value) == "string" then
    self.socket:cancel(block)
    return value
  end
  return bytes < 0 and core.describe(bytes) or nil
end

--- How many bytes were sent; or nil, and the text.
local function sent(self, data, block, bytes, message, code)
  if bytes == true then
    code = await(self, block, object.limit(self))
    bytes = not code and #data or nil
  else
    scratch.free(block)
  end
  if not bytes then
    return nil, words.of(code, message or code)
  end
  return bytes
end

function methods:send(data)
  object.check(self, "send", CONNECTED)
  data = words.text("send", 1, data)
  if not self.socket then
    return nil, "refused"
  end
  local bytes, message, code = self.socket:send(data, false) -- true: it is with the library, which copies it
  if not bytes then
    return nil, code == "INVALID" and "refused" or words.of(code, message)
  end
  return #data
end

function methods:sendto(data, host, service)
  object.check(self, "sendto", UNCONNECTED)
  data = words.text("sendto", 1, data)
  host, service = words.text("sendto", 2, host), words.text("sendto", 3, service)
  if not tonumber(service) then
    return nil, words.of "EAI_NONAME"
  end
  local family = host:find(":", 1, true) and "inet6" or "inet"
  local ok, text = true, nil
  if self.family == "unspec" then
    ok, text = ensure(self, family)
  elseif not self.socket then
    ok, text = nil, "refused"
  end
  if not ok then
    return nil, text
  end
  local block, message, code = scratch.outgoing(data, host, tonumber(service))
  if not block then
    return nil, code == "EINVAL" and words.of "EAI_NONAME" or words.of(code, message)
  end
  return sent(self, data, block, self.socket:send_to(block, #data, false))
end

--- Takes a datagram that is there: its data, host, port; false: none is; or nil, message, code.
local function take(self)
  local bytes, message, code = self.socket:receive_from(scratch.block(), scratch.LARGEST, false)
  if bytes == true then -- it had a wrong checksum, or somebody else took it
    self.socket:cancel(scratch.give_away(function() end))
    return false
  elseif not bytes then
    return nil, message, code
  end
  local host, port = scratch.peer()
  return scratch.read(core.PEER, bytes), host, port
end

local function receive(self, name, size)
  size = words.number(name, 1, size, udp._DATAGRAMSIZE)
  local limit = object.limit(self)
  if not self.socket then
    return nil, "refused"
  end
  local data, host, port
  repeat
    local code = object.wait(self.socket, "read", limit)
    if code then
      return nil, code == "INVALID" and "refused" or words.of(code, code)
    end
    data, host, port = take(self)
  until data ~= false
  if not data then
    return words.failure(data, host, port)
  end
  return data:sub(1, size), host, port
end

function methods:receive(size)
  object.check(self, "receive", ANY)
  local data, text = receive(self, "receive", size)
  if not data then
    return nil, text
  end
  return data
end

function methods:receivefrom(size)
  object.check(self, "receivefrom", UNCONNECTED)
  return receive(self, "receivefrom", size)
end

-- ---- the rest -------------------------------------------------------------------------------------------------------

function methods:dirty()
  object.check(self, "dirty", ANY)
  return false
end

function methods:close()
  object.check(self, "close", ANY)
  if self.socket then
    object.drop(self):close()
  end
  return 1
end

object.classes("udp", methods, CONNECTED, UNCONNECTED)

local function create(family)
  return object.create(UNCONNECTED, "datagram", family)
end

function udp.udp()
  return create "unspec"
end

function udp.udp4()
  return create "inet"
end

function udp.udp6()
  return create "inet6"
end

return udp
