--- stream:starttls: TLS on a connected stream, by LuaSec. That reads and writes its socket itself, so the descriptor is
-- its own from then on, and the port's socket for it only says when to go on.
-- @module iocp.tls
local core, private, fibers = require "iocp.core", require "iocp.private", require "iocp.fiber"
local streams, reader, writer = require "iocp.stream", require "iocp.reader", require "iocp.writer"
local options = require "iocp.options"
local said = fibers.failure

local quietly = private.quietly -- whatever LuaSec does may write

local SIZE = 16384 -- bytes of a record
local LINGER = 5000 -- ms

local TlsStream = {}

-- ---- waiting --------------------------------------------------------------------------------------------------------

--- Waits until the socket is ready for a side: true; or nil, message, code.
local function wait_for(stream, side, limit, shielded)
  local me = fibers.enter()
  local refusal = not shielded and fibers.refused(me)
  if refusal then
    return said(me, refusal)
  end
  local overlapped = fibers.expect(me)
  local ok, message, code = stream.socket:ready(side, overlapped)
  if not ok then
    fibers.forget(overlapped)
    return reader.refused(stream, message, code)
  end
  local value = fibers.park(me, overlapped, limit, shielded)
  if type(value) == "string" then
    if not fibers.give_up(overlapped) then
      stream.socket:cancel(overlapped)
    end
    return said(me, value)
  elseif value < 0 then
    return reader.failure(stream, value)
  end
  return true
end

local SIDES = { wantread = "read", wantwrite = "write" }

--- Waits for what LuaSec wants: true; or nil, message, code: it fails.
local function go_on(stream, why, limit)
  local side = SIDES[why]
  if side then
    return wait_for(stream, side, limit)
  elseif why == "closed" then
    return nil, "the peer has closed the connection", "ECONNRESET"
  end
  return nil, "TLS: " .. tostring(why), "EPROTO"
end

-- ---- reading and writing --------------------------------------------------------------------------------------------

--- The next bytes: as reader.receive.
local function fill(stream, limit)
  while not stream.is_ended do
    local data, why, part = quietly(stream.tls.receive, stream.tls, SIZE)
    data = data or part
    if data and data ~= "" then
      return data
    elseif why == "closed" then
      stream.is_ended = true
      return nil
    end
    local ok, message, code
    if why == "wantread" then
      ok, message, code = reader.wait(stream, limit)
    else
      ok, message, code = go_on(stream, why, limit)
    end
    if not ok then
      return nil, message, code
    end
  end
  return nil
end

--- Has it all sent: true; or nil, message, code. A record that was begun has to be ended, so a failure ends the side.
local function send(stream, data, limit)
  local at = 1
  while at <= #data do
    local last, why, sent = quietly(stream.tls.send, stream.tls, data, at)
    at = (last or sent or at - 1) + 1
    if not last then
      local ok, message, code = go_on(stream, why, limit)
      if not ok then
        stream.write_code, stream.write_message = "EPIPE", "the stream's write side has ended"
        return nil, message, code
      end
    end
  end
  return true
end

local function write(stream, data, limit)
  local me = fibers.enter()
  local code = writer.take_turn(stream, me, limit)
  if code then
    return said(me, code)
  end
  local ok, message
  if stream.write_code then
    ok, message, code = nil, stream.write_message, stream.write_code
  else
    ok, message, code = send(stream, data, limit)
  end
  writer.pass_turn(stream)
  if not ok then
    return nil, message, code
  end
  return stream
end

--- As a stream's; it waits until the system has it.
function TlsStream:write(...)
  streams.check_self(self)
  local data = streams.text_of(...)
  local is_hindered, value, message, code = streams.hindrance(self)
  if not is_hindered then
    value, message, code = write(self, data, streams.limit_of(self))
  end
  return streams.finish(value, message, code)
end

function TlsStream:shutdown()
  streams.check_self(self)
  private.raise("shutdown: a TLS connection is closed as a whole")
end

function TlsStream:starttls()
  streams.check_self(self)
  private.raise("starttls: it is TLS already")
end

--- Closes, and tells the peer so. LuaSec waits for that, so it is to have room for it.
function TlsStream:close()
  streams.check_self(self)
  if self.is_closed then
    return true
  end
  local is_usable = self.is_agreed and not self.write_code
  if not (is_usable and wait_for(self, "write", core.clock() + (self.linger or LINGER), true)) then
    self.socket:shutdown()
  end
  self.is_closed, self.data, self.at = true, "", 1
  self.write_code, self.write_message = "CLOSED", "the stream is closed"
  reader.close(self)
  self.socket:close()
  quietly(self.tls.close, self.tls)
  return true
end

local class = streams.derive(TlsStream, { "read", "read_some", "lines", "flush", "timeout", "peer", "address" }, fill)

function class:__tostring()
  return ("iocp.Stream: %s (TLS, %s)"):format(self.host and ("%s:%d"):format(self.host, self.port) or "?",
    self.is_closed and "closed" or "open")
end

-- ---- who the peer is ------------------------------------------------------------------------------------------------

--- Whether a certificate's name, whose first label may be a star, is this host's.
local function is_for(pattern, name)
  pattern, name = pattern:lower(), name:lower()
  local rest = pattern:match("^%*(%..+%..+)$")
  return pattern == name or rest ~= nil and name:match("^[^.]+(%..+)$") == rest
end

local SUBJECT_ALTERNATIVES, COMMON_NAME = "2.5.29.17", "2.5.4.3"

