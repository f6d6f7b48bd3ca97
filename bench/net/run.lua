-- Measures echo servers, ours beside others, in interleaved rounds, and prints a table; with PAGE in the environment it
-- also writes doc/bench-net.md. ONLY, ROUNDS: see bench/rounds.lua. SECONDS: of each round.
-- usage: make bench-net [ONLY=round,echo] [ROUNDS=5] [SECONDS=1] [PAGE=1]
package.path = "bench/?.lua;" .. package.path
local cells, rounds = require "cells", require "rounds"

local function command_of(row, server)
  if not row.workload then
    return server.command
  end
  local environment, command = "", server.command:format(row.buffer)
  if server.lua then
    environment, command = rounds.lua(server.lua, command)
  end
  return ("%sbuild/net/client %s %d %d %g %s"):format(environment, row.workload, row.connections, row.size,
    row.seconds or tonumber(rounds.setting("SECONDS", 1)), command)
end

-- What the client prints, with `trip`; nil: the server is not to be had, or failed.
local function run(row, server)
  local figures = rounds.figures(command_of(row, server))
  figures.trip = figures.rate and 1e6 / figures.rate
  return figures[row.figure] and figures
end

local HEADER = {
  "workload", "server", "us of CPU, or as named", "beside the first", "asked", "CPU us", "k/s", "switches", "busiest",
}
local FORMAT = "%-38s %-24s %-22s %-18s %-6s %7s %7s %11s %8s"
local NAMED = { cpu = "%s", trip = "%s us", memory = "%s bytes", call = "%s us", latency = "%s us" }

local function median(figure, scale)
  return figure and cells.number(figure.median * (scale or 1)) or ""
end

local function line_of(row, i, server, figures)
  return { i == 1 and row.title or "", server.who, NAMED[row.figure]:format(cells.figure(figures[row.figure])),
    i > 1 and cells.figure(figures.ratio) or "", server.asked and "<= " .. server.asked or "", median(figures.cpu),
    median(figures.rate, 1e-3),
    figures.switches and ("%s + %s"):format(median(figures.switches), median(figures.own)) or "",
    figures.busiest and ("%.0f %%"):format(100 * figures.busiest.median) or "" }
end

local EXPLAINED = [[
Medians (least-greatest) of %d rounds in which the servers of a row take turns, after one to warm up.
`bench/net/client.c` starts a server and keeps one message on its way in each connection, over loopback. With two
processors the client takes one, so every good server shows the client's rate: what a server costs is **its processor
time a message**. A smaller ratio is better; each is of two measurements of the same round. A round trip is compared by
its time, an idle connection by the memory it takes. Switches: how often the server's threads, and the client, waited
for each message. Busiest: what the thread that did most did of all that those did that serve.

The servers are in `bench/net`. `epoll.c` is the yardstick: one thread with a set of descriptors, edge-triggered,
that reads and writes at once; or several with a listener each. `echo.c` is ours over `iocp.h`, `echo.lua` the raw
style: one port, and any number of workers. Connections of ours that are idle wait by `ready`; 48 bytes of each are the
C server's own. `wake.c` posts to a thread that sleeps: on a port without sockets, as a follower, and as the leader.]]

rounds.report {
  rows = require "net.plan", run = run, header = HEADER, format = FORMAT, line_of = line_of, explained = EXPLAINED,
  page = "doc/bench-net.md", page_title = "Sockets: the benchmark's last run", target = "bench-net",
}
