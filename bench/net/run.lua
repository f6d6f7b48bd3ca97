-- Measures echo servers, ours beside others, in interleaved rounds, and prints a table; with PAGE in the environment it
-- also writes doc/bench-net.md. ONLY: comma-separated beginnings of titles. ROUNDS, SECONDS: how many, and of each.
-- usage: make bench-net [ONLY=round,echo] [ROUNDS=5] [SECONDS=1] [PAGE=1]
package.path = "bench/?.lua;" .. package.path
local cells, measure, rows = require "cells", require "measure", require "net.plan"

local function setting(name, otherwise)
  local value = os.getenv(name) or ""
  return value ~= "" and value or otherwise
end

local only, rounds = setting("ONLY", ""), tonumber(setting("ROUNDS", 5))

local function is_wanted(row)
  for word in only:gmatch("[^,]+") do
    if row.title:sub(1, #word) == word then
      return true
    end
  end
  return only == ""
end

local environments = {} -- the exports that let a Lua find the module

local function command_of(row, server)
  if not row.workload then
    return server.command
  end
  local command = server.command:format(row.buffer)
  if server.lua then
    environments[server.lua] = environments[server.lua]
      or measure.read("make -s --no-print-directory env LUA=" .. server.lua):gsub("\n", "; ")
    command = server.lua .. " " .. command
  end
  return ("%s build/net/client %s %d %d %g %s"):format(server.lua and environments[server.lua] .. ";" or "",
    row.workload, row.connections, row.size, row.seconds or tonumber(setting("SECONDS", 1)), command)
end

-- What the client prints, with `trip`; nil: the server is not to be had, or failed.
local function run(row, server)
  local figures = {}
  for name, value in measure.read(command_of(row, server)):gmatch("(%w+) (%S+)") do
    figures[name] = tonumber(value)
  end
  figures.trip = figures.rate and 1e6 / figures.rate
  return figures[row.figure] and figures
end

local function spread(values)
  table.sort(values)
  return { median = values[math.ceil(#values / 2)], min = values[1], max = values[#values] }
end

-- For each server the figures of all rounds, by name, and `ratio`, the row's figure beside the yardstick's of the same
-- round. One round before the first warms up, if there are several.
local function measure_row(row)
  local all, count = {}, row.rounds or rounds
  for round = count > 1 and 0 or 1, count do
    local yardstick
    for i, server in ipairs(row) do
      local figures = run(row, server)
      yardstick = i == 1 and figures or yardstick
      if figures and round > 0 then
        figures.ratio = yardstick and figures[row.figure] / yardstick[row.figure]
        all[i] = all[i] or {}
        for name, value in pairs(figures) do
          all[i][name] = all[i][name] or {}
          table.insert(all[i][name], value)
        end
      end
    end
  end
  for _, figures in pairs(all) do
    for name, values in pairs(figures) do
      figures[name] = spread(values)
    end
  end
  return all
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

local function write_page(lines)
  local out = { "# Sockets: the benchmark's last run", "",
    ("%s, on %s. `make bench-net PAGE=1` writes this page."):format(os.date("%Y-%m-%d"), measure.machine()), "",
    EXPLAINED:format(rounds), "", "| " .. table.concat(HEADER, " | ") .. " |", "|---|---|---|---|---|---|---|---|---|" }
  for _, line in ipairs(lines) do
    out[#out + 1] = "| " .. table.concat(line, " | ") .. " |"
  end
  local file = assert(io.open("doc/bench-net.md", "w"))
  file:write(table.concat(out, "\n"), "\n")
  file:close()
  print("doc/bench-net.md is written")
end

print(FORMAT:format(table.unpack(HEADER)))
local lines = {}
for _, row in ipairs(rows) do
  local all = is_wanted(row) and measure_row(row) or {}
  for i, server in ipairs(row) do
    if all[i] then
      local line = line_of(row, i, server, all[i])
      lines[#lines + 1] = line
      print(FORMAT:format(table.unpack(line)))
    end
  end
end
if setting("PAGE") and only == "" then
  write_page(lines)
end
