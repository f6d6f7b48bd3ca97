--- The worker pool: threads in a loop over one port, and tasks for them.
-- The C part has what needs more than one thread at a time; here is what checks options and builds on it.
-- @classmod iocp.Pool

local body = require "iocp.body"
local options = require "iocp.options"
local parallel = require "iocp.parallel"
local trace = require "iocp.trace"
local private = require "iocp.private"
local core, parts -- those of this state: see the end

local function is_count(least, most)
  return function(v)
    return type(v) == "number" and v >= least and v <= most and v % 1 == 0
  end
end

local function is_function(v)
  return type(v) == "function"
end

local is_processor = is_count(0, 4294967295)

local function is_affinity(v)
  local is_list = type(v) == "table" and #v >= 1 and #v <= 1024
  for i = 1, is_list and #v or 0 do
    is_list = is_list and is_processor(v[i])
  end
  return is_list or v == "spread"
end

local rules = {
  { "workers", is_count(0, 100000), "an integer from 0 to 100000" },
  { "concurrency", is_count(0, 4294967295), "an integer from 0 to 4294967295" },
  options.NAME,
  { "stack", function(v) return v == 0 or is_count(262144, 2 ^ 40)(v) end,
    "a number of bytes from 262144 on, or 0 for 2 MiB" },
  { "affinity", is_affinity, '"spread", or a list of 1 to 1024 numbers of processors, from 0 on' },
  { "thread_priority", is_count(-2, 2), "an integer from -2 to 2" },
  { "init", is_function, "a function" },
  { "on_error", function(v) return v == "keep" or v == "log" or v == "raise" or is_function(v) end,
    [["keep", "log", "raise" or a function]] },
  { "logger", is_function, "a function" },
  { "replace", function(v) return type(v) == "boolean" end, "a boolean" },
  { "queue_limit", is_count(1, 1000000), "an integer from 1 to 1000000" },
  { "queue_wait", function(v) return type(v) == "number" and v >= 0 end, "milliseconds, a number from 0 on" },
}

--- Makes a pool.
-- @tparam[opt] number|table options how many workers (as many as processors), or a table: workers; concurrency, how
-- many of them work at a time (0: as many as processors); name; stack, bytes; affinity, the numbers of the processors
-- that they may run on, or "spread": each on one of its own; thread_priority, -2 to 2; init, a function that each
-- worker calls first; on_error, "keep", "log", "raise" or a function(message, {pool=, task=, worker=}) that runs in the
-- worker; logger, a function(text) for "log"; replace, whether a worker that died is replaced (true); queue_limit, how
-- many tasks may be queued; queue_wait, how many ms submit waits for room (for ever).
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
  local pool, message, code = parts.new_pool {
    workers = given.workers or core.processors(),
    concurrency = given.concurrency or 0,
    name = name,
    stack = given.stack or 0,
    affinity = given.affinity ~= "spread" and given.affinity or nil,
    spread = given.affinity == "spread",
    thread_priority = given.thread_priority or 0,
    replace = given.replace ~= false,
    raises = given.on_error == "raise",
    queue_limit = given.queue_limit or 0,
    queue_wait = given.queue_wait,
    setup = { name = name, init = given.init, on_error = given.on_error, logger = given.logger },
  }
  return pool, message, code -- no tail call, which would not be seen: new_pool looks for who called this
end

--- Finishes what is queued, then ends the workers.
-- @tparam[opt] number ms how long to wait; nil for ever
-- @return true; or nil, message, code: TIMEOUT (it goes on finishing), CANCELLED
local function shutdown(pool, ms)
  options.check_self(pool, parts.methods)
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

-- From Lua 5.4 on, at the end of `local pool <close>`: finishes what is queued, and waits for it; where an error ended
-- the scope, or in one of its own workers, which cannot wait for it, what is queued is cancelled.
local function close(pool, trouble)
  local _, own = parts.current_worker()
  if trouble ~= nil or own == pool then
    pool:close()
  else
    shutdown(pool)
  end
end

--- The pool whose worker calls, and the worker's number; nil where no worker runs.
local function current()
  local worker, pool = parts.current_worker()
  return pool, worker
end

return function(its_core, its_parts)
  core, parts = its_core, its_parts
  body(parts)
  parts.methods.shutdown = shutdown
  for name, module in pairs { imap = "iocp.imap", scope = "iocp.pool_scope" } do
    parts.methods[name] = function(...)
      parts.methods[name] = private.load_with_scheduler(module)
      return parts.methods[name](...)
    end
  end
  parts.class.__close = close
  parallel(core, parts)
  trace(parts)

  core.Pool = setmetatable({
    --- One more userdata for the pool that a handle names; or nil, message, code.
    open = parts.open,
    current = current,
  }, { __call = new })
end
