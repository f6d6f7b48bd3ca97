--- Draws the charts with gnuplot into doc/bench/, and writes doc/bench.md around them and the table.
-- @module bench.charts

local LINES = {
  { who = "luajit", title = "LuaJIT", color = "#1f77b4" },
  { who = "lua54", title = "Lua 5.4", color = "#2ca02c" },
  { who = "c", title = "C over iocp.h", color = "#444444" },
  { who = "yardstick", title = "C, mutex + condition variable", color = "#d62728" },
}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- One file a line: x, median, min, max.
local function measure_chart(chart, measure)
  local data = {}
  for _, x in ipairs(chart.xs) do
    local contenders = chart.contenders(x)
    local row = { kind = "rate", scale = 1e-6, count = chart.count(x) }
    for i, line in ipairs(LINES) do
      row[line.who] = contenders[i]
      data[line.who] = data[line.who] or {}
    end
    local figures = measure.row(row)
    for who, figure in pairs(figures) do
      table.insert(data[who], ("%d %.4f %.4f %.4f"):format(x, figure.median, figure.min, figure.max))
    end
    print(("chart %-8s %8d"):format(chart.name, x))
  end
  for who, points in pairs(data) do
    write(("build/bench/%s-%s.dat"):format(chart.name, who), table.concat(points, "\n") .. "\n")
  end
end

local function draw(chart)
  local plots = {}
  for i, line in ipairs(LINES) do
    plots[i] = ("'build/bench/%s-%s.dat' using 1:2:3:4 with yerrorlines lw 2 pt 7 ps 0.5 lc rgb '%s' title '%s'")
      :format(chart.name, line.who, line.color, line.title)
  end
  local script = {
    "set terminal svg size 760,430 font 'sans-serif,13' background '#ffffff'",
    ("set output 'doc/bench/%s.svg'"):format(chart.name),
    ("set title '%s'"):format(chart.title),
    ("set xlabel '%s'"):format(chart.x),
    "set ylabel 'million items a second'",
    "set grid ytics lc rgb '#dddddd' lt 1",
    "set border 3; set tics nomirror",
    "set key bmargin center horizontal maxrows 1 samplen 2",
    "set yrange [0:*]",
    chart.log and ("set logscale x; set format x '%%.0s%%c'; set xrange [%g:%g]")
      :format(chart.xs[1] * 0.8, chart.xs[#chart.xs] * 1.25)
      or ("set xrange [0.5:%g]"):format(chart.xs[#chart.xs] + 0.5),
    chart.log_y and "set logscale y; set yrange [*:*]" or "",
    "plot " .. table.concat(plots, ", \\\n  "),
  }
  write(("build/bench/%s.gp"):format(chart.name), table.concat(script, "\n") .. "\n")
  assert(os.execute(("gnuplot build/bench/%s.gp"):format(chart.name)))
end

local function markdown(charts, measure, header, results)
  local out = {
    "# The benchmark's last run", "",
    ("%s, on %s. `make bench PLOT=1` writes this page."):format(os.date("%Y-%m-%d"), measure.machine()), "",
    "Medians (least-greatest) of 5 rounds, 9 of W2, in which the contenders of a row take turns, after one to warm up.",
    "Ratios are of speed: above 1 the first is faster; ours:yard is C over `iocp.h` beside the yardstick, or a script",
    "if there is no C. The yardstick is a ring under a mutex with a condition variable, malloc, or what the row names.",
    "\"Asked\" is what this module set out for. What waits and wakes spreads by a factor of 2, ping-pong by 10, by",
    "whether two threads share a processor; what only computes by 25 %. [The way of a message](message.md) says what",
    "the figures are made of. Sockets have [a page of their own](bench-net.md), by `make bench-net`, and so have files",
    "([this](bench-file.md), by `make bench-file`) and HTTP ([this](bench-http.md), by `make bench-http`).", "",
    "| " .. table.concat(header, " | ") .. " | asked |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
  }
  for _, result in ipairs(results) do
    out[#out + 1] = "| " .. table.concat(result.cells, " | ") .. " | " .. (result.row.asked or "") .. " |"
  end
  out[#out + 1] = ""
  for _, result in ipairs(results) do
    if #result.spread > 0 then
      out[#out + 1] = ("Each round of %s, %s: %s, sorted. %s.\n"):format(result.row.id, result.row.unit,
        result.row.title, table.concat(result.spread, "; "))
    end
  end
  for _, chart in ipairs(charts) do
    out[#out + 1] = ("![%s](bench/%s.svg)\n"):format(chart.title, chart.name)
  end
  return table.concat(out, "\n")
end

return function(charts, measure, header, results)
  assert(os.execute("mkdir -p build/bench doc/bench"))
  for _, chart in ipairs(charts) do
    measure_chart(chart, measure)
    draw(chart)
  end
  write("doc/bench.md", markdown(charts, measure, header, results) .. require("others.table").section())
  print("doc/bench.md and doc/bench/*.svg are written")
end
