-- step2.lua FILE...: as many files at a time as there are processors.
local iocp = require "iocp"
local logs = require "logs"

local pool = iocp.Pool()
local found = pool:map(arg, function(path)
  return logs.count(io.lines(path))
end)
print(logs.text(pool:reduce(found, logs.add, logs.nothing())))
pool:shutdown()
