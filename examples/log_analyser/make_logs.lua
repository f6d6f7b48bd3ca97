-- make_logs.lua LINES FILE...: made-up logs of a web server, the same ones each time.
local PAGES = { "/", "/news", "/search", "/logo.png", "/login", "/missing" }

local seed = 1
local function draw(n) -- 0 .. n-1
  seed = seed * 16807 % 2147483647
  return seed % n
end

local lines = assert(tonumber(arg[1]), "usage: make_logs.lua LINES FILE...")
for i = 2, #arg do
  local file = assert(io.open(arg[i], "w"))
  for line = 1, lines do
    local page = PAGES[draw(#PAGES) + 1]
    local status = page == "/missing" and 404 or draw(50) == 0 and 500 or 200
    file:write(('10.0.0.%d - - [27/Nov/2026:%02d:00:00 +0000] "GET %s HTTP/1.1" %d %s\n'):format(
      draw(250) + 1, math.floor((line - 1) * 24 / lines), page, status, status == 200 and draw(20000) or "-"))
  end
  file:close()
end
