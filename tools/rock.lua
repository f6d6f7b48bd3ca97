-- What a new user would try first with an installed rock.
local iocp = require "iocp"
local port, heap = iocp.IOCompletionPort(), iocp.Heap()
local worker = assert(iocp.Thread([[
  local port, heap = ...
  local sum = 0
  for key in port:packets() do sum = sum + tonumber(heap:take(key)) end
  return sum
]], port, heap))
for i = 1, 1000 do
  port:enqueue((heap:put(tostring(i))))
end
while port:stats().dequeued < 1000 or port:stats().waiting < 1 do
  iocp.sleep(1)
end
port:close()
local ok, sum = worker:join()
assert(ok and sum == 500500, sum)
assert(heap:stats().blocks == 0)
if rawget(_G, "jit") then
  assert(require("iocp.tinn").Heap:create():alloc(8))
end
print(("the rock works: %s, iocp %s"):format(arg[1], iocp._VERSION))
