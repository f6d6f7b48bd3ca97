-- A crawler of local files: starts at one, follows the links in Markdown and the require calls in Lua to other files,
-- and reads each once, but no more than so many a second. Prints the tree of what it found.
--
--   lua examples/crawler.lua START [files a second]         20; run it where the paths in the files begin
--
-- The limit of the rate is a token bucket: a periodic task of the pool puts a token in, up to one, and who reads takes
-- one out. Besides, the pool's queue is limited, so that what the crawler has found does not wait there.
local iocp = require "iocp"

local start, rate = arg[1], tonumber(arg[2] or 20)
if not start or not rate or rate <= 0 then
  io.stderr:write("usage: lua examples/crawler.lua START [files a second]\n")
  os.exit(2)
end

--- "a/./b/../c" as "a/c"; nil if that is above where it runs.
local function plain(path)
  local parts, root = {}, path:match("^[/\\]") and "/" or ""
  for part in path:gmatch("[^/\\]+") do
    if part == ".." then
      if #parts == 0 then
        return nil
      end
      table.remove(parts)
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return root .. table.concat(parts, "/")
end

-- Where a module may be.
local TEMPLATES = { "?.lua", "?/init.lua", "lua/?.lua", "lua/?/init.lua" }

local function path_of_module(name)
  for _, template in ipairs(TEMPLATES) do
    local path = template:gsub("%?", (name:gsub("%.", "/")))
    local file = io.open(path)
    if file then
      file:close()
      return path
    end
  end
  return nil -- one of the standard library, or in C, or not here
end

-- Runs in a worker: a file's size, the paths of the files it refers to, and when it was read.
local function fetch(path)
  local now = iocp.clock()
  local file, message = io.open(path, "rb")
  if not file then
    error(message, 0)
  end
  local text = file:read("*a")
  file:close()
  if not text then
    error(path .. ": cannot be read", 0) -- a folder
  end
  local references = {}
  if path:find("%.md$") then
    local folder = path:match("^(.*/)") or ""
    for link in text:gmatch("%]%(([^)#%s]+)") do
      references[#references + 1] = not link:find("^%a+:") and plain(folder .. link) or nil
    end
  elseif path:find("%.lua$") then
    for name in text:gmatch("require%s*%(?%s*[\"']([%w_.]+)[\"']") do
      references[#references + 1] = path_of_module(name)
    end
  end
  return #text, references, now
end

start = plain(start) or start
local pool = assert(iocp.Pool { workers = 2, name = "crawler", queue_limit = 4 })
local tokens, begun = iocp.IOCompletionPort(), iocp.clock()
local ticker = assert(pool:submit_every(1000 / rate, { name = "ticker", body = function()
  if #tokens == 0 then -- a token that nobody took is not saved up
    tokens:enqueue(1)
  end
end }))

-- Breadth first: what is to be read, what is being read, and what is known, by path.
local frontier, running, known = { start }, {}, { [start] = { path = start, children = {} } }
local read, times = 0, {}

local function take(page, ok, size, references, now)
  read = read + 1
  if not ok then
    page.trouble = size:match("[^\n]*")
    return
  end
  page.size, times[#times + 1] = size, now
  for _, path in ipairs(references) do
    if not known[path] then
      local found = { path = path, children = {} }
      known[path] = found
      table.insert(page.children, found)
      table.insert(frontier, path)
    end
  end
end

while #frontier > 0 or #running > 0 do
  if #frontier > 0 then
    local page = known[table.remove(frontier, 1)]
    assert(tokens:dequeue())
    page.task = assert(pool:submit(fetch, page.path)) -- waits while the queue is full
    table.insert(running, page)
  else
    local page = table.remove(running, 1)
    take(page, page.task:wait())
  end
end
local seconds = (iocp.clock() - begun) / 1000
ticker:cancel()
assert(pool:shutdown())

local printed = 0
local function show(page, indent)
  print(indent .. (page.trouble or ("%s  %d bytes"):format(page.path, page.size)))
  printed = printed + 1
  for _, child in ipairs(page.children) do
    show(child, indent .. "  ")
  end
end
show(known[start], "")

-- The most files that were read in any one second.
table.sort(times)
local busiest, first = 0, 1
for last = 1, #times do
  while times[last] - times[first] >= 1000 do
    first = first + 1
  end
  busiest = math.max(busiest, last - first + 1)
end
print(("%d files in %.2f s: %g a second allowed, %d in the busiest second"):format(read, seconds, rate, busiest))
assert(printed == read, "a file was read twice, or not at all")
assert(known[start].size, "there is nothing to start at")
