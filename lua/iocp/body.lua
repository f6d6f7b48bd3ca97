--- What a task runs: a function, a chunk of Lua, "module:function", or a table of one of them with a name and whether
-- it is called with the worker's state. A function crosses to each worker once.
local load_chunk = rawget(_G, "loadstring") or load
local options, terms = require "iocp.options", require "iocp.terms"
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

-- The last work objects of a function by name, wish for the state and terms: a table with all of them is made anew for
-- each submit.
local named = setmetatable({}, { __mode = "k" })

local function renew(last, f, name, wants_state, its_terms)
  return parts.work(f, name, wants_state, last, its_terms)
end

local NONE = { key = "-", wanting_key = "+" }

local function named_work(f, name, wants_state, its_terms)
  named[f] = named[f] or new_generations(NAMES)
  local key = (its_terms or NONE)[wants_state and "wanting_key" or "key"]
  return named[f](name and key .. name or key, renew, f, name, wants_state, its_terms)
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
    options.wrong("f", tostring(message))
  end
  return { f }
end

local texts = new_generations(TEXTS)

-- "module:function", which each worker requires for itself, or a chunk: the function, and its name if it has one.
local function function_of(text)
  local found = texts(text, compile, text)
  return found[1], found[2]
end

-- What is wrong with a table of a body and what goes with it; nil: nothing.
local function fault_of(f)
  local metatable = getmetatable(f)
  if f.body == nil and type(metatable) == "table" and metatable.__call then
    return "expected a function, got a table with __call: pass a function that calls it"
  end
  local has_terms = false
  for name in pairs(f) do
    if name ~= "body" and name ~= "name" and name ~= "worker" then
      if not terms.has(name) then
        return ("%s is none of body, name, worker, timeout, hard, retries, backoff, priority, jit%s"):format(
          options.key(name), name == 1 and f.body == nil and "; the function is body =" or "")
      end
      has_terms = true
    end
  end
  if f.name ~= nil and not options.is_name(f.name) then
    return ("name: expected %s, got %s"):format(options.NAME[3], options.got(f.name))
  elseif f.worker ~= nil and type(f.worker) ~= "boolean" then
    return ("worker: expected a boolean, got %s"):format(options.got(f.worker))
  elseif type(f.body) ~= "function" and type(f.body) ~= "string" then
    return ("body: expected a function or a string, got %s"):format(options.got(f.body))
  end
  return has_terms and terms.fault_of(f) or nil, has_terms
end

-- The function that `f` says, its name if it has one, whether it is called with the worker's state, and the terms.
local function describe(f)
  local kind, fault, has_terms = type(f), nil, false
  if kind == "table" then
    fault, has_terms = fault_of(f)
  elseif kind ~= "function" and kind ~= "string" then
    fault = ('expected a function, a chunk, "module:function" or a table, got %s'):format(options.got(f))
  end
  if fault then
    options.wrong("f", fault)
  end
  local given = kind == "table" and f or { body = f }
  local its_terms = has_terms and terms.of(f) or nil
  if type(given.body) == "function" then
    return given.body, given.name, given.worker, its_terms
  end
  local body, name = function_of(given.body)
  return body, given.name or name, given.worker, its_terms
end

local PLAIN = { body = true, name = true, worker = true, priority = true }

-- Whether it is a table of a function that says nothing which is dear to look at, and nothing wrong.
local function is_plain(f)
  for name in pairs(f) do
    if not PLAIN[name] then
      return false
    end
  end
  local name, worker, priority = f.name, f.worker, f.priority
  return type(f.body) == "function" and (name == nil or options.is_name(name))
    and (worker == nil or type(worker) == "boolean") and (priority == nil or terms.by_priority[priority] ~= nil)
end

-- What stands for a function, as a work object.
local function resolve(f)
  if type(f) == "table" and is_plain(f) then
    return named_work(f.body, f.name, f.worker, f.priority and terms.by_priority[f.priority])
  end
  return named_work(describe(f))
end

return function(its_parts)
  parts = its_parts
  parts.named_work, parts.describe = named_work, describe
  parts.set_resolver(resolve)
end
