-- Random operations of fibers beside a model of what each may come to: every wait has one outcome, which somebody or
-- some time is the cause of; every fiber ends once, as it ended itself or was made to; every error is told once;
-- nothing is left. A failure names the seed: IOCP_SPEC_SEED repeats it, as far as times allow.
local iocp = require "iocp"
local support = require "support"
local random = math.random

local BATCH = 2000 -- operations in one run
local DEPTH = 4 -- of scopes and deadlines in each other

-- ---- the model ------------------------------------------------------------------------------------------------------

-- A record of each fiber: scope (a record too, of its run), fiber, begun (how often), ended ("returned", "raised"),
-- cancelled (somebody did), deadlines (a stack of times), told (waits that got its error), reported (to on_error). A
-- record of each scope: owner (the fiber that runs it; nil: none), main, failed (an error of a fiber in it ends it),
-- cancelled (its owner was, or had no more time, by its end).
local model

local function new_model()
  return {
    left = BATCH, records = {}, conditions = {}, signalled = 0, woken = 0, posted = 0, received = 0,
    port = iocp.IOCompletionPort(),
  }
end

--- Whether a time that ends this fiber's waits has passed.
local function is_late(record)
  for _, due in ipairs(record.deadlines) do
    if iocp.clock() >= due then
      return true
    end
  end
  return false
end

--- Whether a wait of the fiber may say CANCELLED.
local function may_be_cancelled(record)
  local scope, owner = record.scope, record.scope.owner
  local failed = scope.failed or scope.main and scope.main.ended == "raised"
  return record.cancelled or failed or scope.cancelled or owner and (may_be_cancelled(owner) or is_late(owner))
end

--- Judges what a wait gave that began at a time when `cancelled`, and was to last until `due`.
local function judge(record, cancelled, due, ok, code)
  if cancelled then
    assert(code == "CANCELLED", "a cancelled fiber has waited: " .. tostring(code))
  elseif code == "CANCELLED" then
    assert(may_be_cancelled(record), "nobody has cancelled it")
  elseif code == "TIMEOUT" then
    assert(due and iocp.clock() >= due or is_late(record), "it was not due yet")
  else
    assert(ok and code == nil, tostring(code))
  end
end

--- Calls wait(ms), and judges it. What it gave.
local function judged(record, wait)
  local ms, cancelled = random(0, 2), record.cancelled
  local due = iocp.clock() + ms
  local ok, _, code = wait(ms)
  judge(record, cancelled, due, ok, not ok and code or nil)
  return ok, code
end

local ENDS = { completed = true, failed = true, cancelled = true }

local function has_ended(record)
  return ENDS[record.fiber:status()] ~= nil
end

