-- step5.lua FILE...: Ctrl-C ends it with what was counted until then.
local iocp = require "iocp"
local logs, analyse = require "logs", require "analyse"

local told = iocp.IOCompletionPort()
assert(iocp.signal("INT"):notify(told, 1)) -- from here on Ctrl-C is a packet
local pool = iocp.Pool()
local stopped = false
local total, problems = analyse(pool, arg, function(done, all)
  io.stderr:write(("\r%d of %d pieces"):format(done, all))
  stopped = told:dequeue(0) ~= nil -- 0: does not wait
  return not stopped
end)
io.stderr:write(stopped and ", and no more: Ctrl-C\n" or "\n")
for _, problem in ipairs(problems) do io.stderr:write(problem, "\n") end
print(logs.text(total))
pool:shutdown()
