--- What the chunks of a list are called with: their items; or where those are all numbers, a block and the heap that it
-- lies in.
local core, numbers -- those of this state: see the end

local slices = {}
slices.__index = slices

--- @tparam table list
local function new(list)
  return setmetatable({ list = list, heap = nil }, slices)
end

--- list[first .. first + n - 1], as one or two values; or nil and where the list has a hole.
function slices.cut(self, first, n)
  local list = self.list
  if not self.heap and type(list[first]) == "number" and not getmetatable(list) then
    self.heap = core.Heap()
  end
  local packed = self.heap and numbers.pack(list, first, n, self.heap)
  if packed then
    return packed, self.heap
  end
  local items = {}
  for i = 1, n do
    local item = list[first + i - 1]
    if item == nil then
      return nil, first + i - 1
    end
    items[i] = item
  end
  return items
end

--- For the first value that cut gave, when the chunk has ended.
function slices.free(self, packed)
  if type(packed) == "number" then
    self.heap:free(packed)
  end
end

--- When no chunk is open any more.
function slices.close(self)
  if self.heap then
    self.heap:destroy()
  end
end


return function(its_core, its_numbers)
  core, numbers = its_core, its_numbers
  return new
end
