-- Looking into a worker: what it prints, which lines it runs, and a debugger that stops it.
--
--   lua examples/debugging.lua               prints, and traces lines
--   lua examples/debugging.lua mobdebug      stops in a worker: start the server first, in ZeroBrane Studio by
--                                            Project | Start Debugger Server; needs mobdebug.lua and luasocket
--   IOCP_DEBUG=1 lua examples/debugging.lua  also tells what begins, ends, waits long or is refused
local iocp = require "iocp"

local function suspect(n)
  local sum = 0
  for i = 1, n do
    sum = sum + i
  end
  return sum
end

-- One write for one line: what several threads print then does not mix within lines.
local function say(text)
  io.write(("worker %d: %s\n"):format(select(2, iocp.Pool.current()), text))
end

--- Calls f, and tells how often each of its lines ran.
local function traced(f, ...)
  local counts, lines = {}, {}
  debug.sethook(function(_, line)
    if debug.getinfo(2, "f").func == f then
      lines[#lines + 1] = not counts[line] and line or nil
      counts[line] = (counts[line] or 0) + 1
    end
  end, "l")
  local result = f(...)
  debug.sethook()
  for i, line in ipairs(lines) do
    lines[i] = ("line %d ran %d times"):format(line, counts[line])
  end
  return result, table.concat(lines, "; ")
end

local function debugged(f, ...)
  require("mobdebug").start("127.0.0.1") -- where the debugger listens; stops at the next line
  local result = f(...)
  require("mobdebug").done()
  return result
end

local pool = assert(iocp.Pool(1))
if arg[1] == "mobdebug" then
  assert(pcall(require, "mobdebug"), "mobdebug.lua is not here: it is in ZeroBrane Studio's lualibs, and a rock")
  -- jit = false: LuaJIT calls no hooks in what it has compiled, and debuggers live by hooks
  print(assert(select(2, pool:submit({ body = debugged, jit = false }, suspect, 3):wait())))
else
  pool:submit(function(n)
    say("n is " .. n)
  end, 3):wait()
  print(select(3, assert(pool:submit({ body = traced, jit = false }, suspect, 3):wait())))
end
pool:shutdown()
