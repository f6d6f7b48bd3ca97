-- The worker of bench/remote: SOCKET.
if _VERSION == "Lua 5.4" then
  package.path = package.path .. ";/usr/share/lua/5.3/?.lua"
end
require("iocp.remote").serve { redis = arg[1], queue = "bench", modules = { "bench.remote.jobs" }, workers = 1,
  prefetch = 200, log = function() end }
