--- A job of a remote pool: the local pool's task, as far as a machine away.
-- @classmod iocp.remote.Task
local core = require "iocp"
local options, outcomes = require "iocp.options", require "iocp.remote.outcomes"
local submission = require "iocp.remote.submission"

local Task = {} -- methods
local class = { __index = Task }

local task = { methods = Task, class = class }

local function check(self, name)
  if getmetatable(self) ~= class then
    error(("bad argument #0 to '%s' (a task of iocp.remote expected, got %s; methods are called with a colon)"):format(
      name, type(self)), 3)
  end
end

local function limit_of(ms)
  options.check("ms", ms, ms == nil or type(ms) == "number" and ms >= 0, "milliseconds, a number from 0 on, or nil")
  return ms and ms ~= math.huge and core.clock() + ms or nil
end

local BUSY = "timed out: the job has not ended within the time given"

--- Waits for its end.
-- @param ms how long; nil: for ever
-- @return true, results...; or nil, message with traceback, code (ERROR, CANCELLED, TIMEOUT, REFUSED, DIED, LOST) and
-- the error value; nil, message, TIMEOUT: it has not ended
function Task:wait(ms)
  check(self, "wait")
  local limit = limit_of(ms)
  if not self.state then
    local ok, message, code = outcomes.wait(self.pool, self, function() return self.state end, limit)
    if not ok and code == "TIMEOUT" then
      return nil, BUSY, code
    elseif not ok then
      return nil, message, code
    end
  end
  return outcomes.give(self)
end

--- The same at once.
function Task:result()
  check(self, "result")
  if not self.state then
    outcomes.look(self.pool)
  end
  if not self.state then
    return nil, BUSY, "TIMEOUT"
  end
  return outcomes.give(self)
end

local STATUS = { waiting = "unscheduled", delayed = "scheduled" }

--- Asks Redis, unless its end is known.
-- @return "unscheduled" (it waits for another), "scheduled", "running", "completed", "failed", "cancelled"; or nil,
-- message, code
function Task:status()
  check(self, "status")
  outcomes.look(self.pool)
  if self.state then
    return self.state
  end
  local found, message, code = submission.ask(self.pool, "look", { "", self.key })
  if not found then
    return nil, message, code
  end
  return STATUS[found[2]] or found[2] == "missing" and "failed" or found[2]
end

--- Cancels it: one that is queued never runs, one that runs is asked to end, as a local task is.
-- @return true; false: it had ended; or nil, message, code
function Task:cancel()
  check(self, "cancel")
  if self.state then
    return false
  end
  local answer, message, code = submission.ask(self.pool, "cancel", { self.key })
  if not answer then
    return nil, message, code
  end
  return answer == "Y" or answer == "R"
end

--- One packet comes to the port when it has ended, at once if it has.
-- @param port an iocp.IOCompletionPort
-- @param key the packet's key
-- @param overlapped its overlapped, or nil
-- @return true; or nil, message, code
function Task:notify(port, key, overlapped)
  check(self, "notify")
  if self.state then
    return port:enqueue(key, 0, overlapped)
  end
  return self.pool.control:send("notify", self.key, port, key, overlapped)
end

--- A job that runs when this one has completed, with its results and the arguments behind them; if this one does not
-- complete, it is cancelled. Redis sees to it, whether this process is there or not.
-- @param f what submit takes
-- @return a task; or nil, message, code
function Task:then_(f, ...)
  check(self, "then_")
  local behind, message, code = submission.one(self.pool, "then_", nil, "A=" .. self.key, f, ...)
  return options.outcome(behind, message, code)
end

--- A job that runs when this one has not completed, with message, code and error value of this one and the arguments
-- behind them; else its outcome is this one's. Of a then_ that was cancelled for it: of the first that failed.
-- @param f what submit takes
-- @return a task; or nil, message, code
function Task:catch(f, ...)
  check(self, "catch")
  local behind, message, code = submission.one(self.pool, "catch", nil, "m=c;A=" .. self.key, f, ...)
  return options.outcome(behind, message, code)
end

--- A job that runs with the arguments when this one has ended, and ends as this one did, unless it fails.
-- @param f what submit takes
-- @return a task; or nil, message, code
function Task:finally(f, ...)
  check(self, "finally")
  local behind, message, code = submission.one(self.pool, "finally", nil, "m=f;A=" .. self.key, f, ...)
  return options.outcome(behind, message, code)
end

--- The job's id.
function Task:id()
  check(self, "id")
  return self.key
end

function class:__tostring()
  return ("iocp.remote.Task: %s (%s)"):format(self.key, self.state or "under way")
end

return task
