-- Copies a file, or a folder and all that is in it, with a bounded number of reads and writes in flight, whether they
-- are of one large file or of many small ones. On a terminal a bar says how far it is; else it is quiet. What cannot be
-- copied is named, the rest goes on, and the exit code is 1. Permissions are kept (by chmod, which Windows has not),
-- links stay links. Needs LuaFileSystem (luarocks install luafilesystem) to list folders.
--
--   lua examples/cp.lua FROM TO [in flight]     16
--
-- As with cp, FROM goes into TO if that is a folder.
local iocp = require "iocp"
local found, lfs = pcall(require, "lfs")

local from, to, in_flight = arg[1], arg[2], tonumber(arg[3] or 16)
if not found then
  io.stderr:write("this example needs LuaFileSystem: luarocks install luafilesystem\n")
  os.exit(2)
elseif not to or not in_flight or in_flight < 1 then
  io.stderr:write("usage: lua examples/cp.lua FROM TO [in flight]\n")
  os.exit(2)
end

local PART = 256 * 1024 -- bytes of one read
local HAS_CHMOD = package.config:sub(1, 1) ~= "\\"

local port, heap = assert(iocp.IOCompletionPort()), assert(iocp.Heap())
local plan = { folders = {}, links = {}, files = {}, bytes = 0 }
local modes = {} -- { path =, mode = }: what chmod is to set
local failures, copied, files_done = 0, 0, 0

-- ---- what it tells --------------------------------------------------------------------------------------------------

local stream = iocp.File.adopt(io.stderr)
local info = stream and stream:info()
local is_terminal = info and info.type == "terminal"
local begun, drawn = iocp.clock(), 0

local function amount(bytes)
  for _, unit in ipairs { "bytes", "KiB", "MiB", "GiB" } do
    if bytes < 1024 or unit == "GiB" then
      return (unit == "bytes" and "%d %s" or "%.1f %s"):format(bytes, unit)
    end
    bytes = bytes / 1024
  end
end

