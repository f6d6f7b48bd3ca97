--- What waits in the objects that threads share, inside fibers: atomic:wait, dict:get_or_set. As iocp.waits: a look
-- first, which never blocks, then a yield until a packet says to look again.
-- @module iocp.shared_waits
local core, fibers = require "iocp.core", require "iocp.fiber"
local clock, current, enter = core.clock, fibers.current, fibers.enter
local refused, refusal = fibers.refused, fibers.refusal
local methods = package.loaded["iocp.methods"]

--- Waits for a packet, if the fiber may: nothing; or nil, message, code.
local function wait(me, limit, wait_for_packet, ask)
  local code, message = refused(me), nil
  if not code and limit and clock() >= limit then
    code = "TIMEOUT"
  elseif not code then
    code, message = wait_for_packet(me, limit, ask)
  end
  if message then
    return nil, message, code
  elseif code then
    return refusal(me, code)
  end
end

local function replace_wait_of_atomics(wait_for_packet)
  local atomics = methods["iocp.Atomic"]
  local look, notify = atomics.wait, atomics.notify

  function atomics.wait(self, expected, ms)
    if not current() then
      return look(self, expected, ms)
    end
    local limit, me = fibers.limit(ms, "wait"), enter()
    local ok, message, code = look(self, expected, 0)
    if ok or code ~= "TIMEOUT" then
      return ok, message, code
    end
    local _, text, why = wait(me, limit, wait_for_packet, function(port, overlapped)
      return notify(self, port, 0, overlapped, expected)
    end)
    return not why or nil, text, why
  end
end

local function replace_wait_of_dicts(wait_for_packet, parts)
  local claim, await = parts.claim, parts.await
  parts.current = current

  function parts.call(f, key)
    if not current() then
      return pcall(f, key)
    end
    return core.pcall(f, key)
  end

  function parts.wait(self, key)
    if not current() then
      return claim(self, key)
    end
    local me = enter()
    while true do
      local _, message, code = wait(me, nil, wait_for_packet, function(port, overlapped)
        return await(self, port, 0, overlapped, key)
      end)
      if code then
        return nil, message, code
      end
      local found, value, why = claim(self, key, 0)
      if found ~= nil or why ~= "TIMEOUT" then
        return found, value, why
      end
    end
  end
end

--- What posts to a port with a capacity: see iocp.limited.
local function set_wait_of_limited(wait_for_packet, parts)
  local await = parts.await
  parts.current = current

  function parts.wait(self, limit)
    local me = enter()
    if limit and clock() >= limit then
      return nil, nil, "FULL"
    end
    local _, message, code = wait(me, limit, wait_for_packet, function(port, overlapped)
      return await(self, port, 0, overlapped)
    end)
    if code == "TIMEOUT" and limit and clock() >= limit and not (me.deadline and me.deadline <= limit) then
      code = "FULL"
    end
    return nil, message, code
  end
end

return {
  shared = function(wait_for_packet, parts)
    replace_wait_of_atomics(wait_for_packet)
    replace_wait_of_dicts(wait_for_packet, parts)
  end,
  limited = set_wait_of_limited,
}
