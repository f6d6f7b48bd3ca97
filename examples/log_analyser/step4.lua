-- step4.lua FILE...: a file that cannot be read is told of, and the others are counted.
local iocp = require "iocp"
local logs, pieces = require "logs", require "pieces"

local function tell(message)
  io.stderr:write(message:match("[^\n]*"), "\n") -- the first line; the traceback is behind it
end

local list = {}
for _, path in ipairs(arg) do
  local ok, message = pieces.split(path, 1024 * 1024, list)
  if not ok then tell(message) end
end
local pool = iocp.Pool()
local found, errors = pool:map(list, function(piece)
  return logs.count(pieces.lines(piece))
end, { progress = true, errors = "collect" })
local good = {}
for i, piece in ipairs(list) do
  if errors[i] then tell(piece.path .. ": " .. errors[i]) else good[#good + 1] = found[i] end
end
print(logs.text(pool:reduce(good, logs.add, logs.nothing())))
pool:shutdown()
