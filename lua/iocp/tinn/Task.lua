--- TINN's Task: what a Scheduler runs, a fiber.
-- @module iocp.tinn.Task
local iocp = require "iocp"

local Task = require "iocp.tinn.class"()

--- A task of something that can be called, with its parameters; it runs once a scheduler has it.
function Task:init(routine, ...)
  return setmetatable({ routine = routine, params = { n = select("#", ...), ... } }, self)
end

function Task:setParams(params)
  self.params = params
  return self
end

--- Its fiber, in the running scope; `at_end` is called with it when it has ended.
function Task:begin(at_end)
  local params = self.params
  self.fiber = iocp.spawn(function()
    local ok, message = iocp.pcall(self.routine, unpack(params, 1, params.n or #params))
    at_end(self)
    if not ok then
      error(message, 0)
    end
  end)
  return self.fiber
end

--- "suspended", "running", or "dead" once it has ended.
function Task:getStatus()
  local fiber = self.fiber
  if not fiber then
    return "suspended"
  elseif self.is_over then
    return "dead"
  end
  return fiber == iocp.fiber() and "running" or "suspended"
end

function Task:yield()
  return iocp.yield()
end

return Task
