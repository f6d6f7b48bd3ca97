--- What scripts of the article use of Windows' core_synch_l1_2_0.
-- @module iocp.tinn.core_synch_l1_2_0
local iocp = require "iocp"

local core_synch = {}

--- Sleeps. Milliseconds are a DWORD: 0xFFFFFFFF is for ever.
function core_synch.Sleep(milliseconds)
  iocp.sleep(milliseconds == 0xFFFFFFFF and math.huge or milliseconds)
end

return core_synch
