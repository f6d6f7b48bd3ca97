-- Thumbnails of a folder's pictures (PPM), made by three processes that stand for three machines: whoever can read the
-- folder may be a worker. Without a folder it draws some pictures first; without a Redis it starts one.
--
--   lua examples/thumbnails.lua [FOLDER [REDIS]]
--   lua examples/thumbnails.lua worker REDIS        a worker, as iocp-worker --modules thumbnails is one
local WIDTH = 48

-- ---- what the workers do: the module "thumbnails" -------------------------------------------------------------------

local thumbnails = {}

--- The mean of a rectangle of the picture, as three bytes.
local function mean(pixels, width, x1, x2, y1, y2)
  local sums, n = { 0, 0, 0 }, (x2 - x1 + 1) * (y2 - y1 + 1)
  for y = y1, y2 do
    for x = x1, x2 do
      local r, g, b = pixels:byte((y * width + x) * 3 + 1, (y * width + x) * 3 + 3)
      sums[1], sums[2], sums[3] = sums[1] + r, sums[2] + g, sums[3] + b
    end
  end
  return string.char(math.floor(sums[1] / n), math.floor(sums[2] / n), math.floor(sums[3] / n))
end

--- Writes a picture, smaller, beside itself: its width and height.
function thumbnails.make(path)
  local file = assert(io.open(path, "rb"))
  local width, height, pixels = file:read("*a"):match("^P6%s+(%d+)%s+(%d+)%s+255%s(.*)$")
  file:close()
  if not width then
    error(path .. ": no PPM of 8 bits")
  end
  width, height = tonumber(width), tonumber(height)
  local step = math.max(1, math.floor(width / WIDTH))
  local columns, rows, parts = math.floor(width / step), math.floor(height / step), {}
  for y = 0, rows - 1 do
    for x = 0, columns - 1 do
      parts[#parts + 1] = mean(pixels, width, x * step, x * step + step - 1, y * step, y * step + step - 1)
    end
  end
  file = assert(io.open(path:gsub("%.ppm$", "") .. ".small", "wb"))
  file:write(("P6\n%d %d\n255\n"):format(columns, rows), table.concat(parts))
  file:close()
  return columns, rows
end

if ... == "thumbnails" then
  return thumbnails
end

-- ---- who wants them -------------------------------------------------------------------------------------------------

local own_redis, lfs = require "own_redis", require "lfs"
local remote = require "iocp.remote"
local QUEUE = "thumbnails"

local folder, redis = arg[1], arg[2]
if folder == "worker" then
  assert(remote.serve { redis = redis, queue = QUEUE, modules = { thumbnails = { "make" } }, workers = 1,
    log = function() end })
  return
end

--- Some pictures of circles, in a new folder.
local function draw(n)
  local path = os.tmpname()
  os.remove(path)
  assert(lfs.mkdir(path))
  for i = 1, n do
    local parts = { "P6\n192 144\n255\n" }
    for y = 0, 143 do
      for x = 0, 191 do
        local d = math.floor(math.sqrt((x - 96) ^ 2 + (y - 72) ^ 2) * i / 4)
        parts[#parts + 1] = string.char(d % 256, (d * i) % 256, 128)
      end
    end
    local file = assert(io.open(("%s/picture%d.ppm"):format(path, i), "wb"))
    file:write(table.concat(parts))
    file:close()
  end
  return path
end

local function pictures_of(path)
  local list = {}
  for name in lfs.dir(path) do
    if name:find("%.ppm$") then
      list[#list + 1] = path .. "/" .. name
    end
  end
  table.sort(list)
  return list
end

folder = folder or draw(9)
own_redis.with(redis, function(address)
  own_redis.with_workers(3, "examples/thumbnails.lua", address, function()
    local pool = assert(remote.Pool { redis = address, queue = QUEUE })
    local list = pictures_of(folder)
    local results, messages = pool:map(list, "thumbnails:make", { index = false, results = "all", errors = "collect" })
    for i, path in ipairs(list) do
      local size = results[i]
      print(size and ("%s: %d x %d"):format(path, size[1], size[2]) or messages[i]:match("^[^\n]*"))
    end
    print(("%d thumbnails, %d refused"):format(pool:stats().completed, pool:stats().failed))
    pool:close()
  end)
end)
