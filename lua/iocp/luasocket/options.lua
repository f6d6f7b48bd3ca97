--- luasocket's socket options, by iocp.Socket's.
-- @module iocp.luasocket.options
local words = require "iocp.luasocket.words"
local options = {}

local function boolean(value)
  if type(value) ~= "boolean" then
    words.refuse("setoption", 2, "boolean expected, got " .. (value == nil and "no value" or type(value)))
  end
  return value
end

local function integer(value)
  return math.floor(tonumber(value) or 0)
end

local IDLE = 7200 -- seconds: what the systems begin with

local function keepalive(value)
  return boolean(value) and IDLE
end

local function linger(value)
  if type(value) ~= "table" then
    words.refuse("setoption", 2, "table expected, got " .. (value == nil and "no value" or type(value)))
  elseif type(value.on) ~= "boolean" then
    words.refuse("setoption", 2, "boolean 'on' field expected")
  elseif type(value.timeout) ~= "number" then
    words.refuse("setoption", 2, "number 'timeout' field expected")
  end
  return value.on and value.timeout
end

local function membership(value)
  if type(value) ~= "table" then
    words.refuse("setoption", 2, "table expected, got " .. (value == nil and "no value" or type(value)))
  elseif type(value.multiaddr) ~= "string" then
    words.refuse("setoption", 2, "string 'multiaddr' field expected")
  end
  return value.multiaddr, value.interface ~= "*" and value.interface or nil
end

local function is_on(value)
  return value ~= false and value ~= nil
end

local function told_linger(value)
  return { on = is_on(value), timeout = value or 0 }
end

local function same(value)
  return value
end

local TCP, UDP, BOTH = { tcp = true }, { udp = true }, { tcp = true, udp = true }

-- By luasocket's name: whose it is; ours; how a value becomes ours; how ours becomes its, where that can be asked.
local known = {
  ["keepalive"] = { TCP, "keepalive", keepalive, is_on },
  ["tcp-keepidle"] = { TCP, "keepalive", integer, function(value) return value or IDLE end },
  ["reuseaddr"] = { BOTH, "reuseaddr", boolean, same },
  ["reuseport"] = { BOTH, "reuseport", boolean, same },
  ["tcp-nodelay"] = { TCP, "nodelay", boolean, same },
  ["linger"] = { TCP, "linger", linger, told_linger },
  ["ipv6-v6only"] = { BOTH, "v6only", boolean, same },
  ["recv-buffer-size"] = { BOTH, "rcvbuf", integer, same },
  ["send-buffer-size"] = { BOTH, "sndbuf", integer, same },
  ["broadcast"] = { UDP, "broadcast", boolean, same },
  ["ip-add-membership"] = { UDP, "join", membership },
  ["ip-drop-membership"] = { UDP, "leave", membership },
  ["ipv6-add-membership"] = { UDP, "join", membership },
  ["ipv6-drop-membership"] = { UDP, "leave", membership },
}

-- luasocket's others, for which there is nothing here: to set them fails, as where the system has none.
local absent = {}
for name in ("bindtodevice tcp-keepcnt tcp-keepintvl tcp-defer-accept tcp-fastopen tcp-fastopen-connect dontroute "
  .. "ip-multicast-if ip-multicast-ttl ip-multicast-loop ipv6-unicast-hops ipv6-multicast-hops ipv6-multicast-loop")
  :gmatch "%S+" do
  absent[name] = true
end

local function find(group, name, method)
  local option = known[name]
  if option and option[1][group] or absent[name] or name == "error" and method == "getoption" then
    return option
  end
  words.refuse(method, 1, ("unsupported option `%s'"):format(name:sub(1, 35)))
end

function options.set(self, group, name, value)
  local option = find(group, name, "setoption")
  local first, second
  if option then
    first, second = option[3](value)
  end
  if not option or not self.socket or not self.socket:option(option[2], first, second) then
    return nil, "setsockopt failed"
  end
  return 1
end

function options.get(self, group, name)
  local option = find(group, name, "getoption")
  if name == "error" then
    local attempt = self.connecting
    return attempt and attempt.is_over and attempt.code and words.of(attempt.code, attempt.code) or nil
  elseif not option or not option[4] or not self.socket then
    return nil, "getsockopt failed"
  end
  local value, _, code = self.socket:option(option[2])
  if code then
    return nil, "getsockopt failed"
  end
  return option[4](value)
end

return options
