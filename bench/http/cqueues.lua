-- cqueues: a coroutine for each connection, that reads lines, and an answer that was made before.
-- usage: lua cqueues.lua THREADS BYTES PORT, of which the first is the other servers' to know.
package.path = "bench/?.lua;" .. package.path
local cqueues, socket = require "cqueues", require "cqueues.socket"
local answer = require "http.answer"(tonumber(arg[2]))
local loop = cqueues.new()

local function serve(client)
  client:setmode("tn", "bn") -- lines without their CR
  client:onerror(function(_, _, code) return code end)
  for line in client:lines() do
    if line == "" and not client:write(answer) then
      break
    end
  end
  client:close()
end

loop:wrap(function()
  local server = socket.listen { host = "127.0.0.1", port = tonumber(arg[3]), reuseaddr = true }
  while true do
    local client = server:accept { nodelay = true }
    loop:wrap(serve, client)
  end
end)
assert(loop:loop())
