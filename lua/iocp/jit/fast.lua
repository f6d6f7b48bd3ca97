--- What the compiled methods share.
--
-- Where the C functions write to: a state runs in one thread, but reading a result may make garbage where the code is
-- interpreted, so that a finalizer runs, which may call any method: from a call that writes to the last that reads,
-- `left.busy` is set, and whoever finds it set leaves the work to the classic method. What is taken lies in a userdata
-- of src/lua/taken.c, where the functions behind the classic get find it; they reset `busy`.
-- @module iocp.jit.fast
local C, private, ffi = require "iocp.jit.library", require "iocp.private", require "ffi"
local cast, istype, new, string_of = ffi.cast, ffi.istype, ffi.new, ffi.string
local getmetatable, type, floor = getmetatable, type, math.floor

local BATCH = 1024 -- packets that are taken or posted at once; what is more is left to the classic method

-- The structs of src/lua/binding.h and iocp.h. Keys and overlappeds are signed here: see is_plain.
local packet = "struct { int64_t key, overlapped; uint32_t bytes; int32_t code; }"
local structs = {
  box = "struct { void *object; uint64_t mark, owns; }",
  left = "struct { void *newest; uint32_t busy; }",
  packet = packet,
  taken = "struct { void *port, *newer, *older, *left; size_t max, next, count; " .. packet .. " packets[1]; }",
}

local box = ffi.typeof(structs.box .. " *")
local parts = private.open_fast(BATCH)

-- How large a struct is, and where its fields lie, as the compiler of C has it.
local types = {}
for name, expected in pairs(parts.layout) do
  local struct, field = name:match("^(%l+)%.?(%l*)$")
  types[struct] = types[struct] or ffi.typeof(structs[struct])
  local found = field == "" and ffi.sizeof(types[struct]) or ffi.offsetof(types[struct], field)
  if found ~= expected then
    error(("iocp.jit: %s is %s here, and %d in the library"):format(name, tostring(found), expected))
  end
end

local fast = {
  C = C,
  BATCH = BATCH,
  EXACT = 2 ^ 53, -- below it a number stands for one integer only
  INTERRUPTED = -8,
  INVALID = -6,
  left = cast(structs.left .. " *", parts.left),
  taken = cast(structs.taken .. " *", parts.taken),
  packets_type = ffi.typeof(structs.packet .. "[?]"),
  parts = parts,
  texts = {}, -- nil, message, code for the codes of iocp.h; made here, so that a loop that polls stays compiled
  names = {},
}

local text = new("char[256]")
for code = -1, fast.INTERRUPTED, -1 do
  C.iocp_jit_error_text(code, text, 256)
  fast.texts[code], fast.names[code] = string_of(text), string_of(C.iocp_jit_error_name(code))
end

function fast.is_integer(value, limit)
  return type(value) == "number" and value >= 0 and value < limit and floor(value) == value
end

local void_pointer, address_type = ffi.typeof("void *"), ffi.typeof("uintptr_t")

--- A number that is an address, or 0: which the classic method looks at.
function fast.address_of(value)
  if fast.is_integer(value, fast.EXACT) then
    return value
  elseif istype(void_pointer, value) then
    local address = tonumber(cast(address_type, value))
    if address < fast.EXACT then
      return address
    end
  end
  return 0
end

--- The object in a userdata of the class; nil for anything else, and for one that was collected by hand.
function fast.object_of(self, class)
  if type(self) == "userdata" and getmetatable(self) == class then
    local object = cast(box, self).object
    if object ~= nil then
      return object
    end
  end
  return nil
end

--- The metatable of a class, and the methods that it had.
function fast.class(name)
  return private.class(name), private.classic[name]
end

return fast
