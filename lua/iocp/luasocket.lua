--- luasocket's API over the scheduler: in a fiber what waits lets the others run, elsewhere it blocks. It stands in for
-- luasocket's own core, so that what stands on that runs in fibers and threads as it is:
--
--     package.loaded["socket.core"] = require "iocp.luasocket"
--     local http = require "socket.http"
--
-- The functions and methods are those of luasocket's manual; what differs is in doc/luasocket.md.
-- @module iocp.luasocket
local core = require "iocp"
local _ = core.run -- the scheduler is there from here on
local private = require "iocp.private"
local tcp, udp, address = require "iocp.luasocket.tcp", require "iocp.luasocket.udp", require "iocp.luasocket.address"
local words = require "iocp.luasocket.words"

local socket = {
  _VERSION = "LuaSocket 3.1.0", -- the one whose API this is
  _DATAGRAMSIZE = udp._DATAGRAMSIZE,
  _SETSIZE = 65536, -- select has no limit: more than a process has descriptors, mostly
  _SOCKETINVALID = -1,
  tcp = tcp.tcp, tcp4 = tcp.tcp4, tcp6 = tcp.tcp6, connect = tcp.connect,
  udp = udp.udp, udp4 = udp.udp4, udp6 = udp.udp6,
  dns = address.dns,
  select = require "iocp.luasocket.select",
  gettime = private.wall_time,
  wrap = require "iocp.luasocket.tls",
}

function socket.sleep(seconds)
  core.sleep(math.max(words.number("sleep", 1, seconds), 0) * 1000)
end

--- Drops as many of its arguments.
function socket.skip(amount, ...)
  return select(amount + 1, ...)
end

function socket.__unload() end

-- ---- exceptions -----------------------------------------------------------------------------------------------------

local exception = { __metatable = false } -- of what newtry's functions raise, for protect

function socket.newtry(finalizer)
  return function(...)
    if ... then
      return ...
    end
    if finalizer then
      finalizer()
    end
    error(setmetatable({ (select(2, ...)) }, exception), 0)
  end
end

--- By debug's, since the metatable is hidden.
local getmetatable = debug and debug.getmetatable or getmetatable

local function unwrap(ok, ...)
  if ok then
    return ...
  end
  local failure = ...
  if type(failure) == "table" and getmetatable(failure) == exception then
    return nil, failure[1]
  end
  error(failure, 0)
end

--- The same function, which returns nil and what was raised by one of newtry's.
function socket.protect(f)
  return function(...)
    return unwrap(core.pcall(f, ...))
  end
end

return socket
