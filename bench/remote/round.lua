-- One round of bench/remote: starts a redis-server, a worker and a client, and prints "rate JOBS/S redis US client US
-- worker US own US", microseconds of processor time a job; own: client and worker together.
-- usage: round.lua JOBS CLIENT... -- WORKER... (@ in a word is the server's socket, # the jobs)
local iocp = require "iocp"

local socket = os.tmpname()
os.remove(socket)
local jobs = tonumber(arg[1])
local commands, at = { {}, {} }, 1
for i = 2, #arg do
  if arg[i] == "--" then
    at = 2
  else
    table.insert(commands[at], (arg[i]:gsub("^@$", socket):gsub("^#$", arg[1])))
  end
end

--- Seconds of processor time that a process has had.
local function cpu_of(process)
  local file = assert(io.open(("/proc/%d/stat"):format(process:id())))
  local user, system = file:read("*a"):match("%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)")
  file:close()
  return (user + system) / 100
end

local redis = assert(iocp.Process { "redis-server", "--port", "0", "--unixsocket", socket, "--save", "",
  "--appendonly", "no", stdout = false, stderr = false })
repeat
  iocp.sleep(20)
until io.popen("redis-cli -s " .. socket .. " ping 2>&1"):read("*l") == "PONG"
local worker = assert(iocp.Process(commands[2]))
iocp.sleep(500)
local before, redis_before, began = cpu_of(worker), cpu_of(redis), iocp.clock()
commands[1].stdout = false
local client = assert(iocp.Process(commands[1]))
local client_cpu = 0
while not client:wait(20) do
  client_cpu = cpu_of(client)
end
local seconds, _, code = (iocp.clock() - began) / 1000, client:wait()
assert(code == 0, "the client failed")
local function us(s) return s / jobs * 1e6 end
local worker_cpu, redis_cpu = cpu_of(worker) - before, cpu_of(redis) - redis_before
print(("rate %.1f redis %.2f client %.2f worker %.2f own %.2f"):format(jobs / seconds, us(redis_cpu), us(client_cpu),
  us(worker_cpu), us(client_cpu + worker_cpu)))
worker:kill("KILL")
redis:kill("KILL")
redis:wait()
os.remove(socket)
