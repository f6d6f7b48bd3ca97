--- Tables of names, numbers, booleans and texts, and of such tables, as JSON (RFC 8259): what pools say of themselves.
-- No arrays, which do not come here; keys in order, so that the same gives the same text.

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t" }

-- Bytes that are no UTF-8 stay as they are: the name of a pool is its maker's.
local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then
    return "null" -- which JSON has no numbers for
  elseif value % 1 == 0 and math.abs(value) < 2 ^ 53 then
    return ("%.0f"):format(value)
  end
  return (("%.14g"):format(value):gsub(",", ".")) -- whatever the locale has for a point
end

local function encode(value)
  local kind = type(value)
  if kind == "number" then
    return number(value)
  elseif kind ~= "table" then
    return kind == "boolean" and tostring(value) or quote(tostring(value))
  end
  local names, members = {}, {}
  for name in pairs(value) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    members[i] = quote(name) .. ":" .. encode(value[name])
  end
  return "{" .. table.concat(members, ",") .. "}"
end

return encode
