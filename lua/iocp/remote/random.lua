--- Names that nobody else has, for pools and workers.
-- @module iocp.remote.random
local core = require "iocp"
local random = {}

--- Twelve letters and digits: from the system where it has a file of them, else from clock, time and an address, which
-- no two processes that begin one after the other share.
function random.name()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file and file:read(6)
  if file then
    file:close()
  end
  if bytes and #bytes == 6 then
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
  end
  local seed = ("%s %s %s %s"):format(os.time(), core.clock(), tostring({}), os.tmpname())
  local a, b = 5381, 52711
  for i = 1, #seed do
    a, b = (a * 33 + seed:byte(i)) % 2 ^ 24, (b * 31 + seed:byte(i)) % 2 ^ 24
  end
  return ("%06x%06x"):format(a, b)
end

return random
