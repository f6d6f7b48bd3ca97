--- TINN's tabutils: inserting into a sorted list.
-- @module iocp.tinn.tabutils
local tabutils = {}

local function is_less(a, b)
  return a < b
end

--- Where a value belongs in a list that `less` sorts: behind its equals.
function tabutils.getIndex(list, value, less)
  less = less or is_less
  local first, behind = 1, #list + 1
  while first < behind do
    local middle = math.floor((first + behind) / 2)
    if less(value, list[middle]) then
      behind = middle
    else
      first = middle + 1
    end
  end
  return first
end

--- Inserts it there; returns where.
function tabutils.binsert(list, value, less)
  local index = tabutils.getIndex(list, value, less)
  table.insert(list, index, value)
  return index
end

return tabutils
