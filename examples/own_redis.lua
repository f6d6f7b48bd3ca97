--- For the examples of iocp.remote: a Redis to try them with, and worker processes.
local iocp = require "iocp"
local own_redis = {}

--- Debian has the libraries for Lua 5.1 to 5.3; they run on later ones as they are.
if _VERSION > "Lua 5.3" then
  package.path = package.path .. ";/usr/share/lua/5.3/?.lua"
end

--- Calls f(address): the one that is given, or that of a redis-server that runs meanwhile, keeps nothing on the disk,
-- and listens on a unix socket.
function own_redis.with(address, f)
  if address then
    return f(address)
  end
  address = os.tmpname()
  os.remove(address)
  local server = assert(iocp.Process { "redis-server", "--port", "0", "--unixsocket", address, "--save", "",
    "--appendonly", "no", stdout = false, stderr = false })
  local ok, message = pcall(f, address)
  server:kill()
  server:wait()
  os.remove(address)
  assert(ok, message)
end

--- Calls f while n processes run `script worker ADDRESS`, on Linux by this interpreter; then ends them by SIGTERM.
function own_redis.with_workers(n, script, address, f)
  local workers = {}
  for i = 1, n do
    workers[i] = assert(iocp.Process { "/proc/self/exe", script, "worker", address })
  end
  local ok, message = pcall(f)
  for _, worker in ipairs(workers) do
    worker:kill("TERM")
    worker:wait()
  end
  assert(ok, message)
end

return own_redis
