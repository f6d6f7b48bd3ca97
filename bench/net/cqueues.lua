-- An echo server over cqueues: a coroutine for each connection, in one thread. usage: lua cqueues.lua THREADS BUFFER
-- PORT, of which the first is the other servers' to know.
local cqueues, socket = require "cqueues", require "cqueues.socket"

local buffer = tonumber(arg[2])
local loop = cqueues.new()

local function serve(client)
  client:setmode("bn", "bn")
  client:onerror(function(_, _, code)
    return code
  end)
  while true do
    local data = client:read(-buffer)
    if not data or not client:write(data) then
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
