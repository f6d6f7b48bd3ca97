--- What the specs need of Windows, as support.linux has it. The C part is spec/windows/process.c.
local process = require "spec_process"

local windows = {
  settling = 5, -- the kernel knows of it a little later
  interrupt_soon = function() process.interrupt(200) end,
  signal_soon = function(name) process.interrupt(200, name == "BREAK") end,
  block = process.sleep,
  resident = process.resident,
  mappings = process.regions,
  descriptors = process.handles,
  cpu = process.cpu,
  thread_name = process.thread_name,
  temporary = process.temporary,
}

-- Under Wine the end of a process can hang: threads are killed while they hold the spin locks behind ntdll's
-- RtlWaitOnAddress, and the last thread, which then needs one, spins for ever. And one of a thousand starts fails with
-- Wine's ERROR_INTERNAL_ERROR. Such a child is run once more, and said so.
local INTERNAL_ERROR = "system error 1359"

local function run(command, seconds, memory)
  local started, code, output, alone = pcall(process.run, command, seconds, memory)
  if started and not alone then
    return code, output
  elseif not os.getenv("IOCP_SPEC_WINE") or not started and not code:find(INTERNAL_ERROR, 1, true) then
    assert(started, code)
    return code, output
  end
  print("\n# note: repeated: " .. (started and "the last thread of a process that ended was spinning, in Wine" or code))
  return process.run(command, seconds, memory)
end

--- Runs a script for at most `seconds` in `memory` KiB of address space; its exit code and what it printed.
function windows.run(interpreter, script, seconds, memory)
  local file = process.temporary()
  local f = assert(io.open(file, "w"))
  -- In the script's first line, so that its lines keep their numbers.
  f:write(("package.path, package.cpath = %q, %q "):format(package.path, package.cpath), script)
  f:close()
  local code, output = run(('"%s" "%s"'):format(interpreter, file), seconds, memory)
  os.remove(file)
  return code, (output:gsub("\r\n", "\n"):gsub("\n$", ""))
end

return windows
