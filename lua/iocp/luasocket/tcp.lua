--- luasocket's tcp objects.
-- @module iocp.luasocket.tcp
local core, fibers = require "iocp.core", require "iocp.fiber"
local servers, pending = require "iocp.server", require("iocp.scheduler").pending
local object, buffer, words = require "iocp.luasocket.object", require "iocp.luasocket.buffer",
  require "iocp.luasocket.words"
local address = require "iocp.luasocket.address"
local getmetatable, take = getmetatable, buffer.take
local tcp = {}

local methods = object.methods "tcp"
local ANY, MASTER, CLIENT, SERVER = "tcp{any}", "tcp{master}", "tcp{client}", "tcp{server}"
local client = object.class(CLIENT)

local function new(family)
  return object.new(MASTER, "stream", family)
end

-- ---- connecting -----------------------------------------------------------------------------------------------------

--- What becomes of a connect that is under way, which is the socket's until its packet comes.
local function new_attempt(socket)
  local attempt, key = { is_over = false }, tonumber(socket:handle())
  pending[key] = function(bytes)
    pending[key] = nil
    attempt.code, attempt.is_over = bytes < 0 and core.describe(bytes) or nil, true
    if attempt.waiter then
      fibers.wake(attempt.waiter, attempt.waits, true)
    end
  end
  return attempt
end

--- Begins to connect: nil, and it is connected, or `connecting`; or the code of what failed. Who has no time is told
-- later, however soon it ended.
local function begin(self, one)
  local socket = self.socket
  local bytes, _, code = socket:connect(one.host, one.port, false)
  if bytes == true then
    self.connecting = new_attempt(socket)
  elseif object.is_impatient(self) and (bytes or code == "ECONNREFUSED") then
    self.connecting = { is_over = true, code = code }
  elseif not bytes then
    return code
  else
    self.is_connected = true
  end
  return nil
end

--- Waits until it is connected: nil; or the code of what failed.
local function await(self, limit)
  local attempt = self.connecting
  if not attempt.is_over then
    local me = fibers.enter()
    local code = fibers.refused(me)
    if not code then
      attempt.waiter, attempt.waits = me, attempt
      local value = fibers.park(me, attempt, limit)
      attempt.waiter = nil
      code = type(value) == "string" and value
    end
    if code then
      return code
    end
  end
  self.connecting = nil
  self.is_connected = not attempt.code
  return attempt.code
end

--- What has to be there before anything is sent or received: nil; or the text of what failed.
local function finish(self)
  local code = self.connecting and await(self, object.limit(self))
  return code and words.of(code, code) or nil
end

--- Tries an address: nil; or the code of what failed.
local function try(self, one)
  local ok, _, code = true, nil, nil
  if not self.socket or self.family ~= one.family or self.has_failed then
    ok, _, code = object.open(self, one.family)
  end
  self.has_failed = nil
  code = not ok and code or begin(self, one)
  if not code and self.connecting then
    code = object.is_impatient(self) and "TIMEOUT" or await(self, object.limit(self))
  end
  self.has_failed = code and code ~= "TIMEOUT" and code ~= "CANCELLED" and not self.is_bound
  return code
end

local function connect(self, host, service)
  local found, text = address.find(host, service, self.family)
  if not found then
    return nil, text
  end
  local code
  for _, one in ipairs(found) do
    code = try(self, one)
    if not code or object.is_impatient(self) or code == "CANCELLED" then
      self.family = one.family
      break
    end
  end
  if code then
    return nil, words.of(code, code)
  end
  return 1
end

function methods:connect(host, service)
  object.check(self, "connect", ANY)
  host, service = words.text("connect", 1, host), words.text("connect", 2, service)
  object.become(self, CLIENT)
  local attempt = self.connecting
  if attempt and not attempt.is_over then
    return nil, words.of "EALREADY"
  elseif attempt then
    local code = await(self)
    if not code then
      return 1
    end
    return nil, words.of(code, code)
  elseif self.is_connected then
    return nil, words.of "EISCONN"
  end
  return connect(self, host, service)
end

-- ---- listening ------------------------------------------------------------------------------------------------------

local function bind(self, host, service)
  local found, text = address.find_own(host, service, self.family)
  if not found then
    return nil, text
  end
  local ok, message, code
  for _, one in ipairs(found) do
    ok = true
    if not self.socket or self.family ~= one.family then
      ok, message, code = object.open(self, one.family)
    end
    if ok then
      ok, message, code = self.socket:bind(one.host, one.port)
    end
    if ok then
      self.family, self.is_bound = one.family, true
      return 1
    end
  end
  return words.failure(ok, message, code)
end

function methods:bind(host, service)
  object.check(self, "bind", MASTER)
  return bind(self, words.text("bind", 1, host), words.text("bind", 2, service))
end

