--- What the benches beside the main one share: rows whose contenders take turns in rounds, a table, and a page of it.
-- Settings in the environment: ONLY: comma-separated beginnings of titles. ROUNDS: how many. PAGE: the page is written.
-- @module bench.rounds
local cells, measure = require "cells", require "measure"

local rounds = {}

function rounds.setting(name, otherwise)
  local value = os.getenv(name) or ""
  return value ~= "" and value or otherwise
end

local only, count = rounds.setting("ONLY", ""), tonumber(rounds.setting("ROUNDS", 5))

--- Whether ONLY names the row, or is not there.
function rounds.is_wanted(row)
  for word in only:gmatch("[^,]+") do
    if row.title:sub(1, #word) == word then
      return true
    end
  end
  return only == ""
end

local environments = {} -- the exports that let a Lua find the module

--- What runs a script with its arguments in this Lua: the exports before a command, and the command.
function rounds.lua(lua, script)
  environments[lua] = environments[lua]
    or measure.read("make -s --no-print-directory env LUA=" .. lua):gsub("\n", "; ") .. "; "
  return environments[lua], lua .. " " .. script
end

--- The figures that a command prints, by name, as "name value name value".
function rounds.figures(command)
  local figures = {}
  for name, value in measure.read(command):gmatch("(%w+) (%S+)") do
    figures[name] = tonumber(value)
  end
  return figures
end

--- The figures of a contender, whose command `complete` completes, and which its `lua` runs if it has one. nil: it is
-- not to be had here, or failed.
function rounds.run(row, contender, complete)
  local environment, command = "", contender.command
  if contender.lua then
    environment, command = rounds.lua(contender.lua, command)
  end
  local figures = rounds.figures(environment .. complete(command))
  return figures[row.figure] and figures
end

--- The cells of a table of one figure, and of the processor time where there is one.
function rounds.line_of(row, i, contender, figures)
  local of_cpu = row.figure == "cpu" and " of CPU" or ""
  return { i == 1 and row.title or "", contender.who, cells.figure(figures[row.figure]) .. of_cpu,
    i > 1 and cells.figure(figures.ratio) or "", contender.asked and "<= " .. contender.asked or "",
    figures.cpu and cells.number(figures.cpu.median) or "" }
end

local function spread(values)
  table.sort(values)
  return { median = values[math.ceil(#values / 2)], min = values[1], max = values[#values] }
end

--- For each contender the figures of all rounds, by name, and `ratio`, the row's figure beside the yardstick's of the
-- same round, which is the first's. One round before the first warms up, if there are several.
function rounds.measure(row, run)
  local all, last = {}, row.rounds or count
  for round = last > 1 and 0 or 1, last do
    local yardstick
    for i, contender in ipairs(row) do
      local figures = run(row, contender)
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

local function write_page(bench, lines)
  local out = { "# " .. bench.page_title, "", ("%s, on %s. `make %s PAGE=1` writes this page."):format(
    os.date("%Y-%m-%d"), measure.machine(), bench.target), "", bench.explained:format(count), "",
    "| " .. table.concat(bench.header, " | ") .. " |", ("|---"):rep(#bench.header) .. "|" }
  for _, line in ipairs(lines) do
    out[#out + 1] = "| " .. table.concat(line, " | ") .. " |"
  end
  local file = assert(io.open(bench.page, "w"))
  file:write(table.concat(out, "\n"), "\n")
  file:close()
  print(bench.page .. " is written")
end

--- Measures and prints. bench: rows, each with a title, the name of its `figure` and its contenders, the yardstick
-- first; run(row, contender): figures by name, nil if it is not to be had; line_of(row, i, contender, figures): the
-- table's cells, each figure with median, min and max; header and format: of those cells; page, page_title, target,
-- explained: where the page is written, what it is called, by which target, and what stands above its table, with %d
-- for the rounds.
function rounds.report(bench)
  local lines = {}
  print(bench.format:format(table.unpack(bench.header)))
  for _, row in ipairs(bench.rows) do
    local all = rounds.is_wanted(row) and rounds.measure(row, bench.run) or {}
    for i, contender in ipairs(row) do
      if all[i] then
        local line = bench.line_of(row, i, contender, all[i])
        lines[#lines + 1] = line
        print(bench.format:format(table.unpack(line)))
      end
    end
  end
  if rounds.setting("PAGE") and only == "" then
    write_page(bench, lines)
  end
end

return rounds