local function draw(is_last)
  local now = iocp.clock()
  if not is_terminal or not is_last and now - drawn < 100 then
    return
  end
  drawn = now
  local part = plan.bytes > 0 and math.min(1, copied / plan.bytes) or 1
  local filled = math.floor(part * 20)
  io.stderr:write(("\r[%s%s] %3d %%, %s of %s, %s/s, %d of %d files\27[K%s"):format(("#"):rep(filled),
    ("."):rep(20 - filled), math.floor(part * 100), amount(copied), amount(plan.bytes),
    amount(copied / math.max(now - begun, 1) * 1000), files_done, #plan.files, is_last and "\n" or ""))
end

-- path: nil if the message begins with it.
local function failed(path, message)
  failures = failures + 1
  io.stderr:write(is_terminal and "\r\27[K" or "", "cp: ", path and path .. ": " or "", message, "\n")
end

-- ---- what there is to do --------------------------------------------------------------------------------------------

--- "rwxr-xr-x" as a number.
local function mode_of(letters)
  local mode = 0
  for letter in letters:gmatch(".") do
    mode = mode * 2 + (letter == "-" and 0 or 1)
  end
  return mode
end

--- Adds what is at a path to the plan. All of it is listed before the first is copied, so that a copy within the folder
-- itself ends.
local function list(path, target)
  local mode, message = lfs.symlinkattributes(path, "mode")
  if not mode then
    failed(path, message)
  elseif mode == "file" then
    plan.files[#plan.files + 1] = { from = path, to = target }
    plan.bytes = plan.bytes + (lfs.attributes(path, "size") or 0)
  elseif mode == "link" then
    plan.links[#plan.links + 1] = { from = path, to = target }
  elseif mode == "directory" then
    plan.folders[#plan.folders + 1] = { to = target, mode = mode_of(lfs.attributes(path, "permissions")) }
    local is_readable, problem = pcall(function()
      for name in lfs.dir(path) do
        if name ~= "." and name ~= ".." then
          list(path .. "/" .. name, target .. "/" .. name)
        end
      end
    end)
    if not is_readable then
      failed(path, problem)
    end
  else
    failed(path, "neither a file nor a folder nor a link")
  end
end

local function make_folders_and_links()
  for i, folder in ipairs(plan.folders) do
    local is_there, message = lfs.attributes(folder.to, "mode") == "directory", nil
    if not is_there then
      is_there, message = lfs.mkdir(folder.to)
    end
    if not is_there then
      failed(folder.to, message)
    end
    if not is_there and i == 1 then -- then there is no place for anything
      plan.folders, plan.links, plan.files = {}, {}, {}
      return
    end
  end
  for _, link in ipairs(plan.links) do
    local made, message = lfs.link(lfs.symlinkattributes(link.from, "target"), link.to, true)
    if not made then
      failed(link.to, message)
    end
  end
end

--- Runs chmod, as often as the mode changes along the list.
local function set_modes(entries)
  local first = 1
  while HAS_CHMOD and first <= #entries do
    local mode, command = entries[first].mode, { "chmod", ("%o"):format(entries[first].mode), "--" }
    while entries[first] and entries[first].mode == mode and #command < 500 do
      command[#command + 1] = entries[first].path
      first = first + 1
    end
    local process, message = iocp.Process(command)
    local ended, code = true, nil
    if process then
      ended, code = process:wait()
    end
    if not process or not ended or code ~= 0 then
      failed(command[4], message or "its permissions are not those of the original: chmod says why")
    end
  end
end

-- ---- copying --------------------------------------------------------------------------------------------------------

local next_file, current = 1, nil -- current: whose parts are read next
local parts = {} -- by block: { copy =, offset =, writes = }; what is in flight

--- A file that is copied: `size` is where its parts end, `in_flight` how many are under way. nil: it cannot be.
local function open(entry)
  local source, message = iocp.File(entry.from)
  if not source then
    return failed(nil, message)
  end
  local there, target = iocp.File(entry.to), nil
  if there and there:info().id == source:info().id then
    message = entry.to .. ": is the same file"
  else
    target, message = iocp.File(entry.to, "w")
  end
  if there then
    there:close()
  end
  if not target then
    source:close()
    return failed(nil, message)
  end
  assert(source:associate(port))
  assert(target:associate(port))
  return { from = entry.from, to = entry.to, source = source, target = target, size = source:size() or 0, offset = 0,
    in_flight = 0 }
end

local function close(copy)
  local mode = copy.source:info().permissions
  if not copy.failed and mode ~= copy.target:info().permissions then
    modes[#modes + 1] = { path = copy.to, mode = mode }
  end
  copy.source:close()
  copy.target:close()
  if copy.failed then
    os.remove(copy.to) -- rather no copy than a part of one
  end
  files_done = files_done + 1
end

local function fail(copy, path, message)
  if not copy.failed then
    failed(path, message)
  end
  copy.failed, copy.size = true, 0 -- no further part
end

local begin_part

--- The block has done its part, and takes the next: of this file, if that is longer than it was, or of whichever is in
-- turn.
local function end_part(block)
  local copy = parts[block].copy
  parts[block] = nil
  copy.in_flight = copy.in_flight - 1
  if copy.in_flight == 0 and copy.offset >= copy.size then
    if not copy.ended and not copy.failed then
      return begin_part(copy, block)
    end
    close(copy)
  end
  if not current or current.offset >= current.size then
    current = nil
    while not current and plan.files[next_file] do
      current, next_file = open(plan.files[next_file]), next_file + 1
    end
  end
  if current then
    begin_part(current, block)
  end
end

function begin_part(copy, block)
  parts[block] = { copy = copy, offset = copy.offset }
  copy.in_flight = copy.in_flight + 1
  local read, message = copy.source:read(block, PART, copy.offset)
  copy.offset = copy.offset + PART
  if not read then
    fail(copy, copy.from, message)
    end_part(block)
  end
end

--- A read has brought so many bytes: fewer than asked for where the file ends.
local function write(block, bytes)
  local part = parts[block]
  local copy = part.copy
  if bytes < PART then
    copy.ended, copy.size = true, 0
  end
  if bytes > 0 and not copy.failed then
    part.writes = true
    local is_begun, message = copy.target:write(block, bytes, part.offset)
    if is_begun then
      return
    end
    fail(copy, copy.to, message)
  end
  end_part(block)
end

local function copy_files()
  for _ = 1, in_flight do
    local block = assert(heap:alloc(PART))
    parts[block] = { copy = { in_flight = 1, offset = 0, size = 1 } } -- none: it takes the first
    end_part(block)
  end
  while next(parts) do
    local key, bytes, block, _, _, of = port:dequeue()
    if not key then -- nil, message, code, key, bytes, overlapped
      local part = parts[of]
      fail(part.copy, part.writes and part.copy.to or part.copy.from, bytes)
      end_part(of)
    elseif parts[block].writes then
      copied = copied + bytes
      end_part(block)
    else
      write(block, bytes)
    end
    draw()
  end
end

if lfs.attributes(to, "mode") == "directory" then
  to = to .. "/" .. from:match("([^/\\]*)[/\\]*$")
end
list(from, to)
make_folders_and_links()
copy_files()
table.sort(modes, function(a, b)
  return a.mode < b.mode
end)
set_modes(modes)
modes = {}
for i = #plan.folders, 1, -1 do -- what is in a folder before the folder
  local folder = plan.folders[i]
  local now = lfs.attributes(folder.to, "permissions")
  if now and mode_of(now) ~= folder.mode then
    modes[#modes + 1] = { path = folder.to, mode = folder.mode }
  end
end
set_modes(modes)
draw(true)
if failures > 0 then
  os.exit(1)
end
