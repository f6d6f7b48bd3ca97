--- What a path of a target is below the root: a file that can be sent, a folder, or nothing. Small files are remembered
-- for a moment, by each thread for itself.
--
-- Nothing but files and folders below the root: names are checked by paths.lua, and no symbolic link is followed. That
-- a name is none is looked at before the file is opened and again afterwards, when the file that was opened is to be
-- the one with this name: who may write into the root and exchanges names while we look gains nothing by it, unless
-- twice at the right moments. On Windows LuaFileSystem knows no links, so those that somebody put into the root are
-- followed there.
-- @module httpd.lookup
local iocp, lfs = require "iocp", require "lfs"
local dates, memory, paths, transfer = require "httpd.dates", require "httpd.memory", require "httpd.paths",
  require "httpd.transfer"
local lookup = {}

lookup.LIMITS = {
  small = 65536, -- bytes of a file that is remembered
  entries = 1000, -- that are remembered by a thread, and
  bytes = 8388608, -- of them
  age = 1000, -- ms
}

local TYPES = { html = "text/html", htm = "text/html", css = "text/css", js = "text/javascript",
  mjs = "text/javascript", json = "application/json", svg = "image/svg+xml", png = "image/png", jpg = "image/jpeg",
  jpeg = "image/jpeg", gif = "image/gif", webp = "image/webp", ico = "image/x-icon", txt = "text/plain",
  md = "text/plain", lua = "text/plain", c = "text/plain", h = "text/plain", xml = "application/xml",
  pdf = "application/pdf", wasm = "application/wasm", mp4 = "video/mp4", webm = "video/webm", mp3 = "audio/mpeg",
  gz = "application/gzip", zip = "application/zip", woff2 = "font/woff2" }

local function type_of(name)
  local kind = TYPES[(name:match("%.(%w+)$") or ""):lower()] or "application/octet-stream"
  return kind:find("^text/") and kind .. "; charset=utf-8" or kind
end

--- What the last of the names is, as lfs tells; nil: there is none, or one on the way is no folder.
local function about(root, names)
  local path, what = root, lfs.attributes(root)
  for _, name in ipairs(names) do
    if not what or what.mode ~= "directory" then
      return nil
    end
    path = path .. "/" .. name
    what = paths.about(path)
  end
  return what
end

--- Whether two numbers of 64 bits are the same, as far as this Lua's numbers tell.
local function is_equal(digits, number)
  return tonumber(digits, 16) % 2 ^ 64 == number % 2 ^ 64
end

--- Whether the file that was opened is the one with this name. Windows' lfs does not tell.
local function is_same(info, what)
  local volume, id = info.id:match("^(%x+):(%x+)$")
  return paths.is_windows
    or what and what.mode == "file" and is_equal(volume, what.dev) and is_equal(id, what.ino)
end

--- The file: open, and what is told of it; nil: there is none that may be sent.
local function open(root, names)
  local file = iocp.File(root .. "/" .. table.concat(names, "/"))
  local info = file and file:info()
  if not info or info.type ~= "file" or not is_same(info, about(root, names)) then
    if file then
      file:close()
    end
    return nil
  end
  local entry = { file = file, size = info.size, type = type_of(names[#names]), modified = dates.format(info.modified),
    etag = ('"%x-%x-%s"'):format(info.size, math.floor(info.modified * 1000), info.id:gsub(":", "-")) }
  entry.fields = ("ETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n")
    :format(entry.etag, entry.modified)
  entry.whole = ("Content-Type: %s\r\n%sContent-Length: %d\r\n"):format(entry.type, entry.fields, entry.size)
  return entry
end

local remembered = memory.new(lookup.LIMITS.entries, lookup.LIMITS.bytes)

local function remember(path, entry)
  local limits = lookup.LIMITS
  if entry.size > limits.small then
    return entry
  end
  entry.text = transfer.read(entry.file, 0, entry.size)
  entry.file:close()
  if not entry.text then -- it has become shorter meanwhile
    return nil, 404
  end
  entry.expires = iocp.clock() + limits.age
  memory.put(remembered, path, entry, entry.size + #path)
  return entry
end

--- What a folder is answered with: its index.html, or what lookup.find returns of one that has none.
local function find_index(root, path, names)
  names[#names + 1] = "index.html"
  local entry = open(root, names)
  if entry then
    return remember(path, entry)
  end
  names[#names] = nil
  return nil, nil, root .. "/" .. table.concat(names, "/"), names
end

local function address_of(names)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = paths.encode(name)
  end
  return "/" .. table.concat(parts, "/") .. "/"
end

--- Looks.
-- @return a file: size, type, etag, modified, fields (lines that tell it), whole (the same where all of it is sent),
-- and text, or an open file, which is the caller's to close; or nil, the status; or nil, 301, the address of the
-- folder; or nil, nil, the path of a folder and the names that lead to it
function lookup.find(root, path)
  local known = remembered.known[path]
  if known and iocp.clock() < known.expires then
    return known
  end
  local names, is_folder = paths.split(path)
  if not names then
    return nil, is_folder
  end
  local what = about(root, names)
  if what and what.mode == "directory" then
    if not is_folder then
      return nil, 301, address_of(names)
    end
    return find_index(root, path, names)
  elseif not what or what.mode ~= "file" or is_folder then
    return nil, 404
  end
  local entry = open(root, names)
  if not entry then
    return nil, 404
  end
  return remember(path, entry)
end

return lookup
