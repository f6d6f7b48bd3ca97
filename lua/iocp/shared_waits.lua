--- What waits in the objects that threads share, inside fibers: atomic:wait. As iocp.waits: a look first, which never
-- blocks, then a yield until a packet says to look again.
-- @module iocp.shared_waits
local fibers = require "iocp.fiber"
local clock, current, enter = require("iocp.core").clock, fibers.current, fibers.enter
local refused, refusal = fibers.refused, fibers.refusal

return function(wait_for_packet)
  local atomics = package.loaded["iocp.methods"]["iocp.Atomic"]
  local wait, notify = atomics.wait, atomics.notify

  function atomics.wait(self, expected, ms)
    if not current() then
      return wait(self, expected, ms)
    end
    local limit, me = fibers.limit(ms, "wait"), enter()
    local ok, message, code = wait(self, expected, 0)
    if ok or code ~= "TIMEOUT" then
      return ok, message, code
    end
    code, message = refused(me), nil
    if not code and limit and clock() >= limit then
      code = "TIMEOUT"
    elseif not code then
      code, message = wait_for_packet(me, limit, function(port, overlapped)
        return notify(self, port, 0, overlapped, expected)
      end)
    end
    if message then
      return nil, message, code
    elseif code then
      return refusal(me, code)
    end
    return true
  end
end
