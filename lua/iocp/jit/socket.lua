--- The compiled methods of sockets, and their class's open: see iocp.jit.
-- @module iocp.jit.socket
local fast, core, private, ffi = require "iocp.jit.fast", require "iocp.core", require "iocp.private", require "ffi"
local cast, new = ffi.cast, ffi.new
local tonumber, type = tonumber, type
local C, EXACT, INTERRUPTED, INVALID = fast.C, fast.EXACT, fast.INTERRUPTED, fast.INVALID
local c_is_open, c_receive, c_send = C.iocp_jit_is_open, C.iocp_jit_receive, C.iocp_jit_send
local c_send_copy, c_ready = C.iocp_jit_send_copy, C.iocp_jit_ready
local is_integer, object_of, address_of = fast.is_integer, fast.object_of, fast.address_of
local texts, names, left, io_error = fast.texts, fast.names, fast.left, private.io_error
local class, classic = fast.class "Socket"
local listed = debug.getregistry()["iocp.listed"] -- by handle: what this state has opened

local MESSAGE = core.MESSAGE or EXACT
local LARGEST = 2 ^ 31 - 2 -- bytes of one operation
local REST = cast("size_t", cast("int64_t", -1)) -- a size: what the block has (a double below 0 would not do)
local done = new("int64_t[1]")

local methods = {}

-- ---- arguments and results ------------------------------------------------------------------------------------------

local function is_size(size)
  return size == nil or is_integer(size, LARGEST + 1) and size > 0
end

local function is_overlapped(overlapped)
  return overlapped == nil or overlapped == false or is_integer(overlapped, EXACT) and overlapped ~= MESSAGE
end

--- What an operation returns that did not begin, or failed at once; nothing: the classic method is to try, and explain.
local function failure(code)
  if code > 0 then
    return true, io_error(code)
  elseif code ~= INTERRUPTED and code ~= INVALID then
    return true, nil, texts[code], names[code]
  end
  return false
end

--- What came of an operation that is to end without a packet if it is done at once.
local function what_was_done()
  local bytes = tonumber(done[0])
  left.busy = 0
  return bytes < 0 or bytes
end

-- ---- operations -----------------------------------------------------------------------------------------------------

--- A method of a block: begin(socket, address, at, size, overlapped, done). One that failed is not begun again.
local function of_block(begin, otherwise)
  return function(self, address, size, overlapped, at)
    local socket, number = object_of(self, class), address_of(address)
    if not socket or number == 0 or left.busy ~= 0 or not is_size(size) or not is_overlapped(overlapped)
      or not (at == nil or is_integer(at, EXACT)) then
      return otherwise(self, address, size, overlapped, at)
    end
    local code
    if overlapped == false then
      left.busy = 1
      code = begin(socket, number, at or 0, size or REST, number, done)
      local bytes = what_was_done()
      if code == 0 then
        return bytes
      end
    else
      code = begin(socket, number, at or 0, size or REST, overlapped or number, nil)
      if code == 0 then
        return true
      end
    end
    local is_said, result, message, name = failure(code)
    if is_said then
      return result, message, name
    end
    return otherwise(self, address, size, overlapped, at)
  end
end

methods.receive = of_block(c_receive, classic.receive)

local classic_send = classic.send
local send_block = of_block(c_send, classic_send)
function methods.send(self, data, size, overlapped, at)
  if type(data) ~= "string" then
    return send_block(self, data, size, overlapped, at)
  end
  local socket = object_of(self, class)
  overlapped = size
  if not socket or left.busy ~= 0 or #data > LARGEST or not is_overlapped(overlapped) then
    return classic_send(self, data, overlapped)
  end
  left.busy = 1
  local code = c_send_copy(socket, data, #data, overlapped or 0, overlapped == false and done or nil)
  local bytes = what_was_done()
  if code == 0 then
    return overlapped ~= false or bytes
  end
  local is_said, result, message, name = failure(code)
  if is_said then
    return result, message, name
  end
  return classic_send(self, data, overlapped)
end

local SIDES = { read = 1, write = 2 }

local classic_ready = classic.ready
function methods.ready(self, side, overlapped)
  local socket, number = object_of(self, class), SIDES[side]
  if not socket or not number or left.busy ~= 0 or not is_overlapped(overlapped) then
    return classic_ready(self, side, overlapped)
  end
  left.busy = 1
  local code = c_ready(socket, number, overlapped or 0, overlapped == false and done or nil)
  local bytes = what_was_done()
  if code == 0 then
    return overlapped ~= false or bytes
  end
  local is_said, result, message, name = failure(code)
  if is_said then
    return result, message, name
  end
  return classic_ready(self, side, overlapped)
end

-- ---- open -----------------------------------------------------------------------------------------------------------

local classic_open = core.Socket.open
local function open(handle)
  local found = listed[handle]
  local socket = found and object_of(found, class)
  if socket and c_is_open(socket) ~= 0 then
    return found
  end
  return classic_open(handle)
end

return function()
  core.Socket.open = open
  return methods
end
