-- The article's program with a meter: 4 workers share messages of 48 bytes that belong to a private heap. A line a
-- second tells how far it is, a table at the end who did what.
--
--   make run                       1,000,000 messages
--   make run MESSAGES=5000000
local ffi = require "ffi"
local iocp = require "iocp"
require "iocp.tinn"
require "AMSG"

local WORKERS, CHUNK, BACKLOG = 4, 1000, 200000

local messages = tonumber(arg[1] or 1000000)
if not messages or messages < 1 or messages ~= math.floor(messages) then
  io.stderr:write("usage: luajit examples/run.lua [number of messages]\n")
  os.exit(2)
end

local worker_body = [[
  local ffi = require "ffi"
  local iocp = require "iocp"
  require "iocp.tinn"
  require "AMSG"
  local port = iocp.IOCompletionPort.open("%s")
  local heap = iocp.Heap.open("%s")
  local done, sum = 0, 0
  for key in port:packets() do -- ends when the port closes
    sum = sum + ffi.cast("AMSG *", key).message
    assert(heap:free(key))
    done = done + 1
  end
  return done, sum
]]

-- Wall time; the standard library only knows whole seconds and CPU time.
ffi.cdef "double iocp_clock(void);"
local core = ffi.load(package.searchpath("iocp.core", package.cpath))
local function seconds()
  return core.iocp_clock() / 1000
end

local port, heap = assert(iocp.IOCompletionPort()), assert(iocp.Heap())
local workers = {}
for i = 1, WORKERS do
  workers[i] = assert(iocp.Thread({ name = "worker " .. i, body = worker_body:format(port:handle(), heap:handle()) }))
end

local size = ffi.sizeof("AMSG")
print(("%d messages of %d bytes, %d workers, %d processors; Ctrl-C ends it"):format(messages, size, WORKERS,
  iocp.processors()))

local start, cpu = seconds(), os.clock()
local posted, printed, printed_done = 0, start, 0

-- Prints a line if a second has passed since the last.
local function meter()
  local now = seconds()
  if now - printed >= 1 then
    local stats = port:stats()
    local done = stats.dequeued
    print(("%5.0f s  %10d done  %10.0f items/s  %8d backlog"):format(now - start, done,
      (done - printed_done) / (now - printed), stats.queued))
    printed, printed_done = now, done
  end
end

local function post(n)
  for _ = 1, n do
    local message = assert(heap:alloc(size))
    posted = posted + 1
    ffi.cast("AMSG *", message).message = posted
    assert(port:enqueue(message, size))
  end
end

local function run()
  while posted < messages do
    post(math.min(CHUNK, messages - posted))
    meter()
    while port:stats().queued > BACKLOG do -- the queue has no limit, this program's memory should have one
      iocp.sleep(1)
      meter()
    end
  end
  while port:stats().dequeued < messages or port:stats().waiting < WORKERS do
    iocp.sleep(1)
    meter()
  end
end

local ended, reason = pcall(run) -- Ctrl-C arrives as an error
local wall = seconds() - start
port:close()

local total, total_sum, least = 0, 0, math.huge
print(("\n%-10s %12s"):format("worker", "items done"))
for _, worker in ipairs(workers) do
  local _, done, sum = assert(worker:join())
  total, total_sum, least = total + done, total_sum + sum, math.min(least, done)
  print(("%-10s %12d"):format(worker:name(), done))
end
print(("%-10s %12d in %.2f s: %.0f items/s"):format("all", total, wall, total / wall))
if least * 10 < total / WORKERS then
  print(([[
A worker with little to do is no fault: %d run at a time, as many as there are processors, and of those that wait
the one that came last gets the next message, since its cache is warm.]]):format(port:stats().concurrency))
end
print(("%d blocks left in the heap, %.2f CPU seconds"):format(heap:stats().blocks, os.clock() - cpu))

if not ended then
  print("stopped: " .. tostring(reason):gsub("^.-: ", ""))
  os.exit(130)
end
-- UINT holds each number exactly, so the sum tells whether every message was handled once.
assert(total == messages and total_sum == messages * (messages + 1) / 2, "a message was lost or handled twice")
assert(heap:stats().blocks == 0, "a block is left in the heap")
