--- What came of a pool's jobs, in the pool's own state: the packets of the receiver become the outcomes of tasks, and
-- who waits for one is woken. One that waits gets from the port, and wakes the others; when its own has come, another
-- takes its place.
-- @module iocp.remote.outcomes
local core = require "iocp"
local values = require "iocp.remote.values"
local clock = core.clock
local outcomes = {}

local LOST = "Redis does not know this job any more: it was lost with Redis' memory, or its outcome has expired"

--- Ends a task, once. A look that found nothing may have come before the job: only one that was asked for after Redis
-- had it says that it is gone.
function outcomes.settle(pool, id, state, packed)
  local task = pool.tasks[id]
  if task and state == "missing" then
    if task.is_accepted then
      pool.control:send("confirm", { id })
    end
    return
  elseif not task then
    return
  end
  pool.tasks[id] = nil
  task.state = state == "gone" and "failed" or state
  if state == "gone" then
    pool.control:send("forget", id)
    task.results = { n = 2, LOST, "LOST" }
  else
    task.packed = packed
  end
  if task.loop then
    task.heard(task.loop, task)
  end
  if task.condition then
    task.condition:broadcast()
  end
end

local function dispatch(pool, list)
  for i = 1, #list, 3 do
    outcomes.settle(pool, list[i], list[i + 1], list[i + 2])
  end
end

--- Gets one packet, and all that are there besides: nil; or message, code.
local function pump(pool, limit)
  local ok, list, code = pool.inbox:receive(limit and math.max(0, limit - clock()))
  if not ok and pool.is_closed then
    return "this pool was closed", "CLOSED"
  elseif not ok then
    return list, code
  end
  while ok do
    dispatch(pool, list)
    ok, list = pool.inbox:receive(0)
  end
end

--- What has come already.
function outcomes.look(pool)
  if not pool.is_pumped then
    pump(pool, clock())
  end
end

local function wake_another(pool)
  local waiter = next(pool.waiters)
  if waiter then
    waiter.condition:signal()
  end
end

--- Waits until is_over(), which becomes true by an outcome, is so: true; or nil, message, code: TIMEOUT, CANCELLED,
-- CLOSED. waiter: a table, in which `condition` is signalled when it may have become so.
function outcomes.wait(pool, waiter, is_over, limit)
  local message, code
  waiter.condition = waiter.condition or core.Condition()
  pool.waiters[waiter] = (pool.waiters[waiter] or 0) + 1
  while not is_over() and not code do
    if pool.is_pumped then
      local ok
      ok, message, code = waiter.condition:wait(limit and math.max(0, limit - clock()))
      code = not ok and code or nil
    else
      pool.is_pumped = true
      message, code = pump(pool, limit)
      pool.is_pumped = false
    end
  end
  local n = pool.waiters[waiter] - 1
  pool.waiters[waiter] = n > 0 and n or nil
  if not pool.is_pumped then
    wake_another(pool)
  end
  if is_over() then
    return true
  end
  return nil, message, code
end

--- Reads what came, once. It may be damaged, or forged: the error of a task is a message and a code, whatever came.
local function read(task)
  local results, message = values.list(task.packed)
  if results and task.state ~= "completed" and (type(results[1]) ~= "string" or type(results[2]) ~= "string") then
    results, message = nil, "what came is damaged: an error without message and code"
  end
  task.results, task.packed = results or { n = 2, message, "INVALID" }, nil
  task.state = results and task.state or "failed"
end

--- The results of a task that has ended, as pcall would give them, and a code.
function outcomes.give(task)
  if not task.results then
    read(task)
  end
  local results = task.results
  local unpack = rawget(table, "unpack") or unpack
  if task.state == "completed" then
    return true, unpack(results, 1, results.n)
  end
  return nil, unpack(results, 1, results.n)
end

return outcomes
