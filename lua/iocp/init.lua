--- Real OS threads for Lua scripts, working off one I/O completion port, with messages owned by a private heap.
-- @module iocp
local core = require "iocp.core"

local has_ffi, ffi = pcall(require, "ffi")
if has_ffi and rawget(_G, "jit") then
  require "iocp.cdata"(core, ffi)
end

return core
