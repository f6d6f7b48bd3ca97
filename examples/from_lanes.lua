-- A program for Lua Lanes, translated: two workers square numbers. The one for Lanes stands in doc/cookbook.md.
--
--   lua examples/from_lanes.lua
local iocp = require "iocp"

local jobs, squares = iocp.IOCompletionPort(), iocp.IOCompletionPort() -- a port where a linda had a slot

local function worker() -- upvalues cross, as there
  local done = 0
  while true do
    local ok, n = jobs:receive()
    if not ok then
      return done -- the port is closed: no word for "quit" is needed
    end
    squares:send(n * n)
    done = done + 1
  end
end

local a, b = assert(iocp.Thread(worker)), assert(iocp.Thread(worker))
for i = 1, 10 do
  jobs:send(i)
end
local sum = 0
for _ = 1, 10 do
  local _, square = assert(squares:receive())
  sum = sum + square
end
jobs:close() -- drops what is queued: here all answers have come
local _, done_by_a = assert(a:join())
local _, done_by_b = assert(b:join())
print(("%d jobs, the sum of the squares is %d"):format(done_by_a + done_by_b, sum))
