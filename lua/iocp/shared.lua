--- What of the objects that threads share is Lua's: the compiled methods on LuaJIT, the methods of dictionaries that
-- call functions, and how fibers wait for them.
-- src/lua/shared.c calls this once a state, when its classes are made.
-- @module iocp.shared
local _, private = require "iocp.core", require "iocp.private" -- which the former brings

return function(parts)
  require "iocp.dict"(parts)
  require "iocp.array"()
  if rawget(_G, "jit") and pcall(require, "ffi") and require "iocp.jit.library" then
    require "iocp.jit.atomic"()
    require "iocp.jit.array"()
  end
  private.shared = parts
  if private.shared_opened then
    private.shared_opened()
  end
end
