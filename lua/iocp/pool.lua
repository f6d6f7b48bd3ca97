--- The worker pool: threads in a loop over one port, and tasks for them.
-- The C part has what needs more than one thread at a time; here is what checks options and builds on it.
-- @classmod iocp.Pool

local load_chunk = rawget(_G, "loadstring") or load
local check_self = require "iocp.options".check_self
local parallel = require "iocp.parallel"
local trace = require "iocp.trace"

local function fail(message, ...)
  error(("bad argument 'options' to 'Pool' (" .. message .. ")"):format(...), 4) -- where Pool was called
end

local function is_count(value, least, most)
  return type(value) == "number" and value >= least and value <= most and value % 1 == 0
end

-- What each option may be: a check, and what an error says that was expected.
local rules = {
  workers = { function(v) return is_count(v, 0, 100000) end, "an integer from 0 to 100000" },
  concurrency = { function(v) return is_count(v, 0, 4294967295) end, "an integer from 0 to 4294967295" },
  name = { function(v) return type(v) == "string" end, "a string" },
  stack = { function(v) return is_count(v, 0, 2 ^ 40) end, "a number of bytes" },
  init = { function(v) return type(v) == "function" end, "a function" },
  logger = { function(v) return type(v) == "function" end, "a function" },
  replace = { function(v) return type(v) == "boolean" end, "a boolean" },
  queue_limit = { function(v) return is_count(v, 1, 1000000) end, "an integer from 1 to 1000000" },
  queue_wait = { function(v) return type(v) == "number" and v >= 0 end, "milliseconds, a number from 0 on" },
  on_error = {
    function(v) return v == "keep" or v == "log" or v == "raise" or type(v) == "function" end,
    [["keep", "log", "raise" or a function]],
  },
}

local function check(options)
  for name, value in pairs(options) do
    local rule = rules[name]
    if not rule then
      fail("'%s' is none of workers, concurrency, name, stack, init, on_error, logger, replace, queue_limit, queue_wait",
        tostring(name))
    elseif not rule[1](value) then
      fail("%s: expected %s, got %s", name, rule[2], type(value) == "number" and tostring(value) or type(value))
    end
  end
end

return function(core, parts)
  local methods = parts.methods

  --- Makes a pool.
  -- @tparam[opt] number|table options how many workers (as many as processors), or a table: workers; concurrency, how
  -- many of them work at a time (0: as many as processors); name; stack, bytes; init, a function that each worker calls
  -- first; on_error, "keep", "log", "raise" or a function(message, {pool=, task=, worker=}) that runs in the worker;
  -- logger, a function(text) for "log"; replace, whether a worker that died is replaced (true); queue_limit, how many tasks
  -- may be queued; queue_wait, how many ms submit waits for room (for ever).
  -- @return the pool; or nil, message, code
  local function new(_, options)
    if options == nil or type(options) == "number" then
      options = { workers = options }
    elseif options == core then
      error("bad argument #1 to 'Pool' (iocp.Pool(...) is called with a dot)", 2)
    elseif type(options) ~= "table" then
      error(("bad argument #1 to 'Pool' (options: expected a number of workers or a table, got %s)"):format(type(options)), 2)
    end
    check(options)
    local name = options.name or "iocp pool"
    return parts.new_pool(options.workers or core.processors(), options.concurrency or 0, name, options.stack or 0,
      options.replace ~= false, options.on_error == "raise", options.queue_limit or 0, options.queue_wait,
      { name = name, init = options.init, on_error = options.on_error, logger = options.logger })
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

  -- The last work object for a function with that name and wish for the state: a table with both is made anew for each submit.
  local named = setmetatable({}, { __mode = "k" })

  function parts.named_work(f, name, wants_state)
    local works = named[f] or {}
    local key = (wants_state and "+" or "-") .. (name or "")
    works[key] = parts.work(f, name, wants_state, works[key])
    named[f] = works
    return works[key]
  end

  -- Functions of texts, with their names, in two generations: a script that makes up its chunks does not fill the memory.
  local young, old, count = {}, {}, 0

  local function compile(text)
    local module, name = text:match("^([%w_.%-/]+):([%a_][%w_]*)$")
    if module then
      return { by_name(module, name), text }
    end
    local f, message = load_chunk(text, text)
    if not f then
      error("bad argument 'f' (" .. tostring(message) .. ")", 5) -- where the pool's method was called
    end
    return { f }
  end

  -- "module:function", which each worker requires for itself, or a chunk: the function, and its name if it has one.
  local function function_of(text)
    local found = young[text] or old[text] or compile(text)
    if not young[text] then
      if count >= 256 then
        young, old, count = {}, young, 0
      end
      young[text], count = found, count + 1
    end
    return found[1], found[2]
  end

  local function bad_work(message, ...)
    error(("bad argument 'f' (" .. message .. ")"):format(...), 4) -- as above
  end

  parts.set_resolver(function(f)
    if type(f) == "string" then
      return parts.named_work(function_of(f))
    elseif type(f) ~= "table" then
      bad_work('expected a function, a chunk, "module:function" or a table, got %s', type(f))
    end
    for name in pairs(f) do
      if name ~= "body" and name ~= "name" and name ~= "worker" then
        bad_work("'%s' is none of body, name, worker", tostring(name))
      end
    end
    local body, name = f.body, f.name
    if name ~= nil and type(name) ~= "string" then
      bad_work("name: expected a string, got %s", type(name))
    elseif f.worker ~= nil and type(f.worker) ~= "boolean" then
      bad_work("worker: expected a boolean, got %s", type(f.worker))
    elseif type(body) == "string" then
      body, name = function_of(body)
    elseif type(body) ~= "function" then
      bad_work("body: expected a function or a string, got %s", type(body))
    end
    return parts.named_work(body, f.name or name, f.worker)
  end)

  -- ---- the end ----

  --- Finishes what is queued, then ends the workers.
  -- @tparam[opt] number ms how long to wait; nil for ever
  -- @return true; or nil, message, code: TIMEOUT (it goes on finishing), CANCELLED
  function methods.shutdown(pool, ms)
    check_self(pool, methods)
    local _, own = parts.current_worker()
    if own == pool then
      error("bad argument #1 to 'shutdown' (self: a worker cannot wait for the end of its own pool; close ends it)", 2)
    end
    if ms ~= nil and not (type(ms) == "number" and ms >= 0) then
      error(("bad argument #1 to 'shutdown' (ms: expected milliseconds, a number from 0 on, or nil for ever, got %s)"):format(
        type(ms) == "number" and tostring(ms) or type(ms)), 2)
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
    --- The pool whose worker calls, and the worker's number; nil where no worker runs.
    current = function()
      local worker, pool = parts.current_worker()
      return pool, worker
    end,
  }, { __call = new })
end
