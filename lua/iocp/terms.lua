--- How a task is treated: what a table { body =, ... } says besides the function, its name and the worker's state.
-- timeout, ms; hard, whether that ends the worker; retries and backoff, ms; priority; jit, whether LuaJIT compiles it.
local options = require "iocp.options"
local terms = {}

local NUMBERS = { high = 1, normal = 0, low = 2 } -- as in src/work/work.h
local LONGEST = 1e15 -- ms

local function is_ms(least)
  return function(v) return type(v) == "number" and v >= least and v <= LONGEST end
end

local function is_boolean(v)
  return type(v) == "boolean"
end

local rules = {
  timeout = { is_ms(0.001), "milliseconds, a number from 0.001 to 1e15" },
  hard = { is_boolean, "a boolean" },
  retries = { function(v) return type(v) == "number" and v >= 0 and v <= 1e9 and v % 1 == 0 end,
    "an integer from 0 to 1e9" },
  backoff = { is_ms(0), "milliseconds, a number from 0 to 1e15" },
  priority = { function(v) return NUMBERS[v] ~= nil end, '"high", "normal" or "low"' },
  jit = { is_boolean, "a boolean" },
}

local WITH = { hard = "timeout", backoff = "retries" } -- what says nothing alone

--- The option of that name, or nil.
function terms.has(name)
  return rules[name] ~= nil
end

--- What is wrong with those of a table; nil: nothing.
function terms.fault_of(given)
  for name, rule in pairs(rules) do
    local value, needs = given[name], WITH[name]
    if value ~= nil and not rule[1](value) then
      return ("%s: expected %s, got %s"):format(name, rule[2], options.got(value))
    elseif value and needs and given[needs] == nil then
      return ("%s: there is no %s"):format(name, needs)
    end
  end
  return nil
end

-- What tells a function with these from the same with others, by whether it wants the worker's state.
local function with_keys(read, key)
  read.key, read.wanting_key = "-" .. key, "+" .. key
  return read
end

--- By priority, of what has no other terms; false: it has none.
terms.by_priority = { normal = false }
for _, name in ipairs { "high", "low" } do
  terms.by_priority[name] = with_keys({ priority = NUMBERS[name] }, ("%d\0"):format(NUMBERS[name]))
end

--- Those of a table that has no fault, for parts.work, with keys that tell them from others; nil: there are none.
function terms.of(given)
  if not (given.timeout or given.retries or given.jit ~= nil) then
    return terms.by_priority[given.priority or "normal"] or nil
  end
  local read = {
    timeout = given.timeout or 0,
    hard = given.hard and 1 or 0,
    retries = given.retries or 0,
    backoff = given.backoff or 0,
    priority = NUMBERS[given.priority or "normal"],
    interpreted = given.jit == false and 1 or 0,
  }
  return with_keys(read, ("%d %.17g %d %d %.17g %d\0"):format(read.priority, read.timeout, read.hard, read.retries,
    read.backoff, read.interpreted))
end

return terms
