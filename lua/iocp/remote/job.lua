--- A job in a worker of the local pool: decodes the arguments, calls the function, encodes what came of it.
-- @module iocp.remote.job
require "iocp"
local values = require "iocp.remote.values"
local unpack = rawget(table, "unpack") or unpack
local job = {}

--- An error in short, for those whose value cannot cross.
local function text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and text or ("(error object is a %s value)"):format(type(value))
end

--- The outcome of a failure: message, code and the error value, if that can cross.
function job.failure(message, code, value)
  return values.encode("error", message, code, value) or values.encode("error", message, code)
end

local function handler(value)
  return { value = value, message = debug.traceback(text_of(value), 2) }
end

local function finish(ok, ...)
  if not ok then
    local trouble = ...
    local cancelled = require("iocp").cancelled()
    local value = trouble.value
    return cancelled and "cancelled" or "failed", job.failure(trouble.message, cancelled and "CANCELLED" or "ERROR",
      type(value) ~= "string" and value or nil)
  end
  local packed, fault = values.encode("result", ...)
  if not packed then
    return "failed", job.failure(fault, "ERROR")
  end
  return "completed", packed
end

--- The function of a module: what stands in its table itself under that name, and nothing else. Raises.
local function find(name)
  local module, entry = name:match("^(.*):(.*)$")
  local found = require(module)
  local f = type(found) == "table" and rawget(found, entry)
  if type(f) ~= "function" then
    error(("the module '%s' has no function '%s'"):format(module, entry), 0)
  end
  return f
end

--- Raises unless a module is there, and has these functions.
function job.check(module, functions)
  if type(require(module)) ~= "table" then
    error(("the module '%s' gives no table of functions"):format(module), 0)
  end
  for _, name in ipairs(functions) do
    find(module .. ":" .. name)
  end
end

local known = {} -- by name: functions

--- Runs one: "completed", "failed" or "cancelled", and its outcome.
-- @param name "module:function", one of those that this worker serves: worker.lua looks
-- @param arguments what values.encode wrote
-- @param before what came of the job that it was to run after; ""
function job.run(name, arguments, before)
  local list, message = values.list(arguments)
  local first = before ~= "" and list and values.list(before) or { n = 0 }
  if not list then
    return "failed", job.failure(message, "INVALID")
  end
  for i = 1, list.n do
    first[first.n + i] = list[i]
  end
  local n = first.n + list.n
  return finish(xpcall(function()
    local f = known[name]
    if not f then
      f = find(name)
      known[name] = f
    end
    return f(unpack(first, 1, n))
  end, handler))
end

return job
