-- A program for effil, translated: two threads count words into one table. The one for effil stands in doc/cookbook.md.
--
--   lua examples/from_effil.lua
local iocp = require "iocp"

local counts = iocp.Dict() -- a dictionary where a shared table was
local lines = iocp.IOCompletionPort() -- and a port for the channel

local function count(inbox, words)
  local _, line = assert(inbox:receive())
  while line do
    for word in line:gmatch("%a+") do
      words:incr(word, 1, 0) -- one step: no count is lost between a read and a write
    end
    _, line = assert(inbox:receive())
  end
end

local a, b = assert(iocp.Thread(count, lines, counts)), assert(iocp.Thread(count, lines, counts))
for _ = 1, 100 do
  lines:send("the quick fox and the lazy dog")
end
lines:send(nil) -- nils cross, as there
lines:send(nil)
assert(a:join())
assert(b:join())
print(("the: %d, fox: %d"):format(counts:get("the"), counts:get("fox")))
