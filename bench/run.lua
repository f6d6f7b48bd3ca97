-- Runs the workloads beside their yardsticks, in interleaved rounds, and prints medians, spreads and ratios.
-- usage: lua bench/run.lua LUA...      (make bench)
local ROUNDS = 5

local function c(workload)
  return { name = "C, " .. workload, command = "build/c/bench " .. workload .. " %d" }
end

local function script(lua, workload)
  return {
    name = lua .. (workload:find("-", 1, true) and ", " .. workload or ""),
    command = ('eval "$(make -s env LUA=%s)"; %s bench/workloads.lua %s %%d'):format(lua, lua, workload),
  }
end

local function scripts(workload)
  local list = {}
  for _, lua in ipairs(arg) do
    list[#list + 1] = script(lua, workload)
  end
  return list
end

local function only_luajit(workload)
  local list = {}
  for _, lua in ipairs(arg) do
    list[#list + 1] = lua == "luajit" and script(lua, workload) or nil
  end
  return list
end

-- The last contender of each is the yardstick. `unit` scales a count per second, or the value itself.
local tables = {
  { title = "integer keys, 1 poster, 4 workers", count = 1000000, rate = "M items/s", scale = 1e-6,
    scripts("keys"), c("keys-iocp"), c("keys-pthread") },
  { title = "the same in batches of 64", count = 3000000, rate = "M items/s", scale = 1e-6,
    scripts("batches"), c("keys-pthread") },
  { title = "the article's: 48-byte blocks, 1 poster, 4 workers", count = 1000000, rate = "M items/s", scale = 1e-6,
    scripts("article"), c("article-iocp"), c("article-pthread") },
  { title = "ping-pong over two ports", count = 50000, rate = "k round trips/s", scale = 1e-3,
    scripts("ping-pong"), c("ping-pong-iocp"), c("ping-pong-futex") },
  { title = "a backlog of 2,000,000, in and out", count = 2000000, rate = "M items/s", scale = 1e-6,
    scripts("backlog"), c("backlog-iocp"), c("backlog-pthread") },
  { title = "threads, each with a state, created and joined", count = 1000, rate = "threads/s", scale = 1,
    scripts("threads"), c("threads-lua-state") },
  { title = "{ id = i, name = \"job\", args = { 1, 2, 3 } }, 1 producer, 2 workers", count = 1000000, rate = "M items/s",
    scale = 1e-6, scripts("tables"), scripts("tables-many"), only_luajit("tables-buffer"), c("copies-48") },
  { title = "strings of 1 KB, 1 producer, 2 workers", count = 500000, rate = "M items/s", scale = 1e-6,
    scripts("strings-1k"), c("copies-1k") },
  { title = "strings of 1 MB, 1 producer, 2 workers", count = 2000, rate = "items/s", scale = 1,
    scripts("strings-1m"), c("copies-1m") },
  { title = "alloc and free 48 bytes in one thread", count = 5000000, cost = "ns", scale = 1e9,
    c("pairs-iocp"), c("pairs-malloc") },
  { title = "alloc here, free there", count = 5000000, cost = "ns", scale = 1e9, c("across-iocp"), c("across-malloc") },
  { title = "destroy, or free, 1,000,000 blocks", count = 1000000, cost = "ns a block", scale = 1e9,
    c("destroy-iocp"), c("destroy-malloc") },
  { title = "memory a block of 48 bytes", count = 1000000, value = "bytes", scale = 1,
    c("footprint-iocp"), c("footprint-malloc") },
  { title = "create a heap, one block, destroy", count = 10000, cost = "us", scale = 1e6, c("create-iocp") },
}

local function run(command, count)
  local pipe = assert(io.popen("bash -c '" .. command:format(count):gsub("'", "'\\''") .. "'"))
  local seconds = tonumber((pipe:read("*l")))
  pipe:close()
  return assert(seconds, command)
end

local function flatten(list)
  local flat = {}
  for _, entry in ipairs(list) do
    for _, contender in ipairs(entry.command and { entry } or entry) do
      flat[#flat + 1] = contender
    end
  end
  return flat
end

for _, t in ipairs(tables) do
  local contenders = flatten(t)
  local results = {}
  for round = 0, ROUNDS do -- round 0 warms up
    for i, contender in ipairs(contenders) do
      results[i] = results[i] or {}
      local value = run(contender.command, t.count)
      if round > 0 then
        if t.rate then
          value = t.count / value
        elseif t.cost then
          value = value / t.count
        end
        table.insert(results[i], value * t.scale)
      end
    end
  end
  for _, values in ipairs(results) do
    table.sort(values)
  end
  local middle = math.ceil(ROUNDS / 2)
  local yardstick = results[#results][middle]
  print(("\n%s\n%-22s %10s %10s %10s %10s   (%s)"):format(t.title, "", "median", "min", "max", "ratio",
    t.rate or t.cost or t.value))
  for i, contender in ipairs(contenders) do
    local values = results[i]
    print(("%-22s %10.3f %10.3f %10.3f %10.2f"):format(contender.name, values[middle], values[1], values[ROUNDS],
      values[middle] / yardstick))
  end
end
print("\nratio: the median beside the last line's, the yardstick. A rate is better high, a cost low.")
