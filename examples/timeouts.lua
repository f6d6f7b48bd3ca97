-- Where a time limit goes: to a wait, to a task, to all of a loop, or around any number of waits.
--
--   lua examples/timeouts.lua
local iocp = require "iocp"

local port, pool = iocp.IOCompletionPort(), assert(iocp.Pool(2))
local function slowly(n) -- for ever, but it ends when it is told to
  iocp.sleep(math.huge)
  return n
end

-- One wait: what is waited for goes on, and can be waited for again.
print("receive:", select(3, port:receive(10)))
local task = assert(pool:submit(slowly))
print("wait:", select(3, task:wait(10)), task:status() ~= "completed")
task:cancel()

-- The task itself: it is told to stop, whoever waits for it or not.
local _, _, code, ms = pool:submit({ body = slowly, timeout = 10 }):wait()
print("task:", code, ms == 10) -- ms: whose limit it was, the task's own

-- All of a loop.
print("map:", select(3, pool:map({ 1, 2, 3 }, slowly, { timeout = 10 })))

-- In fibers: one deadline around many waits, here for a server that says nothing.
print("within:", iocp.run(function()
  local server = assert(iocp.listen("127.0.0.1"))
  local _, _, why = iocp.within(50, function()
    local stream = assert(iocp.connect(server:address()))
    return stream:read() -- nobody answers
  end)
  server:close()
  return why
end))
pool:shutdown()
