-- A barrier: nobody begins the next step before all have done this one. Here three threads smooth a row of numbers,
-- each its part, and read what the others wrote a step before.
--
--   lua examples/barrier.lua [THREADS [STEPS]]     3, 50
local iocp = require "iocp"

local threads, steps = tonumber(arg[1]) or 3, tonumber(arg[2]) or 50

--- A barrier of n: a token that counts who has come, and two gates, one for even steps and one for odd ones, so that
-- who is quick cannot take a token that is meant for who is slow.
local function new_barrier(n)
  local barrier = { n = n, count = assert(iocp.IOCompletionPort(n)) }
  barrier[0], barrier[1] = assert(iocp.IOCompletionPort(n)), assert(iocp.IOCompletionPort(n))
  barrier.count:enqueue(0)
  return barrier
end

--- Waits until n threads have come to this step.
local function meet(barrier, step)
  local gate = barrier[step % 2]
  local come = assert(barrier.count:dequeue()) + 1
  if come < barrier.n then
    barrier.count:enqueue(come)
    assert(gate:dequeue())
  else -- the last one: counts anew, and lets the others in
    barrier.count:enqueue(0)
    for _ = 1, barrier.n - 1 do
      gate:enqueue(1)
    end
  end
end

local LENGTH = 60
local rows = { [0] = iocp.Array("double", LENGTH), iocp.Array("double", LENGTH) }
rows[0]:set(1, 1000)

local barrier = new_barrier(threads)
local function smooth(number)
  local first = math.floor((number - 1) * LENGTH / threads) + 1
  local last = math.floor(number * LENGTH / threads)
  for step = 0, steps - 1 do
    local from, to = rows[step % 2], rows[(step + 1) % 2]
    for i = first, last do
      local left, right = from:get(math.max(i - 1, 1)), from:get(math.min(i + 1, LENGTH))
      to:set(i, (left + from:get(i) + right) / 3)
    end
    meet(barrier, step)
  end
end

local running = {}
for i = 1, threads do
  running[i] = assert(iocp.Thread(smooth, i))
end
for _, thread in ipairs(running) do
  assert(thread:join())
end
local sum = 0
for _, number in ipairs(rows[steps % 2]:list()) do
  sum = sum + number
end
print(("%d threads, %d steps: the first number is %.3f, the sum still %.0f"):format(threads, steps,
  rows[steps % 2]:get(1), sum))
