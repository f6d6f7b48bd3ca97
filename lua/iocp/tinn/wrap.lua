--- What TINN's three classes share.
-- @module iocp.tinn.wrap
local ffi = require "ffi"
require "iocp.tinn.WTypes"

--- An object of `class` over one of ours, which it keeps in `field`; or `false, err` if there is none. The native
-- handle is kept as a pointer, so that handing it out makes no garbage.
return function(class, field, object, message, code)
  if not object then
    return false, code or message
  end
  return setmetatable({ [field] = object, Handle = ffi.cast("HANDLE", tonumber(object:handle())) }, class)
end
