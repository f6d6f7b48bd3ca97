--- The same work in other runtimes, beside ours in the same rounds: OTHERS=1. Of the Lua modules with threads Debian
-- packages luv, and cqueues, whose threads talk over a socket as luv's do here; neither lanes nor llthreads.
-- @module bench.others.table
local HEADING = "## Beside other runtimes"
local JAVA = "java -cp build/others Workloads"

-- Whose program takes part where `tool` is to be found (or `probe` succeeds) and `build` makes it. `version` prints
-- what the page tells.
local OTHERS = {
  { who = "go", title = "Go", tool = "go", program = "build/others/go",
    version = "go version | grep -o '[0-9]*[.][0-9.]*' | sed 's/^/Go /'",
    build = "go build -o build/others/go bench/others/workloads.go" },
  { who = "java", title = "Java", tool = "javac", program = JAVA, version = "javac -version | sed s/javac/Java/",
    build = "javac -d build/others bench/others/Workloads.java" },
  { who = "node", title = "Node", tool = "node", program = "node bench/others/workloads.js",
    version = "node --version | sed 's/^v/Node /'" },
  { who = "python", title = "Python", tool = "python3", program = "python3 bench/others/workloads.py",
    version = "python3 --version" },
  { who = "cpp", title = "C++", tool = "g++", program = "build/others/cpp", version = "g++ --version | head -n 1",
    build = "g++ -O2 -std=c++17 -pthread -o build/others/cpp bench/others/workloads.cpp" },
  { who = "luv", title = "luv, LuaJIT", probe = "luajit -l luv -e ''",
    program = "UV_THREADPOOL_SIZE=$(nproc) luajit bench/others/luv.lua",
    version = [[luajit -e 'print("luv, libuv " .. require("luv").version_string())']] },
}
local OURS = { { who = "luajit", title = "iocp, LuaJIT" }, { who = "lua54", title = "iocp, Lua 5.4" } }
local NO_QUEUE = { luv = true }

-- `without`: who has nothing for it.
local ROWS = {
  { title = "ping-pong", workload = "ping-pong", unit = "k/s", scale = 1e-3, count = 50000 },
  { title = "tasks with a result each", workload = "results", unit = "k/s", scale = 1e-3, count = 100000 },
}
for workers = 4, 1, -1 do
  table.insert(ROWS, 1, { title = ("keys, 1 poster, %d worker%s"):format(workers, workers > 1 and "s" or ""),
    workload = "keys", unit = "M/s", scale = 1e-6, count = 1000000, parameter = workers, without = NO_QUEUE })
end

local function is_here(other)
  return (os.execute(("%s >/dev/null 2>&1"):format(other.probe or "command -v " .. other.tool)))
end

-- Those that can take part, built; and the names of the rest.
local function find_others()
  assert(os.execute("mkdir -p build/others"))
  local here, missing = {}, {}
  for _, other in ipairs(OTHERS) do
    local built = is_here(other) and (not other.build or os.execute(other.build))
    table.insert(built and here or missing, built and other or other.title)
  end
  return here, missing
end

-- Sets the contenders of a row; gives them in the order they take turns.
local function contend(row, others)
  local list = { OURS[1], OURS[2] }
  row.kind = "rate"
  for _, own in ipairs(OURS) do
    row[own.who] = { script = row.workload, parameter = row.parameter }
  end
  for _, other in ipairs(others) do
    if not (row.without and row.without[other.who]) then
      row[other.who] = { program = other.program, c = row.workload, parameter = row.parameter }
      list[#list + 1] = other
    end
  end
  return list
end

local function names(list)
  local of = {}
  for i, contender in ipairs(list) do
    of[i] = contender.who
  end
  return of
end

local HEADER = { "workload", "unit", "who", "median (least-greatest)", "iocp, LuaJIT : it", "iocp, Lua 5.4 : it" }
local FORMAT = "%-28s %-5s %-14s %-24s %-18s %s"

-- Runs the rows that are wanted, and gives the table's lines.
local function measure_rows(measure, cells, is_wanted, others)
  local lines = {}
  print(FORMAT:format(table.unpack(HEADER)))
  for _, row in ipairs(ROWS) do
    local contenders = is_wanted(row) and contend(row, others) or {}
    local figures = #contenders > 0 and measure.row(row, names(contenders))
    for _, contender in ipairs(contenders) do
      local figure = figures[contender.who]
      local line = { row.title, row.unit, contender.title, cells.figure(figure),
        cells.speed(row, figures.luajit, figure), cells.speed(row, figures.lua54, figure) }
      lines[#lines + 1] = line
      print(FORMAT:format(table.unpack(line)))
    end
  end
  return lines
end

local function section(measure, lines, others, missing)
  local versions = {}
  for i, other in ipairs(others) do
    versions[i] = measure.read(other.version)
  end
  local out = {
    HEADING, "",
    ("%s, on %s; %s.%s `make bench OTHERS=1` writes this part."):format(os.date("%Y-%m-%d"), measure.machine(),
      table.concat(versions, ", "), #missing > 0 and " Left out: " .. table.concat(missing, ", ") .. "." or ""), "",
    "Medians (least-greatest) of 5 rounds in which all of a workload take turns, after one to warm up. Ratios are of",
    "speed: above 1 ours is faster. Each uses what comes with it: Go goroutines, which need not be threads, and",
    "buffered channels; Java LinkedTransferQueue and a fixed pool, compiled in a run before; Node worker_threads, keys",
    "and tasks dealt out in turn since they share no queue; Python SimpleQueue and ThreadPoolExecutor; C++ a deque",
    "under a mutex with a condition variable, and packaged_task; luv its pool and a pair of sockets, but it has no",
    "queue. A pool has as many workers as there are processors; a thousand tasks at a time are on their way.", "",
    "| " .. table.concat(HEADER, " | ") .. " |", "|---|---|---|---|---|---|",
  }
  for _, line in ipairs(lines) do
    out[#out + 1] = "| " .. table.concat(line, " | ") .. " |"
  end
  return table.concat(out, "\n") .. "\n"
end

-- doc/bench.md without this part, and this part as an earlier run wrote it, behind an empty line.
local function split()
  local file = io.open("doc/bench.md")
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  local at = text:find("\n" .. HEADING, 1, true) or #text + 1
  return text:sub(1, at - 1), text:sub(at)
end

local page = {}

--- What an earlier run wrote, for those who write the rest of the page.
function page.section()
  local _, text = split()
  return text
end

--- Measures and prints; a run of all rows also goes to doc/bench.md.
function page.run(measure, cells, is_wanted, is_whole)
  local others, missing = find_others()
  local lines = measure_rows(measure, cells, is_wanted, others)
  if #missing > 0 then
    print("left out, since not installed or not to be built: " .. table.concat(missing, ", "))
  end
  if is_whole then
    local rest = split()
    local file = assert(io.open("doc/bench.md", "w"))
    file:write(rest, "\n", section(measure, lines, others, missing))
    file:close()
    print("doc/bench.md is written")
  end
end

return page
