--- The compiled metamethods of frozen values: a read is a look into the block, which src/lua/frozen.h describes.
-- What is read for the first time, and what is no number, string, boolean or table, is left to the classic ones.
--
-- A state that has no more of a block has no memory for it, and what a finalizer reads then is the classic ones' too.
-- @module iocp.jit.frozen
local private, ffi = require "iocp.private", require "ffi"
local cast, string_of = ffi.cast, ffi.string
local type, tonumber, floor = type, tonumber, math.floor
local band = require("bit").band

local FALSE, TRUE, FLOAT, STRING, TABLE = 1, 2, 4, 5, 6 -- tags
local STRINGS, PARTS, BYTES, IDS = 2, 3, 6, 7 -- in a memory: src/lua/frozen.h
local MOST_BYTES, STRING_BYTES = 1024 * 1024, 64

-- Counts and numbers are below 2^31, and signed here: an integer of the compiler's own.
local bits = "union { double number; int32_t index; }"
local structs = { string = "struct { uint64_t at; int32_t length, hash; }" }
structs.entry = ("struct { %s key, value; uint8_t key_tag, value_tag; uint16_t unused; int32_t next; }"):format(bits)
structs.table = "struct { int32_t elements, entries, mask, length, metatable, unused; }"
structs.view = ("struct { const char *bytes; const %s *strings; }"):format(structs.string)
structs.part = ([[struct { const struct { void *object; } *holder; uint64_t mark; const %s *view; const %s *table;
  int32_t number, memory; }]]):format(structs.view, structs.table)

local parts = private.open_frozen()
for name, expected in pairs(parts.layout) do
  local struct, field = name:match("^(%l+)%.?([%l_]*)$")
  local found = field == "" and ffi.sizeof(structs[struct]) or ffi.offsetof(ffi.typeof(structs[struct]), field)
  if found ~= expected then
    error(("iocp.jit: %s is %s here, and %d in the library"):format(name, tostring(found), expected))
  end
end

local metatable, memories, pair_at, classic_index = parts.metatable, parts.memories, parts.pair_at, parts.index
local classic_length, classic_pairs = metatable.__len, metatable.__pairs
local part_pointer, values_pointer = ffi.typeof(structs.part .. " *"), ffi.typeof("const " .. bits .. " *")
local bytes_pointer, heads_pointer = ffi.typeof("const uint8_t *"), ffi.typeof("const int32_t *")
local entry_pointer = ffi.typeof("const " .. structs.entry .. " *")
local find_string = cast("int64_t (*)(const void *, const char *, size_t)", parts.find_string)
local find_field = ffi.cast(
  ffi.typeof("const $ *(*)(const void *, const void *, uint32_t)", ffi.typeof(structs.entry)), parts.find_field)
local HEADER = ffi.sizeof(structs.table)

-- The compiler takes a loop while it first runs, when it reads everything for the first time: a trace would begin with
-- what happens once. So the first times cannot be in one, and it is taken later; but who goes on to read what is new
-- is to have traces, too.
local FIRST_TIMES = 4096
local times = 0
local read_first
local function read_uncompiled(self, key)
  times = times + 1
  if times == FIRST_TIMES then
    read_first = classic_index
  end
  local value = classic_index(self, key)
  return value
end
require("jit").off(read_uncompiled)
read_first = read_uncompiled

--- The struct in a part; nil where the state ends. A metamethod is called with parts only: getmetatable does not give
-- them away.
local function part_of(self)
  if type(self) == "userdata" then
    local part = cast(part_pointer, self)
    if part.holder.object ~= nil then
      return part
    end
  end
  return nil
end

--- What is remembered of the string with that number.
local function make_string(memory, view, number)
  local string = view.strings[number]
  local length = string.length
  local made = string_of(view.bytes + string.at, length)
  local bytes_taken = memory[BYTES] + length + STRING_BYTES
  if bytes_taken > MOST_BYTES then
    memory[STRINGS], bytes_taken = {}, 0
  end
  memory[BYTES] = bytes_taken
  memory[STRINGS][number + 1] = made
  return made
