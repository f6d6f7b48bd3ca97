--- What waits for dictionaries and ports with a capacity, inside fibers: dict:get_or_set, enqueue and send. As
-- iocp.waits: a look first, which never blocks, then a yield until a packet says to look again. It is loaded once both
-- the scheduler and the class are there.
-- @module iocp.shared_waits
local core, fibers, await = require "iocp.core", require "iocp.fiber", require "iocp.await"
local clock, current, enter = core.clock, fibers.current, fibers.enter
local shared_waits = {}

function shared_waits.dict(parts)
  local claim, notify = parts.claim, parts.await
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
    local function ask(object, port, zero, overlapped)
      return notify(object, port, zero, overlapped, key)
    end
    while true do
      local ok, message, code = await.allowed(me, self, ask)
      if not ok then
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
function shared_waits.limited(parts)
  local notify = parts.await
  parts.current = current

  function parts.wait(self, limit)
    local me = enter()
    if limit and clock() >= limit then
      return nil, nil, "FULL"
    end
    local _, message, code = await.allowed(me, self, notify, limit)
    if code == "TIMEOUT" and limit and clock() >= limit and not (me.deadline and me.deadline <= limit) then
      code = "FULL"
    end
    return nil, message, code
  end
end

return shared_waits
