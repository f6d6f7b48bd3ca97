--- What submit takes: "module:function", or a table with that as `body` and terms.
-- @module iocp.remote.work
local options = require "iocp.options"
local work = {}

work.PATTERN = "^[%w_][%w_.%-]*:[%a_][%w_]*$"
local WHAT = '"module:function", or a table { body = "module:function", id =, priority =, retries =, backoff =, '
  .. 'timeout = }: no function crosses to another machine'

local function is_ms(least)
  return function(v) return type(v) == "number" and v >= least and v <= 1e15 end
end

local PRIORITIES = { high = "h", normal = "n", low = "l" }

local rules = {
  body = { function(v) return type(v) == "string" and v:find(work.PATTERN) ~= nil end, '"module:function"' },
  id = { function(v) return type(v) == "string" and #v > 0 and #v <= 200 end, "a string of 1 to 200 bytes" },
  priority = { function(v) return PRIORITIES[v] ~= nil end, '"high", "normal" or "low"' },
  retries = { function(v) return type(v) == "number" and v >= 0 and v <= 1e9 and v % 1 == 0 end,
    "an integer from 0 to 1e9" },
  backoff = { is_ms(0), "milliseconds, a number from 0 to 1e15" },
  timeout = { is_ms(1), "milliseconds, a number from 1 to 1e15" },
}

local LETTERS = { retries = "r", backoff = "b", timeout = "t" }

local plain = {} -- by "module:function": what it is read as

local function fault(name, method, expected, value)
  return ("bad argument '%s' to '%s' (expected %s, got %s)"):format(name, method, expected, options.got(value))
end

--- What is wrong with a table; nil: nothing.
local function fault_of(given, method)
  for name, value in pairs(given) do
    local rule = rules[name]
    if not rule then
      return ("bad argument 'f' to '%s' ('%s' is none of body, id, priority, retries, backoff, timeout)"):format(method,
        tostring(name))
    elseif not rule[1](value) then
      return fault(name, method, rule[2], value)
    end
  end
  return given.body == nil and fault("f", method, WHAT, given) or nil
end

local function read_table(given)
  local terms = {}
  if given.priority and given.priority ~= "normal" then
    terms[1] = "p=" .. PRIORITIES[given.priority]
  end
  for name, letter in pairs(LETTERS) do
    if given[name] then
      terms[#terms + 1] = ("%s=%.0f"):format(letter, given[name])
    end
  end
  return { body = given.body, id = given.id, terms = table.concat(terms, ";") }
end

--- body, id or nil, and the terms as the script submit takes them; or nil and what is wrong.
-- @param method the name of the method that was called
function work.read(f, method)
  if type(f) == "table" then
    local wrong = fault_of(f, method)
    if wrong then
      return nil, wrong
    end
    return read_table(f)
  elseif type(f) ~= "string" or not f:find(work.PATTERN) then
    return nil, fault("f", method, WHAT, f)
  end
  plain[f] = plain[f] or { body = f, terms = "" }
  return plain[f]
end

return work
