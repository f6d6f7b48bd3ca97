-- step1.lua FILE...: one file after the other, in one thread.
local logs = require "logs"

local total = logs.nothing()
for _, path in ipairs(arg) do
  total = logs.add(total, logs.count(io.lines(path)))
end
print(logs.text(total))
