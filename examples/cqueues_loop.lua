-- A pool beside cqueues: a coroutine of its loop waits for results of tasks, and others run meanwhile.
--
--     lua5.4 examples/cqueues_loop.lua [TASKS]
--
-- A port is an object that cqueues can poll: it has pollfd, events and timeout. cqueues is Debian's lua-cqueues.
local iocp = require "iocp"
local found, cqueues = pcall(require, "cqueues")
if not found then
  print("cqueues is not here: it is Debian's lua-cqueues")
  return
end

local count = tonumber(arg[1]) or 20
local pool, port = iocp.Pool(2), iocp.IOCompletionPort()
local loop, ended, ticks = cqueues.new(), 0, 0

loop:wrap(function()
  local tasks = {}
  for i = 1, count do
    tasks[i] = pool:submit(function(n) return ("x"):rep(n):len() end, i * 1000)
    tasks[i]:notify(port, i)
  end
  while ended < count do
    local key = port:dequeue(0)
    if key then
      ended = ended + 1
      print(("task %d: %s"):format(key, tostring(select(2, tasks[key]:wait(0)))))
    else
      cqueues.poll(port)
    end
  end
end)

loop:wrap(function()
  while ended < count do
    ticks = ticks + 1
    cqueues.sleep(0.001)
  end
end)

assert(loop:loop())
pool:shutdown()
print(("%d tasks ended in the loop, whose other coroutine ran %d times meanwhile"):format(ended, ticks))
