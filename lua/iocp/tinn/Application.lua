--- TINN's Application: the scheduler of this state with all that tasks wait for, and its functions as globals.
-- @module iocp.tinn.Application
local Functor, Scheduler, StopWatch = require "iocp.tinn.Functor", require "iocp.tinn.Scheduler",
  require "iocp.tinn.StopWatch"
local Task = require "iocp.tinn.Task"
local waitForCondition, waitForIO = require "iocp.tinn.waitForCondition", require "iocp.tinn.waitForIO"
local waitForSignal, waitForTime = require "iocp.tinn.waitForSignal", require "iocp.tinn.waitForTime"

local Application = require "iocp.tinn.class"()

function Application:init()
  local scheduler = Scheduler()
  return setmetatable({
    Clock = StopWatch(), Scheduler = scheduler,
    wfc = waitForCondition(scheduler), wfs = waitForSignal(scheduler),
    wft = waitForTime(scheduler), wfio = waitForIO(scheduler),
  }, self)
end

--- @param make_global its functions become globals
function Application:create(make_global)
  local application = self:init()
  return make_global and application:exportGlobals() or application
end

-- ---- tasks ----------------------------------------------------------------------------------------------------------

--- A task that calls func(...).
function Application:coop(func, ...)
  local task = Task(func)
  task.TaskID = self.Scheduler:getNewTaskID()
  return self.Scheduler:scheduleTask(task, { n = select("#", ...), ... })
end

function Application:yield()
  return self.Scheduler:yield()
end

--- Runs func(...), and all tasks, until stop() or until none is left that could go on.
function Application:run(func, ...)
  if func ~= nil then
    self:coop(func, ...)
  end
  return self:start()
end

function Application:start()
  return self.Scheduler:start()
end

function Application:stop()
  return self.Scheduler:stop()
end

function Application.taskIsFinished(task)
  return function()
    return task:getStatus() == "dead"
  end
end

-- ---- time -----------------------------------------------------------------------------------------------------------

local SECOND = 1000

function Application:sleep(milliseconds)
  return self.wft:yield(milliseconds)
end

--- Calls func() once, later.
function Application:delay(func, milliseconds)
  return self:coop(function()
    self:sleep(milliseconds or SECOND)
    func()
  end)
end

--- Calls func() again and again.
function Application:periodic(func, milliseconds)
  return self:coop(function()
    while true do
      self:sleep(milliseconds or SECOND)
      func()
    end
  end)
end

-- ---- conditions -----------------------------------------------------------------------------------------------------

function Application:waitFor(predicate)
  return self.wfc:yield(predicate)
end

--- Calls func() when the predicate holds, once.
function Application:when(predicate, func)
  return self:coop(function()
    self:waitFor(predicate)
    func()
  end)
end

--- Each time that it does.
function Application:whenever(predicate, func)
  return self:coop(function()
    while true do
      self:waitFor(predicate)
      func()
      self:yield()
    end
  end)
end

-- ---- signals --------------------------------------------------------------------------------------------------------

function Application:signalOne(name)
  return self.wfs:signalOne(name)
end

function Application:signalAll(name)
  return self.wfs:signalAll(name)
end

function Application:waitForSignal(name)
  return self.wfs:yield(name)
end

--- Calls func() when the name is signalled, once.
function Application:onSignal(func, name)
  return self:coop(function()
    self:waitForSignal(name)
    func()
  end)
end

-- ---- I/O ------------------------------------------------------------------------------------------------------------

function Application:getNextOperationId()
  return self.wfio:getNextOperationId()
end

function Application:setMessageQuanta(milliseconds)
  return self.wfio:setMessageQuanta(milliseconds)
end

function Application:waitForIO(socket, overlapped)
  return self.wfio:yield(socket, overlapped)
end

function Application:watchForIO(handle, key)
  return self.wfio:watchForIOEvents(handle, key)
end

-- ---- globals --------------------------------------------------------------------------------------------------------

local GLOBALS = {
  coop = "coop", spawn = "coop", delay = "delay", periodic = "periodic", sleep = "sleep", run = "run", stop = "stop",
  yield = "yield", when = "when", whenever = "whenever", waitFor = "waitFor", onSignal = "onSignal",
  signalOne = "signalOne", signalAll = "signalAll", waitSignal = "waitForSignal", waitForIO = "waitForIO",
  watchForIO = "watchForIO",
}

function Application:exportGlobals()
  for name, method in pairs(GLOBALS) do
    rawset(_G, name, Functor(Application[method], self))
  end
  rawset(_G, "taskIsFinished", Application.taskIsFinished)
  return self
end

return Application(true)
