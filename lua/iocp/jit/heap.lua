--- The compiled methods of heaps: see iocp.jit.
-- @module iocp.jit.heap
local fast, ffi = require "iocp.jit.fast", require "ffi"
local new, string_of = ffi.new, ffi.string
local tonumber, type = tonumber, type
local C, EXACT, INTERRUPTED, INVALID = fast.C, fast.EXACT, fast.INTERRUPTED, fast.INVALID
local c_alloc, c_free, c_size = C.iocp_jit_alloc, C.iocp_jit_free, C.iocp_jit_size
local c_read, c_write = C.iocp_jit_read, C.iocp_jit_write
local is_integer, object_of, texts, names, left = fast.is_integer, fast.object_of, fast.texts, fast.names, fast.left
local address_of = fast.address_of
local address_out, size_out = new("uintptr_t[1]"), new("size_t[1]")
local class, classic = fast.class "Heap"

local BUFFER = 65536 -- bytes that are read over a buffer of our own
local buffer -- so many, made when first needed
local BUSY = "an operation uses this block: its packet comes first" -- as src/lua/heap.c says it

local methods = {}

local classic_alloc = classic.alloc
function methods.alloc(self, size, zero)
  local heap = object_of(self, class)
  if heap and left.busy == 0 and is_integer(size, EXACT) and (zero == nil or type(zero) == "boolean") then
    left.busy = 1
    local code = c_alloc(heap, size, zero and 1 or 0, address_out)
    local address = tonumber(address_out[0])
    left.busy = 0
    if code == 0 then
      return address
    elseif code < 0 and code ~= INTERRUPTED and code ~= INVALID then -- which the classic method explains
      return nil, texts[code], names[code]
    end
  end
  return classic_alloc(self, size, zero)
end

local classic_free, classic_size = classic.free, classic.size
function methods.free(self, address)
  local heap, number = object_of(self, class), address_of(address)
  if heap and number ~= 0 then
    local code = c_free(heap, number)
    if code == 0 then
      return true
    elseif code == INVALID then -- not freed once more: by now the block may be somebody's
      local _, message = classic_size(self, address)
      return nil, message or BUSY, names[code]
    elseif code < 0 and code ~= INTERRUPTED then
      return nil, texts[code], names[code]
    end
  end
  return classic_free(self, address)
end

--- nil: no live block.
local function size_of(heap, number)
  left.busy = 1
  local code = c_size(heap, number, size_out)
  local size = tonumber(size_out[0])
  left.busy = 0
  return code == 0 and size or nil
end

function methods.size(self, address)
  local heap, number = object_of(self, class), address_of(address)
  if heap and number ~= 0 and left.busy == 0 then
    local size = size_of(heap, number)
    if size then
      return size
    end
  end
  return classic_size(self, address)
end

--- `length` bytes from `offset` on; nil if that passes the end, or is more than is worth keeping a buffer for.
local function content(heap, number, size, offset, length)
  length = length or size - offset
  if length < 0 or offset + length > size or length > BUFFER then
    return nil
  end
  buffer = buffer or new("char[?]", BUFFER)
  left.busy = 1
  local code = c_read(heap, number, offset, buffer, length)
  local text = code == 0 and string_of(buffer, length) or nil
  left.busy = 0
  return text
end

local classic_read = classic.read
function methods.read(self, address, offset, length)
  local heap, number = object_of(self, class), address_of(address)
  if heap and number ~= 0 and left.busy == 0 and (offset == nil or is_integer(offset, EXACT))
    and (length == nil or is_integer(length, EXACT)) then
    local size = size_of(heap, number)
    local text = size and content(heap, number, size, offset or 0, length)
    if text then
      return text
    end
  end
  return classic_read(self, address, offset, length)
end

local classic_write = classic.write
function methods.write(self, address, text, offset)
  local heap, number = object_of(self, class), address_of(address)
  if heap and number ~= 0 and type(text) == "string" and (offset == nil or is_integer(offset, EXACT))
    and c_write(heap, number, offset or 0, text, #text) == 0 then
    return true
  end
  return classic_write(self, address, text, offset)
end

return function()
  return methods
end
