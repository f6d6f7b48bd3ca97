--- What the loops over a pool go through: a list without holes, or an iterator, which gives an item with each call,
-- until that is nil.
local inputs = {}

inputs.WHAT = "a table with items from 1 on, or an iterator"
inputs.NO_HOLES = "a table with items from 1 on and no holes"

local LOOKED_THROUGH = 1024 -- items of a list whose every key is looked at: of a longer one it would take too long

local NEED_A_TABLE = { [next] = "pairs", [(pairs {})] = "pairs", [(ipairs {})] = "ipairs" } -- by what they give

local function is_iterator(input)
  local metatable = type(input) == "table" and getmetatable(input)
  return type(input) == "function" and not NEED_A_TABLE[input]
    or type(metatable) == "table" and metatable.__call ~= nil
end

--- Where a list has a hole, or nil. In a long list only what may lie behind the end is looked for here, where that
-- costs nothing: a hole before it is found when the items are copied (slices.lua).
function inputs.hole_of(list)
  local n = #list
  if getmetatable(list) or n > LOOKED_THROUGH and next(list, n) == nil then
    return nil
  end
  local count, last = 0, n
  for key in next, list do
    if type(key) == "number" and key >= 1 and key % 1 == 0 then
      count, last = count + 1, math.max(last, key)
    end
  end
  local i = count < last and 1 or last + 1
  while i <= last and list[i] ~= nil do
    i = i + 1
  end
  return i <= last and i or nil
end

--- Whether it is one of both. A table that has nothing but names would count as an empty list.
function inputs.is_input(input)
  return is_iterator(input)
    or type(input) == "table" and (#input > 0 or next(input) == nil or inputs.hole_of(input) ~= nil)
end

--- What an error says about a table without a first item, and what is to be called with a table.
function inputs.about_other(input)
  if input ~= nil and NEED_A_TABLE[input] then
    return ("; it is the first of what %s(list) gives: pass the list"):format(NEED_A_TABLE[input])
  end
  return type(input) == "table" and "; it has no item 1" or nil
end

--- What an error says about a hole.
function inputs.about_hole(hole)
  return hole and ("; item %.0f is nil, and others come behind it"):format(hole)
end

--- All that an iterator gives, as a list; of a list, itself.
function inputs.to_list(input)
  if not is_iterator(input) then
    return input
  end
  local list, n, item = {}, 0, input()
  while item ~= nil do
    n = n + 1
    list[n] = item
    item = input()
  end
  return list
end

--- A function that gives the items one by one, then nil. Of a list with a hole it raises, once it comes there.
function inputs.to_iterator(input)
  if is_iterator(input) then
    return input
  end
  local i, n = 0, #input
  return function()
    i = i + 1
    local item = input[i]
    if item == nil and i <= n then
      error(("the list has a hole: item %.0f is nil"):format(i), 0)
    end
    return item
  end
end

return inputs
