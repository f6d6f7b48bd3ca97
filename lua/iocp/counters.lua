--- Counters that one thread writes and others read: how many connections each worker of iocp.serve was given, and how
-- many of them have ended. They are digits in a block of the process' heap, whose every write is whole to a read.
-- @module iocp.counters
local core = require "iocp.core"
local tonumber = tonumber
local counters = {}

local Counters = {}
Counters.__index = Counters

local WIDTH = 16 -- characters of a number
local FORMAT = "%16.0f"
local heap = core.Heap.process()

local function write(self, worker, which, number)
  heap:write(self.address, FORMAT:format(number), (2 * worker - 2 + which) * WIDTH)
end

local function read(self, worker, which)
  return tonumber(heap:read(self.address, (2 * worker - 2 + which) * WIDTH, WIDTH)) or 0
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

--- Those at an address.
function counters.open(address)
  return setmetatable({ address = address, given = {}, ended = {} }, Counters)
end

--- New ones, which stay until the process ends.
function counters.new(workers)
  local address = assert(heap:put((FORMAT:format(0)):rep(2 * workers)))
  return counters.open(address)
end

return counters
