-- The benchmark's workloads in luv, as far as it has them: libuv's pool of threads, and its sockets. It has no queue
-- between threads. Usage: lua luv.lua WORKLOAD COUNT prints the seconds it took.
local uv = require "luv"

local WINDOW = 1000
local workload, count = arg[1], tonumber(arg[2])
local workloads = {}

-- Over a pair of sockets, since a thread cannot be given a handle of another thread's loop that it could wake.
workloads["ping-pong"] = function()
  local pair = uv.socketpair()
  local here, balls = uv.new_tcp(), 0
  here:open(pair[1])
  local thread = uv.new_thread(function(descriptor)
    local loop = require "luv"
    local there = loop.new_tcp()
    there:open(descriptor)
    there:read_start(function(_, ball)
      if ball then
        there:write(ball)
      else
        there:close()
      end
    end)
    loop.run()
  end, pair[2])
  here:read_start(function(_, ball)
    assert(ball == "x", "lost or handled twice")
    balls = balls + 1
    if balls < count then
      here:write("x")
    else
      here:close()
    end
  end)
  here:write("x")
  uv.run()
  thread:join()
end

-- The pool has as many threads as there are processors: UV_THREADPOOL_SIZE.
function workloads.results()
  local done, sum = 0, 0
  local work = uv.new_work(function(x)
    return x
  end, function(result)
    done, sum = done + 1, sum + result
  end)
  for i = 1, count, WINDOW do
    for j = i, i + WINDOW - 1 do
      work:queue(j)
    end
    uv.run()
  end
  assert(done == count and sum == count * (count + 1) / 2, "lost or handled twice")
end

local started = uv.hrtime()
workloads[workload]()
print(("%.9f"):format((uv.hrtime() - started) / 1e9))
