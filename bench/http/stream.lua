-- Streams alone: reads lines until an empty one, and writes an answer that was made before. What a server over streams
-- costs before it knows HTTP. usage: lua stream.lua THREADS BYTES PORT
local iocp = require "iocp"

local threads, size, port = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local body = size == 13 and "Hello, world\n" or ("x"):rep(size)
local answer = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: "
  .. #body .. "\r\n\r\n" .. body

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
