--- The path of a target as names below a folder, and names as text of a page or an address.
-- @module httpd.paths
local paths = {}

paths.is_windows = package.config:sub(1, 1) == "\\"

-- What Windows opens as a device wherever it is, with any extension.
local DEVICES = { CON = true, PRN = true, AUX = true, NUL = true, ["CONIN$"] = true, ["CONOUT$"] = true,
  CLOCK = true, ["CLOCK$"] = true }
for _, digit in ipairs { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "\194\185", "\194\178", "\194\179" } do
  DEVICES["COM" .. digit], DEVICES["LPT" .. digit] = true, true
end

--- Whether a name is one that Windows takes for that file and no other thing: no drive, stream, device, or short name.
local function is_plain_on_windows(name)
  local base = name:match("^[^.]*"):gsub(" +$", ""):upper()
  return not name:find('[<>:"|?*~]') and not name:find("[. ]$") and not DEVICES[base]
end

--- Whether a name in a folder is served, and shown: none that begins with a dot, so neither "." nor "..", and none with
-- a separator, or a character that no page can show.
function paths.is_served(name, is_windows)
  if is_windows == nil then
    is_windows = paths.is_windows
  end
  return name ~= "" and name:sub(1, 1) ~= "." and not name:find("[/\\%z\1-\31\127]") and #name <= 255
    and (not is_windows or is_plain_on_windows(name))
end

--- What lfs tells of a path, of a link itself; its function for that works nowhere on Windows.
function paths.about(path)
  local lfs = require "lfs"
  return (paths.is_windows and lfs.attributes or lfs.symlinkattributes)(path)
end

--- The names that a path is made of, a list, and whether it ends with a slash; or nil, the status.
function paths.split(path, is_windows)
  local names = {}
  if path:gsub("%%%x%x", ""):find("%", 1, true) then
    return nil, 400
  end
  for part in path:gmatch("[^/]+") do
    local name = part:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    if name:find("%z") then
      return nil, 400
    elseif not paths.is_served(name, is_windows) then
      return nil, 404
    end
    names[#names + 1] = name
  end
  if path:find("//", 1, true) then
    return nil, 404
  end
  return names, path:sub(-1) == "/"
end

--- A name as part of an address.
function paths.encode(name)
  return (name:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- A text as part of a page.
function paths.escape(text)
  return (text:gsub("[&<>\"']", ENTITIES))
end

return paths
