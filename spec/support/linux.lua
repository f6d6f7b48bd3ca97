--- What the specs need of Linux; support.windows has the same.
local linux = {
  settling = 0, -- milliseconds from when a thread counts as waiting until it waits
  environment = nil, -- what children have in theirs besides: "NAME=value", or a command that runs them
}

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Runs a script for at most `seconds` in `memory` KiB of address space; its exit code and what it printed. `abandons`:
-- it ends with work under way, whose memory is not to be taken for leaked. `files`: it may have so many open.
function linux.run(interpreter, script, seconds, memory, abandons, files)
  local file = os.tmpname()
  local f = assert(io.open(file, "w"))
  f:write(script)
  f:close()
  -- The shell says how it ended: os.execute and the close of a pipe answer differently in each Lua.
  local command = ("LUA_PATH=%s LUA_CPATH=%s timeout -k 1 %d %s %s 2>&1; code=$?; echo; echo $code"):format(
    quote(package.path), quote(package.cpath), seconds, quote(interpreter), quote(file))
  if linux.environment then
    command = linux.environment .. " " .. command
  end
  if abandons then
    command = 'ASAN_OPTIONS="$ASAN_OPTIONS detect_leaks=0" ' .. command
  end
  if files then
    command = ("ulimit -n %d; %s"):format(files, command)
  end
  local pipe = assert(io.popen((memory and ("ulimit -v %d; "):format(memory) or "") .. command))
  local output = pipe:read("*a")
  pipe:close()
  os.remove(file)
  local printed, code = output:match("^(.*)\n(%d+)\n$")
  return tonumber(code), (printed:gsub("\n$", ""))
end

--- Runs a script on a terminal of so many columns, of the kind TERM; what it wrote there.
function linux.on_terminal(interpreter, script, columns, kind)
  local file = os.tmpname()
  local f = assert(io.open(file, "w"))
  f:write(script)
  f:close()
  local command = ("stty cols %d; LUA_PATH=%s LUA_CPATH=%s TERM=%s timeout -k 1 20 %s %s"):format(
    columns, quote(package.path), quote(package.cpath), kind, quote(interpreter), quote(file))
  local pipe = assert(io.popen(("script -qec %s /dev/null </dev/null"):format(quote(command))))
  local output = pipe:read("*a")
  pipe:close()
  os.remove(file)
  return output
end

--- The path of a file that may be written.
linux.temporary = os.tmpname

--- A signal for this process ("INT", "TERM" ...), in 200 ms.
function linux.signal_soon(name)
  local self = io.open("/proc/self/stat"):read("*n")
  os.execute(("(sleep 0.2; kill -%s %d) &"):format(name, self))
end

--- Ctrl-C for this process, in 200 ms.
function linux.interrupt_soon()
  linux.signal_soon("INT")
end

--- Blocks the thread for some seconds, in a call that the module knows nothing of.
function linux.block(seconds)
  os.execute(("sleep %g"):format(seconds))
end

--- Resident memory of this process, in KiB.
function linux.resident()
  local f = assert(io.open("/proc/self/status"))
  local kilobytes = f:read("*a"):match("VmRSS:%s+(%d+)")
  f:close()
  return tonumber(kilobytes)
end

--- How many mappings and open files this process has.
function linux.mappings()
  local n = 0
  for _ in io.lines("/proc/self/maps") do
    n = n + 1
  end
  return n
end

function linux.descriptors()
  local n = 0
  for _ in require("lfs").dir("/proc/self/fd") do
    n = n + 1
  end
  return n
end

--- CPU seconds of this process.
linux.cpu = os.clock

--- The name the system has for the calling thread; nil if it does not tell.
function linux.thread_name()
  local f = io.open("/proc/thread-self/comm")
  return f and f:read("*l")
end

return linux
