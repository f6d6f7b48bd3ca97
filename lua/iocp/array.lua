--- array:view() where there is no FFI: a table whose elements are the array's. On LuaJIT iocp.jit.array has a quicker
-- one.
-- @module iocp.array
local methods = package.loaded["iocp.methods"]

return function()
  local arrays = methods["iocp.Array"]
  local get, set = arrays.get, arrays.set

  --- What is read and written as a table is, from 1 to its length; it keeps the array.
  function arrays.view(self)
    local count = #self -- raises for anything else
    return setmetatable({}, {
      __index = function(_, i) return get(self, i) end,
      __newindex = function(_, i, value) set(self, i, value) end,
      __len = function() return count end,
    })
  end
end
