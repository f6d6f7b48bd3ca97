-- libuv's loop in one thread: callbacks, the first empty line, and an answer that was made before.
-- usage: lua luv.lua THREADS BYTES PORT, of which the first is the other servers' to know.
package.path = "bench/?.lua;" .. package.path
local uv = require "luv"
local answer = require "http.answer"(tonumber(arg[2]))

local function serve(client)
  local rest = ""
  client:read_start(function(failure, data)
    if not data then
      return failure or client:is_closing() or client:close()
    end
    rest = rest .. data
    local at = 1
    local first, last = rest:find("\r\n\r\n", at, true)
    while first do
      client:write(answer)
      at = last + 1
      first, last = rest:find("\r\n\r\n", at, true)
    end
    rest = rest:sub(at)
  end)
end

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", tonumber(arg[3])))
assert(server:listen(4096, function()
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  serve(client)
end))
uv.run()
