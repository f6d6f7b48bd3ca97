-- What is still there, and who made it: messages in a port, blocks in a heap, threads and pools that never ended.
--
--   lua examples/leak.lua
local iocp = require "iocp"

local jobs, answers, heap = iocp.IOCompletionPort(), iocp.IOCompletionPort(), iocp.Heap()

-- The program with the leaks: a worker that frees what it is sent, but not what begins with "late", and answers what
-- nobody reads; and another one that nobody tells to end.
local worker = assert(iocp.Thread({ name = "reader", body = function(inbox, outbox, blocks)
  for address in inbox:packets() do
    if address == 0 then
      return
    end
    if blocks:read(address, 0, 4) ~= "late" then
      blocks:free(address)
    else
      outbox:send("it is late")
    end
  end
end }, jobs, answers, heap))
local forgotten = iocp.IOCompletionPort()
assert(iocp.Thread({ name = "forgotten", body = function(inbox) inbox:receive() end }, forgotten))
for i = 1, 100 do
  jobs:enqueue((heap:put(("%s %d"):format(i % 10 == 0 and "late" or "news", i))))
end
jobs:enqueue(0)
assert(worker:join())

-- 1. Ports: what came and was never taken.
for _, each in ipairs { { "jobs", jobs }, { "answers", answers } } do
  local stats = each[2]:stats()
  print(("port %s: %d posted, %d queued"):format(each[1], stats.posted, stats.queued))
end

-- 2. Heaps: how many blocks are live, and what is in them. A message that says what it is tells who forgot it.
local stats, kinds = heap:stats(), {}
for address, size in heap:walk() do
  local kind = heap:read(address, 0, math.min(size, 4))
  kinds[kind] = (kinds[kind] or 0) + 1
end
print(("heap: %d blocks of %d bytes"):format(stats.blocks, stats.bytes))
for kind, count in pairs(kinds) do
  print(("  %d begin with %q"):format(count, kind))
end

-- 3. Threads and pools that live, whoever made them.
for _, thread in ipairs(iocp.threads()) do
  print(("thread %s: %s"):format(thread:name(), thread:status()))
end
print(("%d pools"):format(#iocp.pools()))

-- 4. This state's own memory, without garbage. In a worker the same call tells that worker's.
collectgarbage()
print(("Lua: below 10 MB: %s"):format(tostring(collectgarbage("count") < 10240)))
forgotten:close()
