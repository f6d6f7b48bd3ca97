--- array:view() on LuaJIT: a struct whose elements compile to loads and stores, each behind a look at the bounds.
-- @module iocp.jit.array
local fast, private, ffi = require "iocp.jit.fast", require "iocp.private", require "ffi"
local C, EXACT, object_of, is_integer = fast.C, fast.EXACT, fast.object_of, fast.is_integer
local class, classic = fast.class "Array"

-- The array that a view is of: it lives as long.
local arrays = setmetatable({}, { __mode = "k" })
private.views = arrays

local function out_of_bounds(view, i)
  if type(i) == "number" then
    private.raise(("bad index %s (expected an integer from 1 to %d)"):format(tostring(i), view.count))
  end
  private.raise(("bad index (expected an integer from 1 to %d, got %s)"):format(view.count, type(i)))
end

local access = {
  __index = function(self, i)
    if type(i) == "number" and i >= 1 and i <= self.count then
      return self.elements[i - 1]
    end
    return out_of_bounds(self, i)
  end,
  __newindex = function(self, i, value)
    if type(i) == "number" and i >= 1 and i <= self.count then
      self.elements[i - 1] = value
    else
      out_of_bounds(self, i)
    end
  end,
  __len = function(self) return self.count end,
}

-- By the type's name; without a tag, so that it cannot cross, which the pointer in it would.
local views = {}
local function view_of(name)
  local element = name == "double" and "double" or name == "float" and "float" or name .. "_t"
  local view = ffi.metatype(("struct { %s *elements; int32_t count; }"):format(element), access)
  views[name] = view
  return view
end

local methods = {}

-- By the type's number, as iocp.h has them.
local names = { [0] = "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float", "double" }

local classic_view = classic.view
function methods.view(self, first, last)
  local array = object_of(self, class)
  local count = array and tonumber(C.iocp_jit_array_count(array)) or 0
  first, last = first or 1, last or count
  if not (is_integer(first, EXACT) and is_integer(last, EXACT) and first >= 1 and first <= last and last <= count) then
    return classic_view(self, first, last) -- raises
  end
  local name = names[C.iocp_jit_array_type(array)]
  local view = (views[name] or view_of(name))(C.iocp_jit_array_data(array), last - first + 1)
  view.elements = view.elements + (first - 1)
  arrays[view] = self
  return view
end

return function()
  return methods
end
