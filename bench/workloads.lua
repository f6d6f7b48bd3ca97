-- The benchmark's workloads as a script writes them: lua bench/workloads.lua WORKLOAD COUNT prints the seconds it took.
-- bench/yardstick.c has the same in C.
local iocp = require "iocp"
local system = require "system" -- the clock; it comes with busted

local WORKERS = 4
local workload, count = arg[1], tonumber(arg[2])

local function drained(port, workers)
  while true do
    local stats = port:stats()
    if stats.queued == 0 and stats.waiting == (workers or WORKERS) then
      return
    end
    iocp.sleep(0)
  end
end

local function join_all(threads)
  local total = 0
  for _, thread in ipairs(threads) do
    local _, n = assert(thread:join())
    total = total + n
  end
  assert(total == count, "lost or handled twice")
end

local function start_workers(body, ...)
  local threads = {}
  for i = 1, WORKERS do
    threads[i] = assert(iocp.Thread(body, ...))
  end
  return threads
end

-- One producer sends `count` messages, made by `make`, to two workers.
local function send_to_two(make)
  local port, threads = iocp.IOCompletionPort(), {}
  for i = 1, 2 do
    threads[i] = assert(iocp.Thread(function()
      local n = 0
      while port:receive() do
        n = n + 1
      end
      return n
    end))
  end
  local start = system.monotime()
  for i = 1, count do
    port:send(make(i))
  end
  drained(port, 2)
  local seconds = system.monotime() - start
  port:close()
  join_all(threads)
  return seconds
end

local workloads = {}

-- Integer keys, one poster, four workers.
function workloads.keys()
  local port = iocp.IOCompletionPort()
  local threads = start_workers([[
    local port = ...
    local n = 0
    for _ in port:packets() do n = n + 1 end
    return n
  ]], port)
  local start = system.monotime()
  for i = 1, count do
    port:enqueue(i)
  end
  drained(port)
  local seconds = system.monotime() - start
  port:close()
  join_all(threads)
  return seconds
end

-- The same in batches of 64.
function workloads.batches()
  local port = iocp.IOCompletionPort()
  local threads = start_workers([[
    local port = ...
    local n, batch = 0, {}
    while true do
      local _, taken = port:dequeue_many(64, nil, batch)
      if type(taken) ~= "number" then return n end
      n = n + taken
    end
  ]], port)
  local keys = {}
  local start = system.monotime()
  for i = 1, count, 64 do
    for j = 1, 64 do
      keys[j] = i + j
    end
    port:enqueue_many(keys)
  end
  drained(port)
  local seconds = system.monotime() - start
  port:close()
  count = math.ceil(count / 64) * 64
  join_all(threads)
  return seconds
end

-- The article's: blocks of 48 bytes, allocated and written here, read and freed there.
function workloads.article()
  local port, heap = iocp.IOCompletionPort(), iocp.Heap()
  local has_ffi, ffi = pcall(require, "ffi")
  local threads = start_workers([[
    local port, heap = ...
    local has_ffi, ffi = pcall(require, "ffi")
    local n, sum = 0, 0
    if has_ffi then
      for key in port:packets() do
        sum = sum + tonumber(ffi.cast("uint64_t *", key)[0])
        heap:free(key)
        n = n + 1
      end
    else
      for key in port:packets() do
        sum = sum + #heap:read(key, 0, 8)
        heap:free(key)
        n = n + 1
      end
    end
    return n
  ]], port, heap)
  local start = system.monotime()
  if has_ffi then
    for i = 1, count do
      local block = heap:alloc(48)
      ffi.cast("uint64_t *", block)[0] = i
      port:enqueue(block, 48)
    end
  else
    for _ = 1, count do
      local block = heap:alloc(48)
      heap:write(block, "12345678")
      port:enqueue(block, 48)
    end
  end
  drained(port)
  local seconds = system.monotime() - start
  port:close()
  join_all(threads)
  assert(heap:stats().blocks == 0, "a block is left")
  return seconds
end

workloads["ping-pong"] = function()
  local there, back = iocp.IOCompletionPort(), iocp.IOCompletionPort()
  iocp.Thread([[
    local there, back = ...
    for key in there:packets() do back:enqueue(key) end
  ]], there, back)
  local start = system.monotime()
  for i = 1, count do
    there:enqueue(i)
    assert(back:dequeue() == i)
  end
  local seconds = system.monotime() - start
  there:close()
  return seconds
end

function workloads.backlog()
  local port = iocp.IOCompletionPort()
  local start = system.monotime()
  for i = 1, count do
    port:enqueue(i)
  end
  for i = 1, count do
    assert(port:dequeue() == i)
  end
  return system.monotime() - start
end

function workloads.threads()
  local start = system.monotime()
  for _ = 1, count do
    assert(iocp.Thread("return 1"):join())
  end
  return system.monotime() - start
end

function workloads.tables()
  return send_to_two(function(i)
    return { id = i, name = "job", args = { 1, 2, 3 } }
  end)
end

-- The same, received in batches of 64.
workloads["tables-many"] = function()
  local port, threads = iocp.IOCompletionPort(), {}
  for i = 1, 2 do
    threads[i] = assert(iocp.Thread(function()
      local n = 0
      while true do
        local _, taken = port:receive_many(64)
        if type(taken) ~= "number" then
          return n
        end
        n = n + taken
      end
    end))
  end
  local start = system.monotime()
  for i = 1, count do
    port:send { id = i, name = "job", args = { 1, 2, 3 } }
  end
  drained(port, 2)
  local seconds = system.monotime() - start
  port:close()
  join_all(threads)
  return seconds
end

-- The same tables through LuaJIT's own string.buffer, which knows no shared parts, cycles or functions.
workloads["tables-buffer"] = function()
  local buffer = require "string.buffer"
  local port, heap, threads = iocp.IOCompletionPort(), iocp.Heap(), {}
  for i = 1, 2 do
    threads[i] = assert(iocp.Thread(function()
      local decode = require("string.buffer").decode
      local n, last = 0, nil
      for key in port:packets() do
        last = decode(heap:take(key))
        n = n + 1
      end
      return n, last
    end))
  end
  local start = system.monotime()
  for i = 1, count do
    port:enqueue((heap:put(buffer.encode { id = i, name = "job", args = { 1, 2, 3 } })))
  end
  drained(port, 2)
  local seconds = system.monotime() - start
  port:close()
  join_all(threads)
  return seconds
end

workloads["strings-1k"] = function()
  local text = ("x"):rep(1024)
  return send_to_two(function()
    return text
  end)
end

workloads["strings-1m"] = function()
  local text = ("x"):rep(2 ^ 20)
  return send_to_two(function()
    return text
  end)
end

if not workloads[workload] or not count then
  io.stderr:write("usage: lua bench/workloads.lua WORKLOAD COUNT\n")
  os.exit(2)
end
print(("%.9f"):format(workloads[workload]()))
