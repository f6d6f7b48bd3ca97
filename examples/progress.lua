-- How far it is: of a loop, by its option progress, and of one long task, by a number that it counts up.
--
--   lua examples/progress.lua [STEPS]     2000
local iocp = require "iocp"

local steps = tonumber(arg[1]) or 2000
local pool = assert(iocp.Pool(2))

local function work(n)
  local x = n
  for _ = 1, 1000 do
    x = (x * 48271 + 11) % 2147483647
  end
  return x
end

-- A loop. progress = true draws a bar on a terminal; a function gets the figures, in the thread that called map.
local items, shown = {}, 0
for i = 1, steps do
  items[i] = i
end
pool:map(items, work, { progress = function(done, total)
  local quarters = math.floor(done / total * 4)
  if quarters > shown then
    shown = quarters
    print(("map: at least %d %%"):format(quarters * 25))
  end
end })

-- A task of its own: it adds to an atomic, and who waits looks at it now and then.
local done = iocp.Atomic()
local task = assert(pool:submit(function(count, f)
  local sum = 0
  for i = 1, count do
    sum = (sum + f(i)) % 1000003
    done:add(1) -- an upvalue: it crosses as a reference, so this is the same atomic
  end
  return sum
end, steps, work))

local ok, result, code
repeat
  ok, result, code = task:wait(20)
  if code == "TIMEOUT" then -- on standard error, so that it can be sent elsewhere than the results
    io.stderr:write(("task: %d of %d\n"):format(done:get(), steps))
  end
until code ~= "TIMEOUT"
assert(ok, result)
print(("task: %d of %d, the result is below 1000003: %s"):format(done:get(), steps, tostring(result < 1000003)))
pool:shutdown()
