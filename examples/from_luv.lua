-- A program for luv, translated: work in threads, a timer and an echo server in one loop, without callbacks. The one
-- for luv stands in doc/cookbook.md.
--
--   lua examples/from_luv.lua
local iocp = require "iocp"

local function square(n) -- runs in a thread of the pool
  return n * n
end

iocp.run(function()
  local pool = assert(iocp.Pool())
  local ticks = 0
  iocp.spawn_every(10, function() ticks = ticks + 1 end)

  local server = assert(iocp.listen("127.0.0.1"))
  iocp.spawn(function()
    local client = assert(server:accept())
    client:write(client:read(), "\n")
    client:close()
  end)

  local stream = assert(iocp.connect(server:address()))
  stream:write("hello\n")
  print("echo: " .. stream:read())
  stream:close()
  server:close()

  local sum = 0
  for _, result in ipairs(pool:map({ 1, 2, 3, 4 }, square)) do
    sum = sum + result
  end
  print("squares: " .. sum)

  iocp.sleep(50)
  print("ticks: " .. tostring(ticks > 0))
  pool:shutdown()
end)
