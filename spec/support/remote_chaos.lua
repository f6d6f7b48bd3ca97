--- What a queue of iocp.remote goes through in remote_chaos_spec.lua: a client, and workers in processes that are
-- killed, a redis-server that is ended and killed, all of them started again; and what is counted behind it.
local iocp = require "iocp"
local bad_network = require "support.bad_network"
local lfs = require "lfs"
local redis = require "support.redis"
local support = require "support"
local chaos = {}

local WORKERS, LEASE = 4, 1500
local QUEUE = "chaos"
local LONGEST = 1000 -- ms that a job takes at most: less than a worker lives

--- The client, a process: submits all jobs by ids of its own, so that it may be killed and do so again, and waits for
-- each. Arguments: where Redis is, how many, a file to which it writes that it has all, the folder of the
-- executions, how many ms a job takes.
local CLIENT = [[
local redis, n, path, folder, ms = ...
local remote = require "iocp.remote"
local pool = assert(remote.Pool { redis = redis, queue = "chaos", patience = 60000 })
local tasks = {}
local function wait(i)
  local ok, result, code = tasks[i]:wait()
  if not ok or result ~= i * 2 then
    io.stderr:write(("job %d: %s %s\n"):format(i, tostring(result), tostring(code)))
    os.exit(1)
  end
  tasks[i] = nil
end
local behind = 0
for first = 1, n, 200 do
  require("iocp").run(function()
    for i = first, math.min(first + 199, n) do
      require("iocp").spawn(function()
        tasks[i] = assert(pool:submit({ body = "support.remote_jobs:count", id = "job" .. i }, i, ms, folder))
      end)
    end
  end)
  while first - behind > n / 10 do
    behind = behind + 1
    wait(behind)
  end
end
for i = behind + 1, n do
  wait(i)
end
local file = assert(io.open(path, "w"))
file:write("end")
file:close()
pool:close()
]]

local function start_client(self)
  local command = support.lua_command(("arg = { [0] = '' } return (loadstring or load)(%q)(%q, %d, %q, %q, %d)"):format(
    CLIENT, self.through, self.n, self.progress, self.folder,
    math.min(LONGEST, math.max(5, 80000 / self.n))))
  command.stdout, command.stderr = false, self.errors
  command.env = support.environment { LUA_PATH = package.path, LUA_CPATH = package.cpath }
  self.client = assert(iocp.Process(command))
  self.script = command[2]
end

local function start_worker(self, i)
  self.workers[i] = redis.worker({ redis = self.through }, QUEUE, { "--modules", "support.remote_jobs", "--workers",
    "4", "--prefetch", "16", "--lease", tostring(LEASE), "--deaths", "1000" })
end

--- Whether the client has seen the outcomes of all.
local function is_over(self)
  local file = io.open(self.progress)
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text:find("end") ~= nil
end

--- How many outcomes there are.
local function done(self)
  return tonumber(self.server:command("HGET", "iocp:{" .. QUEUE .. "}:counts", "completed") or 0)
end

--- What happens to Redis and the client, when so many of all jobs have their outcomes.
local function misfortunes(self)
  local function restart(signal)
    return function()
      self.server:kill(signal)
      iocp.sleep(100)
      self.server:start()
      self.restarts = self.restarts + 1
    end
  end
  local function client()
    self.client:kill("KILL")
    self.client:wait(10000)
    start_client(self)
    self.clients = self.clients + 1
  end
  return { { 0.1, restart "TERM" }, { 0.3, client }, { 0.4, restart "KILL" }, { 0.7, restart "TERM" } }
end

--- A worker is killed each second, or, where the machine is slow, once something was done since the last one; and what
-- else is due happens, until the client has ended.
local function go_wrong(self)
  local due, killed_at, done_then, i = misfortunes(self), iocp.clock(), 0, 0
  local limit = iocp.clock() + support.patience(60000 + 20 * self.n)
  while true do
    while due[1] and done(self) >= due[1][1] * self.n do
      table.remove(due, 1)[2]()
    end
    if self.client:wait(50) then
      return is_over(self) and #due == 0
    elseif iocp.clock() > limit then
      return false
    elseif iocp.clock() - killed_at >= 1000 and done(self) > done_then then
      i = i % WORKERS + 1
      self.workers[i]:kill("KILL")
      self.workers[i]:wait(10000)
      start_worker(self, i)
      self.killed, killed_at, done_then = self.killed + 1, iocp.clock(), done(self)
    end
  end
end

--- How often the jobs were begun: each worker's executions are a file of their own.
local function executions(self)
  local n, jobs, distinct = 0, {}, 0
  for name in lfs.dir(self.folder) do
    for line in name:find("^ran") and io.lines(self.folder .. "/" .. name) or function() end do
      n = n + 1
      if not jobs[line] then
        jobs[line], distinct = true, distinct + 1
      end
    end
  end
  return n, distinct
end

--- The states of all jobs in Redis: how many of each.
local function states(self)
  local found = {}
  for first = 1, self.n, 500 do
    local arguments = { "" }
    for i = first, math.min(first + 499, self.n) do
      arguments[#arguments + 1] = "job" .. i
    end
    local looked = assert(self.server:link():script("look", "iocp:{" .. QUEUE .. "}", arguments, 20000))
    for i = 2, #looked, 3 do
      found[looked[i]] = (found[looked[i]] or 0) + 1
    end
  end
  return found
end

--- Runs it for n jobs; through a bad network, if `network` has delay and loss. Returns a table: finished (the client
-- has seen the outcome of each, and it was right), states, settled (outcomes that were written), executions, distinct
-- (jobs among them), and what went wrong by intention.
function chaos.run(n, network)
  local server = redis.start(true)
  local self = { n = n, server = server, folder = server.folder, progress = server.folder .. "/progress",
    through = network and server.folder .. "/network" or server.redis, workers = {}, killed = 0, restarts = 0,
    clients = 0 }
  local stop = network and bad_network.start(self.through, server.redis, network.delay, network.loss)
  for i = 1, WORKERS do
    start_worker(self, i)
  end
  start_client(self)
  local ok, finished = pcall(go_wrong, self)
  for i = 1, WORKERS do
    self.workers[i]:kill("KILL")
    self.workers[i]:wait(10000)
  end
  self.client:kill("KILL")
  os.remove(self.script)
  local outcome = { finished = ok and finished, trouble = not ok and finished or nil, killed = self.killed,
    restarts = self.restarts, clients = self.clients }
  if ok then
    outcome.states = states(self)
    outcome.executions, outcome.distinct = executions(self)
    outcome.settled = tonumber(server:command("HGET", "iocp:{" .. QUEUE .. "}:counts", "completed"))
    outcome.duplicates = tonumber(server:command("HGET", "iocp:{" .. QUEUE .. "}:counts", "duplicates") or 0)
  end
  if stop then
    stop()
  end
  server:close()
  return outcome
end

return chaos
