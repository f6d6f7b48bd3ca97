--- What the specs of the HTTP server share: clients, some of them without sockets, and a strict reader of answers.
local iocp = require "iocp"
local connection = require "httpd.connection"

local http = {}

--- A site that says what it was asked for: the method, the path, and the body between brackets.
function http.site(methods)
  local site = { methods = methods or { GET = true, HEAD = true, POST = true }, allow = "Allow: GET, HEAD, POST\r\n" }
  site.asked = {}
  function site.respond(request)
    site.asked[#site.asked + 1] = request.method .. " " .. request.path
    return require("httpd.answer").text(request, 200, "Content-Type: text/plain\r\n",
      ("%s %s [%s]"):format(request.method, request.path, request.body or ""))
  end
  return site
end

--- A client without a socket: what it sends comes in these pieces, then it ends. `written`: what it was told.
function http.client(pieces)
  local client = { written = {}, at = 0 }
  function client.read_some()
    client.at = client.at + 1
    return pieces[client.at]
  end
  function client.write(_, text)
    client.written[#client.written + 1] = text
    return client
  end
  function client.timeout() return client end
  client.shutdown = client.timeout
  return client
end

--- What a site says to a client that sends these pieces: a list of what was written, each without its date.
function http.serve(site, pieces)
  local client = http.client(pieces)
  connection.serve(client, site, { stopping = false })
  for i, text in ipairs(client.written) do
    client.written[i] = text:gsub("\r\nDate: [^\r]*", "", 1)
  end
  return client.written
end

--- One answer, read strictly: a table with status, fields by their names in small letters, and body; and where it ends.
-- Raises what is wrong with it. method: what was asked.
function http.read(text, at, method)
  local status, next_at = text:match("^HTTP/1%.1 (%d%d%d) [%a ]+\r\n()", at)
  assert(status, "no answer begins with " .. ("%q"):format(text:sub(at, at + 40)))
  local answer = { status = tonumber(status), fields = {} }
  while text:sub(next_at, next_at + 1) ~= "\r\n" do
    local name, value, after = text:match("^([%a-]+): ([ -~]+)\r\n()", next_at)
    assert(name and not answer.fields[name:lower()], "no field: " .. ("%q"):format(text:sub(next_at, next_at + 40)))
    answer.fields[name:lower()], next_at = value, after
  end
  next_at = next_at + 2
  local length = tonumber(answer.fields["content-length"])
  if answer.status < 200 or answer.status == 204 or answer.status == 304 then
    assert(not length, "a length, and no body")
    length = 0
  end
  assert(length, "no length")
  length = method == "HEAD" and 0 or length
  answer.body = text:sub(next_at, next_at + length - 1)
  assert(#answer.body == length, "half a body")
  return answer, next_at + length
end

--- All answers of a text; methods: of the requests, "GET" if left out.
function http.read_all(text, methods)
  local answers, at = {}, 1
  while at <= #text do
    answers[#answers + 1], at = http.read(text, at, methods and methods[#answers + 1] or "GET")
  end
  return answers
end

--- What a server says to a text, until it closes; the client does not end its side. Outside of fibers.
function http.ask(host, port, text)
  local client = assert(iocp.connect(host, port, { timeout = 60000 }))
  assert(client:write(text))
  local answer = client:read("*a")
  client:close()
  return answer
end

-- ---- mutations ------------------------------------------------------------------------------------------------------

local SEEDS = {
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "HEAD /a/b%20c?d=e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: abcdef\r\n\r\n",
  "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
  "GET http://a:80/p HTTP/1.1\r\nHost: a:80\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nRange: bytes=0-1,5-\r\nIf-None-Match: \"x\", W/\"y\"\r\n\r\n",
  "DELETE /x HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close, x\r\n\r\n",
}
http.SEEDS = SEEDS

local PIECES = { "\r", "\n", "\r\n", "\r\n\r\n", "\0", " ", "\t", ":", ",", "/", "%00", "..", "0", "9", "-", "\255",
  "chunked",
  "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Host: b\r\n", "0\r\n\r\n", "HTTP/1.1", "HTTP/1.0",
  "fffffffff\r\n", "Expect: 100-continue\r\n", " folded\r\n", "GET /next HTTP/1.1\r\nHost: a\r\n\r\n" }

local mutations = {
  function(text, at, random) return text:sub(1, at - 1) .. string.char(random(256) - 1) .. text:sub(at + 1) end,
  function(text, at, random) return text:sub(1, at - 1) .. PIECES[random(#PIECES)] .. text:sub(at) end,
  function(text, at, random) return text:sub(1, at - 1) .. text:sub(at + random(8)) end,
  function(text, at, random) return text:sub(1, at) .. text:sub(math.max(1, at - random(40))) end,
  function(text, at, random) return text:sub(1, at - 1) .. SEEDS[random(#SEEDS)]:sub(random(20)) end,
  function(text, at, random) return text:sub(1, at - 1) .. PIECES[random(#PIECES)] .. text:sub(at + random(4)) end,
}

--- Requests of which some bytes are others. random(n): a number from 1 to n.
function http.mutated(random)
  local text = SEEDS[random(#SEEDS)] .. (random(3) == 1 and SEEDS[random(#SEEDS)] or "")
  for _ = 1, random(4) do
    text = mutations[random(#mutations)](text, random(#text + 1), random)
  end
  return text
end

--- A text in pieces.
function http.cut(text, random)
  local pieces, at = {}, 1
  while at <= #text do
    local size = random(4) == 1 and 1 or random(40)
    pieces[#pieces + 1], at = text:sub(at, at + size - 1), at + size
  end
  return pieces
end

return http
