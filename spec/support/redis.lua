--- A redis-server of a spec's own, in a folder of its own, on a unix socket; and workers of a queue, as processes.
local iocp = require "iocp"
local lfs = require "lfs"
local support = require "support"

-- Debian's lua-redis and lua-messagepack are written for every Lua, but stand in the folders of 5.1 to 5.3.
if _VERSION == "Lua 5.4" and not package.path:find("/usr/share/lua/5.3/", 1, true) then
  package.path = package.path .. ";/usr/share/lua/5.3/?.lua"
end

local redis = {}
local Server = {}
Server.__index = Server

--- Why nothing can be shown here; nil: all that is needed is there.
function redis.missing()
  for module, package_name in pairs { redis = "lua-redis", MessagePack = "lua-messagepack" } do
    if not pcall(require, module) then
      return package_name .. " is not installed here"
    end
  end
  local process = iocp.Process { "redis-server", "--version", stdout = false, stderr = false }
  if not process then
    return "there is no redis-server here"
  end
  process:wait()
end

--- A connection for the spec's own commands.
function Server:link()
  self.own = self.own or require("iocp.remote.link").new(self.place or { path = self.redis })
  return self.own
end

--- The reply to a command.
function Server:command(...)
  local replies = assert(self:link():call({ { ... } }, support.patience(20000)))
  return replies[1]
end

--- Starts it, again, and waits until it answers.
function Server:start()
  local command = { "redis-server", "--port", "0", "--unixsocket", self.redis, "--dir", self.folder, "--save", "",
    "--appendonly", self.persistent and "yes" or "no", "--appendfsync", "always", stdout = false, stderr = false }
  for _, word in ipairs(self.more or {}) do
    command[#command + 1] = word
  end
  self.process = assert(iocp.Process(command))
  assert(self:command("PING"))
end

--- Ends it by a signal.
function Server:kill(signal)
  self.process:kill(signal)
  assert(self.process:wait(support.patience(20000)))
end

local function remove(folder)
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    if name ~= "." and name ~= ".." and lfs.attributes(path, "mode") == "directory" then
      remove(path)
    elseif name ~= "." and name ~= ".." then
      os.remove(path)
    end
  end
  lfs.rmdir(folder)
end

--- Ends it, and removes what it has written.
function Server:close()
  if self.own then
    self.own:close()
  end
  self:kill("KILL")
  remove(self.folder)
end

--- One that runs. persistent: what it has acknowledged is on the disk. more: more words of its command. password: what
-- they make it ask for.
function redis.start(persistent, more, password)
  local folder = support.temporary()
  os.remove(folder)
  assert(lfs.mkdir(folder))
  local server = setmetatable({ folder = folder, redis = folder .. "/redis", persistent = persistent, more = more },
    Server)
  server.place = password and { path = server.redis, password = password }
  server:start()
  return server
end

--- A worker in a process of its own. words: more of its command.
function redis.worker(server, queue, words)
  local command = { support.interpreter(), "bin/iocp-worker", "--redis", server.redis, "--queue", queue,
    stdout = false, stderr = server.errors or false, env = support.environment { LUA_PATH = package.path,
      LUA_CPATH = package.cpath, IOCP_CHAOS = os.getenv("IOCP_CHAOS") } }
  for _, word in ipairs(words) do
    command[#command + 1] = word
  end
  return assert(iocp.Process(command))
end

return redis
