--- One connection: its requests, one behind the other, each answered before the next one is looked at.
-- A site is what answers: { methods = a set of those it knows, allow = the same as the field Allow has it,
-- respond = a function(request, client), which returns the answer as a string, or writes it and returns true; nil, it
-- could not be written }. It gets requests of its methods alone, with their body: `request.body`, nil without one.
-- @module httpd.connection
local iocp = require "iocp"
local Source, head, body, answer = require "httpd.source", require "httpd.head", require "httpd.body",
  require "httpd.answer"
local connection = {}

connection.LIMITS = {
  wait = 15000, -- ms for the next request, and for each write: a client that does not send or read is left
  head = 10000, -- ms from a request's first byte to the end of its head: 408
  body = 30000, -- ms for a body: 408
  linger = 2000, -- ms, and
  unread = 262144, -- bytes that are still taken from a client that is told of an error while it sends
}

local clock, read_head = iocp.clock, head.read
local CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"
local BROKEN = { method = "GET", minor = 1, keeps = false } -- stands for a request that could not be read

--- The source of a client's bytes. Why there are none: 408, where what was begun is to be whole by source.limit; or
-- false: it is gone.
local function source_of(client)
  local source
  source = Source.new(function()
    local limit = source.limit
    if limit then
      client:timeout(math.max(0, limit - clock()))
    end
    local piece, _, code = client:read_some()
    if limit then
      client:timeout(connection.LIMITS.wait)
    end
    if not piece then
      return nil, limit ~= nil and code == "TIMEOUT" and 408
    end
    return piece
  end)
  return source
end

--- Reads on, where the head is not whole yet: as next_head.
local function rest_of_head(source)
  local request, next_at
  source.limit = clock() + connection.LIMITS.head
  repeat
    local seen = source:size()
    local ok, why = source:fill()
    if not ok then
      return nil, why
    end
    request, next_at = read_head(source.text, source.at, seen)
  until request or next_at
  source.limit = nil
  return request, next_at
end

--- The next head: a request; or nil, the status, or false where nobody waits for an answer.
local function next_head(source)
  if source.at > #source.text and not source:fill() then
    return nil, false
  end
  local request, next_at = read_head(source.text, source.at)
  if not request and not next_at then
    request, next_at = rest_of_head(source)
  end
  source.at = request and next_at or source.at
  return request, next_at
end

--- The client is to see the answer, though it still sends: what it sends is taken for a while, then dropped.
local function part(client)
  local limits, taken = connection.LIMITS, 0
  local till = clock() + limits.linger
  client:shutdown()
  repeat
    client:timeout(math.max(0, till - clock()))
    local piece = client:read_some()
    taken = taken + #(piece or "")
  until not piece or taken > limits.unread or clock() >= till
end

--- Reads the body: true; or nil, the status: then it was not read to its end.
local function read_body(client, source, request)
  local about = request.about
  if about.expects and request.minor > 0 and source:size() == 0 and (about.length or 0) <= body.LIMITS.body then
    client:write(CONTINUE)
  end
  source.limit = clock() + connection.LIMITS.body
  local text, why = body.read(about, source)
  source.limit, request.body = nil, text
  return text and true, why
end

--- Answers that it cannot, and leaves.
local function refuse(client, site, request, status)
  request.keeps = false
  if status and client:write(answer.status(request, status, status == 405 and site.allow or nil)) then
    part(client)
  end
  return false
end

--- Reads one request and answers it; whether there may be another.
local function one(client, site, source, worker)
  local request, status = next_head(source)
  if not request then
    return refuse(client, site, BROKEN, status)
  end
  local has_body = request.about.has_body
  request.keeps = request.keeps and not worker.stopping
  if not site.methods[request.method] then
    if has_body then
      return refuse(client, site, request, 405)
    end
    return client:write(answer.status(request, 405, site.allow)) and request.keeps
  elseif has_body then
    local ok, why = read_body(client, source, request)
    if not ok then
      return refuse(client, site, request, why)
    end
  end
  local text = site.respond(request, client)
  if text and text ~= true then
    text = client:write(text)
  end
  return text and request.keeps
end

--- Serves a connection until it ends. worker: what iocp.serve gives.
function connection.serve(client, site, worker)
  local source = source_of(client)
  client:timeout(connection.LIMITS.wait)
  repeat until not one(client, site, source, worker) -- luacheck: ignore 542
end

return connection
