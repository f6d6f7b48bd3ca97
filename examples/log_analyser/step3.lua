-- step3.lua FILE...: as many pieces at a time as there are processors.
local iocp = require "iocp"
local logs, pieces = require "logs", require "pieces"

local list = {}
for _, path in ipairs(arg) do
  assert(pieces.split(path, 1024 * 1024, list))
end
local pool = iocp.Pool()
local found = pool:map(list, function(piece)
  return logs.count(pieces.lines(piece))
end, { progress = true })
print(logs.text(pool:reduce(found, logs.add, logs.nothing())))
pool:shutdown()
