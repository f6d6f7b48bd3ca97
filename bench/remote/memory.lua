-- How much memory Redis takes for a queued job: SOCKET JOBS. Prints the bytes, for jobs with two numbers as arguments
-- that somebody waits for, and for such that nobody waits for.
if _VERSION == "Lua 5.4" then
  package.path = package.path .. ";/usr/share/lua/5.3/?.lua"
end
local links, values = require "iocp.remote.link", require "iocp.remote.values"
local redis, n = links.new { path = arg[1] }, tonumber(arg[2])
local arguments = values.encode("argument", 123456, 789)

local function used()
  local info = redis:call({ { "INFO", "memory" } }, 10000)[1]
  return tonumber(info:match("used_memory:(%d+)"))
end

for _, client in ipairs { "0123456789ab", "" } do
  local before, id = used(), 0
  for _ = 1, n / 250 do
    local list = { "", client }
    for _ = 1, 250 do
      id = id + 1
      for _, word in ipairs { ("0123456789ab%x"):format(id), "thumbnails:make", arguments, "" } do
        list[#list + 1] = word
      end
    end
    assert(redis:script("submit", "iocp:{memory" .. client .. "}", list, 60000))
  end
  print(("%s %.0f"):format(client == "" and "posted" or "submitted", (used() - before) / n))
end
