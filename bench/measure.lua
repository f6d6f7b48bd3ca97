--- Runs the contenders of a row in interleaved rounds.
-- @module bench.measure
local measure = {}

measure.ROUNDS = 5

local environment = {} -- the exports that let a Lua find the module

local function lua_command(lua, contender, count)
  if not environment[lua] then
    local pipe = assert(io.popen("make -s --no-print-directory env LUA=" .. lua))
    environment[lua] = pipe:read("*a"):gsub("\n", "; ")
    pipe:close()
  end
  return ("%s%s%s bench/workloads.lua %s %d %s"):format(environment[lua], contender.prefix or "", lua, contender.script,
    count, contender.parameter and ("%d"):format(contender.parameter) or "")
end

local function command_of(lua, contender, count)
  if contender.script then
    return lua_command(contender.lua or lua, contender, count)
  elseif contender.states then
    return ("build/c/states-%s %d"):format(contender.states, count)
  end
  return ("%s%s %s %d %s"):format(contender.prefix or "", contender.program or "build/c/bench", contender.c, count,
    contender.parameter and ("%d"):format(contender.parameter) or "")
end

local function read_number(command)
  local pipe = assert(io.popen(command))
  local number = tonumber((pipe:read("*l")))
  pipe:close()
  return assert(number, command)
end

-- How many futex calls a run makes, beyond those of one with a tenth of the items, which has the same start and end.
local function futex_calls(lua, contender, count)
  local calls = {}
  for i, n in ipairs { count, count / 10 } do
    local command = command_of(lua, contender, n):gsub("(luajit bench)", "strace @ %1")
      :gsub("(lua5.4 bench)", "strace @ %1")
    command = contender.c and "strace @ " .. command or command
    command = command:gsub("@", "-f --seccomp-bpf -c -e trace=futex -o build/futexes")
    calls[i] = read_number(("(%s) >/dev/null; awk '$NF == \"futex\" { n = $4 } END { print n + 0 }' build/futexes")
      :format(command))
  end
  return math.max(0, calls[1] - calls[2]) / (count - count / 10) * 1000
end

local function one(row, lua, contender)
  if contender.futexes then
    return futex_calls(lua, contender, row.count)
  end
  local number = read_number(command_of(lua, contender, row.count))
  if row.kind == "rate" then
    number = row.count / number
  elseif row.kind == "cost" then
    number = number / row.count
  end
  return number * row.scale
end

local LUA = { luajit = "luajit", lua54 = "lua5.4" }
measure.WHO = { "luajit", "lua54", "c", "yardstick" }

--- The figures of a row, by contender: those of all rounds, sorted, with median =, min =, max =. One round before the
-- first warms up. `names`: of the contenders, in the order they take turns.
function measure.row(row, names)
  local rounds, figures = row.rounds or measure.ROUNDS, {}
  for round = 0, rounds do
    for _, who in ipairs(names or measure.WHO) do
      if row[who] then
        local value = one(row, row[who].lua or LUA[who], row[who])
        figures[who] = figures[who] or {}
        if round > 0 then
          table.insert(figures[who], value)
        end
      end
    end
  end
  for _, values in pairs(figures) do
    table.sort(values)
    values.median, values.min, values.max = values[math.ceil(rounds / 2)], values[1], values[rounds]
  end
  return figures
end

--- What a command prints.
function measure.read(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a"):gsub("%s+$", "")
  pipe:close()
  return text
end

--- What it is measured on.
function measure.machine()
  local read = measure.read
  local model = read("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1")
  local virtual = read("grep -c -m 1 hypervisor /proc/cpuinfo") == "1" and ", a virtual machine" or ""
  return ("%s processors (%s%s), Linux %s, %s, Lua 5.4, %s"):format(read("nproc"), model, virtual,
    read("uname -r | grep -o '^[0-9.]*[0-9]'"), read("gcc --version | head -n 1"),
    read("luajit -v | grep -o '^LuaJIT [^ ]*'"))
end

return measure
