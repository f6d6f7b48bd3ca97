--- What the specs share: child processes, measures of this process, and how large a run is.
local support = {}

--- Large runs are divided by this: 1 in `make test`, 100 under the sanitizers.
support.divisor = tonumber(os.getenv("IOCP_SPEC_DIVISOR")) or 1

--- How often, or how many: n for a full run, at least 10.
function support.scaled(n)
  return math.max(10, math.floor(n / support.divisor))
end

--- Whether memory is measured: a sanitizer's own bookkeeping is not ours to judge.
support.measures_memory = support.divisor == 1

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The program that runs this script.
function support.interpreter()
  local lowest = 0
  while arg[lowest - 1] do
    lowest = lowest - 1
  end
  return arg[lowest]
end

--- Runs a script in a fresh process with this one's paths, for at most `seconds` (default 20, more under a sanitizer).
-- `memory`: how much address space it may have, in KiB.
-- Returns its exit code (124: it hung; above 128: it died of a signal) and what it printed.
function support.child(script, seconds, memory)
  local file = os.tmpname()
  local f = assert(io.open(file, "w"))
  f:write(script)
  f:close()
  local limit = (seconds or 20) * (support.divisor > 1 and 5 or 1)
  -- The shell says how it ended: os.execute and the close of a pipe answer differently in each Lua.
  local command = ("LUA_PATH=%s LUA_CPATH=%s timeout -k 1 %d %s %s 2>&1; code=$?; echo; echo $code"):format(
    quote(package.path), quote(package.cpath), limit, quote(support.interpreter()), quote(file))
  local pipe = assert(io.popen((memory and ("ulimit -v %d; "):format(memory) or "") .. command))
  local output = pipe:read("*a")
  pipe:close()
  os.remove(file)
  local printed, code = output:match("^(.*)\n(%d+)\n$")
  return tonumber(code), (printed:gsub("\n$", ""))
end

--- Resident memory of this process, in KiB.
function support.resident()
  collectgarbage()
  collectgarbage()
  local f = assert(io.open("/proc/self/status"))
  local kilobytes = f:read("*a"):match("VmRSS:%s+(%d+)")
  f:close()
  return tonumber(kilobytes)
end

--- How many mappings and open files this process has.
function support.mappings()
  local n = 0
  for _ in io.lines("/proc/self/maps") do
    n = n + 1
  end
  return n
end

function support.descriptors()
  local n = 0
  for _ in require("lfs").dir("/proc/self/fd") do
    n = n + 1
  end
  return n
end

--- Milliseconds within which something is to happen: more where everything takes longer.
function support.patience(ms)
  return support.divisor > 1 and ms * 20 or ms
end

--- Waits until `condition()` holds, for at most ten seconds; whether it came to hold.
function support.eventually(condition)
  local iocp = require "iocp"
  for _ = 1, 5000 do
    if condition() then
      return true
    end
    iocp.sleep(2)
  end
  return false
end

--- Waits until `n` threads are parked on the port.
function support.parked(port, n)
  return support.eventually(function()
    return port:stats().waiting == n
  end)
end

--- The largest key that this Lua can hold exactly.
support.largest_key = math.maxinteger or 2 ^ 53 - 1

--- Joins all of them, and asserts that they ended well. Returns their first results.
function support.join_all(threads)
  local results = {}
  for i, thread in ipairs(threads) do
    local ok, result = thread:join(60000)
    assert(ok, result)
    results[i] = result
  end
  return results
end

return support
