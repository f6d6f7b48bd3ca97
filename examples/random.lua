-- Random numbers in workers: math.random differs in each, which is what most programs want; a generator for each item
-- gives the same result on any number of workers, which tests want.
--
--   lua examples/random.lua [ITEMS]     8
local iocp = require "iocp"

local items = tonumber(arg[1]) or 8

-- As it comes: each thread has another sequence.
local function draw()
  return math.random(1000000), math.random(1000000), math.random(1000000)
end
local a, b = assert(iocp.Thread(draw)), assert(iocp.Thread(draw))
local _, a1, a2, a3 = assert(a:join())
local _, b1, b2, b3 = assert(b:join())
print("two threads draw the same:", a1 == b1 and a2 == b2 and a3 == b3)

-- Reproducible: a generator whose seed is made of the item, so it does not matter who works on it, or when. This one is
-- Park and Miller's; all its products are below 2^53.
local function generator(seed)
  local state = seed * 7919 % 2147483646 + 1
  return function() -- from 0 to 1
    state = state * 48271 % 2147483647
    return state / 2147483647
  end
end

local function estimate(item) -- of pi
  local random, inside = generator(item), 0
  for _ = 1, 20000 do
    local x, y = random(), random()
    inside = x * x + y * y < 1 and inside + 1 or inside
  end
  return inside
end

local function total(workers)
  local pool, numbers = assert(iocp.Pool(workers)), {}
  for i = 1, items do
    numbers[i] = i
  end
  local sum = pool:reduce(pool:map(numbers, estimate), function(x, y) return x + y end)
  pool:shutdown()
  return 4 * sum / (items * 20000)
end
print(("pi is about %.3f, with one worker and with three: %s"):format(total(1), tostring(total(1) == total(3))))
