--- What scripts of the article and of TINN use of Windows' core_synch_l1_2_0.
-- @module iocp.tinn.core_synch_l1_2_0
local iocp = require "iocp"
local constants = require "iocp.tinn.globals"
local INFINITE = constants.INFINITE

local core_synch = {
  INFINITE = INFINITE, WAIT_OBJECT_0 = constants.WAIT_OBJECT_0, WAIT_TIMEOUT = constants.WAIT_TIMEOUT,
}

--- Sleeps. Milliseconds are a DWORD: 0xFFFFFFFF is for ever.
function core_synch.Sleep(milliseconds)
  iocp.sleep(milliseconds == INFINITE and math.huge or milliseconds)
end

--- Waits for a thread's end. The handle is TINNThread:getNativeHandle's.
-- @return WAIT_OBJECT_0: it has ended, or there is no such thread any more; WAIT_TIMEOUT; WAIT_FAILED
function core_synch.WaitForSingleObject(handle, milliseconds)
  local thread = handle and iocp.Thread.open(handle)
  if not thread then
    return constants.WAIT_OBJECT_0
  end
  milliseconds = tonumber(milliseconds)
  local _, _, code = thread:join(milliseconds ~= INFINITE and milliseconds or nil)
  if code == "TIMEOUT" then
    return constants.WAIT_TIMEOUT
  elseif code == "DEADLOCK" or code == "INVALID" then
    return constants.WAIT_FAILED
  end
  return constants.WAIT_OBJECT_0
end

return core_synch
