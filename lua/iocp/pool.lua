--- The worker pool: threads in a loop over one port, and tasks for them.
-- The C part has what needs more than one thread at a time; here is what checks options and builds on it.
-- @classmod iocp.Pool

local body = require "iocp.body"
local options = require "iocp.options"
local parallel = require "iocp.parallel"
local json, told = require "iocp.json", require "iocp.told"
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

local is_worker_count = is_count(0, 100000)

local function is_workers(v)
  if type(v) ~= "table" then
    return is_worker_count(v)
  end
  return is_worker_count(v[1]) and is_worker_count(v[2]) and v[1] <= v[2] and v[2] > 0 and #v == 2
end

local function is_ms(v)
  return type(v) == "number" and v >= 0
end

local function is_boolean(v)
  return type(v) == "boolean"
end

local rules = {
  { "workers", is_workers, "an integer from 0 to 100000, or two of them, the least and the most" },
  { "idle", is_ms, "milliseconds, a number from 0 on", function(all) return type(all.workers) == "table" end,
    "nil without workers = { least, most }" },
  { "concurrency", is_count(0, 4294967295), "an integer from 0 to 4294967295" },
  options.NAME,
  { "stack", function(v) return v == 0 or is_count(262144, 2 ^ 40)(v) end,
    "a number of bytes from 262144 on, or 0 for 2 MiB" },
  { "affinity", is_affinity, '"spread", or a list of 1 to 1024 numbers of processors, from 0 on' },
  { "thread_priority", is_count(-2, 2), "an integer from -2 to 2" },
  { "init", is_function, "a function" },
  { "fini", is_function, "a function" },
  { "tasks_per_worker", is_count(1, 2 ^ 53), "an integer from 1 on" },
  { "fresh", is_boolean, "a boolean" },
  { "grace", is_ms, "milliseconds, a number from 0 on" },
  { "on_error", function(v) return v == "keep" or v == "log" or v == "raise" or is_function(v) end,
    [["keep", "log", "raise" or a function]] },
  { "on_error_here", is_function, "a function" },
  { "logger", is_function, "a function", function(all) return all.on_error end, 'nil without on_error = "log"' },
  { "replace", is_boolean, "a boolean" },
  { "queue_limit", is_count(1, 1000000), "an integer from 1 to 1000000" },
  { "queue_wait", is_ms, "milliseconds, a number from 0 on", function(all) return all.queue_limit end,
    "nil without a queue_limit" },
}

local IDLE, GRACE = 10000, 100 -- ms

--- What parts.new_pool gets of options that were checked.
local function plan_of(given, name)
  local workers = given.workers or core.processors()
  local range = type(workers) == "table" and workers or { workers, workers }
  return {
    workers = range[1],
    most = range[2],
    idle = given.idle or IDLE,
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
    tasks_per_worker = given.tasks_per_worker or 0,
    fresh = given.fresh or false,
    grace = given.grace or GRACE,
    setup = { name = name, init = given.init, fini = given.fini, on_error = given.on_error, logger = given.logger,
      told = given.on_error_here and core.IOCompletionPort() or nil },
  }
end

--- Makes a pool.
-- @tparam[opt] number|table options how many workers (as many as processors), or a table: workers, also { least, most
-- }, then idle, how many ms one more than the least waits for a task before it ends (10000); concurrency, how many of
-- them work at a time (0: as many as processors); name; stack, bytes; affinity, the numbers of the processors that
-- they may run on, or "spread": each on one of its own; thread_priority, -2 to 2; init, a function that each worker
-- calls first, fini, a function(state) that it calls at its end, if that is no death; tasks_per_worker, after how
-- many another takes its place; fresh, whether each task has a new Lua state; grace, ms that code ended by
-- cancel("hard") has to leave (100); on_error, "keep", "log", "raise" or a function(message, {pool=, task=, worker=})
-- that runs in the worker; on_error_here, the same in the thread that makes the pool, at its next call that waits;
-- logger, a function(text) for "log"; replace, whether a worker that died is replaced (true); queue_limit, how many
-- tasks may be queued; queue_wait, how many ms submit waits for room (for ever).
-- @return the pool; or nil, message, code
local function new(_, given)
  if given == core then
    options.wrong("options", "iocp.Pool(...) is called with a dot")
  elseif given == nil or type(given) == "number" then
    given = { workers = given }
  end
  options.check("options", given, type(given) == "table", "a number of workers or a table")
  given = options.read(given, rules)
  local plan = plan_of(given, given.name or "iocp pool")
  local pool, message, code = parts.new_pool(plan)
  if pool and given.on_error_here then
    told.add(pool, plan.setup.told, given.on_error_here)
  end
  if not pool then
    return nil, message, code
  end
  return pool
end

--- The pool that has this name in the process, whichever state made it; the first who asks makes it.
-- @tparam string name
-- @tparam[opt] number|table options as for Pool, without a name; for who is not the first they say nothing
-- @return the pool; or nil, message, code
local function named(name, given)
  options.check("name", name, options.is_name(name) and #name > 0, "a string of 1 to 63 bytes, none of them 0")
  local pool = parts.find_named(name)
  if pool then
    return pool
  end
  given = options.read(type(given) == "number" and { workers = given } or given, rules)
  options.check("options", given.name, given.name == nil or given.name == name, "no name but the first argument")
  local plan = plan_of(given, name)
  local least, most = plan.workers, plan.most
  plan.workers, plan.most = 0, 0 -- none begins if another state is faster
  local message, code
  pool, message, code = parts.new_pool(plan)
  if not pool then
    return nil, message, code
  end
  local other = parts.enter_named(pool)
  if other then
    pool:close()
    return other
  end
  local ok
  ok, message, code = parts.set_range(pool, least, most)
  if not ok then
    pool:close()
    return nil, message, code
  end
  if given.on_error_here then
    told.add(pool, plan.setup.told, given.on_error_here)
  end
  return pool
end

--- What the pools with a name do: their stats by name.
-- @tparam[opt] string format "json"
-- @return a table, or a text
local function status(format)
  options.check("format", format, format == nil or format == "json", '"json" or nil')
  local all = {}
  for _, pool in ipairs(parts.named_pools()) do
    all[pool:name()] = pool:stats()
  end
  return format and json(all) or all
end

--- Finishes what is queued, then ends the workers.
-- @tparam[opt] number ms how long to wait; nil for ever
-- @return true; or nil, message, code: TIMEOUT (it goes on finishing), CANCELLED
local function shutdown(pool, ms)
  options.check_self(pool, parts.methods)
  local _, own = parts.current_worker()
  if own == pool then
    options.wrong("self", "a worker cannot wait for the end of its own pool; close ends it")
  end
  options.check("ms", ms, ms == nil or is_ms(ms), "milliseconds, a number from 0 on, or nil for ever")
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
  local function put(name, method)
    private.put(parts.methods, "iocp.methods\0iocp.Pool", name, method)
  end
  put("shutdown", shutdown)
  for name, module in pairs { imap = "iocp.imap", scope = "iocp.pool_scope" } do
    put(name, function(...)
      put(name, private.load_with_scheduler(module))
      return parts.methods[name](...)
    end)
  end
  parts.class.__close = close
  parallel(core, parts)
  trace(parts)

  core.Pool = setmetatable({
    --- One more userdata for the pool that a handle names; or nil, message, code.
    open = parts.open,
  }, { __call = new })
  private.put(core.Pool, "iocp\0Pool", "current", current)
  private.put(core.Pool, "iocp\0Pool", "named", named)
  private.put(core.Pool, "iocp\0Pool", "status", status)
end
