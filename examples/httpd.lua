-- An HTTP/1.1 server for the files of a folder, over iocp.serve: a thread for each processor, and a fiber for each
-- connection, that reads as if it blocked. Needs LuaFileSystem (luarocks install luafilesystem) to look at folders.
--
--     lua examples/httpd.lua                          asks itself some questions, then ends
--     lua examples/httpd.lua FOLDER [PORT [WORKERS]]  serves it: http://127.0.0.1:8080/
--
-- Its parts are in httpd/: head.lua and body.lua read requests, from a source.lua, which knows no sockets;
-- connection.lua answers them one by one with what a site says; files.lua is the site, with lookup.lua, ranges.lua and
-- listing.lua. Their tables LIMITS say what is too long, too many or too late.
local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
package.path = folder .. "?.lua;" .. package.path
local iocp = require "iocp"

if not pcall(require, "lfs") then
  io.stderr:write("this example needs LuaFileSystem: luarocks install luafilesystem\n")
  os.exit(2)
end

local function serve(root, port, workers)
  return iocp.serve { host = "127.0.0.1", port = port, workers = workers, max = 10000,
    handler = function(client, worker)
      local site = require("httpd.files").site(root)
      require("httpd.connection").serve(client, site, worker)
    end }
end

--- What a server at that address answers to a text, until it closes.
local function ask(host, port, text)
  local client = assert(iocp.connect(host, port, { timeout = 10000 }))
  client:write(text)
  client:shutdown()
  local answered = client:read("*a")
  client:close()
  return answered
end

local function try(host, port)
  local get = "GET /httpd.lua HTTP/1.1\r\nHost: localhost\r\n\r\n"
  local _, answers = ask(host, port, get:rep(3)):gsub("HTTP/1.1 200 OK\r\n", "")
  print(("3 requests, one behind the other: %d answers"):format(answers))
  for _, request in ipairs { "HEAD /httpd.lua HTTP/1.0\r\n\r\n", "GET /httpd/ HTTP/1.0\r\n\r\n",
    "GET /httpd HTTP/1.0\r\n\r\n", "GET /httpd.lua HTTP/1.0\r\nRange: bytes=0-9,20-29\r\n\r\n",
    "GET /httpd.lua HTTP/1.0\r\nRange: bytes=999999-\r\n\r\n", "GET /../README.md HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "POST / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n", "BREW / HTTP/1.0\r\n\r\n", "nonsense\r\n\r\n",
    "GET / HTTP/1.0\r\nspace : before\r\n\r\n" } do
    print(("%-45s %s"):format(request:match("^[^\r]*"), ask(host, port, request):match("^HTTP/1.1 ([^\r]*)")))
  end
end

local root, port, workers = arg[1] or folder .. ".", tonumber(arg[2]), tonumber(arg[3])
local service = assert(serve(root, arg[1] and (port or 8080) or 0, workers))
local host, where = service:address()
if not arg[1] then
  iocp.run(try, host, where)
  print("stopped", service:stop(1000))
else
  print(("http://%s:%d/"):format(host, where))
  local asked = iocp.IOCompletionPort()
  iocp.signal("INT"):notify(asked, 1)
  iocp.signal("TERM"):notify(asked, 1)
  asked:dequeue()
  print("stopping", service:stop(5000))
  print(service:stats().accepted .. " connections")
end
