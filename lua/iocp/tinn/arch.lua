--- TINN's arch: pointers as texts.
-- @module iocp.tinn.arch
local ffi = require "ffi"
local TINNThread = require "iocp.tinn.TINNThread"

local arch = {}

--- Both may be called with a dot or a colon, as his modules do.
function arch.pointerToString(instance, of_colon)
  return TINNThread:CreatePointerString(instance == arch and of_colon or instance)
end

function arch.stringToPointer(text, of_colon)
  return TINNThread:StringToPointer(text == arch and of_colon or text)
end

--- The address of a struct's field.
function arch.fieldAddress(struct, name)
  return ffi.cast("uint8_t *", struct) + ffi.offsetof(ffi.typeof(struct), name)
end

return arch