function methods:listen(backlog)
  object.check(self, "listen", MASTER)
  backlog = words.number("listen", 1, backlog, 32)
  if not self.socket then
    return nil, "Bad file descriptor"
  end
  local ok, message, code = self.socket:listen(math.max(backlog, 1))
  if not ok then
    return words.failure(ok, message, code)
  end
  self.early, self.idle, self.options = {}, {}, {} -- server.lua's
  object.become(self, SERVER)
  return 1
end

--- A client that is there by the limit: an iocp.Socket; or nil, message, code. The listener is looked at first, so that
-- no accept is left behind that would take a client which a select is to tell of.
local function next_client(self, limit)
  if not self.early[1] and not self.idle[1] then
    local code = object.wait(self.socket, "read", limit)
    if code then
      return nil, code, code
    end
  end
  local me = fibers.enter()
  local code = fibers.refused(me)
  if code then
    return nil, code, code
  end
  return servers.accept(self, me, limit)
end

function methods:accept()
  object.check(self, "accept", SERVER)
  if not self.socket then
    return nil, "closed"
  end
  local socket, message, code = next_client(self, object.limit(self))
  if not socket then
    return words.failure(socket, message, code)
  end
  local one = object.new(CLIENT, "stream", self.family)
  local ok
  ok, message, code = object.own(one, socket)
  if not ok then
    return words.failure(ok, message, code)
  end
  one.is_connected = true
  return one
end

-- ---- connected ------------------------------------------------------------------------------------------------------

local function receive(self, pattern, prefix)
  object.check(self, "receive", CLIENT)
  local failure = self.connecting and finish(self)
  if failure then
    return nil, failure, prefix or ""
  end
  return buffer.receive(self, pattern, prefix)
end

function methods:receive(pattern, prefix)
  local text = prefix == nil and getmetatable(self) == client and take(self, pattern)
  if text then
    return text
  end
  return receive(self, pattern, prefix)
end

function methods:send(data, i, j)
  if getmetatable(self) ~= client then
    object.check(self, "send", CLIENT)
  end
  local failure = self.connecting and finish(self)
  if failure then
    return nil, failure, 0
  end
  return buffer.send(self, data, i, j)
end

local SIDES = { receive = "read", send = "write" }

function methods:shutdown(how)
  object.check(self, "shutdown", CLIENT)
  how = how == nil and "both" or words.text("shutdown", 1, how)
  if how ~= "both" and not SIDES[how] then
    words.refuse("shutdown", 1, ("invalid option '%s'"):format(how))
  end
  if self.socket then
    self.socket:shutdown(SIDES[how])
  end
  return 1
end

function methods:getpeername()
  object.check(self, "getpeername", ANY)
  return object.name(self, "peer")
end

function methods:getstats()
  object.check(self, "getstats", CLIENT)
  return self.received, self.sent, (core.clock() - self.birthday) / 1000
end

function methods:setstats(received, sent, age)
  object.check(self, "setstats", CLIENT)
  self.received = words.number("setstats", 1, received, self.received)
  self.sent = words.number("setstats", 2, sent, self.sent)
  if age ~= nil then
    self.birthday = core.clock() - words.number("setstats", 3, age) * 1000
  end
  return 1
end

function methods:dirty()
  object.check(self, "dirty", ANY)
  return self.data ~= ""
end

function methods:close()
  object.check(self, "close", ANY)
  if self.socket then
    if self.piece then
      buffer.flush(self)
    end
    object.drop(self):close()
    for _ = 1, self.early and #self.early or 0 do
      table.remove(self.early):close()
    end
  end
  return 1
end

local set_descriptor = methods.setfd
function methods:setfd(fd)
  if self.socket then
    buffer.flush(self)
  end
  return set_descriptor(self, fd)
end

methods.setpeername, methods.setsockname = methods.connect, methods.bind
object.classes("tcp", methods, MASTER, CLIENT, SERVER)

-- ---- the functions --------------------------------------------------------------------------------------------------

local function create(family)
  return object.create(MASTER, "stream", family)
end

function tcp.tcp()
  return create "unspec"
end

function tcp.tcp4()
  return create "inet"
end

function tcp.tcp6()
  return create "inet6"
end

local FAMILIES = { unspec = true, inet = true, inet6 = true }

--- A connected object, perhaps from an own address.
function tcp.connect(host, service, own_host, own_service, family)
  host, service = words.text("connect", 1, host), words.text("connect", 2, service)
  family = family == nil and "unspec" or words.text("connect", 5, family)
  if not FAMILIES[family] then
    words.refuse("connect", 5, ("invalid option '%s'"):format(family))
  end
  local self = new(family)
  if own_host ~= nil then
    local ok, text = bind(self, words.text("connect", 3, own_host),
      own_service == nil and "0" or words.text("connect", 4, own_service))
    if not ok then
      return nil, text
    end
  end
  local ok, text = connect(self, host, service)
  if not ok then
    self:close()
    return nil, text
  end
  return object.become(self, CLIENT)
end

return tcp
