-- An echo server over luv, libuv's loop in one thread. usage: lua luv.lua THREADS BUFFER PORT, of which the first two
-- are the other servers' to know.
local uv = require "luv"

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", tonumber(arg[3])))
assert(server:listen(4096, function()
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  client:read_start(function(failure, data)
    if data then
      client:write(data)
    elseif failure or not client:is_closing() then
      client:close()
    end
  end)
end))
uv.run()
