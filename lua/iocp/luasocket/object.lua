--- What luasocket's objects have in common: their classes, time limits, the socket below, and how they wait.
-- @module iocp.luasocket.object
--
-- An object has `socket`, an iocp.Socket; nil: there is none yet, or no more. `family` is "inet", "inet6" or "unspec";
-- `kind` "stream" or "datagram". reader.lua reads it as it does a stream, and has `data`, `at`, `slot` and `reader`.
local core, private = require "iocp.core", require "iocp.private"
local fibers, streams = require "iocp.fiber", require "iocp.stream"
local reader, words = require "iocp.reader", require "iocp.luasocket.words"
local options = require "iocp.luasocket.options"
local clock = core.clock
local object = {}

local NAMES = { inet = "inet4", inet6 = "inet6", unspec = "inet4" } -- getfamily's

-- ---- classes --------------------------------------------------------------------------------------------------------

local classes = {} -- by name: metatables
local groups = {} -- by metatable: tcp or udp

-- What an object has until it has its own.
local FIRST = { block = -1, total = -1, data = "", at = 1, received = 0, sent = 0, is_closed = false }

--- Where it is, as a text.
local function address_of(self)
  local class = getmetatable(self)
  local text = tostring(setmetatable(self, nil))
  setmetatable(self, class)
  return text:match("0x%x+") or text
end

--- The metatable of a class, also before there is more to it.
function object.class(name)
  classes[name] = classes[name] or {}
  return classes[name]
end

--- Makes classes of the same methods, which each of them has in one table: all that is found there is found at once.
function object.classes(group, methods, ...)
  for _, name in ipairs { ... } do
    local own = { class = name }
    for _, from in ipairs { FIRST, methods } do
      for key, value in pairs(from) do
        own[key] = value
      end
    end
    local class = object.class(name)
    class.__index, class.name, groups[class] = own, name, group
    class.__tostring = function(self)
      return name .. ": " .. address_of(self)
    end
    private.stays(class, name .. ": it stays in its thread")
  end
end

local ANY = { ["tcp{any}"] = "tcp", ["udp{any}"] = "udp", ["tls{any}"] = "tls" }

--- Raises unless it is of the class, or, where that is for any of a group, of the group.
function object.check(self, name, class)
  local its, group = getmetatable(self), ANY[class]
  if its == nil or its ~= classes[class] and (group == nil or groups[its] ~= group) then
    words.refuse(name, 0, class .. " expected")
  end
end

function object.is_one(value)
  return groups[getmetatable(value)] ~= nil
end

--- Makes it one of that class.
function object.become(self, class)
  return setmetatable(self, classes[class])
end

-- ---- the socket below -----------------------------------------------------------------------------------------------

local mine = setmetatable({}, { __mode = "v" }) -- by descriptor that somebody has asked for: objects

--- A new object of the class.
function object.new(class, kind, family)
  return setmetatable({ kind = kind, family = family, birthday = clock() }, classes[class])
end

--- It has this socket from now on, which is associated here and closed with the object; or nil, message, code, and it
-- has none.
function object.own(self, socket)
  local ok, message, code = socket:associate(streams.port())
  if not ok then
    socket:close()
    return nil, message, code
  end
  private.own(socket, self.kind == "datagram" and "a luasocket's udp" or "a luasocket's tcp")
  self.socket, self.is_closed, self.is_ended = socket, nil, nil
  return true
end

--- The socket that has a descriptor, and the object that has the socket; nil: none of ours has it.
function object.find(fd)
  local self = mine[fd]
  if self and self.socket and self.socket:native() == fd then
    return self.socket, self
  end
end

--- Has no socket any more.
function object.drop(self)
  local socket = self.socket
  if self.slot then
    reader.close(self)
  end
  self.socket, self.is_closed, self.data, self.at = nil, true, "", 1
  return socket
end

--- A socket of the family, in the place of one that it may have: true; or nil, message, code.
function object.open(self, family)
  if self.socket then
    object.drop(self):close()
  end
  local socket, message, code = core.Socket(family, self.kind)
  if not socket then
    return nil, message, code
  end
  if family == "inet6" then
    socket:option("v6only", true)
  end
  return object.own(self, socket)
end

