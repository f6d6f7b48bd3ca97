--- A connection to Redis that comes back: commands in, replies out. What redis-lua reads and writes goes over a stream
-- (iocp.connect), so waits let other fibers run, and unix sockets and TLS with verified names are there.
--
-- Commands that several fibers send while others are under way go out together, in one write. When the connection is
-- lost all that has no reply is sent again: every command here may be sent twice (scripts.lua says why).
-- @module iocp.remote.link
local core = require "iocp"
local address, scripts = require "iocp.remote.address", require "iocp.remote.scripts"
local redis = require("iocp.remote.libraries").redis()
local clock = core.clock
local link = {}

local Link = {} -- methods
local class = { __index = Link }

local SOONEST, LATEST = 20, 2000 -- ms between attempts to connect
local SILENCE = 15000 -- ms without a reply, after which a connection is taken for lost
local LEAST = 500 -- ms that connecting may take, however little patience there is
local MOST = 256 -- requests in one write

local Failure = {} -- what a reply that is an error becomes: { text }

--- The text of a reply that is an error; nil: it is none.
function link.failure_of(reply)
  return getmetatable(reply) == Failure and reply[1] or nil
end

-- ---- redis-lua over a stream ----------------------------------------------------------------------------------------

--- redis-lua tells errors of Redis and of the connection by the same function: the first are values, as more replies
-- may be under way, the others are raised.
local function tell_error(text)
  local said = tostring(text):match("^redis error: (.*)$")
  if said then
    return setmetatable({ said }, Failure)
  end
  error(text, 0)
end

local SOME = 65536 -- bytes that are read at once

--- What comes next; raises where the stream ends.
local function more(self)
  local data, message = self.stream:read_some(SOME)
  return data or error(message or "the connection was closed", 0)
end

local function read_line(self)
  local at = self.place
  local first, stop = self.data:find("\r\n", at, true)
  while not first do
    self.data = self.data:sub(at) .. more(self)
    at = 1
    first, stop = self.data:find("\r\n", 1, true)
  end
  self.place = stop + 1
  return self.data:sub(at, first - 1)
end

