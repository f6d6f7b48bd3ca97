--- The worker pool: threads in a loop over one port, and tasks for them.
-- The C part has what needs more than one thread at a time; here is what checks options and builds on it.
-- @classmod iocp.Pool

local load_chunk = rawget(_G, "loadstring") or load
local options = require "iocp.options"
local parallel = require "iocp.parallel"
local trace = require "iocp.trace"

local function is_count(least, most)
  return function(v)
    return type(v) == "number" and v >= least and v <= most and v % 1 == 0
  end
end

local function is_function(v)
  return type(v) == "function"
end

local rules = {
  { "workers", is_count(0, 100000), "an integer from 0 to 100000" },
  { "concurrency", is_count(0, 4294967295), "an integer from 0 to 4294967295" },
  options.NAME,
  { "stack", is_count(0, 2 ^ 40), "a number of bytes" },
  { "init", is_function, "a function" },
  { "on_error", function(v) return v == "keep" or v == "log" or v == "raise" or is_function(v) end,
    [["keep", "log", "raise" or a function]] },
  { "logger", is_function, "a function" },
  { "replace", function(v) return type(v) == "boolean" end, "a boolean" },
  { "queue_limit", is_count(1, 1000000), "an integer from 1 to 1000000" },
  { "queue_wait", function(v) return type(v) == "number" and v >= 0 end, "milliseconds, a number from 0 on" },
}

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

return function(core, parts)
  local methods = parts.methods

  --- Makes a pool.
  -- @tparam[opt] number|table options how many workers (as many as processors), or a table: workers; concurrency, how
  -- many of them work at a time (0: as many as processors); name; stack, bytes; init, a function that each worker calls
  -- first; on_error, "keep", "log", "raise" or a function(message, {pool=, task=, worker=}) that runs in the worker;
  -- logger, a function(text) for "log"; replace, whether a worker that died is replaced (true); queue_limit, how many
  -- tasks may be queued; queue_wait, how many ms submit waits for room (for ever).
  -- @return the pool; or nil, message, code
  local function new(_, given)
    if given == core then
      error("bad argument #1 to 'Pool' (iocp.Pool(...) is called with a dot)", 2)
    elseif given == nil or type(given) == "number" then
      given = { workers = given }
    end
    options.check("options", given, type(given) == "table", "a number of workers or a table")
    given = options.read(given, rules)
    options.check("queue_wait", given.queue_wait, not given.queue_wait or given.queue_limit,
      "nil without a queue_limit")
    options.check("logger", given.logger, not given.logger or given.on_error, 'nil without on_error = "log"')
    local name = given.name or "iocp pool"
    return parts.new_pool {
      workers = given.workers or core.processors(),
      concurrency = given.concurrency or 0,
      name = name,
      stack = given.stack or 0,
      replace = given.replace ~= false,
      raises = given.on_error == "raise",
      queue_limit = given.queue_limit or 0,
      queue_wait = given.queue_wait,
      setup = { name = name, init = given.init, on_error = given.on_error, logger = given.logger },
    }
  end

  -- ---- what can be submitted besides functions ----

  local function by_name(module, name)
    return function(...)
      local f = require(module)[name]
      if f == nil then
        error(("module '%s' has no function '%s'"):format(module, name), 0)
      end
      return f(...)
    end
  end

  local NAMES, TEXTS = 64, 256

  -- The last work objects of a function by name and wish for the state: a table with both is made anew for each submit.
  local named = setmetatable({}, { __mode = "k" })

  local function renew(last, f, name, wants_state)
    return parts.work(f, name, wants_state, last)
  end

  function parts.named_work(f, name, wants_state)
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

  parts.set_resolver(function(f)
    if type(f) == "string" then
      return parts.named_work(function_of(f))
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
    return parts.named_work(body, f.name or name, f.worker)
  end)

  -- ---- the end ----

  --- Finishes what is queued, then ends the workers.
  -- @tparam[opt] number ms how long to wait; nil for ever
  -- @return true; or nil, message, code: TIMEOUT (it goes on finishing), CANCELLED
  function methods.shutdown(pool, ms)
    options.check_self(pool, methods)
    local _, own = parts.current_worker()
    if own == pool then
      error("bad argument #1 to 'shutdown' (self: a worker cannot wait for the end of its own pool; close ends it)", 2)
    end
    if ms ~= nil and not (type(ms) == "number" and ms >= 0) then
      local got = type(ms) == "number" and tostring(ms) or type(ms)
      error("bad argument #1 to 'shutdown' (ms: expected milliseconds, a number from 0 on, or nil for ever, got "
        .. got .. ")", 2)
    end
    local deadline = ms and core.clock() + ms
    local threads = parts.pool_threads(pool)
    local ok, message, code = parts.finish_pool(pool, ms)
    if not ok then
      return nil, message, code
    end
    for _, thread in ipairs(threads) do
      local joined, why, what = thread:join(deadline and math.max(0, deadline - core.clock()))
      if not joined and (what == "TIMEOUT" or what == "CANCELLED" and core.cancelled()) then
        return nil, why, what
      end
    end
    return true
  end

  parallel(core, parts)
  trace(parts)

  core.Pool = setmetatable({
    --- One more userdata for the pool that a handle names; or nil, message, code.
    open = parts.open,
    --- The pool whose worker calls, and the worker's number; nil where no worker runs.
    current = function()
      local worker, pool = parts.current_worker()
      return pool, worker
    end,
  }, { __call = new })
end
