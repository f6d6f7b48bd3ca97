--- TINN's Scheduler, over this module's own: tasks are fibers.
-- @module iocp.tinn.Scheduler
local iocp = require "iocp"
local StopWatch, Task = require "iocp.tinn.StopWatch", require "iocp.tinn.Task"

local Scheduler = require "iocp.tinn.class"()

function Scheduler:init()
  return setmetatable({
    Clock = StopWatch(),
    TaskID = 0,
    early = {}, -- those that came before it ran
    tasks = {}, -- by fiber: those that have begun, and not ended
    count = 0, -- of them
    dormant = 0, -- of them: those that wait for a signal, and for nothing else
  }, self)
end

function Scheduler:getClock()
  return self.Clock
end

--- How many tasks have not ended.
function Scheduler:tasksPending()
  return self.count + #self.early
end
Scheduler.tasksReadyToRun = Scheduler.tasksPending

function Scheduler:tasksArePending()
  return self:tasksPending() > 0
end

function Scheduler:inMainFiber()
  return iocp.fiber() == nil
end

--- The task that runs; nil: none does.
function Scheduler:getCurrentFiber()
  local fiber = iocp.fiber()
  return fiber and self.tasks[fiber]
end

function Scheduler:getNewTaskID()
  self.TaskID = self.TaskID + 1
  return self.TaskID
end

-- Nobody can go on whom nobody else wakes: there is nothing left to do.
local function look(self)
  if self.count == self.dormant and self.ContinueRunning then
    self:stop()
  end
end

local function begin(self, task)
  local fiber = task:begin(function()
    task.is_over = true
    self.tasks[task.fiber], self.count = nil, self.count - 1
    look(self)
  end)
  self.tasks[fiber], self.count = task, self.count + 1
end

--- Has a task run, now or once the scheduler does; the task, or `false, err`.
function Scheduler:scheduleTask(task, params)
  if not task then
    return false, "no task specified"
  end
  task:setParams(params or {})
  if self.ContinueRunning then
    begin(self, task)
  else
    self.early[#self.early + 1] = task
  end
  return task
end

function Scheduler:spawn(func, ...)
  local task = Task(func)
  task.TaskID = self:getNewTaskID()
  return self:scheduleTask(task, { n = select("#", ...), ... })
end

--- Calls wait(), in which the task waits for another one's signal.
function Scheduler:suspend(wait)
  self.dormant = self.dormant + 1
  look(self)
  wait()
  self.dormant = self.dormant - 1
end

function Scheduler:yield()
  return iocp.yield()
end

--- Sleeps. Whoever had slept enough, and had not gone on yet, when it was stopped does not go on either.
function Scheduler:sleep(milliseconds)
  iocp.sleep(milliseconds)
  if iocp.cancelled() then
    iocp.yield() -- raises
  end
end

--- Runs the tasks until it is stopped, or none is left that could go on.
function Scheduler:start()
  if self.ContinueRunning then
    return false, "scheduler is already running"
  end
  self.ContinueRunning = true
  iocp.run { on_error = "log", main = function()
    local early = self.early
    self.early = {}
    for _, task in ipairs(early) do
      begin(self, task)
    end
    look(self)
  end }
  self.ContinueRunning, self.tasks, self.count, self.dormant = false, {}, 0, 0
end

--- Ends the tasks where they wait.
function Scheduler:stop()
  self.ContinueRunning = false
  for fiber in pairs(self.tasks) do
    fiber:cancel("hard")
  end
end

return Scheduler
