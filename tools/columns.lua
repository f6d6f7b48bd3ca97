--- Whether a line of the sources has more than 120 columns, comments too. A tab has 4, a character one.
-- lua5.4 tools/columns.lua KNOWN: fails for a file with more such lines than the file KNOWN grants it.
-- --list in place of KNOWN prints what it would have to grant.
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
    local count, path = line:match("^(%d+) (.*)$")
    granted[path] = tonumber(count)
  end
end

local good = true
for path in io.popen("git ls-files -co --exclude-standard -- " .. FOLDERS .. " | sort"):lines() do
  local file, long, number = not PRINTED[path] and io.open(path), {}, 0
  for line in (file and file:lines() or function() end) do
    number = number + 1
    if columns(line) > WIDTH then
      long[#long + 1] = ("%s:%d: %d columns"):format(path, number, columns(line))
    end
  end
  if arg[1] == "--list" and #long > 0 then
    print(#long .. " " .. path)
  elseif arg[1] ~= "--list" and #long > (granted[path] or 0) then
    print(table.concat(long, "\n"))
    good = false
  end
end
os.exit(good)
