-- lua-http: a whole HTTP library over cqueues. usage: lua lua_http.lua THREADS BYTES PORT, of which the first is the
-- other servers' to know.
local headers, server = require "http.headers", require "http.server"
local size = tonumber(arg[2])
local body = size == 13 and "Hello, world\n" or ("x"):rep(size)

local listening = server.listen {
  host = "127.0.0.1", port = tonumber(arg[3]), tls = false, max_concurrent = 10000,
  onstream = function(_, stream)
    assert(stream:get_headers())
    local answer = headers.new()
    answer:append(":status", "200")
    answer:append("content-type", "text/plain")
    answer:append("content-length", tostring(#body))
    assert(stream:write_headers(answer, false))
    assert(stream:write_body_from_string(body))
  end,
  onerror = function() end,
}
assert(listening:listen())
assert(listening:loop())
