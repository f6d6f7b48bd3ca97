--- The compiled methods of sockets, and their class's open: see iocp.jit.
-- @module iocp.jit.socket
local fast, operation, core = require "iocp.jit.fast", require "iocp.jit.operation", require "iocp.core"
local private, type = require "iocp.private", type
local C = fast.C
local c_receive, c_send, c_send_copy, c_ready =
  C.iocp_jit_receive, C.iocp_jit_send, C.iocp_jit_send_copy, C.iocp_jit_ready
local object_of, address_of, left = fast.object_of, fast.address_of, fast.left
local is_size, is_at, is_overlapped = operation.is_size, operation.is_at, operation.is_overlapped
local outcome, done = operation.outcome, operation.done
local LARGEST, REST = operation.LARGEST, operation.REST
local class, classic = fast.class "Socket"

local methods = {}

--- A method of a block: begin(socket, address, at, size, overlapped, done). One that failed is not begun again.
local function of_block(begin, otherwise)
  return function(self, address, size, overlapped, at)
    local socket, number = object_of(self, class), address_of(address)
    if not socket or number == 0 or left.busy ~= 0 or not is_size(size) or not is_overlapped(overlapped)
      or not is_at(at) then
      return otherwise(self, address, size, overlapped, at)
    end
    left.busy = 1
    local code = begin(socket, number, at or 0, size or REST, overlapped or number, overlapped == false and done or nil)
    local result, message, name = outcome(code, overlapped)
    if result then
      return result
    elseif message then
      return nil, message, name
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
  local result, message, name = outcome(code, overlapped)
  if result then
    return result
  elseif message then
    return nil, message, name
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
  local result, message, name = outcome(code, overlapped)
  if result then
    return result
  elseif message then
    return nil, message, name
  end
  return classic_ready(self, side, overlapped)
end

return function()
  private.put(core.Socket, "iocp\0Socket", "open", operation.open(class, C.iocp_jit_is_open, core.Socket.open))
  return methods
end
