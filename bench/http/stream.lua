-- Streams alone: reads lines until an empty one, and writes an answer that was made before. What a server over streams
-- costs before it knows HTTP. usage: lua stream.lua THREADS BYTES PORT
package.path = "bench/?.lua;" .. package.path
local iocp = require "iocp"

local threads, size, port = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local answer = require "http.answer"(size)

assert(iocp.serve { host = "127.0.0.1", port = port, workers = threads, handler = function(client)
  local line = client:read()
  while line do
    if line == "" then
      client:write(answer)
    end
    line = client:read()
  end
end })
iocp.IOCompletionPort():dequeue()
