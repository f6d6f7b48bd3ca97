--- What LuaJIT's cdata are to iocp.core, whose C functions cannot look into one.
-- Wherever an address, key or handle is expected, a pointer means its address and a 64-bit integer its value. Structs
-- and arrays are refused: their memory belongs to the garbage collector, which would free it under the address.
--
-- As a value that crosses to another state, a cdata is the name of its type and its bytes: numbers, structs, unions and
-- arrays of a fixed size whose type has a name. A pointer is refused; one inside a struct cannot be told, and crosses
-- as the address that it is.
-- @module iocp.cdata

--- The name of a cdata's type, as ffi.typeof takes it, or nil: a pointer, a reference, a function, an array of variable
-- size, or a type without a name, which shows as a number that differs between states.
local function type_name(ctype)
  local name = tostring(ctype):match("^ctype<(.*)>$")
  local is_plain = name and not name:find("[*&(?]")
  local has_name = name and not name:find("struct %d") and not name:find("union %d") and not name:find("enum %d")
  return is_plain and has_name and name or nil
end

--- Makes the conversions known to the core.
-- @tparam table private what only the module's own files use
-- @tparam table ffi LuaJIT's ffi
return function(private, ffi)
  local uintptr = ffi.typeof("uintptr_t")
  local limit = ffi.new(uintptr, 2 ^ 53) -- beyond it a number would be rounded
  local convertible = {} -- by the type's number: looking at its name costs a microsecond

  local function is_convertible(ctype)
    local name = tostring(ctype)
    return name == "ctype<int64_t>" or name == "ctype<uint64_t>"
      or name:find("(*)", 1, true) ~= nil -- to a function or an array
      or name:find("%*>$") ~= nil or name:find("%* const>$") ~= nil
  end

  private.set_cdata_converter(function(cdata)
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

  local function type_of(cdata)
    return (tostring(ffi.typeof(cdata)):gsub("^ctype<(.*)>$", "%1"))
  end

  -- Whether it is its own memory, or a number, which can only be copied from and to an array of one.
  local function is_aggregate(name)
    return name:find("struct ") or name:find("union ") or name:find("[", 1, true)
  end

  local function pack(cdata)
    local name = type_name(ffi.typeof(cdata))
    if not name then
      return nil
    elseif is_aggregate(name) then
      -- A struct that ends in an array of variable size has no size of its own, and a const one cannot be filled.
      local is_fixed, size = pcall(ffi.sizeof, name)
      if not is_fixed or size ~= ffi.sizeof(cdata) or name:find("^const ") and name:find("[", 1, true) then
        return nil
      end
      local is_value, content = pcall(ffi.string, cdata, ffi.sizeof(cdata)) -- a type itself is no memory
      return is_value and name or nil, content
    elseif tostring(cdata):find("^ctype<") then
      return nil
    end
    local memory = ffi.new(name .. "[1]", cdata)
    return name, ffi.string(memory, ffi.sizeof(cdata))
  end

  local function unpack(name, content)
    local known, size = pcall(ffi.sizeof, name)
    if not known then
      error(("the type '%s' is not declared in this state"):format(name), 0)
    elseif size ~= #content then
      error(("the type '%s' has %d bytes in this state, and %d where it comes from"):format(name, size, #content), 0)
    end
    local memory = ffi.new(is_aggregate(name) and name or name .. "[1]")
    ffi.copy(memory, content, size)
    return is_aggregate(name) and memory or ffi.new(name, memory[0])
  end

  private.set_cdata_codec(type_of, pack, unpack)
end
