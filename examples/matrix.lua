-- The product of two matrices, row by row, by the workers of a pool: all of them write into one array.
--
--   lua examples/matrix.lua [SIZE [WORKERS]]
local iocp = require "iocp"

local n, workers = tonumber(arg[1]) or 128, tonumber(arg[2]) or iocp.processors()

-- The second one lies column by column, so that both are read as they lie in memory.
local a, b, c = iocp.Array("double", n * n), iocp.Array("double", n * n), iocp.Array("double", n * n)
for i = 0, n - 1 do
  for j = 0, n - 1 do
    a:set(i * n + j + 1, ((i * n + j) % 7 - 3) / 2)
    b:set(j * n + i + 1, ((i * n + j) % 5 - 2) / 4)
  end
end

--- Row i of the product, from 0 on. Views are tables to look at; on LuaJIT they are memory.
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
local started = iocp.clock()
assert(pool:parallel_for(0, n - 1, row))
local seconds = (iocp.clock() - started) / 1000
pool:shutdown()

local trace = 0
for i = 1, n do
  trace = trace + c:get((i - 1) * n + i)
end
print(("%d x %d on %d workers in %.3f s: %.0f million products a second; its trace is %.3f"):format(n, n, workers,
  seconds, n ^ 3 / seconds / 1e6, trace))
