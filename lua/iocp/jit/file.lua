--- The compiled methods of files, and their class's open: see iocp.jit.
-- @module iocp.jit.file
local fast, operation, core = require "iocp.jit.fast", require "iocp.jit.operation", require "iocp.core"
local private, type = require "iocp.private", type
local C, EXACT = fast.C, fast.EXACT
local c_has_offsets, c_read, c_write, c_write_copy =
  C.iocp_jit_has_offsets, C.iocp_jit_file_read, C.iocp_jit_file_write, C.iocp_jit_file_write_copy
local is_integer, object_of, address_of, left = fast.is_integer, fast.object_of, fast.address_of, fast.left
local is_size, is_at, is_overlapped = operation.is_size, operation.is_at, operation.is_overlapped
local outcome, done = operation.outcome, operation.done
local LARGEST, REST = operation.LARGEST, operation.REST
local class, classic = fast.class "File"

local READ, WRITE = 1, 2 -- IOCP_SIDE_*

local methods = {}

--- Whether that is where a read or write may begin: nil only where it is ignored.
local function is_offset(file, side, offset)
  if offset == nil then
    return c_has_offsets(file, side) == 0
  end
  return is_integer(offset, EXACT)
end

--- A method of a block: begin(file, address, at, size, offset, overlapped, done). One that failed is not begun again.
local function of_block(begin, side, otherwise)
  return function(self, address, size, offset, overlapped, at)
    local file, number = object_of(self, class), address_of(address)
    if not file or number == 0 or left.busy ~= 0 or not is_size(size) or not is_overlapped(overlapped)
      or not is_at(at) or not is_offset(file, side, offset) then
      return otherwise(self, address, size, offset, overlapped, at)
    end
    left.busy = 1
    local code =
      begin(file, number, at or 0, size or REST, offset or 0, overlapped or number, overlapped == false and done or nil)
    local result, message, name = outcome(code, overlapped)
    if result then
      return result
    elseif message then
      return nil, message, name
    end
    return otherwise(self, address, size, offset, overlapped, at)
  end
end

methods.read = of_block(c_read, READ, classic.read)

local classic_write = classic.write
local write_block = of_block(c_write, WRITE, classic_write)
function methods.write(self, data, size, offset, overlapped, at)
  if type(data) ~= "string" then
    return write_block(self, data, size, offset, overlapped, at)
  end
  local file = object_of(self, class)
  offset, overlapped = size, offset
  if not file or left.busy ~= 0 or #data > LARGEST or not is_overlapped(overlapped)
    or not is_offset(file, WRITE, offset) then
    return classic_write(self, data, offset, overlapped)
  end
  left.busy = 1
  local code = c_write_copy(file, data, #data, offset or 0, overlapped or 0, overlapped == false and done or nil)
  local result, message, name = outcome(code, overlapped)
  if result then
    return result
  elseif message then
    return nil, message, name
  end
  return classic_write(self, data, offset, overlapped)
end

return function()
  private.put(core.File, "iocp\0File", "open", operation.open(class, C.iocp_jit_file_is_open, core.File.open))
  return methods
end
