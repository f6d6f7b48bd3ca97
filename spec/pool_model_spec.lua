-- Random operations of all that a pool offers against a model: each task has exactly one outcome, one of those that it
-- may have, and the counters add up.
local iocp = require "iocp"
local support = require "support"

local function number(n) return n end
local function fail(n) error({ n = n }) end
local function doze(n) require("iocp").sleep(0.2) return n end
local function fail_at_first(n)
  seen = seen or {} -- luacheck: ignore
  seen[n] = (seen[n] or 0) + 1 -- luacheck: ignore
  if seen[n] < 2 then error({ n = n }) end -- luacheck: ignore
  return n
end

-- A generator of its own, the same on every Lua.
local function dice(seed)
  local state = seed
  return function(sides)
    state = (state * 16807) % 2147483647
    return state % sides + 1
  end
end

local PRIORITIES = { "high", "normal", "low" }

-- What a pool and the script that uses it are about. `tasks`: those that are open, each is { task =, may =, n = }: the
-- codes that it may end with, OK among them, and what is the result then, if that is known.
local function new_model(pool, seed)
  return { pool = pool, roll = dice(seed), tasks = {}, made = 0,
    ended = { OK = 0, ERROR = 0, CANCELLED = 0, TIMEOUT = 0 } }
end

local function keep(model, task, may, n)
  model.made = model.made + 1
  model.tasks[#model.tasks + 1] = { task = assert(task), may = may, n = n }
end

local function any(model)
  return model.tasks[model.roll(math.max(1, #model.tasks))]
end

-- One task has ended: how is to be as the model says.
local function check(model, one)
  local ok, result, code = one.task:result()
  local outcome = ok and "OK" or code
  assert(one.may[outcome], ("task %s ended with %s: %s"):format(tostring(one.n), tostring(outcome), tostring(result)))
  assert(not ok or one.n == nil or result == one.n, "it has another's result")
  assert(one.task:status() == (ok and "completed" or code == "ERROR" and "failed" or "cancelled"))
  model.ended[outcome] = model.ended[outcome] + 1
end

-- May a cancel come to it, or its time, it has these besides.
local function loosen(one)
  one.may.CANCELLED, one.loose = true, true
end

local operations = {}

function operations.submit(model, n)
  keep(model, model.pool:submit(number, n), { OK = true }, n)
end

function operations.submit_treated(model, n)
  local roll, may = model.roll, { OK = true }
  local body = ({ number, fail, doze, fail_at_first })[roll(4)]
  local terms = { body = body, priority = PRIORITIES[roll(3)] }
  if roll(3) == 1 then
    terms.timeout = 0.05 * roll(8)
    may.TIMEOUT = true
  end
  if roll(2) == 1 then
    terms.retries, terms.backoff = roll(3), 0.05 * roll(2)
  end
  if body == fail then
    may.OK, may.ERROR = nil, true
  elseif body == fail_at_first then
    may.ERROR = true -- another worker may have seen it the second time
  end
  keep(model, model.pool:submit(terms, n), may, n)
end

function operations.submit_later(model, n)
  keep(model, model.pool:submit_after(0.1 * model.roll(10), number, n), { OK = true }, n)
end

-- What follows from another, which may still be cancelled: then so is that.
local function follow(model, method, f, may, n)
  local one = any(model)
  if one then
    may.CANCELLED, may.ERROR, may.TIMEOUT = true, true, true
    keep(model, one.task[method](one.task, f), may, n)
  end
end

function operations.then_(model)
  follow(model, "then_", number, { OK = true })
end

function operations.catch(model)
  follow(model, "catch", function() return 1 end, { OK = true })
end

function operations.finally(model)
  follow(model, "finally", function() end, { OK = true })
end

function operations.cancel(model)
  local one = any(model)
  if one then
    loosen(one)
    one.task:cancel()
  end
end

function operations.wait_any(model)
  local list = {}
  for i = 1, math.min(3, #model.tasks) do
    list[i] = any(model).task
  end
  if list[1] then
    local task = assert(iocp.wait_any(list, 60000))
    assert(select(3, task:result()) ~= "TIMEOUT" or task:status() == "cancelled")
  end
end

function operations.as_completed(model)
  local list, left = {}, 0
  for i = 1, math.min(4, #model.tasks) do
    list[i], left = model.tasks[i].task, left + 1
  end
  local next_one = iocp.as_completed(list)
  local task = next_one() -- called, as a fiber of Lua 5.1 cannot wait in a for-loop's head
  while task do
    assert(task:status() ~= "running")
    left, task = left - 1, next_one()
  end
  assert(left == 0)
end

function operations.imap(model)
  local roll, sum, n = model.roll, 0, model.roll(12)
  local results = model.pool:imap((function()
    local i = 0
    return function()
      i = i + 1
      return i <= n and i or nil
    end
  end)(), { body = number, priority = PRIORITIES[roll(3)] },
    { ordered = roll(2) == 1, window = roll(5), chunk = roll(3), index = roll(2) == 1 })
  local stop = roll(3) == 1 and roll(n) or nil
  local index, value = results()
  while index do
    assert(index == value)
    sum = sum + value
    if index == stop then
      break
    end
    index, value = results()
  end
  results:close()
  assert(stop or sum == n * (n + 1) / 2)
end

function operations.map(model)
  local add = { body = function(x, a) return x + a end, priority = PRIORITIES[model.roll(3)] }
  local list = model.pool:map({ 1, 2, 3 }, add, { index = false, args = { 10 }, chunk = model.roll(3) })
  assert(list[1] == 11 and list[3] == 13)
end

function operations.scope(model)
  local fails = model.roll(3) == 1
  local ok, value = iocp.pcall(model.pool.scope, model.pool, function(scope)
    for i = 1, model.roll(5) do
      scope:submit(doze, i)
    end
    if fails then
      scope:submit(fail, 7)
    end
    return "done"
  end)
  assert(ok == not fails and (fails and value.n == 7 or value == "done"))
end

local NAMES = {}
for name in pairs(operations) do
  NAMES[#NAMES + 1] = name
end
table.sort(NAMES)
-- Most of what is done makes tasks: what waits is dear.
local OFTEN = { "submit", "submit_treated", "submit_treated", "submit_later", "then_", "catch", "finally", "cancel" }

local function step(model, n)
  local name = model.roll(8) == 1 and NAMES[model.roll(#NAMES)] or OFTEN[model.roll(#OFTEN)]
  operations[name](model, n)
  if #model.tasks > 40 then
    local one = table.remove(model.tasks, model.roll(#model.tasks))
    assert(iocp.wait_all({ one.task }, 60000))
    check(model, one)
  end
end

local function finish(model)
  for _, one in ipairs(model.tasks) do
    assert(iocp.wait_all({ one.task }, 60000))
    check(model, one)
  end
  local sum = 0
  for _, count in pairs(model.ended) do
    sum = sum + count
  end
  assert(sum == model.made, "as many ends as tasks")
end

local function run(pool, seed, count)
  local model = new_model(pool, seed)
  for n = 1, count do
    step(model, n)
  end
  finish(model)
  return model
end

describe("random operations of a pool", function()
  local function judge(pool)
    assert.is_true(pool:shutdown(60000))
    local stats = pool:stats()
    assert.equal(stats.submitted, stats.completed + stats.failed + stats.cancelled)
    assert.same({ 0, 0, 0, 0 }, { stats.queued, stats.active, stats.delayed, stats.waiting })
  end

  it("agree with the model: one outcome each, counters that add up", function()
    local pool, seed = iocp.Pool(3), os.time() % 100000 + 1
    local ok, message = pcall(run, pool, seed, support.soaked(10000))
    assert.is_true(ok, ("seed %d: %s"):format(seed, tostring(message)))
    judge(pool)
  end)

  it("agree while workers come and go, and where each task has a new state", function()
    local kinds = { { workers = { 0, 3 }, idle = 0.5, tasks_per_worker = 20 }, { workers = 2, fresh = true } }
    for _, options in ipairs(kinds) do
      local seed = os.time() % 100000 + 1
      local pool = iocp.Pool(options)
      local ok, message = pcall(run, pool, seed, support.soaked(options.fresh and 500 or 2000))
      assert.is_true(ok, ("seed %d: %s"):format(seed, tostring(message)))
      judge(pool)
      assert.equal(0, pool:stats().dead)
    end
  end)

  it("agree in a fiber, in which all of them wait", function()
    local pool, seed = iocp.Pool(3), os.time() % 100000 + 1
    local ok, message = iocp.run(function()
      local all = iocp.spawn(run, pool, seed, support.soaked(2000))
      return all:wait()
    end)
    assert.is_true(ok, ("seed %d: %s"):format(seed, tostring(message)))
    judge(pool)
  end)
end)
