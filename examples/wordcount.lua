-- Counts the words of all texts in a folder and the folders in it: the files are counted in the workers of a pool
-- (map), and so are the counts of different files added up (reduce). Needs LuaFileSystem (luarocks install
-- luafilesystem) to list folders.
--
--   lua examples/wordcount.lua FOLDER [how many words to print]     10
local iocp = require "iocp"
local found, lfs = pcall(require, "lfs")

local EXTENSIONS = { c = true, h = true, lua = true, md = true, txt = true }

local folder, shown = arg[1], tonumber(arg[2] or 10)
if not found then
  io.stderr:write("this example needs LuaFileSystem: luarocks install luafilesystem\n")
  os.exit(2)
elseif not folder or not shown then
  io.stderr:write("usage: lua examples/wordcount.lua FOLDER [how many words to print]\n")
  os.exit(2)
end

--- Adds the paths of the texts below a folder to a list. A link is not followed, since it may lead in a circle.
local function list_texts(path, list)
  for name in lfs.dir(path) do
    local whole = path .. "/" .. name
    local mode = lfs.symlinkattributes(whole, "mode")
    if mode == "directory" and name:sub(1, 1) ~= "." then
      list_texts(whole, list)
    elseif mode == "file" and EXTENSIONS[name:match("%.(%a+)$")] then
      list[#list + 1] = whole
    end
  end
  return list
end

-- Runs in the workers: how often each word is in a file.
local function count_words(path)
  local file = assert(io.open(path))
  local words = {}
  for line in file:lines() do
    for word in line:lower():gmatch("%a+") do
      words[word] = (words[word] or 0) + 1
    end
  end
  file:close()
  return { files = 1, words = words }
end

-- Runs in the workers, and at last here. Adding up may be done in any grouping, so this may be reduced with.
local function add_up(a, b)
  for word, count in pairs(b.words) do
    a.words[word] = (a.words[word] or 0) + count
  end
  a.files = a.files + b.files
  return a
end

local paths = list_texts(folder, {})
table.sort(paths) -- a folder lists its files in any order
local pool = assert(iocp.Pool())
local begun = iocp.clock()
-- A file that cannot be read is told of, and the others are counted.
local counts, errors = assert(pool:map(paths, count_words, { errors = "collect", progress = true, name = "count" }))
local good = {}
for i, path in ipairs(paths) do
  if errors[i] then
    io.stderr:write(path, ": ", errors[i]:match("[^\n]*"), "\n")
  else
    good[#good + 1] = counts[i]
  end
end
local total = assert(pool:reduce(good, add_up, { files = 0, words = {} }, { name = "add up" }))
local seconds = (iocp.clock() - begun) / 1000
assert(pool:shutdown())
assert(total.files == #good, "a file was left out, or counted twice")

local order, sum = {}, 0
for word, count in pairs(total.words) do
  order[#order + 1] = word
  sum = sum + count
end
table.sort(order, function(a, b)
  if total.words[a] == total.words[b] then
    return a < b
  end
  return total.words[a] > total.words[b]
end)
print(("%d files, %d words, %d different ones, %.2f s"):format(total.files, sum, #order, seconds))
for i = 1, math.min(shown, #order) do
  print(("%8d  %s"):format(total.words[order[i]], order[i]))
end
