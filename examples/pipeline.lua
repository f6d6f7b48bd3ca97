-- Three stages, a thread each, that know nothing of the work: every message brings the functions that the stages call.
--
--   lua examples/pipeline.lua [how many]
local iocp = require "iocp"

local count = tonumber(arg[1]) or 10

local function stage(from, to)
  return assert(iocp.Thread(function()
    local ok, job = from:receive() -- the first failure says that the port is closed
    while ok do
      local step = table.remove(job.steps, 1)
      step(job)
      job.passed[#job.passed + 1] = iocp.current():name()
      to:send(job)
      ok, job = from:receive()
    end
  end))
end

local ports = {}
for i = 1, 4 do
  ports[i] = iocp.IOCompletionPort()
end
for i = 1, 3 do
  stage(ports[i], ports[i + 1])
end

local function read(job)
  job.text = ("the quick brown fox jumps over the lazy dog "):rep(job.number)
end

local function analyse(job)
  job.words = {}
  for word in job.text:gmatch("%a+") do
    job.words[word] = (job.words[word] or 0) + 1
  end
  job.text = nil
end

-- A step with an upvalue, which crosses with it.
local function report(prefix)
  return function(job)
    job.line = ("%s %d: 'the' %d times"):format(prefix, job.number, job.words.the)
  end
end

for i = 1, count do
  ports[1]:send { number = i, passed = {}, steps = { read, analyse, report(i % 2 == 0 and "even" or "odd") } }
end
for _ = 1, count do
  local _, job = assert(ports[4]:receive())
  print(job.line .. ", through " .. #job.passed .. " stages")
end
for i = 1, 3 do
  ports[i]:close()
end
