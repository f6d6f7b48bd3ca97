--- Whether a line of the sources has more than 120 columns, comments too. A tab has 4, a character one.
-- lua5.4 tools/columns.lua KNOWN: fails for a folder with more such lines than the file KNOWN grants it. --list in
-- place of KNOWN prints what it would have to grant.
local WIDTH, TAB = 120, 4
local FOLDERS = ".ci Makefile windows.mk bench examples lua rockspec spec src tools types ':!tools/*.txt'"
-- The articles' listings stand as they were printed.
local PRINTED = { ["examples/AMSG.lua"] = true, ["examples/workerthreads.lua"] = true }

local function columns(line)
  local n = 0
  for _, code in utf8.codes(line) do
    n = code == 9 and n + TAB - n % TAB or n + 1
  end
  return n
end

local granted = {}
if arg[1] ~= "--list" then
  for line in io.lines(arg[1]) do
    local count, folder = line:match("^(%d+) (.*)$")
    granted[folder] = tonumber(count)
  end
end

local folders, long = {}, {}
for path in io.popen("git ls-files -co --exclude-standard -- " .. FOLDERS .. " | sort"):lines() do
  local file, folder, number = not PRINTED[path] and io.open(path), path:match("^[^/]*"), 0
  if not long[folder] then
    folders[#folders + 1], long[folder] = folder, {}
  end
  for line in (file and file:lines() or function() end) do
    number = number + 1
    if columns(line) > WIDTH then
      table.insert(long[folder], ("%s:%d: %d columns"):format(path, number, columns(line)))
    end
  end
end

local good = true
for _, folder in ipairs(folders) do
  local count = #long[folder]
  if arg[1] == "--list" and count > 0 then
    print(count .. " " .. folder)
  elseif arg[1] ~= "--list" and count > (granted[folder] or 0) then
    print(("%d lines of %s have more than %d columns, granted are %d"):format(count, folder, WIDTH,
      granted[folder] or 0))
    print(granted[folder] and "lua5.4 tools/columns.lua /dev/null names them" or table.concat(long[folder], "\n"))
    good = false
  end
end
os.exit(good)