--- The same; it has a descriptor at once.
local function open_now(self, family)
  local ok, message, code = object.open(self, family)
  if ok and not self.socket:native() then -- an option says why there is none
    local _
    _, message, code = self.socket:option("sndbuf")
    object.drop(self):close()
    return nil, message, code
  end
  return ok, message, code
end

--- Its descriptor is with whoever has asked for it; it has no socket any more.
local function lend(self)
  local ok, message = private.detach_socket(self.socket)
  if not ok then
    error("setfd: " .. message, 3)
  end
  object.drop(self)
end

--- A new object, with a socket unless its family is to follow from its use; or nil, and what failed.
function object.create(class, kind, family)
  local self = object.new(class, kind, family)
  if family ~= "unspec" then
    local ok, message, code = open_now(self, family)
    if not ok then
      return words.failure(ok, message, code)
    end
  end
  return self
end

-- ---- time -----------------------------------------------------------------------------------------------------------

--- When an operation that begins now is to have ended; nil: whenever.
function object.limit(self)
  local block, total = self.block, self.total
  local seconds = block >= 0 and block or nil
  if total >= 0 and not (seconds and seconds < total) then
    seconds = total
  end
  return seconds and clock() + seconds * 1000
end

--- Whether it is to try only.
function object.is_impatient(self)
  return self.block == 0 or self.total == 0
end

-- ---- waiting --------------------------------------------------------------------------------------------------------

--- Waits until a side of a socket is ready, by then at an error or the end, too: nil; or the code.
function object.wait(socket, side, limit)
  local me = fibers.enter()
  local refusal = fibers.refused(me)
  if refusal then
    return refusal
  end
  local overlapped = fibers.expect(me)
  local ok, _, code = socket:ready(side, overlapped)
  if not ok then
    fibers.forget(overlapped)
    return code
  end
  local value = fibers.park(me, overlapped, limit)
  if type(value) == "string" then
    fibers.give_up(overlapped)
    socket:cancel(overlapped)
    return value
  end
  return value < 0 and core.describe(value) or nil
end

-- ---- what all of them have ------------------------------------------------------------------------------------------

--- The methods that objects of a group share. `group`: "tcp", "udp", or "tls", which has tcp's options.
function object.methods(group)
  local any, methods = group .. "{any}", {}
  local with_options = group == "tls" and "tcp" or group

  function methods:settimeout(seconds, mode)
    object.check(self, "settimeout", any)
    seconds = words.number("settimeout", 1, seconds, -1)
    mode = mode == nil and "b" or words.text("settimeout", 2, mode)
    local first = mode:sub(1, 1)
    if first == "b" then
      self.block = seconds
    elseif first == "t" or first == "r" then
      self.total = seconds
    else
      words.refuse("settimeout", 2, "invalid timeout mode")
    end
    return 1
  end

  function methods:gettimeout()
    object.check(self, "gettimeout", any)
    return self.block, self.total
  end

  function methods:getfamily()
    object.check(self, "getfamily", any)
    return NAMES[self.family]
  end

  function methods:getfd()
    object.check(self, "getfd", any)
    local fd = self.socket and self.socket:native()
    if not fd then
      return -1
    end
    mine[fd] = self
    return fd
  end

  --- The descriptor is somebody else's, who closes it. The one that it had is now for who has asked for it, and is not
  -- closed: see tls.lua.
  function methods:setfd(fd)
    object.check(self, "setfd", any)
    fd = words.number("setfd", 1, fd)
    if self.socket then
      lend(self)
    end
    local socket = fd >= 0 and core.Socket.adopt(fd)
    if socket then
      object.own(self, socket)
    end
  end

  function methods:getoption(name)
    object.check(self, "getoption", any)
    return options.get(self, with_options, words.text("getoption", 1, name))
  end

  function methods:setoption(name, value)
    object.check(self, "setoption", any)
    return options.set(self, with_options, words.text("setoption", 1, name), value)
  end

  function methods:getsockname()
    object.check(self, "getsockname", any)
    return object.name(self, "address")
  end

  return methods
end

--- host, port, family of an address of its socket; or nil and what failed.
function object.name(self, method)
  if not self.socket then
    return nil, "Bad file descriptor"
  end
  local host, port, code = self.socket[method](self.socket)
  if not host then
    return words.failure(host, port, code)
  end
  return host, port, self.family
end

return object
