-- Errors of workers, four ways: asked for, raised, collected, and handled where they happen.
--
--   lua examples/errors.lua
local iocp = require "iocp"

local function halve(n)
  if n % 2 == 1 then
    error({ odd = n }) -- any value that crosses; with a text come item and traceback
  end
  return n / 2
end

local pool = assert(iocp.Pool(2))

-- 1. Asked for: who waits gets nil, the message with its traceback, a code, and the value.
local ok, message, code, value = pool:submit(halve, 7):wait()
print("asked for:", ok, type(message), code, value.odd)

-- 2. Raised: a loop raises the first one, and drops the rest.
local good, caught = pcall(pool.map, pool, { 2, 4, 9 }, halve)
print("raised:", good, caught.odd)

-- 3. Collected: all that can be done is done; messages and values stand by their items' numbers.
local halves, _, values = pool:map({ 2, 5, 8 }, halve, { errors = "collect" })
print("collected:", halves[1] == 1 and halves[3] == 4, values[2].odd)

-- 4. Handled: the next task gets the error instead of a result.
local task = pool:submit(halve, 3):catch(function(_, _, thrown)
  return (thrown.odd - 1) / 2
end)
print("handled:", select(2, task:wait()) == 1)
pool:shutdown()
