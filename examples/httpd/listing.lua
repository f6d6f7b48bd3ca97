--- The page of a folder.
-- @module httpd.listing
local lfs = require "lfs"
local paths = require "httpd.paths"
local listing = {}

listing.MOST = 10000 -- names on a page

local STYLE = "body{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
  .. "table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;text-align:left}"
  .. "tr:nth-child(even){background:#f4f4f4}.n{text-align:right;white-space:nowrap}"
  .. "a{overflow-wrap:anywhere;white-space:pre-wrap}"

local PAGE = [[<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%s</title><style>%s</style></head>
<body><h1>%s</h1>
<table><tr><th>Name</th><th class="n">Bytes</th><th class="n">Modified (UTC)</th></tr>
%s</table>%s</body></html>
]]
local ROW = '<tr><td><a href="./%s">%s</a></td><td class="n">%s</td><td class="n">%s</td></tr>\n'

--- What is shown of a folder: a list of names with what they are, folders first; and whether there is more.
local function read(path)
  local list = {}
  for name in lfs.dir(path) do
    local about = paths.is_served(name) and paths.about(path .. "/" .. name)
    if about and (about.mode == "file" or about.mode == "directory") then
      list[#list + 1] = { name = name, size = about.size, modified = about.modification,
        is_folder = about.mode == "directory" }
    end
    if #list == listing.MOST then
      return list, true
    end
  end
  return list, false
end

local function comes_first(a, b)
  if a.is_folder ~= b.is_folder then
    return a.is_folder
  end
  return a.name < b.name
end

--- The page. path: the folder's; names: those from the root to it.
function listing.page(path, names)
  local list, is_cut = read(path)
  table.sort(list, comes_first)
  local rows = {}
  if #names > 0 then
    rows[1] = '<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n'
  end
  for _, entry in ipairs(list) do
    local slash = entry.is_folder and "/" or ""
    rows[#rows + 1] = ROW:format(paths.encode(entry.name) .. slash, paths.escape(entry.name) .. slash,
      entry.is_folder and "" or ("%d"):format(entry.size), os.date("!%Y-%m-%d %H:%M", entry.modified))
  end
  local title = paths.escape("/" .. table.concat(names, "/") .. (#names > 0 and "/" or ""))
  return PAGE:format(title, STYLE, title, table.concat(rows), is_cut and "<p>There is more.</p>" or "")
end

return listing
