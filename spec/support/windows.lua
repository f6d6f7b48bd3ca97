--- What the specs need of Windows, as support.linux has it. The C part is spec/windows/process.c.
local process = require "spec_process"

local windows = {
  interrupt_soon = function() process.interrupt(200) end,
  block = process.sleep,
  resident = process.resident,
  mappings = process.regions,
  descriptors = process.handles,
  cpu = process.cpu,
  thread_name = process.thread_name,
}

--- Runs a script for at most `seconds` in `memory` KiB of address space; its exit code and what it printed.
function windows.run(interpreter, script, seconds, memory)
  local file = process.temporary()
  local f = assert(io.open(file, "w"))
  -- In the script's first line, so that its lines keep their numbers.
  f:write(("package.path, package.cpath = %q, %q "):format(package.path, package.cpath), script)
  f:close()
  local code, output = process.run(('"%s" "%s"'):format(interpreter, file), seconds, memory)
  os.remove(file)
  return code, (output:gsub("\r\n", "\n"):gsub("\n$", ""))
end

return windows
