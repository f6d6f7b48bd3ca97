--- What LuaJIT's pointers and 64-bit integers are to iocp.core, whose C functions cannot look into a cdata.
-- Wherever an address, key or handle is expected, a pointer means its address and a 64-bit integer its value. Structs and
-- arrays are refused: their memory belongs to the garbage collector, which would free it under the address.
-- @module iocp.cdata

--- Makes the conversion known to the core.
-- @tparam table core the module iocp.core
-- @tparam table ffi LuaJIT's ffi
return function(core, ffi)
  local uintptr = ffi.typeof("uintptr_t")
  local limit = ffi.new(uintptr, 2 ^ 53) -- beyond it a number would be rounded
  local convertible = {} -- by the type's number: looking at its name costs a microsecond

  local function is_convertible(ctype)
    local name = tostring(ctype)
    return name == "ctype<int64_t>" or name == "ctype<uint64_t>"
      or name:find("(*)", 1, true) ~= nil -- to a function or an array
      or name:find("%*>$") ~= nil or name:find("%* const>$") ~= nil
  end

  core.set_cdata_converter(function(cdata)
    local ctype = ffi.typeof(cdata)
    local id = tonumber(ctype)
    if convertible[id] == nil then
      convertible[id] = is_convertible(ctype)
    end
    if convertible[id] then
      local value = ffi.cast(uintptr, cdata)
      if value < limit then
        return tonumber(value)
      end
    end
    return nil
  end)
end
