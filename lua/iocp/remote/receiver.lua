--- Who hears what came of a pool's jobs: a thread, so that outcomes arrive, and ports are told of them, whatever the
-- pool's own thread does meanwhile. It has two connections, one that waits in a read of the pool's stream of outcomes,
-- and one to look jobs up.
--
-- It knows which jobs are waited for. After each connection that was lost, and now and then anyway, it looks all of
-- them up: what the stream did not bring, since Redis was away, lost it or cut it, is told then.
--
-- To the pool's port `inbox` go flat lists: id, state, outcome, id ... From its port `control` come "watch", "look" and
-- "confirm" with a list of ids, "forget" with an id, "notify" with id, port, key and overlapped, and "close". A job
-- that is not in Redis is "missing", which may be since it was not there yet; "gone" where the pool asked to confirm
-- it.
-- @module iocp.remote.receiver
local core = require "iocp"
local links = require "iocp.remote.link"

local BLOCK, MANY, AGAIN = 5000, 500, 30000 -- ms of a read; outcomes, or ids, at once; ms until all are looked up
local FOREVER = 1e15
local OUTCOMES = { completed = true, failed = true, cancelled = true }
local ENDED = { completed = true, failed = true, cancelled = true, missing = true, gone = true }

local function tell(entry)
  entry.port:enqueue(entry.key, 0, entry.overlapped)
end

--- A job has ended: ports are told. The pool says itself that one which is missing is not there any more.
local function ended(self, id, state)
  if state == "missing" or state == "gone" then
    return
  end
  local waiting = self.pending[id]
  self.pending[id] = nil
  for _, entry in ipairs(waiting or {}) do
    tell(entry)
  end
end

--- Looks up these, and tells what has ended. missing: what one that is not there is called.
local function look(self, ids, missing)
  local arguments = { self.client }
  for i, id in ipairs(ids) do
    arguments[i + 1] = id
  end
  local found = self.asking:script("look", self.base, arguments, FOREVER)
  local list = {}
  for i = 1, found and #found or 0, 3 do
    local state = found[i + 1] == "missing" and missing or found[i + 1]
    if ENDED[state] then
      list[#list + 1], list[#list + 2], list[#list + 3] = found[i], state, found[i + 2]
    end
  end
  if #list > 0 then
    self.inbox:send(list)
    for i = 1, #list, 3 do
      ended(self, list[i], list[i + 1])
    end
  end
end

local function look_many(self, ids, missing)
  for first = 1, #ids, MANY do
    local some = {}
    for i = first, math.min(first + MANY - 1, #ids) do
      some[#some + 1] = ids[i]
    end
    look(self, some, missing)
  end
end

local function look_all(self)
  local ids = {}
  for id in pairs(self.pending) do
    ids[#ids + 1] = id
  end
  self.looked = core.clock()
  look_many(self, ids)
end

--- The entries of a read, as flat lists; and ids whose outcome is too long to be among them.
local function take_entries(self, entries)
  local list, long = {}, {}
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    local is_known = fields[1] == "j" and OUTCOMES[fields[4]] -- what else somebody writes there is none
    if is_known and fields[6] then
      list[#list + 1], list[#list + 2], list[#list + 3] = fields[2], fields[4], fields[6]
    elseif is_known then
      long[#long + 1] = fields[2]
    end
    self.last = entry[1]
  end
  if #list > 0 then
    self.inbox:send(list)
  end
  for i = 1, #list, 3 do
    ended(self, list[i], list[i + 1])
  end
  look_many(self, long)
end

--- Reads the stream until the pool is closed.
local function hear(self)
  local key = self.base .. ":told:" .. self.client
  local opened
  while not self.closed do
    local read = { "XREAD", "COUNT", MANY, "BLOCK", BLOCK, "STREAMS", key, self.last }
    local commands = self.last ~= "0" and { { "XTRIM", key, "MINID", self.last }, read } or { read }
    local replies, _, code = self.hearing:call(commands, FOREVER, BLOCK)
    if not replies then
      if code ~= "CLOSED" then
        core.sleep(1000) -- Redis does not let us in
      end
    else
      local reply = replies[#replies]
      if reply and not links.failure_of(reply) and reply[1] then
        take_entries(self, reply[1][2])
      elseif reply and links.failure_of(reply) then
        core.sleep(1000)
      end
      if self.hearing.opened ~= opened or core.clock() - self.looked > AGAIN then
        opened = self.hearing.opened
        look_all(self)
      end
    end
  end
end

local orders = {}

function orders.watch(self, ids)
  for _, id in ipairs(ids) do
    self.pending[id] = self.pending[id] or {}
  end
end

function orders.look(self, ids)
  orders.watch(self, ids)
  core.spawn(look_many, self, ids)
end

function orders.confirm(self, ids)
  core.spawn(look_many, self, ids, "gone")
end

function orders.forget(self, id)
  ended(self, id, "forgotten")
end

function orders.notify(self, id, port, key, overlapped)
  local waiting, entry = self.pending[id], { port = port, key = key, overlapped = overlapped }
  if waiting then
    waiting[#waiting + 1] = entry
  else
    tell(entry)
  end
end

function orders.close(self)
  self.closed = true
  self.hearing:close()
  self.asking:close()
  self.reader:cancel()
end

local function obey(self, ok, what, ...)
  if ok then
    orders[what](self, ...)
  elseif what ~= nil then
    self.closed = true
  end
end

local receiver = {}

--- The thread's body. at: what address.read gave; base: what the queue's keys begin with; client: this pool's name.
function receiver.run(at, base, client, inbox, control)
  local self = {
    base = base, client = client, inbox = inbox, control = control,
    hearing = links.new(at), asking = links.new(at),
    pending = {}, -- by id of a job that is waited for: a list of who is to be told
    last = "0", looked = core.clock(), closed = false,
  }
  core.run(function()
    self.reader = core.spawn(hear, self)
    while not self.closed do
      obey(self, control:receive())
    end
  end)
end

return receiver
