-- A pool beside libuv: results of tasks arrive in luv's loop, which they never block.
--
--     lua5.4 examples/luv_loop.lua [TASKS]
--
-- Tasks are told to a port as they end (task:notify), and the loop polls the port's descriptor (port:pollfd). luv is
-- Debian's lua-luv.
local iocp = require "iocp"
local found, uv = pcall(require, "luv")
if not found then
  print("luv is not here: it is Debian's lua-luv")
  return
end

local count = tonumber(arg[1]) or 20
local pool, port = iocp.Pool(2), iocp.IOCompletionPort()
local tasks, ended, ticks = {}, 0, 0
local descriptor, message = port:pollfd()
if not descriptor then -- on Windows
  print("a port has no descriptor on this system: " .. message)
  return
end

local function fibonacci(n)
  local function f(m) return m < 2 and m or f(m - 1) + f(m - 2) end
  return f(n)
end

for i = 1, count do
  tasks[i] = pool:submit(fibonacci, 15 + i % 10)
  tasks[i]:notify(port, i)
end

-- What else the loop does goes on meanwhile.
local timer = uv.new_timer()
timer:start(0, 5, function() ticks = ticks + 1 end)

local poll = uv.new_poll(descriptor)
poll:start("r", function()
  local key = port:dequeue(0)
  while key do
    ended = ended + 1
    print(("task %d: %s"):format(key, tostring(select(2, tasks[key]:wait(0)))))
    key = port:dequeue(0)
  end
  if ended == count then
    poll:close()
    timer:close()
  end
end)

uv.run()
pool:shutdown()
print(("%d tasks ended in the loop, which ticked %d times meanwhile"):format(ended, ticks))
