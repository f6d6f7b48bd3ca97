--- Scopes: iocp.run, which returns when all that it began has ended, and iocp.spawn, which begins it.
-- @module iocp.scope
local core, fibers, options = require "iocp.core", require "iocp.fiber", require "iocp.options"
local private = require "iocp.private"
local pairs, setmetatable, type = pairs, setmetatable, type
local check = options.check

local Scope = {}
Scope.__index = Scope
local scopes = { living = {} } -- those that have not ended

-- drive(what) runs the loop until what.over; `outermost` is the scope that it runs for.
local drive
local outermost

local rules = {
  { "main", function(v) return type(v) == "function" end, "a function" },
  { "on_error", function(v)
    return v == "raise" or v == "log" or v == "keep" or type(v) == "function"
  end, [["raise", "log", "keep" or a function]] },
}

local function to_stderr(text)
  io.stderr:write(text .. "\n")
  io.stderr:flush()
end

-- ---- a scope -------------------------------------------------------------------------------------------------------

local function new_scope(on_error)
  local scope = setmetatable({
    fibers = {}, -- those that have not ended
    on_error = on_error or "raise",
    count = 0, -- of those that it waits for
    periodic = 0, -- of the others
  }, Scope)
  scopes.living[scope] = true
  return scope
end

--- Begins a fiber in the scope. kind: "periodic", it does not wait for it; "report", it tells of an error, or is to run
-- for another reason, also when it is cancelled.
function Scope:begin(kind, f, name, due, ...)
  local fiber = fibers.new(self, f, name, due, ...)
  self.fibers[fiber] = true
  if kind then
    fiber.kind = kind
  end
  if kind == "periodic" then
    self.periodic = self.periodic + 1
  else
    self.count = self.count + 1
  end
  if self.stopped and kind ~= "report" then
    fiber:cancel()
  end
  return fiber
end

function Scope:cancel(how)
  self.stopped = true
  for fiber in pairs(self.fibers) do
    fiber:cancel(how)
  end
end

--- An error that run is to raise; the first one counts.
function Scope:fail(value)
  if not self.failure then
    self.failure = { value = value }
  end
  self:cancel()
end

--- What is raised of a fiber's failure: its message with the traceback, or what is no text as it is.
local function raised(fiber)
  local kind = type(fiber.value)
  if kind == "string" or kind == "number" or kind == "nil" then
    return fiber.message
  end
  return fiber.value
end

--- Whether it is Ctrl-C, which the interpreter raises in whatever runs.
local function is_interrupt(fiber)
  return type(fiber.value) == "string" and fiber.value:find("interrupted!$") ~= nil
end

