--- What a worker serves: modules, and functions of them. Whoever can write to Redis can ask for these, with any
-- arguments, and for nothing else.
-- @module iocp.remote.allow
local work = require "iocp.remote.work"
local allow = {}

allow.WHAT = 'a list of modules\' names, or a table { module = { "function", ... } }: what this worker serves'

local function is_module(name)
  return type(name) == "string" and (name .. ":f"):find(work.PATTERN) ~= nil
end

local function functions_of(list)
  if type(list) ~= "table" then
    return nil
  end
  local set = {}
  for _, name in ipairs(list) do
    if type(name) ~= "string" then
      return nil
    end
    set[name] = true
  end
  return set
end

--- By module: true, all that stand in its table, or a set of functions; nil: it is no such thing.
function allow.read(given)
  if type(given) ~= "table" or next(given) == nil then
    return nil
  end
  local read = {}
  for key, value in pairs(given) do
    if type(key) == "number" and is_module(value) then
      read[value] = true
    elseif is_module(key) and functions_of(value) then
      read[key] = functions_of(value)
    else
      return nil
    end
  end
  return read
end

--- Whether "module:function" is one of them. Nothing is remembered: whoever can write to Redis makes up any number of
-- names.
function allow.has(modules, name)
  if not name:find(work.PATTERN) then
    return false
  end
  local module, entry = name:match("^(.*):(.*)$")
  local functions = modules[module]
  return functions == true or functions ~= nil and functions[entry] == true
end

return allow
