-- Runs the workloads beside their yardsticks, in interleaved rounds, and prints one table. With PLOT in the environment
-- it also draws the charts, and writes doc/bench.md; with OTHERS other runtimes take part instead, in a table of their
-- own. ONLY: comma-separated beginnings of a row's id or title.
-- usage: make bench [ONLY=W1,heap] [PLOT=1 | OTHERS=1]
package.path = "bench/?.lua;" .. package.path
local cells, measure, plan = require "cells", require "measure", require "plan"
local figure, speed = cells.figure, cells.speed
local only, plot = os.getenv("ONLY") or "", (os.getenv("PLOT") or "") ~= ""

local function is_wanted(row)
  for word in only:gmatch("[^,]+") do
    if row.id == word or row.title:sub(1, #word) == word then
      return true
    end
  end
  return only == ""
end

if (os.getenv("OTHERS") or "") ~= "" then
  require("others.table").run(measure, cells, is_wanted, only == "")
  os.exit(0)
end

local HEADER = {
  "", "workload", "unit", "LuaJIT", "Lua 5.4", "C over iocp.h", "yardstick in C", "LuaJIT:C", "5.4:C", "ours:yard",
}

local function columns(row, figures)
  return {
    row.id, row.title, row.unit,
    figure(figures.luajit), figure(figures.lua54), figure(figures.c), figure(figures.yardstick),
    speed(row, figures.luajit, figures.c), speed(row, figures.lua54, figures.c),
    speed(row, figures.c or figures.luajit or figures.lua54, figures.yardstick),
  }
end

-- What each round gave, of a row that has more of them than others.
local function spread(row, figures)
  local lines = {}
  for i, who in ipairs(row.rounds and measure.WHO or {}) do
    local each = {}
    for round, value in ipairs(figures[who] or {}) do
      each[round] = cells.number(value)
    end
    lines[#lines + 1] = #each > 0 and ("%s: %s"):format(HEADER[3 + i], table.concat(each, " ")) or nil
  end
  return lines
end

local FORMAT = "%-4s %-35s %-5s %20s %20s %20s %20s %8s %7s %9s"
print(FORMAT:format(table.unpack(HEADER)))
local results = {}
for _, row in ipairs(plan.rows) do
  if is_wanted(row) then
    local figures = measure.row(row)
    results[#results + 1] = { row = row, cells = columns(row, figures), spread = spread(row, figures) }
    print(FORMAT:format(table.unpack(results[#results].cells)))
    for _, line in ipairs(results[#results].spread) do
      print("       " .. line)
    end
  end
end
print([[

median (min-max) of 5 rounds, 9 of W2, interleaved, after one that warms up. Ratios are of speed: above 1 the first is
faster; ours:yard is C over iocp.h beside the yardstick, or without it the script. bench/plan.lua says what a row is.]])
if plot then
  require "charts"(plan.charts, measure, HEADER, results)
end
