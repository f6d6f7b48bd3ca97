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
  idle = 15000, -- ms from one answer to the next request
  head = 10000, -- ms from a request's first byte to the end of its head: 408
  body = 30000, -- ms for a body: 408
  write = 30000, -- ms for each write: a client that does not read is left
  linger = 2000, -- ms, and
  unread = 262144, -- bytes that are still taken from a client that is told of an error while it sends
}

local clock, read_head, follows = iocp.clock, head.read, body.follows
local CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"
local BROKEN = { method = "GET", minor = 1, keeps = false } -- stands for a request that could not be read

--- The source of a client's bytes; what is awaited is to come by source.limit. Why there are none: 408, or false: it is
-- gone.
local function source_of(client)
  local source
  source = Source.new(function()
    client:timeout(math.max(0, source.limit - clock()))
    local piece, _, code = client:read_some()
    if not piece then
      return nil, code == "TIMEOUT" and 408
    end
    return piece
  end)
  return source
end

--- The next head: a request; or nil, the status, or false where nobody waits for an answer.
local function next_head(source)
  local limits = connection.LIMITS
  if source:size() == 0 then
    source.limit = clock() + limits.idle
    if not source:fill() then
      return nil, false
    end
  end
  local request, next_at = read_head(source.text, source.at)
  if not request and not next_at then
    source.limit = clock() + limits.head
    repeat
      local ok, why = source:fill()
      if not ok then
        return nil, why
      end
      request, next_at = read_head(source.text, source.at)
    until request or next_at
  end
  if request then
    source.at = next_at
  end
  return request, next_at
end

--- The client is to see the answer, though it still sends: what it sends is taken for a while, then dropped.
local function part(client)
  client:timeout(connection.LIMITS.linger)
  client:shutdown()
  local taken = 0
  iocp.within(connection.LIMITS.linger, function()
    repeat
      local piece = client:read_some()
      taken = taken + #(piece or "")
    until not piece or taken > connection.LIMITS.unread
  end)
end

--- Reads the body, if there is one: true; or nil, the status: then it was not read to its end.
local function read_body(client, source, request)
  if body.is_too_long(request) then
    return nil, 413
  elseif request.expects and source:size() == 0 then
    client:write(CONTINUE)
  end
  source.limit = clock() + connection.LIMITS.body
  local text, why = body.read(request, source)
  if not text then
    return nil, why
  end
  request.body = text
  return true
end

--- Answers that it cannot, and leaves.
local function refuse(client, site, request, status)
  request.keeps = false
  if status then
    client:timeout(connection.LIMITS.write)
    if client:write(answer.status(request, status, status == 405 and site.allow or nil)) then
      part(client)
    end
  end
  return false
end

--- Answers a request that was read whole; whether there may be another.
local function respond(client, site, request)
  client:timeout(connection.LIMITS.write)
  local text = site.respond(request, client)
  if type(text) == "string" then
    text = client:write(text)
  end
  return text and request.keeps
end

--- Reads one request and answers it; whether there may be another.
local function one(client, site, source, worker)
  local request, status = next_head(source)
  if not request then
    return refuse(client, site, BROKEN, status)
  end
  request.keeps = request.keeps and not worker.stopping
  if not site.methods[request.method] then
    if not follows(request) then
      client:timeout(connection.LIMITS.write)
      return client:write(answer.status(request, 405, site.allow)) and request.keeps
    end
    return refuse(client, site, request, 405)
  elseif follows(request) then
    local ok, why = read_body(client, source, request)
    if not ok then
      return refuse(client, site, request, why)
    end
  end
  return respond(client, site, request)
end

--- Serves a connection until it ends. worker: what iocp.serve gives.
function connection.serve(client, site, worker)
  local source = source_of(client)
  repeat until not one(client, site, source, worker) -- luacheck: ignore 542
end

return connection
