--- What TINN's scripts find in every state without asking for it: Windows' constants, and tinn.exe's functions.
-- @module iocp.tinn.globals
local ffi = require "ffi"
local iocp = require "iocp"

local constants = {
  INFINITE = 0xFFFFFFFF, WAIT_OBJECT_0 = 0, WAIT_ABANDONED = 128, WAIT_TIMEOUT = 258, WAIT_FAILED = 0xFFFFFFFF,
  ERROR_SUCCESS = 0, ERROR_NETNAME_DELETED = 64,
  AF_UNSPEC = 0, AF_INET = 2, AF_INET6 = 23, SOCK_STREAM = 1, SOCK_DGRAM = 2, IPPROTO_TCP = 6,
}

for name, value in pairs(constants) do
  rawset(_G, name, value)
end
rawset(_G, "INVALID_HANDLE_VALUE", ffi.cast("void *", ffi.cast("intptr_t", -1)))
if not pcall(function() return ffi.C.INFINITE end) then -- once a state
  ffi.cdef "static const uint32_t INFINITE = 0xFFFFFFFF;"
end

-- Application replaces the first two by its own.
local functions = {
  run = function(func, ...)
    return require("iocp.tinn.Application"):run(func, ...)
  end,
  sleep = function(milliseconds)
    return iocp.sleep(milliseconds == constants.INFINITE and math.huge or milliseconds)
  end,
  exit = os.exit,
}
for name, f in pairs(functions) do
  if rawget(_G, name) == nil then
    rawset(_G, name, f)
  end
end

return constants
