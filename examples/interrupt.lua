-- Ctrl-C ends the work, not the program: what runs is told to stop, what waits never begins, and what is done is kept.
--
--   lua examples/interrupt.lua [PIECES [MS]]     pieces of so many milliseconds: 8, 50. Press Ctrl-C, or do not
local iocp = require "iocp"

local pieces, ms = tonumber(arg[1]) or 8, tonumber(arg[2]) or 50
local INTERRUPTED = 0 -- the key of that packet; those of tasks are their numbers

-- It waits, so it notices by itself; a loop that computes looks at iocp.cancelled() now and then.
local function work(piece, duration)
  local finish = iocp.clock() + duration
  while iocp.clock() < finish do
    if not iocp.sleep(10) then
      error("stopped in the middle", 0)
    end
  end
  return piece
end

local events, pool = iocp.IOCompletionPort(), assert(iocp.Pool(2))
local ctrl_c = assert(iocp.signal("INT"):notify(events, INTERRUPTED)) -- from here on Ctrl-C is a packet

local tasks = {}
for i = 1, pieces do
  tasks[i] = assert(pool:submit(work, i, ms))
  assert(tasks[i]:notify(events, i)) -- and so is a task that has ended
end

local counts = { completed = 0, failed = 0, cancelled = 0 }
local ended = 0
while ended < pieces do
  local key = assert(events:dequeue())
  if key == INTERRUPTED then
    print("stopping; press Ctrl-C again to leave at once")
    ctrl_c:cancel() -- the next one does what Ctrl-C always did
    for _, task in ipairs(tasks) do
      task:cancel()
    end
  else
    ended = ended + 1
    local status = tasks[key]:status()
    counts[status] = counts[status] + 1
  end
end
ctrl_c:cancel()
pool:shutdown()
print(("%d pieces: %d completed, %d cancelled, %d failed"):format(pieces, counts.completed, counts.cancelled,
  counts.failed))
