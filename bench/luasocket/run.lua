-- Measures luasocket's socket.http over iocp.luasocket, beside luasocket itself and copas, in interleaved rounds, and
-- prints a table; with PAGE in the environment it also writes doc/bench-luasocket.md. ONLY, ROUNDS: see
-- bench/rounds.lua. COUNT: GETs of each round. COPAS: a folder with another copas, for rows of its own.
-- usage: make bench-luasocket [ONLY=one] [ROUNDS=5] [COUNT=6400] [COPAS=folder] [PAGE=1]
package.path = "bench/?.lua;" .. package.path
local cells, measure, rounds = require "cells", require "measure", require "rounds"

local PORT = 18064

--- What get.lua prints; nil: what it stands on is not to be had.
local function run(row, contender)
  local environment, command = rounds.lua(row.lua, "bench/luasocket/get.lua")
  if contender.folder then
    environment = ("%sexport LUA_PATH='%s/?.lua;%s/?/init.lua;'\"$LUA_PATH\"; "):format(environment, contender.folder,
      contender.folder)
  end
  local figures = rounds.figures(("%stimeout 120 %s %s %d %d %d 2>/dev/null"):format(environment, command,
    contender.kind, tonumber(rounds.setting("COUNT", 6400)), row.at_once, PORT))
  return figures[row.figure] and figures
end

local HEADER = { "workload", "socket.http over", "us of CPU", "beside the first", "asked", "us" }
local FORMAT = "%-30s %-32s %-20s %-18s %-8s %8s"

local function line_of(row, i, contender, figures)
  return { i == 1 and row.title or "", contender.who, cells.figure(figures.cpu),
    i > 1 and cells.figure(figures.ratio) or "", contender.asked and "<= " .. contender.asked or "",
    cells.number(figures.time.median) }
end

local EXPLAINED = [[
Medians (least-greatest) of %d rounds in which what stands below socket.http takes turns, after one to warm up: the
client's processor time for each GET of 10 KiB over loopback, a connection each, and the time that passed. A smaller
ratio is better; each is of two measurements of the same round. `bench/http/epoll.c` answers, on the other processor.

Nothing: sockets that have the answer already, which shows what socket.http itself takes, whatever it stands on; what
is left of the others is the system's, and theirs. copas is Debian's 1.2, to which `bench/luasocket/get.lua` gives the
connect, the close and the prefixes of receive that socket.http asks for and copas.wrap lacks. Beside COPAS: the copas
in the folder that `make bench-luasocket COPAS=folder` names, here 4.11 from its repository, with its own copas.http.]]

local function report()
  rounds.report {
    rows = require "luasocket.plan", run = run, header = HEADER, format = FORMAT, line_of = line_of,
    explained = EXPLAINED, page = "doc/bench-luasocket.md", page_title = "luasocket's API: the benchmark's last run",
    target = "bench-luasocket",
  }
end

local server = measure.read(("build/http/epoll 1 10240 %d >/dev/null 2>&1 & echo $!"):format(PORT))
local ok, message = pcall(report)
os.execute("kill " .. server)
assert(ok, message)
