-- A pipeline of child processes: what this script writes goes through programs, and comes back, with no more under way
-- than fits into the pipes, however long the input is.
--
--     lua5.4 examples/filters.lua [LINES]
--
-- Two programs read and write at their own pace. The writer here writes a part when the one before was taken, the
-- reader reads a part when it has dealt with the one before: so a slow program holds its writers, and not memory.
local iocp = require "iocp"

local lines = tonumber(arg[1]) or 100000
local programs = { { "sort", "-r" }, { "gzip", "-c" } }
if package.config:sub(1, 1) == "\\" then
  print("sort and gzip are not Windows' own")
  return
end

local PART = 64 * 1024
local FEED, TAKE, ENDED = 1, 2, 10 -- keys

local port, heap = iocp.IOCompletionPort(), iocp.Heap()

-- Each program's output is the next one's input; the first is fed by us, and what the last writes we take.
local processes, between = {}, nil
for i, program in ipairs(programs) do
  local options = { stdin = between or "pipe", stdout = "pipe" }
  if i < #programs then
    local reader, writer = iocp.File.pipe()
    options.stdout, between = writer, reader
  end
  for j, argument in ipairs(program) do
    options[j] = argument
  end
  local used = options.stdin
  processes[i] = assert(iocp.Process(options))
  processes[i]:notify(port, ENDED + i)
  if type(used) == "userdata" then
    used:close() -- the child has it: the pipe ends when the child does
  end
  if type(options.stdout) == "userdata" then
    options.stdout:close()
  end
end

local feed, take = processes[1].stdin, processes[#processes].stdout
assert(feed:associate(port, FEED))
assert(take:associate(port, TAKE))

local written, given, taken = 0, 0, 0

local function write_more()
  local part, size = {}, 0
  while given < lines and size < PART do
    given = given + 1
    part[#part + 1] = ("line %d\n"):format((given * 7919) % lines)
    size = size + #part[#part]
  end
  if size == 0 then
    feed:close()
  else
    assert(feed:write(table.concat(part)))
    written = written + size
  end
end

local block = heap:alloc(PART)
write_more()
assert(take:read(block))
local running = #processes
local open = true
while open or running > 0 do
  local key, bytes, overlapped = port:dequeue(60000)
  assert(key, overlapped)
  if key == FEED then
    write_more()
  elseif key == TAKE and bytes == 0 then
    open = false
  elseif key == TAKE then
    taken = taken + bytes
    assert(take:read(block))
  else
    running = running - 1
    print(("%-6s ended with %s"):format(programs[key - ENDED][1], tostring(select(2, processes[key - ENDED]:wait(0)))))
  end
end
print(("%d bytes through %d programs came back as %d"):format(written, #processes, taken))
