--- pool:scope: tasks that end together. The scope waits for all of them, and the first that does not complete cancels
-- the rest.
-- @module iocp.pool_scope
local core, private = require "iocp.core", require "iocp.private"
local ends, options = require "iocp.ends", require "iocp.options"
local parts = core.Pool and private.pool_parts
local loop = require "iocp.loop"(core, parts)
local check = options.check

local Scope = {}
Scope.__index = Scope
private.stays(Scope, "iocp.Scope: it stays in its thread")

--- Cancels what has not ended.
-- @return true
function Scope:cancel()
  for _, task in pairs(self.tasks) do
    task:cancel()
  end
  return true
end

--- One has ended: of the first that did not complete what came of it is kept, and the rest is cancelled.
local function receive(self, number)
  local task = self.tasks[number]
  self.tasks[number] = nil
  if self.failure or task:status() == "completed" then
    return
  end
  local _, message, code, value = task:result()
  self.failure = { message = message, code = code, value = value }
  self:cancel()
end

--- Takes what has ended already.
local function look(self)
  local now = core.clock()
  while self.ends.open > 0 or self.ends.first <= self.ends.last do
    local number = self.ends:next(now)
    if not number then
      return
    end
    receive(self, number)
  end
end

--- Waits for all. True; or nil, message, code: it was cancelled itself.
local function finish(self)
  while self.ends.open > 0 or self.ends.first <= self.ends.last do
    local number, message, code = self.ends:next()
    if not number then
      return nil, message, code
    end
    receive(self, number)
  end
  return true
end

--- As pool:submit, for a task of the scope; once one of these has not completed, it is cancelled at once.
-- @return the task; or nil, message, code
function Scope:submit(...)
  local task, message, code = self.pool:submit(...)
  if not task then
    return nil, message, code
  end
  local number = self.number + 1
  self.number, self.tasks[number] = number, task
  local ok
  ok, message, code = self.ends:add(task, number)
  if not ok then
    self.tasks[number] = nil
    task:cancel()
    return nil, message, code
  end
  look(self)
  if self.failure then
    task:cancel()
  end
  return task
end

local function pack(...)
  return { n = select("#", ...), ... }
end

local function raise(failure)
  if failure.code == "ERROR" then
    loop.raise(failure.message, failure.value)
  end
  error("scope: " .. failure.message, 0)
end

--- Calls f(scope), and waits for all that it has submitted by scope:submit. The first task that does not complete
-- cancels the others, and what came of it is raised when they have ended, as an error of f's own.
-- @return what f returned; or nil, message, code: CANCELLED (who waits), and then all of it is cancelled
return function(pool, f)
  options.check_self(pool, parts.methods)
  check("f", f, type(f) == "function", "a function")
  local self = setmetatable({ pool = pool, tasks = {}, number = 0, ends = ends.new(), failure = nil }, Scope)
  local returned = pack(core.pcall(f, self))
  if not returned[1] then
    self.failure = self.failure or { value = returned[2], own = true }
    self:cancel()
  end
  local ok, message, code = finish(self)
  if not ok then
    self:cancel()
    self.ends:close()
    return nil, message, code
  elseif self.failure and self.failure.own then
    error(self.failure.value, 0)
  elseif self.failure then
    raise(self.failure)
  end
  return (rawget(table, "unpack") or unpack)(returned, 2, returned.n)
end
