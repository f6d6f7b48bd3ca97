--- The rows of the benchmark's table, and the lines of its charts.
-- A row: id, title, unit, count (of items), what the program's number becomes: `rate` (items a second), `cost` (seconds
-- an item) or `value` (as it is), times `scale`; and who takes part: luajit, lua54, c, yardstick, each a command.
-- `asked` is what was asked for at the outset; it stands in doc/bench.md. `rounds`: how many, if not the usual number;
-- what each of them gave is told too, since a median hides that a workload has two modes.
-- @module bench.plan

-- The same workload everywhere: `name` in bench/workloads.lua, name-iocp and name-pthread in C.
local function script(name, parameter)
  return { script = name, parameter = parameter }
end

local function c(name, parameter)
  return { c = name, parameter = parameter }
end

local function everywhere(name, parameter)
  return script(name, parameter), script(name, parameter), c(name .. "-iocp", parameter),
    c(name .. "-pthread", parameter)
end

-- A yardstick that is a script.
local function beside(name, parameter)
  return { script = name, parameter = parameter, lua = "luajit" }
end

local rows = {}

local function add(row, luajit, lua54, in_c, yardstick)
  row.luajit, row.lua54, row.c, row.yardstick = luajit, lua54, in_c, yardstick
  row.scale = row.scale or ({ ["M/s"] = 1e-6, ["k/s"] = 1e-3, ns = 1e9, us = 1e6 })[row.unit] or 1
  row.kind = row.kind or (row.unit:find("/s", 1, true) and "rate" or "cost")
  rows[#rows + 1] = row
end

local function with(fields, contender)
  local copy = {}
  for name, value in pairs(contender) do
    copy[name] = value
  end
  for name, value in pairs(fields) do
    copy[name] = value
  end
  return copy
end

-- Beside the others of its row on this Lua, whichever they run on.
local function on(lua, contender)
  return with({ lua = lua }, contender)
end

local function classic(contender)
  return with({ prefix = "IOCP_NOJIT=1 " }, contender)
end

local function one_core(contender)
  return with({ prefix = "taskset -c 0 " }, contender)
end

-- strace slows a program down, most of all its system calls; it tells their number all the same.
local function futexes(contender)
  return with({ futexes = true }, contender)
end

add({ id = "W0", title = "post + get in one thread", unit = "ns", count = 2000000,
  asked = "LuaJIT <= 1.2x of C, Lua 5.4 <= 7x" }, everywhere("pair"))
add({ id = "W0", title = "... LuaJIT, classic methods", unit = "ns", count = 1000000 }, classic(script("pair")))
add({ id = "W0", title = "... in a loop not compiled", unit = "ns", count = 1000000, asked = "<= 1.2x of the next" },
  script("pair-interpreted"))
add({ id = "W0", title = "... not compiled, classic methods", unit = "ns", count = 1000000 },
  classic(script("pair-interpreted")))

add({ id = "W1", title = "keys, 1 poster, 4 workers", unit = "M/s", count = 1000000,
  asked = "LuaJIT >= 8, >= 0.8 of C; Lua 5.4 >= 3" }, everywhere("keys"))
add({ id = "W1", title = "the article's, alloc write free", unit = "M/s", count = 1000000,
  asked = "LuaJIT >= 5, >= 0.8 of C" }, everywhere("article"))
add({ id = "W1", title = "keys: futex calls in 1000 items", unit = "calls", kind = "value", count = 1000000,
  asked = "< 1" },
  futexes(script("keys")), futexes(script("keys")), futexes(c("keys-iocp")), nil)
add({ id = "W1", title = "article's: futex calls in 1000", unit = "calls", kind = "value", count = 1000000,
  asked = "< 1" },
  futexes(script("article")), futexes(script("article")), futexes(c("article-iocp")), nil)
add({ id = "W1b", title = "keys in batches of 64", unit = "M/s", count = 5000000,
  asked = "LuaJIT >= 25, >= 0.7 of C; Lua 5.4 >= 10" }, everywhere("batches"))

-- The kernel may put both threads on one processor, where nobody can spin: then a round goes as those on one core do.
add({ id = "W2", title = "ping-pong; words two spin on", unit = "k/s", count = 200000, rounds = 9,
  asked = "LuaJIT >= 1000" },
  script("ping-pong"), script("ping-pong"), c("ping-pong-iocp"), c("ping-pong-words"))
add({ id = "W2", title = "... without spin; raw futex", unit = "k/s", count = 50000, rounds = 9,
  asked = "C >= 0.95 of futex" },
  nil, nil, c("ping-pong-iocp-no-spin"), c("ping-pong-futex"))
add({ id = "W2", title = "... both on one core; raw futex", unit = "k/s", count = 200000, rounds = 9,
  asked = "C >= 0.95 of futex" },
  one_core(script("ping-pong")), one_core(script("ping-pong")), one_core(c("ping-pong-iocp")),
  one_core(c("ping-pong-futex")))
add({ id = "W2", title = "... by send and receive", unit = "k/s", count = 100000, rounds = 9,
  asked = "LuaJIT >= 400" },
  script("ping-pong-messages"), script("ping-pong-messages"))
add({ id = "W2", title = "... the same, both on one core", unit = "k/s", count = 100000, rounds = 9 },
  one_core(script("ping-pong-messages")), one_core(script("ping-pong-messages")))

for _, rate in ipairs { 1000, 10000, 30000 } do
  add({ id = "W2", title = ("%d messages a second, 4 workers: processor time; without spin"):format(rate), unit = "ms",
    kind = "value", scale = 1e3, count = rate, asked = "<= 1.05x of without" },
    nil, nil, c("trickle-iocp"), c("trickle-iocp-no-spin"))
end

add({ id = "W3", title = "2,000,000 queued: in", unit = "M/s", count = 2000000, asked = "LuaJIT >= 25" },
  everywhere("backlog-in"))
add({ id = "W3", title = "... out", unit = "M/s", count = 2000000, asked = "LuaJIT >= 25" }, everywhere("backlog-out"))
add({ id = "W3", title = "... memory a packet", unit = "bytes", kind = "value", count = 2000000, asked = "<= 32" },
  nil, nil, c("packet-bytes-iocp"), c("packet-bytes-pthread"))

add({ id = "W4", title = "tables to 2 workers; string.buffer", unit = "k/s", count = 300000,
  asked = "LuaJIT >= 1200, Lua 5.4 >= 700" },
  script("tables"), script("tables"), nil, beside("tables-buffer"))
for _, size in ipairs { { "1 KB", 16 }, { "100 KB", 1600 }, { "1 MB", 16000 } } do
  add({ id = "W4", title = ("tables of %s; string.buffer"):format(size[1]), unit = "/s",
    count = math.floor(480000 / size[2]) },
    script("records", size[2]), script("records", size[2]), nil, beside("records-buffer", size[2]))
end
add({ id = "W4", title = "functions, called; dump and load", unit = "k/s", count = 200000 },
  script("functions"), script("functions"), nil, beside("functions-dump"))
add({ id = "W4", title = "strings of 1 KB; memcpy + post", unit = "us", count = 300000,
  asked = "<= 2x of the yardstick" },
  everywhere("strings", 1024))
add({ id = "W4", title = "strings of 1 MB; memcpy + post", unit = "us", count = 1000,
  asked = "<= 2x of the yardstick" },
  everywhere("strings", 2 ^ 20))

add({ id = "W5", title = "LuaJIT threads; newstate + pthread", unit = "/s", count = 1000,
  asked = ">= 0.9 of the yardstick" },
  script("threads"), nil, nil, { states = "luajit" })
add({ id = "W5", title = "Lua 5.4 threads; newstate + pthread", unit = "/s", count = 1000,
  asked = ">= 0.9 of the yardstick" }, nil, script("threads"), nil, { states = "lua5.4" })
add({ id = "W5", title = "... requiring iocp; LuaJIT's above", unit = "/s", count = 1000,
  asked = ">= 0.8 of the yardstick" }, script("threads-require"), nil, nil, on("luajit", script("threads")))
add({ id = "W5", title = "... requiring iocp; 5.4's above", unit = "/s", count = 1000,
  asked = ">= 0.8 of the yardstick" }, nil, script("threads-require"), nil, on("lua5.4", script("threads")))
add({ id = "W5", title = "a pool of 2 made and shut", unit = "us", count = 300, asked = "<= 1000" },
  script("pools"), script("pools"))
add({ id = "W5", title = "memory of a thread that waits", unit = "KB", kind = "value", scale = 1e-3, count = 100 },
  script("thread-bytes"), script("thread-bytes"))
add({ id = "W5", title = "... and has required the module", unit = "KB", kind = "value", scale = 1e-3, count = 100 },
  script("thread-bytes", 1), script("thread-bytes", 1))

add({ id = "W6", title = "4 idle for 5 s: processor time", unit = "us", kind = "value", count = 5000,
  asked = "<= 100" },
  everywhere("idle"))

for exponent = 3, 7 do
  local depth = math.floor(10 ^ exponent)
  add({ id = "W7", title = ("an item, to 10^%d queued and back"):format(exponent), unit = "ns",
    count = math.max(2000000, depth), asked = exponent == 7 and "<= 1.5x of 10^3" or nil }, everywhere("depth", depth))
end
for _, workers in ipairs { 1, 4, 16, 64, 256 } do
  add({ id = "W7", title = ("a key, 1 poster, %d waiting"):format(workers), unit = "ns", count = 500000,
    asked = workers == 256 and "<= 1.5x of 1 waiter" or nil }, everywhere("keys", workers))
end

add({ id = "W8", title = "pool: trivial tasks through submit", unit = "k/s", count = 1000000, asked = "LuaJIT >= 600" },
  script("pool"), script("pool"))
add({ id = "W8", title = "pool: trivial tasks through post", unit = "k/s", count = 1000000, asked = "LuaJIT >= 2000" },
  script("post"), script("post"))
add({ id = "W8", title = "pool: tasks with a result each", unit = "k/s", count = 200000, asked = "LuaJIT >= 1200" },
  script("results"), script("results"))
add({ id = "W8", title = "pool: 5,000,000 queued, then run", unit = "k/s", count = 5000000 },
  script("pool-backlog"), script("pool-backlog"))
add({ id = "W8", title = "map of 10^6; plain loop / processors", unit = "times", kind = "value", count = 1000000,
  asked = "<= 2" }, script("map-cheap"), script("map-cheap"))
add({ id = "W8", title = "... 50 multiplications an item", unit = "times", kind = "value", count = 1000000,
  asked = "<= 2" },
  script("map-dear"), script("map-dear"))

add({ id = "heap", title = "alloc + free 48 bytes, one thread", unit = "ns", count = 5000000 },
  nil, nil, c("pairs-iocp"), c("pairs-malloc"))
add({ id = "heap", title = "alloc here, free there", unit = "ns", count = 5000000 },
  nil, nil, c("across-iocp"), c("across-malloc"))
add({ id = "heap", title = "destroy, or free, a block of 10^6", unit = "ns", count = 1000000 },
  nil, nil, c("destroy-iocp"), c("destroy-malloc"))
add({ id = "heap", title = "memory a block of 48 bytes", unit = "bytes", kind = "value", count = 1000000 },
  nil, nil, c("footprint-iocp"), c("footprint-malloc"))
add({ id = "heap", title = "create a heap, a block, destroy", unit = "us", count = 10000 }, nil, nil, c("create-iocp"))

--- A chart: a workload whose parameter runs over `xs`, for each of them `count(x)` items; rates in M items/s.
local charts = {
  { name = "workers", title = "keys, 1 poster: throughput against workers", workload = "keys", x = "workers",
    xs = { 1, 2, 3, 4, 5, 6, 7, 8 }, count = function() return 1000000 end },
  { name = "payload", title = "strings to 2 workers: throughput against size", workload = "strings", x = "bytes",
    log = true, log_y = true, xs = { 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576 },
    count = function(bytes) return math.floor(math.max(300, math.min(300000, 2 ^ 28 / bytes))) end },
  { name = "backlog", title = "filling the queue and emptying it: throughput against depth", workload = "depth",
    x = "packets queued", log = true, xs = { 1000, 10000, 100000, 1000000, 10000000 },
    count = function(depth) return math.max(2000000, depth) end },
  { name = "batch", title = "keys, 1 poster, 4 workers: throughput against batch size", workload = "batches",
    x = "keys a batch", log = true, xs = { 1, 2, 4, 16, 64, 256, 1024 },
    count = function(batch) return math.min(1000000 * batch, 4000000) end },
}
for _, chart in ipairs(charts) do
  chart.contenders = function(x)
    return { everywhere(chart.workload, x) }
  end
end

return { rows = rows, charts = charts }
