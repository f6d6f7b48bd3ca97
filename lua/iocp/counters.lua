--- Counters that one thread writes and others read: how many connections each worker of iocp.serve was given, and how
-- many of them have ended. They are digits in a block of a heap of their own, whose lock makes every write whole to a
-- read; it is held for no longer than that.
-- @module iocp.counters
local core = require "iocp.core"
local tonumber = tonumber
local counters = {}

local Counters = {}
Counters.__index = Counters

local WIDTH = 16 -- characters of a number
local FORMAT = "%16.0f"

local function write(self, worker, which, number)
  local heap = self.shared.heap
  heap:lock()
  heap:write(self.shared.address, FORMAT:format(number), (2 * worker - 2 + which) * WIDTH)
  heap:unlock()
end

local function read(self, worker, which)
  local heap = self.shared.heap
  heap:lock()
  local digits = heap:read(self.shared.address, (2 * worker - 2 + which) * WIDTH, WIDTH)
  heap:unlock()
  return tonumber(digits) or 0
end

--- One more connection was given to the worker: written by who accepts.
function Counters:begin(worker)
  self.given[worker] = (self.given[worker] or read(self, worker, 0)) + 1
  write(self, worker, 0, self.given[worker])
end

--- One has ended: written by the worker.
function Counters:finish(worker)
  self.ended[worker] = (self.ended[worker] or read(self, worker, 1)) + 1
  write(self, worker, 1, self.ended[worker])
end

--- All of them have: written by who replaces the worker, which is gone.
function Counters:finish_all(worker)
  write(self, worker, 1, read(self, worker, 0))
end

--- How many a worker was given, and how many of them there are.
function Counters:of(worker)
  local ended = read(self, worker, 1)
  local given = read(self, worker, 0)
  return given, given - ended
end

--- Those of another state: its `shared`.
function counters.open(shared)
  return setmetatable({ shared = shared, given = {}, ended = {} }, Counters)
end

--- New ones.
function counters.new(workers)
  local heap = core.Heap()
  return counters.open { heap = heap, address = assert(heap:put((FORMAT:format(0)):rep(2 * workers))) }
end

return counters
