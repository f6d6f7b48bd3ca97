--- What of the objects that threads share is Lua's: the compiled methods on LuaJIT, and how fibers wait for them.
-- src/lua/shared.c calls this once a state, when its classes are made.
-- @module iocp.shared
local _, private = require "iocp.core", require "iocp.private" -- which the former brings

return function()
  if rawget(_G, "jit") and pcall(require, "ffi") and require "iocp.jit.library" then
    require "iocp.jit.atomic"()
  end
  private.has_shared = true
  if private.shared_opened then
    private.shared_opened()
  end
end
