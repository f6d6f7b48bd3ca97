-- What threads know together: a cache in which each thing is computed once, counters by name, and a flag that all wait
-- for before they begin.
--
--   lua examples/votes.lua [THREADS [VOTES]]
local iocp = require "iocp"

local threads, votes = tonumber(arg[1]) or 4, tonumber(arg[2]) or 1000

local names, counts = iocp.Dict { maximum = 2 ^ 20 }, iocp.Dict()
local ready, started, lookups = iocp.Atomic(), iocp.Atomic(), iocp.Atomic()

local function vote(seed)
  local function name_of(number) -- which takes long
    return names:get_or_set("name " .. number, function()
      lookups:add(1)
      iocp.sleep(1)
      return ("candidate %s"):format(("ABCDE"):sub(number, number))
    end)
  end
  ready:add(1)
  ready:wake()
  while started:get() == 0 do
    started:wait(0)
  end
  for _ = 1, votes do
    seed = (seed * 1103515245 + 12345) % 2 ^ 31
    counts:incr(name_of(math.floor(seed / 65536) % 5 + 1), 1, 0)
  end
end

local running = {}
for i = 1, threads do
  running[i] = assert(iocp.Thread(vote, i * 1000))
end
while ready:get() < threads do
  ready:wait(ready:get(), 100)
end
started:set(1)
started:wake()
for _, thread in ipairs(running) do
  assert(thread:join())
end

local keys, sum = counts:keys(), 0
table.sort(keys)
for _, name in ipairs(keys) do
  print(("%-12s %6d"):format(name, counts:get(name)))
  sum = sum + counts:get(name)
end
print(("%d votes of %d threads, %d names looked up"):format(sum, threads, lookups:get()))
