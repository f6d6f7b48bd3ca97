-- Prints the lines of all files in a folder, and the folders in it, that match a pattern of Lua. A thread for each
-- processor has a share of the reads that are in flight at a time, and searches what a read has brought while the
-- others go on. Needs LuaFileSystem (luarocks install luafilesystem) to list folders.
--
--   lua examples/grep.lua PATTERN FOLDER [reads in flight]     64
local iocp = require "iocp"
local found, lfs = pcall(require, "lfs")

local pattern, folder, in_flight = arg[1], arg[2], tonumber(arg[3] or 64)
if not found then
  io.stderr:write("this example needs LuaFileSystem: luarocks install luafilesystem\n")
  os.exit(2)
elseif not folder or not in_flight or in_flight < 1 or not pcall(string.find, "", pattern) then
  io.stderr:write("usage: lua examples/grep.lua PATTERN FOLDER [reads in flight]\n")
  os.exit(2)
end

--- Adds the paths of the files below a folder to a list. A link is not followed, since it may lead in a circle.
local function list_files(path, list)
  for name in lfs.dir(path) do
    local whole = path .. "/" .. name
    local mode = lfs.symlinkattributes(whole, "mode")
    if mode == "directory" and name:sub(1, 1) ~= "." then
      list_files(whole, list)
    elseif mode == "file" then
      list[#list + 1] = whole
    end
  end
  return list
end

-- Runs in each thread: searches paths, with `slots` reads in flight. How many files it has read, lines that matched.
local function search(paths, wanted, slots)
  local i = require "iocp"
  local SIZE = 65536
  local port, heap = assert(i.IOCompletionPort()), assert(i.Heap())
  local reading, next_path, files, matches = {}, 1, 0, 0 -- reading: by block

  -- The lines that are whole; what is behind them is left for the next read.
  local function look_at(slot, text)
    text = slot.rest .. text
    local from = 1
    for line, behind in text:gmatch("([^\n]*)\n()") do
      slot.line, from = slot.line + 1, behind
      if line:find(wanted) then
        matches = matches + 1
        io.write(("%s:%d:%s\n"):format(slot.path, slot.line, line))
      end
    end
    slot.rest = text:sub(from)
  end

  -- The block's next read: of the next file that can be opened. nil: there is none.
  local function begin_next(block)
    local path = paths[next_path]
    next_path = next_path + 1
    local file = path and i.File(path)
    if file then
      reading[block] = { file = file, path = path, offset = 0, line = 0, rest = "" }
      assert(file:associate(port))
      assert(file:read(block, SIZE, 0))
      files = files + 1
    elseif path then
      return begin_next(block)
    end
  end

  for _ = 1, math.min(slots, #paths) do
    begin_next(assert(heap:alloc(SIZE)))
  end
  while next(reading) do
    local key, bytes, block, _, _, of = port:dequeue()
    if not key then -- nil, message, code, key, bytes, overlapped: what cannot be read ends here
      bytes, block = 0, of
    end
    local slot = reading[block]
    if bytes > 0 then
      look_at(slot, heap:read(block, 0, bytes))
      slot.offset = slot.offset + bytes
      assert(slot.file:read(block, SIZE, slot.offset))
    else
      look_at(slot, slot.rest ~= "" and "\n" or "")
      slot.file:close()
      reading[block] = nil
      begin_next(block)
    end
  end
  return files, matches
end

local paths, threads = list_files(folder, {}), {}
table.sort(paths) -- a folder lists its files in any order
local count = math.min(iocp.processors(), in_flight)
local begun = iocp.clock()
for t = 1, count do
  local mine = {}
  for n = t, #paths, count do
    mine[#mine + 1] = paths[n]
  end
  threads[t] = assert(iocp.Thread(search, mine, pattern, math.ceil(in_flight / count)))
end
local files, matches = 0, 0
for _, thread in ipairs(threads) do
  local ok, read, matched = thread:join()
  assert(ok, read)
  files, matches = files + read, matches + matched
end
io.stderr:write(("%d lines of %d files, in %.0f ms\n"):format(matches, files, iocp.clock() - begun))
