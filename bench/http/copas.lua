-- copas: a coroutine for each connection over luasocket's select, that reads lines, and an answer that was made before.
-- usage: lua copas.lua THREADS BYTES PORT, of which the first is the other servers' to know.
package.path = "bench/?.lua;" .. package.path
local copas, socket = require "copas", require "socket"
local answer = require "http.answer"(tonumber(arg[2]))

local server = assert(socket.bind("127.0.0.1", tonumber(arg[3]), 4096))
copas.addserver(server, function(accepted)
  local client = copas.wrap(accepted)
  while true do
    local line = client:receive("*l")
    if not line then
      break
    elseif line == "" then
      client:send(answer)
    end
  end
end)
copas.loop()