local function is_listed(names, test)
  for _, known in ipairs(names or {}) do
    if test(known) then
      return true
    end
  end
  return false
end

--- Whether it names the host: by its alternatives; where it has none, by its common name.
local function names_host(certificate, name)
  local alternatives = (certificate:extensions() or {})[SUBJECT_ALTERNATIVES]
  local function matches(known)
    return is_for(known, name)
  end
  if alternatives then
    return is_listed(alternatives.iPAddress, function(known) return known == name end)
      or not name:find("^[%d.]+$") and is_listed(alternatives.dNSName, matches)
  end
  return is_listed(certificate:subject(), function(entry) return entry.oid == COMMON_NAME and matches(entry.value) end)
end

--- The peer is who it is to be: true; or nil, message, code.
local function verify(tls, name)
  local trusted, errors = tls:getpeerverification()
  local certificate = tls:getpeercertificate()
  if not certificate then
    return nil, "TLS: the server has no certificate", "EPROTO"
  elseif not trusted then
    local texts = {}
    for _, list in pairs(type(errors) == "table" and errors or { { errors } }) do
      texts[#texts + 1] = table.concat(type(list) == "table" and list or { tostring(list) }, ", ")
    end
    return nil, "TLS: the server's certificate is not trusted: " .. table.concat(texts, "; "), "EPROTO"
  elseif not names_host(certificate, name) then
    return nil, ("TLS: the server's certificate is not for %s"):format(name), "EPROTO"
  end
  return true
end

-- ---- beginning ------------------------------------------------------------------------------------------------------

local SYSTEMS = "/etc/ssl/certs"

--- What newcontext is to make: what was given, and what a client is to have besides.
local function complete(given, name)
  local all = {}
  for key, value in pairs(given) do
    all[key] = value
  end
  all.mode = all.mode or (name and "client" or "server")
  all.protocol = all.protocol or "any"
  all.options = all.options or { "all", "no_sslv2", "no_sslv3", "no_tlsv1", "no_tlsv1_1" }
  if all.mode == "client" and all.verify == nil then
    all.verify = "peer"
    all.capath = all.capath or not all.cafile and SYSTEMS or nil
  end
  return all
end

local function luasec()
  local is_there, ssl = pcall(require, "ssl")
  if not is_there then
    private.raise("starttls: it needs LuaSec: luarocks install luasec, or Debian's lua-sec. " .. tostring(ssl))
  end
  return ssl, require "ssl.core"
end

--- What a connection is to be: LuaSec's `tls`; `context`, to be kept for as long; whether its peer is to be verified,
-- `verifies`; and `setfd`. Or nil, message, code.
local function make(context, name)
  local ssl, ssl_core = luasec()
  local verifies, message = name ~= nil, nil
  if type(context) == "table" then
    local all = complete(context, name)
    verifies = all.mode == "client" and all.verify ~= "none"
    options.check("name", name, name or not verifies, "the server's name; or verify = \"none\"")
    context, message = ssl.newcontext(all)
  end
  local tls
  if context then
    tls, message = ssl_core.create(context)
  end
  if not tls then
    return nil, "TLS: " .. tostring(message), "EINVAL"
  end
  return { tls = tls, context = context, verifies = verifies, setfd = ssl_core.setfd }
end

--- LuaSec owns the descriptor from here on: true; or nil, message, code.
local function hand_over(stream, made)
  local native, message, code = private.detach_socket(stream.socket)
  if not native then
    return nil, message, code
  end
  made.setfd(made.tls, native)
  made.tls:settimeout(0)
  reader.close(stream)
  stream.tls, stream.context, stream.can_send = made.tls, made.context, false
  setmetatable(stream, class)
  stream.socket, message, code = core.Socket.adopt(native)
  if stream.socket then
    local ok
    ok, message, code = stream.socket:associate(streams.port())
    return ok, message, code
  end
  quietly(made.tls.close, made.tls)
  stream.is_closed = true
  return nil, message, code
end

local function shake_hands(stream, limit)
  while true do
    local done, why = quietly(stream.tls.dohandshake, stream.tls)
    if done then
      stream.is_agreed = true
      return true
    end
    local ok, message, code = go_on(stream, why, limit)
    if not ok then
      return nil, message, code
    end
  end
end

local function start(stream, made, name)
  local limit = streams.limit_of(stream)
  local ok, message, code = writer.flush(stream, limit)
  if ok and stream.data ~= "" then
    ok, message, code = nil, "TLS: the peer sent more than was read before it began", "EPROTO"
  end
  if ok then
    ok, message, code = hand_over(stream, made)
  end
  if ok and name and not name:find("^[%d.]+$") and not name:find(":", 1, true) then
    made.tls:sni(name)
  end
  if ok then
    ok, message, code = shake_hands(stream, limit)
  end
  if ok and made.verifies then
    ok, message, code = verify(made.tls, name)
  end
  return ok, message, code
end

return function(stream, context, name)
  options.check("context", context, type(context) == "table" or type(context) == "userdata",
    "a table of options, or a context of LuaSec's")
  options.check("name", name, name == nil or type(name) == "string" and name ~= "", "the server's name, or nil")
  local is_hindered, value, message, code = streams.hindrance(stream)
  if is_hindered then
    return streams.finish(value, message, code)
  end
  local made
  made, message, code = make(context, name)
  if not made then
    return nil, message, code
  end
  value, message, code = start(stream, made, name)
  if not value then
    stream.write_code, stream.write_message, stream.is_ended = "EPIPE", "the stream's write side has ended", true
    return streams.finish(nil, message, code)
  end
  return stream
end
