-- A small HTTP server: it says hello, over iocp.serve, so with a thread for each processor and a fiber for each
-- connection. GET and HEAD, HTTP/1.0 and 1.1, connections that are kept, requests that come one behind the other. It
-- knows no bodies: a request that announces one is answered with 413, and its connection closed.
--
--     lua examples/http.lua                 asks itself some questions, then ends
--     lua examples/http.lua 8080 [workers]  serves others: curl -i http://127.0.0.1:8080/
local iocp = require "iocp"

-- It crosses to the threads with what it uses.
local function serve(client, worker)
  local LINES, IDLE = 100, 10000 -- of a head; ms without a request
  local HEAD = "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %s\r\n%s\r\n"
  local REASONS = { [200] = "OK", [400] = "Bad Request", [404] = "Not Found", [405] = "Method Not Allowed",
    [413] = "Content Too Large", [431] = "Request Header Fields Too Large", [505] = "HTTP Version Not Supported" }

  --- Answers; whether the connection is kept.
  local function answer(status, body, request)
    local keeps = request.keeps and status < 413 and status ~= 400 and not worker.stopping
    local head = HEAD:format(status, REASONS[status], #body, keeps and "keep-alive" or "close",
      status == 405 and "Allow: GET, HEAD\r\n" or "")
    return client:write(head, request.method == "HEAD" and "" or body) and keeps
  end

  --- The fields of the head by their names, in small letters; or nil, the status that says what is wrong with them.
  local function read_fields()
    local fields = {}
    for _ = 1, LINES do
      local line, _, code = client:read("*L")
      if not line then
        return nil, code == "EMSGSIZE" and 431 or nil
      elseif line == "\r\n" then
        return fields
      end
      local name, value = line:match("^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.-)[ \t]*\r\n$")
      if not name or value:find("[%z\r]") or name:lower() == "host" and fields.host then
        return nil, 400
      end
      fields[name:lower()] = value
    end
    return nil, 431
  end

  --- The status of a request that has been read whole, and what is said with it.
  local function look(request, fields)
    if request.version ~= "1.0" and request.version ~= "1.1" then
      return 505, "only HTTP/1.0 and HTTP/1.1\n"
    elseif request.version == "1.1" and not fields.host then
      return 400, "no Host\n"
    elseif fields["transfer-encoding"] or fields["content-length"] and fields["content-length"] ~= "0" then
      return 413, "no bodies here\n"
    elseif request.method ~= "GET" and request.method ~= "HEAD" then
      return 405, "only GET and HEAD\n"
    elseif request.target ~= "/" then
      return 404, "only / is here\n"
    end
    return 200, "Hello, world\n"
  end

  --- Reads one request and answers it; whether there may be another.
  local function one()
    local line, _, code = client:read("*L")
    if not line then
      return code == "EMSGSIZE" and answer(431, "too long\n", {})
    end
    local method, target, version = line:match("^(%u+) ([%w/%%?&=._~:@!$'()*+,;-]+) HTTP/(%d%.%d)\r\n$")
    if not method then
      return answer(400, "no request\n", {})
    end
    local request = { method = method, target = target, version = version }
    local fields, status = read_fields()
    if not fields then
      return status and answer(status, "no head\n", {})
    end
    local connection = (fields.connection or ""):lower()
    request.keeps = version == "1.1" and connection ~= "close" or connection == "keep-alive"
    status, line = look(request, fields)
    return answer(status, line, request)
  end

  client:timeout(IDLE)
  repeat until not one() -- luacheck: ignore 542
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
  local get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
  local _, answers = ask(host, port, get:rep(3)):gsub("Hello, world", "")
  print(("3 requests, one behind the other: %d answers"):format(answers))
  for _, request in ipairs { "HEAD / HTTP/1.0\r\n\r\n", "GET /nothing HTTP/1.0\r\n\r\n", "POST / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/1.0\r\nfolded :no\r\n\r\n",
    "GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello" } do
    print(("%-45s %s"):format(request:match("^[^\r]*"), ask(host, port, request):match("^HTTP/1.1 ([^\r]*)")))
  end
end

local port, workers = tonumber(arg[1]), tonumber(arg[2])
local service = assert(iocp.serve { host = "127.0.0.1", port = port or 0, workers = workers, handler = serve,
  max_line = 8192, max = 10000 })
local host, where = service:address()
if not port then
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
