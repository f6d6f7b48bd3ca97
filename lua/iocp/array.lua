--- array:view() where there is no FFI: a table whose elements are the array's. On LuaJIT iocp.jit.array has a quicker
-- one.
-- @module iocp.array
local _, private = require "iocp.core", require "iocp.private" -- which the former brings
local options = require "iocp.options"

private.VIEW = "a view of an iocp.Array; send the array, and call view() there"

--- src/lua/array.c calls this with the methods of arrays, once a state.
return function(arrays)
  local get, set = arrays.get, arrays.set

  --- An index that the view of `count` elements has, as the array's.
  local function at(first, count, i)
    if type(i) ~= "number" or not (i >= 1 and i <= count) then
      private.raise(("bad index %s (expected an integer from 1 to %d)"):format(tostring(i), count))
    end
    return first - 1 + i
  end

  --- What is read and written as a table is, from 1 to its length: elements `first` to `last`, or all. It keeps the
  -- array.
  local function view(self, first, last)
    first, last = first or 1, last or #self
    get(self, first) -- both raise for what is no index
    get(self, last)
    if first > last then
      options.wrong("last", "expected an index that is not less than the first one")
    end
    local count = last - first + 1
    local class = {
      __index = function(_, i) return get(self, at(first, count, i)) end,
      __newindex = function(_, i, value) set(self, at(first, count, i), value) end,
      __len = function() return count end,
    }
    private.stays(class, private.VIEW)
    return setmetatable({}, class)
  end
  private.put(arrays, "iocp.methods\0iocp.Array", "view", view)
end
