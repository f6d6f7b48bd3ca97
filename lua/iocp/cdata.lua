--- What LuaJIT's cdata are to iocp.core, whose C functions cannot look into one. Wherever an address, key or handle is
-- expected, a pointer means its address and a 64-bit integer its value. Structs and arrays are refused: their memory
-- belongs to the garbage collector, which would free it under the address.
--
-- As a value that crosses to another state, a cdata is the name of its type and its bytes: numbers, structs, unions and
-- arrays of a fixed size whose type has a name, const and volatile or not. A pointer is refused; one inside a struct
-- cannot be told, and crosses as the address that it is.
--
-- src/lua/value/cdata.c requires this when it first meets a cdata.
-- @module iocp.cdata
local ffi = require "ffi"
local _, private = require "iocp.core", require "iocp.private" -- which the former brings

local function unqualified(name)
  return (name:gsub("^const ", ""):gsub("^volatile ", ""))
end

--- What ffi.typeof takes; but a pointer, a reference, a function, an array of variable size and a type without a tag
-- have names too.
local function name_of(ctype)
  return (tostring(ctype):gsub("^ctype<(.*)>$", "%1"))
end

--- The function that gives a pointer's address or a 64-bit integer's value as a number, or nil.
local function converter()
  local uintptr = ffi.typeof("uintptr_t")
  local limit = ffi.new(uintptr, 2 ^ 53) -- beyond it a number would be rounded
  local convertible = {} -- by the type's number: looking at its name costs a microsecond

  local function is_convertible(ctype)
    local name = unqualified(name_of(ctype))
    return name == "int64_t" or name == "uint64_t"
      or name:find("%(%*[%l ]*%)") ~= nil -- to a function or an array; it may be const itself
      or name:find("%*[%l ]*$") ~= nil -- to anything else
  end

  return function(cdata)
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
  end
end

--- Whether it is neither pointer, reference, function nor array of variable size.
local function is_plain(name)
  return not name:find("[*&(?]")
end

--- "struct", "union" or "enum" if it is one without a tag, which shows as a number that differs between states.
local function tagless(name)
  return name:match("(%l+) %d") -- nothing else has a number behind a space
end

--- Whether it is its own memory, or a number, which can only be copied from and to an array of one.
local function is_aggregate(name)
  return name:find("struct ") or name:find("union ") or name:find("[", 1, true)
end

--- An array of one such number, which can be read and written.
local function box(name)
  return unqualified(name) .. "[1]"
end

--- The name with what LuaJIT leaves out: the last size of an array of const or volatile structs, which it calls 0.
local function completed(name, size)
  local element = size > 0 and name:match("^(.*)%[0%]$")
  return element and ("%s[%d]"):format(element, size / ffi.sizeof(element .. "[1]")) or name
end

--- How a refused cdata's type is told.
local function type_of(cdata)
  if private.views and private.views[cdata] then
    return private.VIEW
  end
  local name = name_of(ffi.typeof(cdata))
  local kind = is_plain(name) and tagless(name)
  return kind and ("%s: %s without a tag, which other states cannot name; declare it as '%s name { ... }'"):format(
    name, kind, kind) or name
end

--- The bytes of a struct or array, which is `size` of them; nil for a type, which is no value.
local function content_of(cdata, name, size)
  local is_value
  if name:find("[", 1, true) then
    is_value = not tostring(cdata):find("^ctype<")
  else
    is_value = pcall(ffi.string, cdata, 0) -- what tostring says of a struct may be its metatable's
  end
  return is_value and ffi.string(ffi.cast("const char *", cdata), size) or nil
end

local function pack(cdata)
  local name, size = name_of(ffi.typeof(cdata)), ffi.sizeof(cdata)
  if not is_plain(name) or tagless(name) then
    return nil
  elseif is_aggregate(name) then
    name = completed(name, size)
    local is_fixed, known = pcall(ffi.sizeof, name) -- no struct that ends in an array of variable size
    if not is_fixed or known ~= size then
      return nil
    end
    local content = content_of(cdata, name, size)
    return content and name, content
  elseif tostring(cdata):find("^ctype<") then
    return nil
  end
  return name, ffi.string(ffi.new(box(name), cdata), size)
end

local function unpack(name, content)
  local known, size = pcall(ffi.sizeof, name)
  if not known then
    error(("the type '%s' is not declared in this state"):format(name), 0)
  elseif size ~= #content then
    error(("the type '%s' has %d bytes in this state, and %d where it comes from"):format(name, size, #content), 0)
  end
  local memory = ffi.new(is_aggregate(name) and name or box(name))
  ffi.copy(ffi.cast("void *", memory), content, size)
  return is_aggregate(name) and memory or ffi.new(name, memory[0])
end

return { number_of = converter(), type_of = type_of, pack = pack, unpack = unpack }
