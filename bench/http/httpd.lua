-- The HTTP server of examples/httpd: a site that says hello, or with more bytes the files of build/http/files.
-- usage: lua httpd.lua THREADS BYTES PORT
local iocp = require "iocp"

local threads, size, port = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
assert(iocp.serve { host = "127.0.0.1", port = port, workers = threads, handler = function(client, worker)
  local site
  if size == 13 then
    local head, fields = require("httpd.answer").head, "Content-Type: text/plain\r\nContent-Length: 13\r\n"
    site = { methods = { GET = true }, allow = "Allow: GET\r\n", respond = function(request)
      return head(request, 200, fields, "Hello, world\n")
    end }
  else
    site = require("httpd.files").site("build/http/files")
  end
  require("httpd.connection").serve(client, site, worker)
end })
iocp.IOCompletionPort():dequeue()
