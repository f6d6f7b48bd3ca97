--- What LuaSec's connections are driven by: they poll by themselves, in C, and would hold the thread. LuaSec takes a
-- socket by its descriptor (getfd), and takes that away from its object (setfd).
-- @module iocp.luasocket.tls
local core, private, object = require "iocp.core", require "iocp.private", require "iocp.luasocket.object"
local words = require "iocp.luasocket.words"
local quietly = private.quietly -- whatever LuaSec does may write

local LINGER = 5000 -- ms

local methods = object.methods "tls"
local CLASS = "tls{client}"

local SIDES = { wantread = "read", wantwrite = "write" }

--- Waits for what a connection wants: nil; or the text of what failed.
local function go_on(self, why, limit)
  if not SIDES[why] then
    return why
  end
  local code = object.wait(self.socket, SIDES[why], limit)
  return code and words.of(code, code)
end

function methods:dohandshake()
  local limit = object.limit(self)
  while true do
    local ok, why = quietly(self.ssl.dohandshake, self.ssl)
    if ok then
      return ok
    end
    local failure = go_on(self, why, limit)
    if failure then
      return ok, failure
    end
  end
end

--- As a tcp object's.
function methods:receive(pattern, prefix)
  local limit = object.limit(self)
  while true do
    local data, why, part = quietly(self.ssl.receive, self.ssl, pattern or "*l", prefix)
    if data then
      return data
    end
    local failure = go_on(self, why, limit)
    if failure then
      return nil, failure, part
    end
    prefix = part
  end
end

--- As a tcp object's.
function methods:send(data, i, j)
  local limit = object.limit(self)
  i = i or 1
  while true do
    local last, why, sent = quietly(self.ssl.send, self.ssl, data, i, j)
    if last then
      return last
    end
    local failure = go_on(self, why, limit)
    if failure then
      return nil, failure, sent
    end
    i = sent + 1
  end
end

function methods:dirty()
  return self.ssl:dirty()
end

--- Closes, and tells the peer so. LuaSec waits for that, so it is to have room for it.
function methods:close()
  if self.socket then
    if object.wait(self.socket, "write", core.clock() + LINGER) then
      self.socket:shutdown()
    end
    object.drop(self):close()
    quietly(self.ssl.close, self.ssl)
  end
  return 1
end

object.classes("tls", methods, CLASS)

--- Methods that never wait are the connection's own.
local class = getmetatable(object.become({}, CLASS))
local own = class.__index
function class.__index(self, name)
  local found = own[name]
  if found ~= nil then
    return found
  end
  local method = self.ssl and self.ssl[name]
  return type(method) == "function" and function(_, ...)
    return method(self.ssl, ...)
  end or method
end

--- A connection of LuaSec's as an object that lets other fibers run while it waits, with the methods of tcp objects and
-- LuaSec's own; or nil and what failed. It is the connection's owner from here on.
return function(ssl)
  local fd = (type(ssl) == "userdata" or type(ssl) == "table") and ssl.getfd and ssl:getfd()
  if type(fd) ~= "number" or fd < 0 then
    words.refuse("wrap", 1, "connection of LuaSec's expected, got " .. type(ssl))
  end
  local socket, message, code = core.Socket.adopt(fd)
  if not socket then
    return words.failure(socket, message, code)
  end
  local self = object.new(CLASS, "stream", "unspec")
  rawset(self, "ssl", ssl)
  ssl:settimeout(0)
  local ok
  ok, message, code = object.own(self, socket)
  if not ok then
    return words.failure(ok, message, code)
  end
  return self
end
