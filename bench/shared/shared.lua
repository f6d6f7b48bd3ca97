-- What bench/shared measures, over iocp: lua bench/shared/shared.lua WORKLOAD [HOW] prints "time" and "cpu",
-- nanoseconds of one operation: elapsed time, and that of all processors, by all operations of all threads.
local iocp = require "iocp"

local workload, how = arg[1], arg[2]
local load = loadstring or load -- luacheck: ignore

local began, cpu

local function start()
  began, cpu = iocp.clock(), os.clock()
end

local function tell(operations)
  local seconds = os.clock() - cpu
  print(("time %g cpu %g"):format((iocp.clock() - began) * 1e6 / operations, seconds * 1e9 / operations))
end

-- The threads are there and wait before the time begins.
local function run_threads(body, threads, count, ...)
  local go, ready, list = iocp.Atomic(), iocp.Atomic(), {}
  for i = 1, threads do
    list[i] = assert(iocp.Thread(body, go, ready, count, ...))
  end
  while ready:get() < threads do
    iocp.sleep(1)
  end
  start()
  go:set(1)
  go:wake()
  for _, thread in ipairs(list) do
    assert(thread:join())
  end
  tell(threads * count)
end

local workloads = {}

-- ---- frozen values ----

local USERS, ROUNDS = 1000, jit and 20000 or 1000 -- luacheck: ignore

local function users()
  local list = {}
  for i = 1, USERS do
    list[i] = { id = i, name = "user " .. i, mail = "user" .. i .. "@example.org" }
  end
  return { users = list }
end

-- A field of a table in a table: users[i].id.
workloads["frozen-read"] = function()
  local t = how == "plain" and users() or iocp.Frozen(users())
  local read = load([[
    local users, size, rounds = ...
    local sum = 0
    for _ = 1, rounds do
      for i = 1, size do
        sum = sum + users[i].id
      end
    end
    return sum
  ]])
  read(t.users, USERS, 10)
  start()
  read(t.users, USERS, ROUNDS)
  tell(ROUNDS * USERS)
end

-- A thread that gets a table of 100 MB, or none.
workloads["frozen-start"] = function()
  local list, n = {}, 200
  for i = 1, how == "frozen" and 800000 or 1 do
    list[i] = { id = i, name = "user " .. i }
  end
  local t = iocp.Frozen(list)
  list = nil -- luacheck: ignore
  collectgarbage()
  io.stderr:write(tostring(t), "\n")
  start()
  for _ = 1, n do
    assert(assert(iocp.Thread([[ local t = ... return t[1].id ]], t)):join())
  end
  tell(n)
end

-- ---- a dictionary ----

workloads["dict-get"] = function()
  local dict = iocp.Dict()
  for i = 1, 100 do
    assert(dict:set("key " .. i, i))
  end
  run_threads([[
    local go, ready, count, dict = ...
    local keys, sum = {}, 0
    for i = 1, 100 do keys[i] = "key " .. i end
    ready:add(1)
    while go:get() == 0 do go:wait(0) end
    for _ = 1, count, 100 do
      for i = 1, 100 do
        sum = sum + dict:get(keys[i])
      end
    end
    return sum
  ]], 2, 2000000, dict)
end

-- ---- atomics ----

local ADD = [[
  local go, ready, count, atomic = ...
  local iocp = require "iocp"
  for _ = 1, 1000 do atomic:add(1) end
  ready:add(1)
  while go:get() == 0 do go:wait(0) end
  for _ = 1, count do
    atomic:add(1)
  end
]]

function workloads.add()
  run_threads(ADD, 1, jit and 20000000 or 3000000, iocp.Atomic()) -- luacheck: ignore
end

function workloads.contended()
  run_threads(ADD, 2, jit and 10000000 or 2000000, iocp.Atomic()) -- luacheck: ignore
end

-- ---- a product of matrices ----

function workloads.matrix()
  local n, workers = 512, tonumber(how)
  local a, b, c = iocp.Array("double", n * n), iocp.Array("double", n * n), iocp.Array("double", n * n)
  for i = 0, n * n - 1 do
    a:set(i + 1, (i % 7 - 3) / 2)
    b:set(i + 1, (i % 5 - 2) / 4)
  end
  local function row(i)
    local x, z = a:view(i * n + 1, i * n + n), c:view(i * n + 1, i * n + n)
    for j = 1, n do
      local y, sum = b:view((j - 1) * n + 1, j * n), 0
      for k = 1, n do
        sum = sum + x[k] * y[k]
      end
      z[j] = sum
    end
  end
  local pool = assert(iocp.Pool(workers))
  assert(pool:parallel_for(0, 15, row))
  start()
  assert(pool:parallel_for(0, n - 1, row))
  tell(n ^ 3)
  io.stderr:write(c:get(n * n), "\n")
  pool:shutdown()
end

assert(workloads[workload], "no such workload")()
