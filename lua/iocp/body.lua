--- What a task runs: a function, a chunk of Lua, "module:function", or a table of one of them with a name and whether
-- it is called with the worker's state. A function crosses to each worker once.
local load_chunk = rawget(_G, "loadstring") or load
local options = require "iocp.options"
local parts -- those of this state: see the end

local NAMES, TEXTS = 64, 256 -- that are remembered for a function, and of texts

-- Values by keys, in two generations of `size`: a script that makes up its names and chunks does not fill the memory.
-- Returns a function that gives, and keeps, what make(last, ...) makes; `last` is what it made for that key before, if
-- that is still there.
local function new_generations(size)
  local young, old, count = {}, {}, 0
  return function(key, make, ...)
    local last = young[key]
    if last == nil then
      last = old[key]
      if count >= size then
        young, old, count = {}, young, 0
      end
      count = count + 1
    end
    young[key] = make(last, ...)
    return young[key]
  end
end

local function by_name(module, name)
  return function(...)
    local f = require(module)[name]
    if f == nil then
      error(("module '%s' has no function '%s'"):format(module, name), 0)
    end
    return f(...)
  end
end

-- The last work objects of a function by name and wish for the state: a table with both is made anew for each submit.
local named = setmetatable({}, { __mode = "k" })

local function renew(last, f, name, wants_state)
  return parts.work(f, name, wants_state, last)
end

local function named_work(f, name, wants_state)
  named[f] = named[f] or new_generations(NAMES)
  return named[f]((wants_state and "+" or "-") .. (name or ""), renew, f, name, wants_state)
end

-- Its end says more than its beginning.
local function shortened(name)
  return options.is_name(name) and name or "..." .. name:sub(-60)
end

local function compile(found, text)
  if found then
    return found
  end
  local module, name = text:match("^([%w_.%-/]+):([%a_][%w_]*)$")
  if module then
    return { by_name(module, name), shortened(text) }
  end
  local f, message = nil, "attempt to load a binary chunk: submit the function itself"
  if text:byte(1) ~= 27 then
    f, message = load_chunk(text, text)
  end
  module, name = text:match("^([%w_.%-/]+)%.([%a_][%w_]*)$")
  if not f and module then
    message = ('%s; a function of a module is written "%s:%s"'):format(message, module, name)
  end
  if not f then
    error("bad argument 'f' (" .. tostring(message) .. ")", 6) -- where the pool's method was called
  end
  return { f }
end

local texts = new_generations(TEXTS)

-- "module:function", which each worker requires for itself, or a chunk: the function, and its name if it has one.
local function function_of(text)
  local found = texts(text, compile, text)
  return found[1], found[2]
end

local function bad_work(message, ...)
  error(("bad argument 'f' (" .. message .. ")"):format(...), 4) -- as above
end

-- What stands for a function, as a work object.
local function resolve(f)
  if type(f) == "string" then
    return named_work(function_of(f))
  elseif type(f) ~= "table" then
    bad_work('expected a function, a chunk, "module:function" or a table, got %s', options.got(f))
  elseif f.body == nil and getmetatable(f) and getmetatable(f).__call then
    bad_work("expected a function, got a table with __call: pass a function that calls it")
  end
  for name in pairs(f) do
    if name ~= "body" and name ~= "name" and name ~= "worker" then
      bad_work("'%s' is none of body, name, worker", tostring(name))
    end
  end
  local body, name = f.body, f.name
  if name ~= nil and not options.is_name(name) then
    bad_work("name: expected %s, got %s", options.NAME[3], options.got(name))
  elseif f.worker ~= nil and type(f.worker) ~= "boolean" then
    bad_work("worker: expected a boolean, got %s", options.got(f.worker))
  elseif type(body) == "string" then
    body, name = function_of(body)
  elseif type(body) ~= "function" then
    bad_work("body: expected a function or a string, got %s", options.got(body))
  end
  return named_work(body, f.name or name, f.worker)
end

return function(its_parts)
  parts = its_parts
  parts.named_work = named_work
  parts.set_resolver(resolve)
end