local function any_record()
  return model.records[random(#model.records)]
end

-- ---- operations -----------------------------------------------------------------------------------------------------

local operations = {}
local body -- of a fiber

local function new_record(scope, depth)
  local record = { scope = scope, depth = depth, deadlines = {}, begun = 0, told = 0, reported = 0 }
  record.failure = { record = record }
  model.records[#model.records + 1] = record
  return record
end

local function begin(record, how, ...)
  local fresh = new_record(record.scope, record.depth)
  fresh.fiber = how(...)
  return fresh
end

function operations.yield(record)
  local cancelled = record.cancelled
  local ok, _, code = iocp.yield()
  judge(record, cancelled, nil, ok, code)
end

function operations.sleep(record)
  local ms, cancelled = random(0, 2), record.cancelled
  local due = iocp.clock() + ms
  local ok, _, code = iocp.sleep(ms)
  judge(record, cancelled, nil, ok, code)
  assert(not ok or ms == 0 or iocp.clock() >= due, "it has slept too short")
end

function operations.spawn(record)
  local fresh
  fresh = begin(record, iocp.spawn, function() return body(fresh) end)
end

function operations.spawn_after(record)
  local fresh
  fresh = begin(record, iocp.spawn_after, random(0, 2), function() return body(fresh) end)
end

function operations.wait(record)
  local other = any_record()
  if not other.fiber then
    return
  end
  local had_ended = has_ended(other)
  local ms, cancelled = random(0, 2), record.cancelled -- with a time, as it may wait for us
  local due = iocp.clock() + ms
  local ok, value, code, raised = other.fiber:wait(ms)
  if other == record then
    assert(code == "INVALID", code)
  elseif ok then
    assert(value == other, "the result of another one")
  elseif code == "ERROR" then
    assert(raised == other.failure, "the error of another one")
    other.told = other.told + (had_ended and 0 or 1)
  elseif other.fiber:status() ~= "cancelled" then
    judge(record, cancelled, due, nil, code)
  end
end

function operations.cancel(record)
  local other = any_record()
  if not other.fiber then
    return
  end
  local is_over = has_ended(other)
  local hard = random(8) == 1 and other ~= record and "hard" or nil
  local done = other.fiber:cancel(hard)
  assert(done == not is_over, "cancel says otherwise")
  if done then
    other.cancelled, other.hard = true, other.hard or hard
  end
end

function operations.condition_wait(record)
  local condition = model.conditions[random(#model.conditions)]
  if judged(record, function(ms) return condition:wait(ms) end) then
    model.woken = model.woken + 1
  end
end

function operations.signal()
  local condition = model.conditions[random(#model.conditions)]
  local n = random(3)
  model.signalled = model.signalled + (n == 3 and condition:broadcast() or condition:signal(n))
end

function operations.send()
  model.posted = model.posted + 1
  assert(model.port:enqueue(model.posted))
end

function operations.receive(record)
  if judged(record, function(ms)
    local key, message, code = model.port:dequeue(ms)
    return key ~= nil, message, code
  end) then
    model.received = model.received + 1
  end
end

function operations.fail(record)
  if random(10) == 1 then
    record.ended = "raised"
    error(record.failure, 0)
  end
end

local function some(record)
  for _ = 1, random(4) do
    if model.left == 0 then
      return
    end
    model.left = model.left - 1
    operations[operations[random(#operations)]](record)
  end
end

--- What it returns, and whether that is the time's doing, is judged; an error of f's goes on.
function operations.within(record)
  if record.depth >= DEPTH then
    return
  end
  local ms, deadlines = random(0, 3), record.deadlines
  local due, marker = iocp.clock() + ms, {}
  record.depth, deadlines[#deadlines + 1] = record.depth + 1, due
  local n = #deadlines
  local passed, value, _, code = iocp.pcall(iocp.within, ms, function()
    some(record)
    return marker
  end)
  record.depth = record.depth - 1
  if not passed then
    deadlines[n] = nil
    error(value, 0)
  elseif value ~= marker then
    assert(code == "TIMEOUT" and is_late(record), tostring(code))
  end
  deadlines[n] = nil
end

--- A failure that nobody waited for. One that is nobody's own is a judgement.
local function report(message, about)
  if type(about.value) ~= "table" then
    model.trouble = model.trouble or message
    return
  end
  local other = about.value.record
  other.reported = other.reported + 1
end

--- A scope of its own: with errors that are reported, or that end it.
function operations.run(record)
  if record.depth >= DEPTH then
    return
  end
  local scope = { owner = record, raises = random(3) == 1 }
  local main = new_record(scope, record.depth + 1)
  scope.main = main
  local function f()
    main.fiber = iocp.fiber()
    return body(main)
  end
  local cancelled = record.cancelled
  local what = { main = f, on_error = not scope.raises and report or function(message, about)
    scope.failed = true
    report(message, about)
    error(about.value, 0)
  end }
  local passed, value, _, code = iocp.pcall(iocp.run, what)
  scope.cancelled = may_be_cancelled(record) or is_late(record)
  if not passed then
    local other = type(value) == "table" and value.record
    if not other then -- hard, or an assertion in there
      error(value, 0)
    end
    assert(other == main or scope.raises and scope.failed, "the error of another scope")
    if other == main then
      main.reported = main.reported + 1
    end
  elseif value ~= main then
    assert(cancelled or main.cancelled or may_be_cancelled(record) or is_late(record) or scope.failed, tostring(code))
    assert(code == "CANCELLED" or code == "TIMEOUT", tostring(code))
  end
end

for _, name in ipairs { "yield", "yield", "sleep", "spawn", "spawn", "spawn_after", "wait", "wait", "cancel",
  "condition_wait", "condition_wait", "signal", "signal", "send", "receive", "fail", "within", "run" } do
  operations[#operations + 1] = name
end

function body(record)
  record.begun = record.begun + 1
  for _ = 1, 3 do
    some(record)
  end
  record.ended = "returned"
  return record
end

-- ---- a run ----------------------------------------------------------------------------------------------------------

--- What became of a fiber is what its record says.
local function judge_end(record)
  local status, begun = record.fiber and record.fiber:status(), record.begun
  if not record.fiber then -- the main one of a scope that did not begin
    assert(begun == 0)
  elseif begun == 0 then
    assert(status == "cancelled" and may_be_cancelled(record), "it has not begun: " .. status)
  elseif record.ended == "returned" then
    assert(status == "completed", status)
  elseif record.ended == "raised" then
    assert(status == "failed" or status == "cancelled" and may_be_cancelled(record), status)
  else
    assert(status == "cancelled" and may_be_cancelled(record), "it ended in its middle: " .. status)
  end
  assert(begun <= 1, "it began again")
  if status == "failed" then
    local told, reported = record.told > 0, record.reported
    assert(reported == 1 and (not told or record == record.scope.main) or told and reported == 0,
      ("its error was told %d times, and reported %d times"):format(record.told, reported))
  else
    assert(record.reported == 0, "an error was reported that was none")
  end
end

local function run_batch()
  model = new_model()
  for i = 1, 3 do
    model.conditions[i] = iocp.Condition()
  end
  local scope = {}
  iocp.run({ on_error = report, main = function()
    while model.left > 0 do
      local record = new_record(scope, 0)
      record.fiber = iocp.spawn(function() return body(record) end)
      if random(3) == 1 then
        iocp.sleep(random(0, 1))
      end
    end
  end })
  assert(not model.trouble, model.trouble)
  assert(#iocp.fibers() == 0, "fibers are left")
  for _, record in ipairs(model.records) do
    judge_end(record)
  end
  assert(model.woken <= model.signalled, "more were woken than signalled")
  local rest = 0
  while model.port:dequeue(0) do
    rest = rest + 1
  end
  assert(model.received + rest == model.posted, "packets were lost, or came twice")
  model.port:close()
end

local function memory()
  model = nil
  collectgarbage()
  collectgarbage()
  return collectgarbage("count")
end

describe("fibers beside a model", function()
  it("have one outcome each, and leave nothing", function()
    local seed = tonumber(os.getenv("IOCP_SPEC_SEED")) or os.time()
    math.randomseed(seed)
    local batches = math.ceil(support.soaked(100000) / BATCH)
    local before
    for i = 1, batches do
      local ok, message = pcall(run_batch)
      assert(ok, ("seed %d, batch %d: %s"):format(seed, i, tostring(message)))
      if i == math.ceil(batches / 4) then
        before = memory()
      end
    end
    local grown = memory() - before
    assert.is_true(grown < 500, ("%.0f KiB more, seed %d"):format(grown, seed))
  end)
end)
