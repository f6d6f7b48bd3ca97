-- The benchmark's workloads as a script writes them: lua bench/workloads.lua WORKLOAD COUNT [PARAMETER] prints one
-- number, for most the seconds it took. bench/*.c has the same in C. Key 0 ends a worker; it is posted behind the work,
-- once for each.
local iocp = require "iocp"
local system = require "system" -- the clock; it comes with busted

local workload, count, parameter = arg[1], tonumber(arg[2]), tonumber(arg[3])

local WORKERS, RECEIVERS, BATCH = 4, 2, 64
local LARGE, WINDOW, ALL_TEXTS = 65536, 64, 2 ^ 26
local IN_FLIGHT = 1000

local port, started = iocp.IOCompletionPort(), nil

local function start()
  started = system.monotime()
end

local function stop()
  return system.monotime() - started
end

-- Until all of them wait; a join will say why one does not.
local function await(threads)
  while port:stats().queued > 0 or port:stats().waiting < #threads do
    iocp.sleep(0.1)
    for _, thread in ipairs(threads) do
      if thread:status() ~= "running" then
        return
      end
    end
  end
end

-- Workers whose body gets the port and what else is given, and returns how many items it has handled. They wait
-- already.
local function start_workers(workers, body, ...)
  local threads = {}
  for i = 1, workers do
    threads[i] = assert(iocp.Thread(body, port, ...))
  end
  await(threads)
  return threads
end

-- The seconds it took until all that was posted had been handled, and everybody waited again. How long threads take to
-- end is not the queue's affair. end_one makes one of them end.
local function finish(threads, end_one)
  await(threads)
  local seconds, total = stop(), 0
  for _ = 1, #threads do
    end_one()
  end
  for _, thread in ipairs(threads) do
    local _, n = assert(thread:join())
    total = total + n
  end
  assert(total == count, "lost or handled twice")
  return seconds
end

local function post_end()
  port:enqueue(0)
end

local workloads = {}

-- Integer keys, one poster.
function workloads.keys()
  local threads = start_workers(parameter or WORKERS, [[
    local port = ...
    local n = 0
    for key in port:packets() do
      if key == 0 then return n end
      n = n + 1
    end
  ]])
  start()
  for i = 1, count do
    port:enqueue(i)
  end
  return finish(threads, post_end)
end

-- The same in batches.
function workloads.batches()
  local size = parameter or BATCH
  count = count - count % size
  local threads = start_workers(WORKERS, [[
    local port, size = ...
    local n, ends, batch = 0, 0, {}
    while ends == 0 do
      local _, taken = port:dequeue_many(size, nil, batch)
      for i = 1, 3 * taken, 3 do
        if batch[i] == 0 then ends = ends + 1 end
      end
      n = n + taken
    end
    for _ = 2, ends do port:enqueue(0) end -- the others'
    return n - ends
  ]], size)
  local keys = {}
  start()
  for i = 1, count, size do
    for j = 1, size do
      keys[j] = i + j
    end
    port:enqueue_many(keys)
  end
  return finish(threads, post_end)
end

-- The article's: blocks of 48 bytes, allocated and written here, read and freed there.
function workloads.article()
  local heap = iocp.Heap()
  local has_ffi, ffi = pcall(require, "ffi")
  local threads = start_workers(parameter or WORKERS, [[
    local port, heap = ...
    local has_ffi, ffi = pcall(require, "ffi")
    local n, sum = 0, 0
    if has_ffi then
      for key in port:packets() do
        if key == 0 then return n, sum end
        sum = sum + tonumber(ffi.cast("uint64_t *", key)[0])
        heap:free(key)
        n = n + 1
      end
    else
      for key in port:packets() do
        if key == 0 then return n, sum end
        sum = sum + #heap:read(key, 0, 8)
        heap:free(key)
        n = n + 1
      end
    end
  ]], heap)
  start()
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
  local seconds = finish(threads, post_end)
  assert(heap:stats().blocks == 0, "a block is left")
  return seconds
end

workloads["ping-pong"] = function()
  local back = iocp.IOCompletionPort()
  iocp.Thread([[
    local there, back = ...
    for key in there:packets() do back:enqueue(key) end
  ]], port, back)
  start()
  for i = 1, count do
    port:enqueue(i)
    assert(back:dequeue() == i)
  end
  local seconds = stop()
  port:close()
  return seconds
end

workloads["ping-pong-messages"] = function()
  local back = iocp.IOCompletionPort()
  iocp.Thread([[
    local there, back = ...
    local ok, message = there:receive()
    while ok do
      back:send(message)
      ok, message = there:receive()
    end
  ]], port, back)
  start()
  for i = 1, count do
    port:send(i)
    local ok, message = back:receive()
    assert(ok and message == i)
  end
  local seconds = stop()
  port:close()
  return seconds
end

-- Posts and gets in turn; nobody else is there.
local function pair()
  for i = 1, count do
    port:enqueue(i)
    assert(port:dequeue() == i)
  end
end

function workloads.pair()
  start()
  pair()
  return stop()
end

-- The same in a loop that LuaJIT does not compile.
workloads["pair-interpreted"] = function()
  jit.off(pair) -- luacheck: ignore
  return workloads.pair()
end

local function fill(depth)
  for i = 1, depth do
    port:enqueue(i)
  end
end

local function drain(depth)
  for i = 1, depth do
    assert(port:dequeue() == i)
  end
end

workloads["backlog-in"] = function()
  start()
  fill(count)
  return stop()
end

workloads["backlog-out"] = function()
  fill(count)
  start()
  drain(count)
  return stop()
end

-- Fills the queue up to the parameter and empties it, again and again until `count` items have passed.
function workloads.depth()
  start()
  for _ = 1, count, parameter do
    fill(parameter)
    drain(parameter)
  end
  return stop()
end

local function run_threads(body)
  start()
  for _ = 1, count do
    assert(iocp.Thread(body):join())
  end
  return stop()
end

function workloads.threads()
  return run_threads("return 1")
end

workloads["threads-require"] = function()
  return run_threads('require "iocp" return 1')
end

-- Pools of two workers, made and shut down.
function workloads.pools()
  start()
  for _ = 1, count do
    assert(assert(iocp.Pool(2)):shutdown())
  end
  return stop()
end

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local pages = tonumber(file:read("*a"):match("^%d+ (%d+)"))
  file:close()
  return pages * 4096
end

-- Prints bytes a thread that waits, not seconds. The parameter: whether it requires the module.
workloads["thread-bytes"] = function()
  collectgarbage()
  local before = resident()
  start_workers(count, (parameter and 'require "iocp" ' or "") .. "local port = ... port:dequeue()")
  return (resident() - before) / count
end

-- The processor time that waiting workers take, seconds; `count` is milliseconds.
function workloads.idle()
  start_workers(WORKERS, "local port = ... port:dequeue()")
  iocp.sleep(100)
  local before = os.clock()
  iocp.sleep(count)
  return os.clock() - before
end

-- ---- messages: one sender, two receivers ----------------------------------------------------------------------------

-- Posts `count` items, made by make(i); `post` is told each. Large ones would fill the memory if the receivers are
-- slower.
local function post_all(make, bytes, post)
  for i = 1, count do
    post(make(i))
    while bytes >= LARGE and port:stats().queued > WINDOW do
      iocp.yield()
    end
  end
end

-- A nil ends a receiver. `use` is what a receiver does with a message, or nil.
local function send(make, bytes, use)
  local threads = start_workers(RECEIVERS, function(from)
    local n = 0
    while true do
      local ok, message = from:receive()
      if not ok or message == nil then
        return n
      end
      n = n + (use and use(message) or 1)
    end
  end)
  start()
  post_all(make, bytes, function(message)
    port:send(message)
  end)
  return finish(threads, function()
    port:send(nil)
  end)
end

-- The same as strings that the script itself makes of its values, in blocks of a heap: `encode` here, and there what
-- the text `decoder` gives.
local function send_encoded(make, bytes, encode, decoder, use)
  local heap = iocp.Heap()
  local threads = start_workers(RECEIVERS, function(from, blocks)
    local decode = assert((loadstring or load)(decoder))() -- luacheck: ignore
    local n, last = 0, nil
    for key in from:packets() do
      if key == 0 then
        return n, last
      end
      last = decode(blocks:take(key))
      n = n + (use and use(last) or 1)
    end
  end, heap)
  start()
  post_all(make, bytes, function(message)
    port:enqueue((heap:put(encode(message))))
  end)
  return finish(threads, post_end)
end

-- LuaJIT's own string.buffer knows no shared parts, cycles or functions.
local function send_by_buffer(make, bytes)
  return send_encoded(make, bytes, require("string.buffer").encode, "return require('string.buffer').decode")
end

local function job(i)
  return { id = i, name = "job", args = { 1, 2, 3 } }
end

function workloads.tables()
  return send(job, 0)
end

workloads["tables-buffer"] = function()
  return send_by_buffer(job, 0)
end

-- So many records, of about 70 bytes each.
local function records()
  local list = {}
  for i = 1, parameter do
    list[i] = { id = i, name = "item " .. i, price = i * 1.25, tags = { "a", "b", i }, active = i % 2 == 0 }
  end
  return function()
    return list
  end
end

function workloads.records()
  return send(records(), 70 * parameter)
end

workloads["records-buffer"] = function()
  return send_by_buffer(records(), 70 * parameter)
end

local function one()
  return 1
end

local function call(f)
  return f()
end

function workloads.functions()
  return send(function()
    return one
  end, 0, call)
end

workloads["functions-dump"] = function()
  return send_encoded(function()
    return one
  end, 0, string.dump, "return loadstring or load", call)
end

function workloads.strings()
  local texts, number = math.min(count, ALL_TEXTS / parameter, 2 ^ 17), #("%06x"):format(0)
  local rest, text = ("x"):rep(parameter - number), {}
  for i = 0, texts - 1 do
    text[i] = ("%06x"):format(i):reverse() .. rest
  end
  return send(function(i)
    return text[i % texts]
  end, parameter)
end

-- ---- the pool ----

-- Trivial tasks through submit, until all have run.
function workloads.pool()
  local pool = assert(iocp.Pool(iocp.processors()))
  local function work(i)
    return i
  end
  pool:submit(work, 0):wait()
  start()
  for i = 1, count do
    pool:submit(work, i)
  end
  assert(pool:shutdown())
  local seconds = stop()
  assert(pool:stats().completed == count + 1, "lost")
  return seconds
end

-- The same for those who ask for no result.
function workloads.post()
  local pool = assert(iocp.Pool(iocp.processors()))
  local function work(i)
    return i
  end
  assert(pool:submit(work, 0):wait())
  start()
  for i = 1, count do
    pool:post(work, i)
  end
  assert(pool:shutdown())
  return stop()
end

-- A task each, and its result: a thousand at a time are on their way.
function workloads.results()
  local pool, tasks = assert(iocp.Pool(iocp.processors())), {}
  local function work(i)
    return i
  end
  assert(pool:submit(work, 0):wait())
  start()
  for i = 1, count, IN_FLIGHT do
    for j = 1, IN_FLIGHT do
      tasks[j] = pool:submit(work, i + j)
    end
    for j = 1, IN_FLIGHT do
      local ok, result = tasks[j]:wait()
      assert(ok and result == i + j, "lost or handled twice")
    end
  end
  local seconds = stop()
  assert(pool:shutdown())
  return seconds
end

-- All of them queued before the first one runs.
workloads["pool-backlog"] = function()
  local pool = assert(iocp.Pool(0))
  local function work() end
  start()
  for _ = 1, count do
    pool:submit(work)
  end
  assert(pool:stats().queued == count)
  pool:workers(iocp.processors())
  assert(pool:shutdown())
  return stop()
end

local functions = {
  cheap = function(x) return x * x + 1 end,
  dear = function(x)
    for _ = 1, 50 do
      x = (x * 16807 + 12345) % 2147483647
    end
    return x
  end,
}

-- How much longer map takes than a plain loop divided by the processors; the least of several rounds of each.
local function against_loop(f)
  local pool = assert(iocp.Pool(iocp.processors()))
  local list, plain, mapped = {}, math.huge, math.huge
  for i = 1, count do
    list[i] = i
  end
  for _ = 1, 5 do
    collectgarbage()
    start()
    local results = {}
    for i = 1, count do
      results[i] = f(list[i], i)
    end
    plain = math.min(plain, stop())
    collectgarbage()
    start()
    local same = pool:map(list, f)
    mapped = math.min(mapped, stop())
    assert(same[count] == results[count])
  end
  assert(pool:shutdown())
  return mapped / (plain / iocp.processors())
end

workloads["map-cheap"] = function()
  return against_loop(functions.cheap)
end

workloads["map-dear"] = function()
  return against_loop(functions.dear)
end

if not workloads[workload] or not count then
  io.stderr:write("usage: lua bench/workloads.lua WORKLOAD COUNT [PARAMETER]\n")
  os.exit(2)
end
print(("%.9f"):format(workloads[workload]()))
