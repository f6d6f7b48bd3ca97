-- Measures iocp.remote's queue beside a client and worker in C over hiredis that send the same commands, and beside
-- BullMQ where BULLMQ names the folder that npm installed it into (with ioredis), in interleaved rounds. ONLY, ROUNDS:
-- see bench/rounds.lua.
-- usage: make bench-remote [BULLMQ=folder] [ROUNDS=5]
package.path = "bench/?.lua;" .. package.path
local cells, measure, rounds = require "cells", require "measure", require "rounds"

local JOBS = 30000

local function words(text)
  return (text:gsub("#", "'#'"))
end

local function lua(which)
  local command = ("env LUA_CPATH=build/%s/?.so %s bench/remote/%%s.lua @ #"):format(which, which)
  return { who = "iocp.remote, " .. which, client = command:format("client"), worker = command:format("worker") }
end

local queue = { title = "a queue", figure = "all",
  { who = "C over hiredis", client = "build/remote/queue client @ #", worker = "build/remote/queue worker @" },
  lua "luajit", lua "lua5.4" }
if rounds.setting("BULLMQ") then
  queue[4] = { who = "BullMQ", jobs = JOBS / 6, client = "node bench/remote/bullmq.mjs client @ #",
    worker = "node bench/remote/bullmq.mjs worker @" }
end

local environment = rounds.lua("lua5.4", "") .. "export LUA_PATH=\"./?.lua;$LUA_PATH\"; "
assert(os.execute(environment .. "lua5.4 bench/remote/scripts.lua"))

local function run(_, one)
  local figures = rounds.figures(("%slua5.4 bench/remote/round.lua %d %s -- %s"):format(environment, one.jobs or JOBS,
    words(one.client), words(one.worker)))
  figures.all = figures.redis and figures.redis + figures.own
  return figures.all and figures
end

local HEADER = { "who", "jobs/s", "us of CPU: Redis", "client, worker", "all", "beside the first" }

rounds.report {
  rows = { queue }, run = run, header = HEADER, format = "%-22s %-26s %-20s %-20s %-20s %s",
  line_of = function(_, i, one, figures)
    return { one.who, cells.figure(figures.rate), cells.figure(figures.redis), cells.figure(figures.own),
      cells.figure(figures.all), i > 1 and cells.figure(figures.ratio) or "" }
  end,
}

-- What a queued job takes of Redis' memory.
print("bytes of a queued job, of 10^6:")
local socket = os.tmpname()
os.remove(socket)
os.execute(("redis-server --port 0 --unixsocket %s --save '' --appendonly no --daemonize yes >/dev/null; sleep 1")
  :format(socket))
print(measure.read(environment .. ("lua5.4 bench/remote/memory.lua %s 1000000"):format(socket)))
os.execute(("redis-cli -s %s shutdown nosave"):format(socket))
