--- Arguments and options of the methods that are Lua's: the one place where they are checked.
-- The functions raise where the script called the module: see src/lua/call.c.
local _, private = require "iocp.core", require "iocp.private" -- which the former brings
local options = {}

local SHOWN = 40 -- bytes of a string

--- What an error says that it got.
function options.got(value)
  if type(value) == "number" then
    return tostring(value)
  elseif type(value) == "string" then
    return ('string "%s"%s'):format(value:sub(1, SHOWN), #value > SHOWN and "..." or "")
  end
  return type(value)
end

--- Raises: what is wrong with an argument of what the script called.
function options.wrong(name, what)
  local called = private.called()
  private.raise(("bad argument '%s'%s (%s)"):format(name, called and (" to '%s'"):format(called) or "", what))
end

--- Raises: what was expected, and what came. `advice`: what is said behind that.
function options.refuse(name, expected, value, advice)
  options.wrong(name, ("expected %s, got %s%s"):format(expected, options.got(value), advice or ""))
end
local refuse = options.refuse

--- How an error names a key that is no option.
function options.key(name)
  return (type(name) == "string" and "'%s'" or "[%s]"):format(tostring(name))
end

--- Raises unless `self` is an object whose methods these are.
function options.check_self(self, methods)
  local metatable = type(self) == "userdata" and getmetatable(self)
  if type(metatable) ~= "table" or metatable.__index ~= methods then
    refuse("self", "iocp.Pool", self, "; methods are called with a colon: pool:method(...)")
  end
end

--- Whether all of a name is kept: what holds it is C, and has room for that much.
function options.is_name(value)
  return type(value) == "string" and #value <= 63 and not value:find("\0", 1, true)
end

--- The rule of an option that is a name.
options.NAME = { "name", options.is_name, "a string of at most 63 bytes, none of them 0" }

options.HOST = "a host's name or address without scheme:// and port, or a path"
options.PORT = "a port's number, from 0 to 65535, or a service's name"

--- Whether it may be a host, and not "host:8080" or "http://host/".
function options.is_host(value)
  return type(value) == "string" and value ~= "" and not value:find("^[^:/]*:%d+$")
    and not value:find("^%a[%w+.%-]*://")
end

function options.is_port(value)
  return type(value) == "string" or type(value) == "number" and value >= 0 and value <= 65535 and value % 1 == 0
end

--- The message of a lookup that failed, which names the service if it was that.
function options.unresolved(port, message, code)
  return code == "EAI_SERVICE" and ("%s: '%s'"):format(message, tostring(port)) or message
end

--- What is said of a failure there: "127.0.0.1:80: ...".
function options.at(host, port, message)
  local is_path = host:find("/", 1, true)
  return ((is_path and "%s: %s" or host:find(":", 1, true) and "[%s]:%s: %s" or "%s:%s: %s"):format(host,
    is_path and message or ("%d"):format(port), message))
end

--- Raises unless `ok`. `advice`: what is said behind what came.
function options.check(name, value, ok, expected, advice)
  if not ok then
    refuse(name, expected, value, advice)
  end
end

--- The options that a caller gave, as a table with nothing else in it.
-- @param given a table or nil
-- @param rules what there is: a list of { name, check, what is expected }; perhaps with another check, of all that was
-- given, and what is expected then
function options.read(given, rules)
  local read, names, known = {}, {}, {}
  if given ~= nil and type(given) ~= "table" then
    refuse("options", "a table", given)
  end
  for i, rule in ipairs(rules) do
    local name, value = rule[1], (given or read)[rule[1]]
    if value ~= nil and not rule[2](value) then
      refuse(name, rule[3], value)
    end
    read[name], names[i], known[name] = value, name, true
  end
  for _, rule in ipairs(rules) do
    local value = read[rule[1]]
    if value ~= nil and rule[4] and not rule[4](read) then
      refuse(rule[1], rule[5], value)
    end
  end
  for name in pairs(given or read) do
    if not known[name] then
      options.wrong("options", ("%s is none of %s"):format(options.key(name), table.concat(names, ", ")))
    end
  end
  return read
end

--- The results of what may fail: the value and nothing behind it; or nil, message, code.
function options.outcome(value, message, code)
  if code == nil then
    return value
  end
  return value, message, code
end

--- Whether there is an option of that name.
function options.has(rules, name)
  for _, rule in ipairs(rules) do
    if rule[1] == name then
      return true
    end
  end
  return false
end

return options
