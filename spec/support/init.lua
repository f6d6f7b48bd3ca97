--- What the specs share: child processes, measures of this process, and how large a run is.
local support = {}

--- Whether this is Windows.
support.windows = package.config:sub(1, 1) == "\\"

-- What differs by system is in a module each, with the same functions.
local platform = require(support.windows and "support.windows" or "support.linux")
for name, f in pairs(platform) do
  support[name] = f
end

--- Large runs are divided by this: 1 in `make test`, 100 under the sanitizers, 50 under Wine. Below 1, what more rounds
-- can still find out is made larger: 0.1 for ten times as long a soak.
support.divisor = tonumber(os.getenv("IOCP_SPEC_DIVISOR")) or 1

--- How often, or how many: n for a full run, at least 10.
function support.scaled(n)
  return math.max(10, math.floor(n / math.max(1, support.divisor)))
end

--- The same where there is no end: races, random input, leaks. A soak does more.
function support.soaked(n)
  return math.max(10, math.floor(n / support.divisor))
end

--- Why a spec file has nothing to show on this system. An empty file that does not say so has failed.
support.nothing = nil

--- Whether what the running spec measures is judged: pending.lua says where it is not.
support.measures = true

--- What an error of nil is told as: Lua 5.5 says that there was none.
support.no_error = _VERSION == "Lua 5.5" and "<no error object>" or "nil"

--- The program that runs this script.
function support.interpreter()
  local lowest = 0
  while arg[lowest - 1] do
    lowest = lowest - 1
  end
  return arg[lowest]
end

--- Runs a script in a fresh process with this one's paths, for at most `seconds` (default 20, more under a sanitizer).
-- `memory`: how much address space it may have, in KiB. `abandons`: it ends with work under way, which leaves memory
-- behind. `files`: how many files it may have open; Windows knows no such limit. Returns its exit code (124: it hung; a
-- large number: it crashed) and what it printed.
function support.child(script, seconds, memory, abandons, files)
  local limit = (seconds or 20) * (support.divisor > 1 and not support.windows and 5 or 1)
  return support.run(support.interpreter(), script, limit, memory, abandons, files)
end

--- What runs the code in a fresh process of this Lua: a program and its arguments, to which more may be added. In the
-- main state.
function support.lua_command(code)
  local path = support.temporary()
  local file = assert(io.open(path, "w"))
  file:write(code)
  file:close()
  return { support.interpreter(), path }
end

--- An environment for a child: these, and what a program needs to run here at all.
function support.environment(names)
  for _, name in ipairs { "PATH", "HOME", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "TSAN_OPTIONS", "SystemRoot" } do
    names[name] = names[name] or os.getenv(name)
  end
  return names
end

--- What a file holds; mode as io.open's.
function support.read(path, mode)
  local file = assert(io.open(path, mode))
  local text = file:read("*a")
  file:close()
  return text
end

local function runs(task)
  return task:status() == "running"
end

--- Keeps a worker of the pool busy until something is posted to `gate`; the task that does.
function support.occupy(pool, gate)
  local task = assert(pool:submit(function(g)
    g:dequeue()
  end, gate))
  assert(support.eventually(runs, task), "no worker has taken it")
  return task
end

--- Resident memory of this process without garbage, in KiB.
function support.resident()
  collectgarbage()
  collectgarbage()
  return platform.resident()
end

--- Milliseconds within which something is to happen: more where everything takes longer.
function support.patience(ms)
  return support.divisor > 1 and ms * 20 or ms
end

--- Waits until `condition(...)` holds, for at most ten seconds; whether it came to hold. What is to be collected later
--- is handed over and not an upvalue: a loop that LuaJIT has compiled keeps the function that it calls.
function support.eventually(condition, ...)
  local iocp = require "iocp"
  for _ = 1, 5000 do
    if condition(...) then
      return true
    end
    iocp.sleep(2)
  end
  return false
end

--- Waits until `n` threads are parked on the port.
function support.parked(port, n)
  local waiting = support.eventually(function()
    return port:stats().waiting == n
  end)
  require("iocp").sleep(support.settling)
  return waiting
end

--- The largest key that this Lua can hold exactly.
support.largest_key = math.maxinteger or 2 ^ 53 - 1

--- Joins all of them, each for `ms`, 60000 by default, and asserts that they ended well. Returns their first results.
function support.join_all(threads, ms)
  local results = {}
  for i, thread in ipairs(threads) do
    local ok, result = thread:join(ms or 60000)
    assert(ok, result)
    results[i] = result
  end
  return results
end

return support
