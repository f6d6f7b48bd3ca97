-- Programs that run side by side, a few at a time, and what each of them says.
--
--   lua examples/programs.lua [AT A TIME]     2
local iocp = require "iocp"

local at_a_time = tonumber(arg[1]) or 2

-- There is no shell in between: one that needs it names it, as these do.
local shell = package.config:sub(1, 1) == "\\" and { "cmd.exe", "/c" } or { "sh", "-c" }
local function script(text)
  return { shell[1], shell[2], text }
end

local commands = {
  script "echo compiling&& echo linking",
  script "echo this one fails 1>&2&& exit 3",
  { "a-program-that-is-not-here" },
  script "echo the last",
}

--- Runs a program until it has ended; how that was, and the lines that it said. For fibers.
local function run(command)
  command.stdout, command.stderr = "pipe", "stdout" -- both into one pipe
  local process, _, code = iocp.Process(command)
  if not process then
    return code, {}
  end
  local output, lines = assert(iocp.open_file(process.stdout)), {}
  local line = output:read() -- while it runs: else a full pipe would hold it
  while line do
    lines[#lines + 1] = line:match("(.-)%s*$") -- Windows' lines end with \r\n
    line = output:read()
  end
  output:close()
  local _, exit, signal = process:wait() -- only now
  return exit or signal, lines
end

local ends, said, begun = {}, {}, 0
iocp.run(function()
  for _ = 1, at_a_time do -- each takes the next command when it is done with one
    iocp.spawn(function()
      while begun < #commands do
        begun = begun + 1
        local i = begun
        ends[i], said[i] = run(commands[i])
      end
    end)
  end
end)
for i, how in ipairs(ends) do
  print(("%d ended with %s and said: %s"):format(i, how, table.concat(said[i], ", ")))
end
