-- Maps a function over files, in as many threads as there are processors, and prints the results in the files' order.
-- The function is any Lua function: its upvalues go along.
--
--   lua examples/parallel_map.lua FILE...
local iocp = require "iocp"

--- results[i] = f(list[i]) for all i; an error in f is raised here.
local function parallel_map(f, list)
  local jobs, results = iocp.IOCompletionPort(), iocp.IOCompletionPort()
  for i, item in ipairs(list) do
    assert(jobs:send(i, item))
  end
  for _ = 1, math.min(iocp.processors(), #list) do
    assert(iocp.Thread(function() -- f, jobs and results are upvalues, and cross as such
      local ok, i, item = jobs:receive(0)
      while ok do
        results:send(i, pcall(f, item))
        ok, i, item = jobs:receive(0)
      end
    end))
  end
  local mapped = {}
  for _ = 1, #list do
    local _, i, good, result = assert(results:receive())
    if not good then
      error(result, 0)
    end
    mapped[i] = result
  end
  return mapped
end

local words_of_interest = { ["local"] = true, ["function"] = true, ["return"] = true }

local function count_words(path)
  local file = assert(io.open(path))
  local counts = { lines = 0 }
  for line in file:lines() do
    counts.lines = counts.lines + 1
    for word in line:gmatch("%a+") do
      if words_of_interest[word] then
        counts[word] = (counts[word] or 0) + 1
      end
    end
  end
  file:close()
  return counts
end

local files = {}
for i, path in ipairs(arg) do
  files[i] = path
end
print(("%8s %8s %8s %8s"):format("lines", "local", "function", "return"))
for i, counts in ipairs(parallel_map(count_words, files)) do
  print(("%8d %8d %8d %8d  %s"):format(counts.lines, counts["local"] or 0, counts["function"] or 0,
    counts["return"] or 0, files[i]))
end
