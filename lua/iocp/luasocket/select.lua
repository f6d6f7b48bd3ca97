--- luasocket's select: waits for the first of many sockets.
-- @module iocp.luasocket.select
local core, fibers = require "iocp.core", require "iocp.fiber"
local object, words = require "iocp.luasocket.object", require "iocp.luasocket.words"

--- The socket below one of what select is given: an object of ours; or anything with getfd, which has one of ours below
-- or a descriptor of its own. nil: it has none. `adopted`: by descriptor, those that are here for this call only.
local function socket_of(one, adopted)
  if object.is_one(one) then
    return one.socket, one
  end
  local getfd = one.getfd -- raises, where it can have none, as luasocket does
  local fd = getfd and getfd(one)
  if type(fd) ~= "number" or fd < 0 then
    return nil
  end
  local found, its = object.find(fd)
  if found then
    return found, its
  end
  local socket = adopted[fd] or core.Socket.adopt(fd)
  if socket and not adopted[fd] then
    socket:associate(core.port())
    adopted[fd] = socket
  end
  return socket
end

local function is_dirty(one)
  if object.is_one(one) and one.early and one.early[1] then
    return true
  end
  local dirty = one.dirty
  return dirty and dirty(one) or false
end

--- Asks for a side of one of them. `wait`: { me =, ready = by one and side, sides }.
local function ask(wait, one, side, adopted)
  local socket, its = socket_of(one, adopted)
  if not socket then
    return
  end
  local asked = { one = one, side = side, socket = socket }
  local function ended()
    asked.is_ready = true
    fibers.wake(wait.me, wait, true)
  end
  wait[#wait + 1] = asked
  local attempt = its and its.connecting
  if attempt and not attempt.is_over then -- it is ready, for both, once it has connected, or failed
    asked.attempt, attempt.waiter, attempt.waits = attempt, wait.me, wait
    return
  end
  asked.overlapped = fibers.expect(ended)
  if not socket:ready(side, asked.overlapped) then
    fibers.forget(asked.overlapped)
    asked.overlapped, asked.is_ready, wait.is_ready = nil, true, true
  end
end

--- Ends what is still asked for, and hands out what is ready.
local function collect(wait)
  local found = { read = {}, write = {} }
  for _, asked in ipairs(wait) do
    local attempt = asked.attempt
    if attempt then
      asked.is_ready = attempt.is_over and asked.side == "write"
      attempt.waiter, attempt.waits = nil, nil
    elseif not asked.is_ready then
      fibers.give_up(asked.overlapped)
      asked.socket:cancel(asked.overlapped)
    end
    if asked.is_ready then
      local list = found[asked.side]
      list[#list + 1] = asked.one
    end
  end
  return found.read, found.write
end

--- Makes its members known as keys, too.
local function associate(list)
  for i = 1, #list do
    list[list[i]] = i
  end
  return list
end

local function each(list, index, act)
  if list == nil then
    return
  elseif type(list) ~= "table" then
    words.refuse("select", index, "table expected, got " .. type(list))
  end
  local i = 1
  while list[i] ~= nil do
    act(list[i])
    i = i + 1
  end
end

local function begin(wait, receivers, senders, adopted)
  local dirty = {}
  each(receivers, 1, function(one)
    if is_dirty(one) then
      dirty[#dirty + 1] = one
    else
      ask(wait, one, "read", adopted)
    end
  end)
  each(senders, 2, function(one) ask(wait, one, "write", adopted) end)
  return dirty
end

--- @return those that can be received from, those that can be sent to; and "timeout", where none is
return function(receivers, senders, seconds)
  seconds = words.number("select", 3, seconds, -1)
  local wait, adopted = { me = fibers.enter() }, {}
  local dirty = begin(wait, receivers, senders, adopted)
  local limit = seconds >= 0 and core.clock() + seconds * 1000 or nil
  if dirty[1] or wait.is_ready then
    limit = core.clock()
  end
  local code = fibers.refused(wait.me) or fibers.park(wait.me, wait, limit)
  local readable, writable = collect(wait)
  for _, socket in pairs(adopted) do
    socket:close()
  end
  for i, one in ipairs(dirty) do
    table.insert(readable, i, one)
  end
  if not readable[1] and not writable[1] then
    return {}, {}, words.of(type(code) == "string" and code or "TIMEOUT")
  end
  return associate(readable), associate(writable)
end
