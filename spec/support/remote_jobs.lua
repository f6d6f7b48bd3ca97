--- What the specs of iocp.remote have their workers do.
local iocp = require "iocp"
local jobs = { constant = 5 }

function jobs.add(a, b)
  return a + b
end

function jobs.echo(...)
  return ...
end

function jobs.fail(value)
  error(value)
end

function jobs.sleep(ms)
  return iocp.sleep(ms)
end

--- Never ends by itself.
function jobs.spin()
  while not iocp.cancelled() do
    iocp.yield()
  end
end

--- Ends its process.
function jobs.die()
  os.exit(7)
end

function jobs.gives_function()
  return { inner = { print } }
end

--- Writes a word to the end of a file, and returns the number of words in it.
function jobs.note(path, word)
  local file = assert(io.open(path, "a"))
  file:write(word, "\n")
  file:close()
  local n = 0
  for _ in io.lines(path) do
    n = n + 1
  end
  return n
end

--- The same, and fails until there are `n`.
function jobs.flaky(path, n)
  return jobs.note(path, "try") >= n and n or error("not yet")
end

local ran -- the file that this state writes its executions to

--- Twice the number, and a line in a file of this state's own: written before, so that no execution is missing there.
function jobs.count(i, ms, folder)
  ran = ran or assert(io.open(("%s/ran%s"):format(folder, require("iocp.remote.random").name()), "a"))
  ran:write(i, "\n")
  ran:flush()
  iocp.sleep(ms)
  return i * 2
end

return jobs