--- A fiber has failed, and nobody waited for it.
local function report(scope, fiber)
  local on_error = scope.on_error
  if is_interrupt(fiber) then
    outermost:fail(raised(fiber))
  elseif fiber == scope.main then
    scope:cancel() -- run raises it
  elseif on_error == "raise" or fiber.kind == "report" then
    scope:fail(raised(fiber))
  elseif on_error == "log" then
    to_stderr(("%s failed: %s"):format(fiber:name(), fiber.message))
  elseif on_error == "keep" then
    scope.kept = scope.kept or {}
    scope.kept[#scope.kept + 1] = fiber
  else
    scope:begin("report", on_error, "on_error", nil, fiber.message, { fiber = fiber:name(), value = fiber.value })
  end
end

--- One of its fibers has ended; `is_told`: somebody waited for that.
function Scope:ended(fiber, is_told)
  self.fibers[fiber] = nil
  if fiber.kind == "periodic" then
    self.periodic = self.periodic - 1
  else
    self.count = self.count - 1
  end
  if fiber.outcome == "failed" and (fiber == self.main or not is_told) then
    report(self, fiber)
  end
  if self.count > 0 or self.over then
    return
  elseif self.periodic > 0 and not self.is_closing then
    self.is_closing = true
    self:cancel()
  end
  if self.count == 0 and self.periodic == 0 then
    self.over = true
    scopes.living[self] = nil
    if self.owner then
      fibers.wake(self.owner, self, true)
    end
  end
end

-- ---- run and spawn -------------------------------------------------------------------------------------------------

--- Failures that were to be kept, and nobody asked for.
local function tell_kept(scope)
  for _, fiber in ipairs(scope.kept or {}) do
    if not fiber.is_observed then
      to_stderr(("%s failed, and nobody asked: %s"):format(fiber:name(), fiber.message))
    end
  end
end

--- What run returns once the scope has ended. code: why its own wait was in vain.
local function conclude(scope, me, code)
  tell_kept(scope)
  local main, failure = scope.main, scope.failure
  if failure then
    error(failure.value, 0)
  elseif main.outcome == "failed" then
    error(raised(main), 0)
  elseif main.outcome == "completed" then
    if main.results then
      return (table.unpack or unpack)(main.results, 1, main.results.n)
    end
    return
  elseif code then
    return fibers.refusal(me, code)
  end
  return nil, main.message, "CANCELLED"
end

--- Waits for the end of a scope within a fiber: why it was cancelled meanwhile, or nil.
local function wait_for(scope, me)
  local code
  scope.owner = me
  while not scope.over do
    local value = fibers.park(me, scope, nil, code ~= nil)
    if type(value) == "string" and not code then
      code = value
      scope:cancel()
    end
  end
  return code
end

--- Runs f(...) and all that it spawns; returns its results when the last of them has ended.
-- @param what f; or a table: main, which is f; on_error: what becomes of the error of a fiber that nobody waits for:
-- "raise" (the default: the others are cancelled, and run raises it), "log", "keep", a
-- function(message, {fiber, value})
-- @return f's results; nil, message, CANCELLED; nil, message, TIMEOUT (see within). Raises an error of f's, or another
-- fiber's, with its traceback
function scopes.run(what, ...)
  local given = type(what) == "function" and { main = what } or what
  check("main", given, type(given) == "table", "a function, or a table")
  given = options.read(given, rules)
  check("main", given.main, given.main ~= nil, "a function")
  local me = fibers.current() and fibers.enter()
  local code = me and fibers.refused(me)
  if code then
    return fibers.refusal(me, code)
  end
  local scope = new_scope(given.on_error)
  if not me then
    fibers.check_outside()
    outermost = scope
  end
  scope.main = scope:begin(nil, given.main, "main", nil, ...)
  if me then
    code = wait_for(scope, me)
  else
    drive(scope)
  end
  return conclude(scope, me, code)
end

--- The scope that calls, f and its name.
local function arguments(what, name)
  local f, label = what, nil
  if type(what) == "table" then
    f, label = what.body, what.name
    check("name", label, label == nil or type(label) == "string", "a string")
  end
  check("f", f, type(f) == "function", "a function, or a table with its body")
  local me = fibers.current()
  if not me then
    private.raise(name .. ": there is no fiber here, nor a scope for it: iocp.run(function() ... end)")
  end
  return me.scope, f, label
end

--- Begins a fiber that calls f(...).
-- @param what f; or a table: body, which is f; name
-- @return the fiber
function scopes.spawn(what, ...)
  local scope, f, name = arguments(what, "spawn")
  return scope:begin(nil, f, name, nil, ...)
end

local function check_delay(ms)
  check("ms", ms, type(ms) == "number" and ms >= 0 and ms < math.huge, "milliseconds, a number from 0 on")
end

--- The same, `ms` later.
function scopes.spawn_after(ms, what, ...)
  check_delay(ms)
  local scope, f, name = arguments(what, "spawn_after")
  return scope:begin(nil, f, name, core.clock() + ms, ...)
end

--- Calls f(...) every `ms`, until it fails or is cancelled; run does not wait for it, and cancels it in the end. Times
-- that one call takes too long for are left out.
local function again_and_again(me, ms, f, ...)
  local due = core.clock() + ms
  while true do
    local code = fibers.refused(me) or fibers.park(me, me, due)
    if code ~= "TIMEOUT" then
      return
    end
    f(...)
    due = due + ms * math.max(1, math.ceil((core.clock() - due) / ms))
  end
end

function scopes.spawn_every(ms, what, ...)
  check_delay(ms)
  check("ms", ms, ms > 0, "milliseconds, a number above 0")
  local scope, f, name = arguments(what, "spawn_every")
  local fiber
  fiber = scope:begin("periodic", function(...)
    again_and_again(fiber, ms, f, ...)
  end, name or fibers.name_of(f), nil, ...)
  return fiber
end

-- ---- for the loop --------------------------------------------------------------------------------------------------

--- The thread is cancelled, and so are all.
function scopes.cancel_all()
  for scope in pairs(scopes.living) do
    scope.stopped = true
    for fiber in pairs(scope.fibers) do
      fibers.stop(fiber)
    end
  end
end

--- The loop has ended, whatever has not.
function scopes.abandon()
  scopes.living, outermost = {}, nil
  fibers.abandon()
end

--- The outermost run raises this, when all has ended.
function scopes.fail_all(value)
  if outermost and not outermost.over then
    outermost:fail(value)
  end
end

function scopes.set_drive(f)
  drive = f
end

--- The fibers that have not ended: a list of tables with fiber, name, status, since (a time of iocp.clock) and
-- traceback.
function scopes.list()
  local list = {}
  for scope in pairs(scopes.living) do
    for fiber in pairs(scope.fibers) do
      list[#list + 1] = {
        fiber = fiber,
        name = fiber:name(),
        status = fiber:status(),
        since = fiber.since,
        traceback = fibers.traceback(fiber),
      }
    end
  end
  return list
end

return scopes
