-- A build: targets that need other targets, each a task that runs after those it needs. The "compilation" is a hash
-- over a text made up for the target and the hashes of what it needs, which a task gets from the tasks it is called
-- with. The build is run twice: all goes well, then one target fails, which cancels what depends on it and nothing
-- else.
--
--   lua examples/build.lua [the target that fails [lines in a text [trace.json]]]     parser.o, 2000
local iocp = require "iocp"
local unpack = table.unpack or unpack -- Lua 5.1

local TARGETS = { -- in any order
  { name = "program", needs = { "main.o", "library.a" } },
  { name = "library.a", needs = { "lexer.o", "parser.o" } },
  { name = "lexer.o", needs = { "grammar.h" } },
  { name = "parser.o", needs = { "grammar.h" } },
  { name = "main.o", needs = { "version.h" } },
  { name = "manual", needs = { "version.h" } },
  { name = "grammar.h", needs = {} },
  { name = "version.h", needs = {} },
}

local broken, lines, trace = arg[1] or "parser.o", tonumber(arg[2] or 2000), arg[3]
local known = {}
for _, target in ipairs(TARGETS) do
  known[target.name] = target
end
if not known[broken] or not lines then
  io.stderr:write("usage: lua examples/build.lua [the target that fails [lines in a text [trace.json]]]\n")
  os.exit(2)
end

-- Runs in a worker. Behind the name come the tasks of what the target needs, which have completed.
local function compile(name, fails, ...)
  local began, hash = iocp.clock(), 5381
  local function add(text)
    for i = 1, #text do
      hash = (hash * 33 + text:byte(i)) % 4294967296
    end
  end
  for _, need in ipairs { ... } do
    local _, built = assert(need:result())
    add(("%.0f"):format(built.hash))
  end
  for line = 1, lines do
    add(("line %d of the text that %s is made from\n"):format(line, name))
  end
  if fails then
    error(name .. ": line " .. lines .. ": syntax error", 0)
  end
  return { hash = hash, began = began, ended = iocp.clock() }
end

--- Submits a task for each target, in any order; the tasks by name.
local function build(pool, failing)
  local tasks = {}
  local function task_of(name)
    if not tasks[name] then
      local needs = {}
      for i, need in ipairs(known[name].needs) do
        needs[i] = task_of(need)
      end
      tasks[name] = assert(pool:task({ body = compile, name = name }, name, name == failing, unpack(needs)))
      tasks[name]:after(unpack(needs))
    end
    return tasks[name]
  end
  for _, target in ipairs(TARGETS) do
    assert(task_of(target.name):submit())
  end
  return tasks
end

--- Waits for all; what came of them, in the order in which they ended. Those that never ran come last.
local function outcomes(tasks)
  local list = {}
  for i, target in ipairs(TARGETS) do
    local ok, built = tasks[target.name]:wait()
    list[i] = { name = target.name, status = tasks[target.name]:status(), built = ok and built or nil,
      message = not ok and built:match("[^\n]*") or nil }
  end
  table.sort(list, function(a, b)
    if a.built and b.built then
      return a.built.ended < b.built.ended
    elseif not a.built and not b.built then
      return a.name < b.name
    end
    return a.built ~= nil
  end)
  return list
end

local function show(list)
  for _, outcome in ipairs(list) do
    local what = outcome.built and ("hash %08x"):format(outcome.built.hash) or outcome.message
    local needs = table.concat(known[outcome.name].needs, ", ")
    print(("  %-10s %-10s %-22s %s"):format(outcome.name, outcome.status, needs, what))
  end
end

--- Whether a target needs another, itself or through what it needs.
local function depends(name, on)
  for _, need in ipairs(known[name].needs) do
    if need == on or depends(need, on) then
      return true
    end
  end
  return false
end

local pool = assert(iocp.Pool { workers = 2, name = "build" })
if trace then
  assert(pool:trace(trace))
end

print("all is well:")
local tasks = build(pool)
-- What follows one target is shorter to say: it gets the target's results.
local message = assert(tasks.program:then_(function(built, version)
  return ("program %s is ready, hash %08x"):format(version, built.hash)
end, "1.0"))
local good = outcomes(tasks)
show(good)
print("  " .. select(2, assert(message:wait())))
local hashes, ended = {}, {}
for _, outcome in ipairs(good) do
  assert(outcome.status == "completed", outcome.message)
  hashes[outcome.name], ended[outcome.name] = outcome.built.hash, outcome.built.ended
  for _, need in ipairs(known[outcome.name].needs) do
    assert(ended[need] and ended[need] <= outcome.built.began, outcome.name .. " began before " .. need .. " was there")
  end
end

print(broken .. " fails:")
local bad = outcomes(build(pool, broken))
show(bad)
for _, outcome in ipairs(bad) do
  local expected = outcome.name == broken and "failed" or depends(outcome.name, broken) and "cancelled" or "completed"
  assert(outcome.status == expected, outcome.name .. " is " .. outcome.status .. ", not " .. expected)
  assert(expected ~= "completed" or outcome.built.hash == hashes[outcome.name], "another hash than before")
end

assert(pool:shutdown())
if trace then
  assert(pool:trace())
end
