--- The field Range: which parts of a file are asked for. RFC 9110, 14.
-- @module httpd.ranges
local ranges = {}

ranges.MOST = 16 -- in one request; more are not looked at, and the whole file is sent

--- One part: first and last byte, from 0 on; false: there is nothing of it; nil: it is none.
local function read_one(text, size)
  local first, last = text:match("^(%d*)%-(%d*)$")
  if not first or #first > 15 or #last > 15 or first == "" and last == "" then
    return nil
  end
  first, last = tonumber(first), tonumber(last)
  if not first then -- the last bytes
    if last == 0 or size == 0 then
      return false
    end
    return math.max(0, size - last), size - 1
  elseif last and last < first then
    return nil
  elseif first >= size then
    return false
  end
  return first, math.min(last or size - 1, size - 1)
end

--- Reads the field.
-- @return a list of { first, last }; false: nothing of what is asked for is there, 416; nil: it says nothing that is
-- understood, or asks for more than all there is, and the whole file is the answer
function ranges.read(value, size)
  local list = value:lower():match("^bytes=(.*)$")
  local found, sum, count = {}, 0, 0
  for part in ((list or "") .. ","):gmatch("[ \t]*([^,]-)[ \t]*,") do
    if part ~= "" then
      local first, last = read_one(part, size)
      count = count + 1
      if first == nil or count > ranges.MOST then
        return nil
      elseif first then
        found[#found + 1], sum = { first, last }, sum + last - first + 1
      end
    end
  end
  if count == 0 or #found > 1 and sum > size then
    return nil
  end
  return #found > 0 and found
end

return ranges
