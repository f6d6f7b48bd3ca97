-- The HTTP server of examples/httpd: a site that says hello, or with more bytes the files of build/http/files.
-- usage: lua httpd.lua THREADS BYTES PORT
local iocp = require "iocp"

local threads, size, port = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
assert(iocp.serve { host = "127.0.0.1", port = port, workers = threads, handler = function(client, worker)
  local site
  if size == 13 then
    local answer = require "httpd.answer"
    site = { methods = { GET = true, HEAD = true }, allow = "Allow: GET, HEAD\r\n", respond = function(request)
      return answer.text(request, 200, "Content-Type: text/plain\r\n", "Hello, world\n")
    end }
  else
    site = require("httpd.files").site("build/http/files")
  end
  require("httpd.connection").serve(client, site, worker)
end })
iocp.IOCompletionPort():dequeue()
