--- Real OS threads for Lua scripts, working off one I/O completion port, with messages owned by a private heap.
-- @module iocp
local core = require "iocp.core"

if rawget(_G, "jit") then
  local has_ffi, ffi = pcall(require, "ffi") -- a LuaJIT can be built without
  if has_ffi then
    require "iocp.cdata"(core, ffi)
    require "iocp.jit"(core, ffi)
  end
end

if core.open_pool then -- else the module is loaded again
  local parts = core.open_pool() -- what only the pool's own files use
  core.open_pool = nil
  require "iocp.pool"(core, parts)
end

return core
