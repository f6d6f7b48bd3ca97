-- Measures HTTP servers, ours beside others, in interleaved rounds, and prints a table; with PAGE in the environment it
-- also writes doc/bench-http.md and its chart. ONLY: comma-separated beginnings of titles. ROUNDS, SECONDS: how many,
-- and of each. usage: make bench-http [ONLY=hello] [ROUNDS=5] [SECONDS=2] [PAGE=1]
package.path = "bench/?.lua;" .. package.path
local cells, measure, rounds, rows = require "cells", require "measure", require "rounds", require "http.plan"
local count, seconds = tonumber(rounds.setting("ROUNDS", 5)), tonumber(rounds.setting("SECONDS", 2))

local environments = {} -- the exports that let a Lua find the module

local function environment(lua)
  environments[lua] = environments[lua]
    or measure.read("make -s --no-print-directory env LUA=" .. lua):gsub("\n", "; ") .. ";"
  return environments[lua]
end

local function client_of(row)
  local url = "http://127.0.0.1:%s/10240.txt" -- of which a server that says hello takes no notice
  if row.rate then
    return ("%s luajit examples/load.lua %s %d %g %d"):format(environment("luajit"), url, row.connections, seconds,
      row.rate)
  end
  return ("wrk -t1 -c%d -d%g --latency %s"):format(row.connections, seconds, url)
end

local UNITS = { us = 1e-3, ms = 1, s = 1000 }

--- What measure and its client print: cpu, rate, p99, memory; nil: the server is not to be had, or failed.
local function run(row, server)
  local variables, command = server.command:match("^(%u+=%S+ )"), server.command:gsub("^%u+=%S+ ", "")
  local text = measure.read(("%s %s build/http/measure '%s' %s %d %d"):format(
    server.lua and environment(server.lua) or "", variables or "", client_of(row), command,
    row.threads, row.size))
  local used, answers = text:match("\nused (%S+)"), text:match("(%d+) requests in") or text:match("(%d+) answers in")
  local p99, unit = text:match("\n +99 ?%% +([%d.]+) ?(%a+)")
  if not used or (tonumber(answers) or 0) == 0 or text:find("Non%-2xx") or text:find("Socket errors") then
    return nil
  end
  return { cpu = used / answers * 1e6, p99 = p99 * UNITS[unit], memory = text:match("\nmemory (%S+)") / 2 ^ 20,
    rate = text:match("Requests/sec: +(%S+)") or text:match(" s, (%d+) a second") }
end

local HEADER = { "workload", "server", "us of CPU, or as named", "beside the first", "asked", "CPU us", "k/s", "p99 ms",
  "MiB" }
local FORMAT = "%-40s %-32s %-22s %-18s %-7s %7s %6s %7s %6s"

local function median(figure, scale)
  return figure and cells.number(figure.median * (scale or 1)) or ""
end

local function line_of(row, i, server, figures)
  return { i == 1 and row.title or "", server.who, cells.figure(figures[row.figure]) .. (row.rate and " ms" or ""),
    i > 1 and cells.figure(figures.ratio) or "", server.asked and "<= " .. server.asked or "", median(figures.cpu),
    median(figures.rate, 1e-3), median(figures.p99), median(figures.memory) }
end

local EXPLAINED = [[
Medians (least-greatest) of %d rounds of %g s in which the servers of a row take turns, after one round to warm up; a
server that is not to be had, or failed, is left out. `wrk` asks from one thread, over loopback, as fast as it can: on
two processors it takes one, so every good server shows wrk's rate, and what a server costs is **its processor time a
request**, with its children's. A smaller ratio is better; each is of two measurements of the same round. MiB: memory
that the server has for itself. At a rate `examples/load.lua` asks, each request at its time whether or not the last
answer has come, and the figure is the time within which 99 of 100 are answered, beside nginx's.

The servers are in `bench/http`. `epoll.c` is the yardstick: it looks for the empty line, and sends bytes that were made
before; it reads no file. luv, cqueues and copas do the same, and so do our streams (`stream.lua`: lines are read until
an empty one). nginx, Go, Node, lua-http and the HTTP example (`examples/httpd`) read requests as the protocol has it;
the first three and ours send a file from disk, of which ours remembers small ones for a second. wrk asks the same again
and again, so what the example remembers of requests' heads nearly always serves: where heads differ a request costs it
more than here.]]

local COLORS = { iocp = "#1f77b4", others = "#bbbbbb" }

--- Bars of the first row: the processor time a request.
local function draw(row, all)
  local data = {}
  for i = #row, 1, -1 do
    if all[i] then
      data[#data + 1] = ('"%s" %.3f %s'):format(row[i].who, all[i].cpu.median,
        COLORS[row[i].who:match("^iocp")] or COLORS.others):gsub("#", "0x")
    end
  end
  local script = {
    "set terminal svg size 760,430 font 'sans-serif,13' background '#ffffff'", "set output 'doc/bench/http.svg'",
    ("set title '%s: microseconds of processor time a request'"):format(row.title),
    "set style fill solid; set boxwidth 0.7; unset key; set border 2; set xtics nomirror; unset ytics",
    "set lmargin 30; set grid xtics lc rgb '#dddddd' lt 1",
    ("set yrange [-0.6:%g]; set xrange [0:*]"):format(#data - 0.4),
    "$data << END", table.concat(data, "\n"), "END",
    "set ytics () nomirror",
    "plot $data using ($2/2):0:($2/2):(0.35):3:ytic(1) with boxxyerror lc rgb variable, "
      .. "$data using 2:0:(sprintf(' %.1f', $2)) with labels left",
  }
  local file = assert(io.open("build/http/chart.gp", "w"))
  file:write(table.concat(script, "\n"), "\n")
  file:close()
  assert(os.execute("gnuplot build/http/chart.gp"))
end

local VERSIONS = "wrk -v | head -n 1 | grep -o 'wrk [^ ]*'; nginx -v 2>&1 | grep -o 'nginx/.*'; "
  .. 'echo "Node $(node -v)"; go version'

local function write_page(lines)
  local out = { "# HTTP: the benchmark's last run", "",
    ("%s, on %s, %s. `make bench-http PAGE=1` writes this page."):format(os.date("%Y-%m-%d"), measure.machine(),
      measure.read(VERSIONS):gsub("\n", ", ")), "",
    EXPLAINED:format(count, seconds), "", "![processor time a request](bench/http.svg)", "",
    "| " .. table.concat(HEADER, " | ") .. " |", "|---|---|---|---|---|---|---|---|---|" }
  for _, line in ipairs(lines) do
    out[#out + 1] = "| " .. table.concat(line, " | ") .. " |"
  end
  local file = assert(io.open("doc/bench-http.md", "w"))
  file:write(table.concat(out, "\n"), "\n")
  file:close()
  print("doc/bench-http.md and doc/bench/http.svg are written")
end

assert(os.execute("mkdir -p build/http/files doc/bench"))
local file = assert(io.open("build/http/files/10240.txt", "w"))
file:write(("x"):rep(10240))
file:close()
print(FORMAT:format(table.unpack(HEADER)))
local lines = {}
for number, row in ipairs(rows) do
  local all = rounds.is_wanted(row) and rounds.measure(row, run) or {}
  for i, server in ipairs(row) do
    if all[i] then
      lines[#lines + 1] = line_of(row, i, server, all[i])
      print(FORMAT:format(table.unpack(lines[#lines])))
    end
  end
  if number == 1 and all[1] and rounds.setting("PAGE") then
    draw(row, all)
  end
end
if rounds.setting("PAGE") and not rounds.setting("ONLY") then
  write_page(lines)
end
