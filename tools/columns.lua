--- Whether a line of the sources has more than 120 columns, comments too. A tab has 4, a character one.
local WIDTH, TAB = 120, 4
local FOLDERS = ".ci Makefile windows.mk bench bin examples lua rockspec spec src tools types"
-- The articles' listings stand as they were printed.
local PRINTED = { ["examples/AMSG.lua"] = true, ["examples/workerthreads.lua"] = true }

local function columns(line)
  local n = 0
  for _, code in utf8.codes(line) do
    n = code == 9 and n + TAB - n % TAB or n + 1
  end
  return n
end

local good = true
for path in io.popen("git ls-files -co --exclude-standard -- " .. FOLDERS .. " | sort"):lines() do
  local file, number = not PRINTED[path] and io.open(path), 0
  for line in (file and file:lines() or function() end) do
    number = number + 1
    if columns(line) > WIDTH then
      print(("%s:%d: %d columns"):format(path, number, columns(line)))
      good = false
    end
  end
end
os.exit(good)
