--- iocp.listen: what clients connect to.
-- @classmod iocp.Server
local core, fibers, streams = require "iocp.core", require "iocp.fiber", require "iocp.stream"
local private = require "iocp.private"
local options = require "iocp.options"
local check = options.check

local Server = {} -- methods
local class = { __index = Server }
private.stays(class, "iocp.Server: it stays in its thread")

local rules = {
  { "backlog", function(v) return type(v) == "number" and v >= 0 and v % 1 == 0 end, "an integer from 0 on" },
  { "reuseport", function(v) return type(v) == "boolean" end, "a boolean" },
}
for i, rule in ipairs(streams.rules) do
  rules[2 + i] = rule
end

-- ---- accept ---------------------------------------------------------------------------------------------------------

local function check_self(self)
  if getmetatable(self) ~= class then
    options.refuse("self", "a server", self, "; methods are called with a colon")
  end
end

local function failure(server, message, code)
  if server.is_closed then
    return nil, "the server is closed", "CLOSED"
  end
  return nil, message, code
end

--- The accept has begun, and nobody waits for it any more. It stays, for the next one who does: were it cancelled, a
-- connection that comes at that moment might be lost. What is to come does not keep the server.
local function leave(server, attempt)
  local idle, early = server.idle, server.early
  local function ended(bytes)
    for i, other in ipairs(idle) do
      if other == attempt then
        table.remove(idle, i)
      end
    end
    if bytes >= 0 then
      early[#early + 1] = attempt.client
    end
  end
  idle[#idle + 1] = attempt
  local bytes = fibers.give_up(attempt.overlapped, ended)
  if bytes then
    ended(bytes)
  end
end

--- An accept that is pending, for the fiber; or nil, message, code.
local function begin(server, me)
  local attempt = table.remove(server.idle)
  if attempt then
    fibers.take_back(attempt.overlapped, me)
    return attempt
  end
  local client, message, code = core.Socket(server.family)
  if not client then
    return nil, message, code
  end
  local overlapped = fibers.expect(me)
  local ok
  ok, message, code = server.socket:accept(client, overlapped, false)
  if not ok then
    fibers.forget(overlapped)
    return failure(server, message, code)
  end
  return { client = client, overlapped = overlapped }
end

--- A connected socket that nobody has yet, associated with nothing; or nil, message, code.
local function accept(server, me, limit)
  if server.early[1] then
    return table.remove(server.early, 1)
  end
  local attempt, message, code = begin(server, me)
  if not attempt then
    return nil, message, code
  end
  local value = fibers.park(me, attempt.overlapped, limit)
  if type(value) == "string" then
    leave(server, attempt)
    return fibers.failure(me, value)
  elseif value < 0 then
    code, message = core.describe(value)
    return failure(server, message, code)
  end
  return attempt.client
end

--- The stream of an accepted socket; or nil, message, code.
local function stream_of(server, client)
  local ok, message, code = client:associate(streams.port())
  if not ok then
    client:close()
    return nil, message, code
  end
  return streams.new(client, server.options, server.family == "unix")
end

local function next_client(server, limit)
  local me = fibers.enter()
  local code = fibers.refused(me)
  if code then
    return fibers.failure(me, code)
  elseif server.is_closed then
    return failure(server)
  end
  local client, message
  client, message, code = accept(server, me, limit)
  if not client then
    return nil, message, code
  end
  return stream_of(server, client)
end

--- Waits for the next client.
-- @param ms how long; nil for ever
-- @return its stream; or nil, message, code: TIMEOUT, CANCELLED, CLOSED, EMFILE: no descriptor is left
function Server:accept(ms)
  check_self(self)
  return fibers.results(next_client(self, fibers.limit(ms)))
end

local ENDS = { CLOSED = true, CANCELLED = true, TIMEOUT = true }

--- Iterates over the streams of clients, until the server is closed or the fiber cancelled. What keeps one client from
-- being accepted, as EMFILE, is told once on the error output, and it goes on.
function Server:clients()
  check_self(self)
  return function()
    while true do
      local client, message, code = self:accept()
      if client or ENDS[code] then
        return client
      elseif not self.has_told then
        self.has_told = true
        io.stderr:write(("iocp.listen: a client was not accepted: %s\n"):format(message))
      end
    end
  end
end

--- Ends it: nobody can connect any more. Streams go on.
-- @return true, again and again
function Server:close()
  check_self(self)
  if not self.is_closed then
    self.is_closed = true
    self.socket:close()
    for _, client in ipairs(self.early) do
      client:close()
    end
  end
  return true
end
class.__close = Server.close

--- @return host, port where it listens; of a unix socket path, 0
function Server:address()
  check_self(self)
  return self.socket:address()
end

function class:__tostring()
  local host, port = self.socket:address()
  return ("iocp.Server: %s"):format(host and ("%s:%d"):format(host, port) or "closed")
end

-- ---- listen ---------------------------------------------------------------------------------------------------------

--- Where to listen: family, host in digits, port; or nil, message, code.
local function find(host, port)
  if host:find("/", 1, true) then
    return "unix", host, 0
  elseif host == "*" and type(port) == "number" then
    return "inet6", "*", port
  end
  local lookup, message, code = core.resolve(host == "*" and "::" or host, port) -- where `port` is a service's name
  local addresses = lookup
  if lookup then
    addresses, message, code = lookup:wait()
  end
  if not addresses then
    return nil, options.unresolved(port, message, code), code
  end
  return addresses[1].family, host == "*" and host or addresses[1].host, addresses[1].port
end

local function prepare(socket, host, port, given)
  socket:option("reuseaddr", true)
  local ok, message, code = true, nil, nil
  if given.reuseport then
    ok, message, code = socket:option("reuseport", true)
  end
  if ok then
    ok, message, code = socket:bind(host, port)
  end
  if ok then
    ok, message, code = socket:listen(given.backlog)
  end
  return ok, message, code
end

--- A socket that listens there, and its family; or nil, message, code.
local function open_one(host, port, given)
  local family, where, number = find(host, port)
  if not family then
    return nil, where, number
  end
  local socket, message, code = core.Socket(family)
  if not socket then
    return nil, message, code
  end
  local ok
  ok, message, code = prepare(socket, where, number, given)
  if not ok then
    socket:close()
    return nil, options.at(where, number, message), code
  end
  return socket, family
end

--- The same; where there is no inet6, any address is inet's.
local function open(host, port, given)
  local socket, family, code = open_one(host, port, given)
  if not socket and host == "*" and code == "EAFNOSUPPORT" then
    return open_one("0.0.0.0", port, given)
  end
  return socket, family, code
end

--- The server of a socket that listens, and is associated with the scheduler's port.
local function new(socket, family, given)
  return setmetatable({ socket = socket, family = family, options = given, early = {}, idle = {} }, class)
end

local function listen(host, port, given)
  check("host", host, options.is_host(host), '"*", ' .. options.HOST)
  check("port", port, port == nil or options.is_port(port), options.PORT)
  given = options.read(given, rules)
  local socket, family, code = open(host, port or 0, given)
  if not socket then
    return nil, family, code
  end
  local ok, message
  ok, message, code = socket:associate(streams.port())
  if not ok then
    socket:close()
    return nil, message, code
  end
  private.own(socket, "iocp.Server")
  return new(socket, family, given)
end

return { listen = listen, open = open, new = new, accept = accept, stream_of = stream_of, rules = rules }
