--- Real OS threads for Lua scripts, working off one I/O completion port, with messages owned by a private heap. What
-- takes time to load is loaded when it is used: a thread whose body requires this costs little more than its state.
-- @module iocp
local core = require "iocp.core"
local private = require "iocp.private" -- what only the module's own files use; iocp.core brings it

-- A thread's state gets LuaJIT's fast methods when they pay: src/lua/late.c.
if rawget(_G, "jit") and not private.in_thread() and pcall(require, "ffi") then -- a LuaJIT can be built without
  require "iocp.jit"()
end

-- Classes that were not asked for yet are in C, the rest in iocp.later.
local find_class, later = getmetatable(core).__index, nil
setmetatable(core, {
  __index = function(_, name)
    local class = find_class(core, name)
    if class == nil then
      later = later or require "iocp.later"
      return later(core, private, name)
    end
    return class
  end,
})

return core