end

--- The value; nil: the classic methods have it.
local function value_of(memory, part, tag, value)
  if tag == FLOAT then
    return value.number
  elseif tag == STRING then
    local number = value.index
    return memory[STRINGS][number + 1] or make_string(memory, part.view, number)
  elseif tag == TABLE then
    return memory[PARTS][value.index + 1]
  elseif tag == TRUE then
    return true
  elseif tag == FALSE then
    return false
  end
  return nil
end

--- The string's number in the block, which is remembered; nil: it is not there.
local function id_of(memory, part, key)
  local id = memory[IDS][key]
  if not id then
    id = tonumber(find_string(part.holder.object, key, #key))
    if id < 0 then
      return nil
    end
    memory[IDS][key] = id
  end
  return id
end

local function entries_of(part)
  local elements = part.table.elements
  return cast(entry_pointer, cast(bytes_pointer, part.table) + (HEADER + 8 * elements + band(elements + 7, -8)))
end

--- The value with that string's number as its key; nil: there is none. Most entries are the first or
-- second one with their hash.
local function find(self, memory, part, key, id)
  local entries, count = entries_of(part), part.table.entries
  local first = count > 0
    and cast(heads_pointer, entries + count)[band(part.view.strings[id].hash, part.table.mask)] - 1 or -1
  if first < 0 then
    return nil
  end
  local entry = entries + first
  if entry.key.index ~= id or entry.key_tag ~= STRING then
    if entry.next == 0 then
      return nil
    end
    entry = entries + (entry.next - 1)
    if entry.key.index ~= id or entry.key_tag ~= STRING then
      entry = find_field(part.view, part.table, id)
      if entry == nil then
        return nil
      end
    end
  end
  local value = value_of(memory, part, entry.value_tag, entry.value)
  if value == nil then
    value = read_first(self, key)
  end
  return value
end

local function field(self, memory, part, key)
  local id = id_of(memory, part, key)
  if id then
    return find(self, memory, part, key, id)
  end
  return nil
end

local function element(memory, part, i)
  local at = cast(bytes_pointer, part.table) + HEADER
  return value_of(memory, part, at[8 * part.table.elements + i], cast(values_pointer, at)[i])
end

function metatable.__index(self, key)
  local part = part_of(self)
  local memory = part and memories[part.memory]
  if memory then
    if type(key) == "string" then
      return field(self, memory, part, key)
    elseif type(key) == "number" and key >= 1 and key <= part.table.elements and floor(key) == key then
      local value = element(memory, part, key - 1)
      if value ~= nil then
        return value
      end
    end
  end
  local value = read_first(self, key)
  return value
end

function metatable.__len(self)
  local part = part_of(self)
  if part then
    return part.table.length
  end
  return classic_length(self)
end

local function pair(self, memory, part, place)
  local elements = part.table.elements
  local key, value
  if place < elements then
    key, value = place + 1, element(memory, part, place)
  else
    local entry = entries_of(part) + (place - elements)
    key = value_of(memory, part, entry.key_tag, entry.key)
    value = value_of(memory, part, entry.value_tag, entry.value)
  end
  if key == nil or value == nil then
    key, value = pair_at(self, place)
  end
  return key, value
end

function metatable.__pairs(self)
  local part = part_of(self)
  local memory = part and memories[part.memory]
  if not memory then
    return classic_pairs(self)
  end
  local place, count = -1, part.table.elements + part.table.entries
  return function()
    place = place + 1
    if place < count and part.holder.object ~= nil then -- a finalizer may go on when the state ends
      return pair(self, memory, part, place)
    end
    return nil
  end, self
end

local function next_element(self, i)
  local value = self[i + 1]
  if value ~= nil then
    return i + 1, value
  end
  return nil
end

function metatable.__ipairs(self)
  return next_element, self, 0
end

return metatable
