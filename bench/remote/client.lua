-- The client of bench/remote: SOCKET JOBS.
if _VERSION == "Lua 5.4" then
  package.path = package.path .. ";/usr/share/lua/5.3/?.lua"
end
local remote = require "iocp.remote"
local pool = assert(remote.Pool { redis = arg[1], queue = "bench" })
local n, i = tonumber(arg[2]), 0
local function numbers()
  i = i + 1
  return i <= n and i or nil
end
for _, sum in pool:imap(numbers, "bench.remote.jobs:add", { ordered = false, window = 2000 }) do
  assert(sum)
end
pool:close()