--- So many bytes. What is longer than what is there is put together once, however many pieces it comes in.
local function read_bytes(self, length)
  local at = self.place
  local there = #self.data - at + 1
  if there < length then
    local pieces = { self.data:sub(at) }
    while there < length do
      local piece = more(self)
      pieces[#pieces + 1], there = piece, there + #piece
    end
    self.data, at = table.concat(pieces), 1
  end
  self.place = at + length
  return self.data:sub(at, at + length - 1)
end

--- What redis-lua reads by: a line, or so many bytes. Out of what came at once, which is many of both: a read of the
-- stream for each would cost more than all the rest.
local function read(client, length)
  return (length and read_bytes or read_line)(client.link, length)
end

local function write(client, data)
  local ok, message = client.link.stream:write(data)
  if not ok then
    error(message, 0)
  end
end

local read_reply = redis.command("reply", { request = function() end })

local function client_of(self)
  local client = redis.connect { socket = {} }
  client.link, client.error, client.network.read, client.network.write = self, tell_error, read, write
  return client
end

--- Writes the commands and reads a reply for each. Raises where the connection is lost.
local function exchange(self, commands)
  local client, pieces = self.client, {}
  client.network.write = function(_, text) pieces[#pieces + 1] = text end
  for _, command in ipairs(commands) do
    if command.script then
      command[2] = self.shas[command.script]
    end
    local arguments = {}
    for i = 2, #command do
      arguments[i - 1] = command[i]
    end
    client.requests.multibulk(client, command[1], arguments)
  end
  client.network.write = write
  write(client, table.concat(pieces))
  local replies = {}
  for i = 1, #commands do
    replies[i] = read_reply(client)
  end
  return replies
end

-- ---- connecting -----------------------------------------------------------------------------------------------------

local function drop(self)
  if self.stream then
    self.stream:close()
    self.stream, self.client = nil, nil
  end
end

--- The first commands of a connection: who we are, and the scripts. What Redis said if it refuses them; raises where
-- the connection is lost.
local function greet(self)
  local at, commands, names = self.at, {}, {}
  if at.password then
    commands[1] = { "AUTH", at.username or at.password, at.username and at.password }
  end
  if at.database and at.database ~= 0 then
    commands[#commands + 1] = { "SELECT", at.database }
  end
  local before = #commands
  for name, text in pairs(scripts) do
    names[#names + 1] = name
    commands[#commands + 1] = { "SCRIPT", "LOAD", text }
  end
  local replies = exchange(self, commands)
  for i, reply in ipairs(replies) do
    local said = link.failure_of(reply)
    if said then
      return said
    elseif i > before then
      self.shas[names[i - before]] = reply
    end
  end
end

local PASSING = { LOADING = true, BUSY = true, TRYAGAIN = true, CLUSTERDOWN = true, MASTERDOWN = true, READONLY = true }

--- Whether what Redis said says that it cannot do it now, but may in a moment.
local function is_passing(said)
  return PASSING[said:match("^%u+") or ""] or said:find("max number of clients", 1, true)
end

--- Connects: true; or nil, message, code: REDIS, which trying again would not change.
-- @param patience for how many ms it may take, and each reply of the greeting
local function open(self, patience)
  local at = self.at
  local stream, message, code = core.connect(at.path or at.host, at.port, { timeout = patience, linger = 0 })
  if stream and at.tls then
    local ok
    ok, message, code = stream:starttls(at.tls, at.host)
    stream = ok and stream or stream:close() and nil
  end
  if not stream then
    return nil, message, code
  end
  self.stream, self.data, self.place = stream, "", 1 -- what came, and where in it what was not read yet begins
  self.client = client_of(self)
  local ok, said = core.pcall(greet, self)
  if not ok or said then
    drop(self)
    return nil, tostring(said), not ok and "EPROTO" or is_passing(said) and "EAGAIN" or "REDIS"
  end
  self.opened = self.opened + 1
  return true
end

local function flatten(requests)
  local commands = {}
  for _, request in ipairs(requests) do
    for _, command in ipairs(request.commands) do
      commands[#commands + 1] = command
    end
  end
  return commands
end

--- Those whose script Redis has forgotten (SCRIPT FLUSH, another server), once more as a text.
local function repeat_forgotten(self, commands, replies)
  for i, reply in ipairs(replies) do
    local said = link.failure_of(reply)
    if said and said:find("^NOSCRIPT") then
      local command, again = commands[i], { "EVAL", scripts[commands[i].script] }
      for k = 3, #command do
        again[k] = command[k]
      end
      replies[i] = exchange(self, { again })[1]
    end
  end
end

local function transact(self, commands, patience, block)
  if not self.stream then
    local ok, message, code = open(self, patience)
    if not ok then
      return nil, message, code
    end
  end
  self.stream:timeout(SILENCE + (block or 0))
  local ok, replies = core.pcall(function()
    local replies = exchange(self, commands)
    for i = 1, #commands do
      if replies[i] == nil then
        replies[i] = false
      end
    end
    repeat_forgotten(self, commands, replies)
    return replies
  end)
  if not ok then
    drop(self)
    return nil, tostring(replies), "ECONNRESET"
  end
  for _, reply in ipairs(replies) do
    local said = link.failure_of(reply)
    if said and is_passing(said) then
      drop(self)
      return nil, said, "EAGAIN"
    end
  end
  return replies
end

-- ---- whose turn it is -----------------------------------------------------------------------------------------------

local function finish(request, replies, message, code)
  request.done, request.replies, request.message, request.code = true, replies, message, code
  if request.condition then
    request.condition:signal()
  end
end

--- Hands a reply for each command to its request.
local function hand_out(requests, replies)
  local at = 0
  for _, request in ipairs(requests) do
    local own = {}
    for i = 1, #request.commands do
      own[i] = replies[at + i]
    end
    at = at + #request.commands
    finish(request, own)
  end
end

--- What a request is told; a failure to connect begins with the address itself.
local function in_vain(name, message)
  message = tostring(message)
  if message:sub(1, #name + 2) == name .. ": " then
    message = message:sub(#name + 3)
  end
  return ("Redis at %s cannot be used: %s"):format(name, message)
end

--- After an exchange in vain: those whose time is up are told, the others go to the head of the queue. All are told
-- where Redis does not let us in: it would not the next time.
local function put_back(self, requests, message, code)
  local left = {}
  for _, request in ipairs(requests) do
    if code == "REDIS" then
      finish(request, nil, ("Redis at %s refuses: %s"):format(self.name, message), code)
    elseif clock() >= request.limit then
      finish(request, nil, in_vain(self.name, message), code or "ERROR")
    elseif not request.given_up then
      left[#left + 1] = request
    end
  end
  for _, request in ipairs(self.queue) do
    left[#left + 1] = request
  end
  self.queue = left
end

--- One write of what is queued, and its replies: whether that went well.
local function round(self)
  local requests, rest, limit = {}, {}, 0
  for _, request in ipairs(self.queue) do
    local to = #requests < MOST and requests or rest
    if not request.given_up then
      to[#to + 1] = request
      limit = math.max(limit, request.limit)
    end
  end
  self.queue = rest
  local patience = math.min(SILENCE, math.max(LEAST, limit - clock()))
  local replies, message, code = transact(self, flatten(requests), patience, requests[1] and requests[1].block)
  if replies then
    hand_out(requests, replies)
    return true
  end
  put_back(self, requests, message, code)
  return false
end

--- Sends until the request has its replies, or the caller is cancelled.
local function lead(self, request)
  local pause = SOONEST
  while not request.done do
    if self.closed then
      return finish(request, nil, "this pool or worker was closed", "CLOSED")
    elseif round(self) then
      pause = SOONEST
    elseif not request.done then
      local ok, message, code = core.sleep(math.min(pause, math.max(0, request.limit - clock())))
      if not ok then
        request.given_up = true
        return finish(request, nil, message, code)
      end
      pause = math.min(LATEST, pause * 2)
    end
  end
end

local function wake_next(self)
  for _, request in ipairs(self.queue) do
    if request.condition and not request.given_up then
      request.condition:signal()
      return
    end
  end
end

--- Sends commands, and waits for their replies, whatever becomes of the connection meanwhile.
-- @param commands a list of lists of texts and numbers; with a field `script` the second is its place
-- @param patience for how many ms Redis may be away
-- @param block how many ms more a reply may take
-- @return a list of replies, false for nil; or nil, message, code: what connecting failed with, REDIS, CANCELLED,
-- CLOSED
function Link:call(commands, patience, block)
  local request = { commands = commands, limit = clock() + patience, block = block }
  self.queue[#self.queue + 1] = request
  while not request.done do
    if not self.busy then
      self.busy = true
      lead(self, request)
      self.busy = false
    else
      request.condition = request.condition or core.Condition()
      local ok, message, code = request.condition:wait()
      if not ok then
        request.given_up = true
        finish(request, nil, message, code)
      end
    end
  end
  if not self.busy and self.closed then
    drop(self) -- it was closed meanwhile
  end
  if not self.busy then
    wake_next(self)
  end
  return request.replies, request.message, request.code
end

--- One of the scripts: its reply; or nil, message, code, also REDIS, which says what Redis said.
function Link:script(name, base, arguments, patience)
  local command = { "EVALSHA", "", "1", base, script = name }
  for i = 1, #arguments do
    command[4 + i] = arguments[i]
  end
  local replies, message, code = self:call({ command }, patience)
  if not replies then
    return nil, message, code
  end
  local said = link.failure_of(replies[1])
  if said then
    return nil, ("Redis at %s refuses: %s"):format(self.name, said), "REDIS"
  end
  return replies[1]
end

--- Ends the connection; who waits gets CLOSED.
function Link:close()
  self.closed = true
  if not self.busy then
    drop(self)
  end
end

--- A connection that is made when it is used first.
-- @param at what address.read gave
function link.new(at)
  return setmetatable({
    at = at, name = address.name(at),
    shas = {}, -- of scripts, by name
    opened = 0, -- how often it has connected
    queue = {}, -- requests without replies that are not being sent
    busy = false, -- a fiber sends, and reads replies
  }, class)
end

return link
