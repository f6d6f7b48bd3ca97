--- Counters that the workers of iocp.serve share: how many connections each of them was given, how many of those it has
-- begun, and how many have ended.
-- @module iocp.counters
local core = require "iocp.core"
local counters = {}

local Counters = {}
Counters.__index = Counters

--- One more connection was given to the worker: told by who accepts.
-- @return how many it was given so far
function Counters:give(worker)
  return self.shared[worker].given:add(1)
end

--- It has one of those that it was given: told by the worker.
function Counters:begin(worker)
  self.shared[worker].begun:add(1)
end

--- One has ended: told by the worker.
function Counters:finish(worker)
  self.shared[worker].ended:add(1)
end

--- It is gone, with all that it had begun; what it had not is another's: told by who gives.
function Counters:bury(worker)
  local begun = self:begun(worker)
  self.shared[worker].given:set(begun)
  self.shared[worker].ended:set(begun)
end

--- How many of those that it was given a worker has begun.
function Counters:begun(worker)
  return self.shared[worker].begun:get()
end

--- How many a worker was given, and how many of them there are.
function Counters:of(worker)
  local ended = self.shared[worker].ended:get() -- first: it never passes the other
  local given = self.shared[worker].given:get()
  return given, given - ended
end

--- Those of another state: its `shared`.
function counters.open(shared)
  return setmetatable({ shared = shared }, Counters)
end

--- New ones.
function counters.new(workers)
  local shared = {}
  for i = 1, workers do
    shared[i] = { given = core.Atomic(), begun = core.Atomic(), ended = core.Atomic() }
  end
  return counters.open(shared)
end

return counters
