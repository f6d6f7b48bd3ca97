--- iocp.connect: a stream to whichever of a host's addresses answers first. They are tried in their order, the next one
-- 250 ms after the last, or when it has failed.
-- @module iocp.connect
local core, fibers, streams = require "iocp.core", require "iocp.fiber", require "iocp.stream"
local options = require "iocp.options"
local clock, park = core.clock, fibers.park

local APART = 250 -- ms

--- Begins to connect to an address: an attempt, which has `bytes` when it has ended; or nil, message, code.
local function begin(race, address)
  local socket, message, code = core.Socket(address.family)
  if not socket then
    return nil, message, code
  end
  local attempt = { socket = socket, family = address.family, address = address }
  local overlapped = fibers.expect(function(bytes)
    attempt.bytes = bytes
    fibers.wake(race.me, race, true)
  end)
  local ok
  ok, message, code = socket:associate(streams.port())
  if ok then
    ok, message, code = socket:connect(address.host, address.port, overlapped)
  end
  if not ok then
    fibers.forget(overlapped)
    socket:close()
    return nil, message, code
  end
  race.open[attempt], race.count = true, race.count + 1
  return attempt
end

--- Keeps what the first of them failed with.
local function failed(race, address, message, code)
  if not race.message then
    race.message, race.code = options.at(address.host, address.port, message), code
  end
end

--- Takes those that have failed out of the race; returns one that has connected.
local function look(race)
  for attempt in pairs(race.open) do
    if attempt.bytes then
      race.open[attempt], race.count = nil, race.count - 1
      if attempt.bytes >= 0 then
        return attempt
      end
      local code, message = core.describe(attempt.bytes)
      failed(race, attempt.address, message, code)
      attempt.socket:close()
    end
  end
  return nil
end

--- The socket that connected; or nil, and the race has what failed.
local function run(race, addresses, limit)
  local i, next_at = 1, 0
  while true do
    local winner = look(race)
    if winner or race.count == 0 and i > #addresses then
      return winner
    elseif i <= #addresses and (race.count == 0 or clock() >= next_at) then
      local ok, message, code = begin(race, addresses[i])
      if not ok then
        failed(race, addresses[i], message, code)
      end
      i, next_at = i + 1, clock() + APART
    else
      local due = i <= #addresses and next_at or nil
      local is_next = due ~= nil and not (limit and limit <= due)
      local value = park(race.me, race, is_next and due or limit)
      if value == "CANCELLED" or value == "TIMEOUT" and not (is_next and clock() >= due) then
        race.message, race.code = select(2, fibers.failure(race.me, value))
        return nil
      end
    end
  end
end

local function connect_to_one(addresses, given, limit)
  local me = fibers.enter()
  local code = fibers.refused(me)
  if code then
    return fibers.failure(me, code)
  end
  local race = { me = me, open = {}, count = 0 }
  local winner = run(race, addresses, limit)
  for attempt in pairs(race.open) do
    attempt.socket:close()
  end
  if not winner then
    return nil, race.message, race.code
  end
  return streams.new(winner.socket, given, winner.family == "unix")
end

--- Connects.
-- @param host a name, or digits; or the path of a unix socket, which has a slash
-- @param port its number, or the service's name
-- @param given options: timeout (ms, of the connect and of each operation), max_line, max_unsent, linger, nodelay
-- @return a stream; or nil, message, code: what the first address failed with, TIMEOUT, CANCELLED, EAI_NONAME ...
return function(host, port, given)
  options.check("host", host, options.is_host(host), options.HOST)
  given = options.read(given, streams.rules)
  local limit = fibers.limit(given.timeout)
  if host:find("/", 1, true) then
    return fibers.results(connect_to_one({ { host = host, port = 0, family = "unix" } }, given, limit))
  end
  options.check("port", port, options.is_port(port), options.PORT)
  local lookup, message, code = core.resolve(host, port)
  if not lookup then
    return nil, message, code
  end
  local addresses
  addresses, message, code = lookup:wait(given.timeout)
  if not addresses then
    lookup:cancel()
    return nil, options.unresolved(port, message, code), code
  end
  return fibers.results(connect_to_one(addresses, given, limit))
end
