--- What the compiled methods that begin operations share, those of sockets and those of files: see iocp.jit.
-- @module iocp.jit.operation
local fast, core, private, ffi = require "iocp.jit.fast", require "iocp.core", require "iocp.private", require "ffi"
local cast, tonumber = ffi.cast, tonumber
local EXACT, INTERRUPTED, INVALID = fast.EXACT, fast.INTERRUPTED, fast.INVALID
local is_integer, object_of, texts, names, left = fast.is_integer, fast.object_of, fast.texts, fast.names, fast.left
local io_error = private.io_error
local listed = debug.getregistry()["iocp.listed"] -- by handle: what this state has opened

local MESSAGE = core.MESSAGE or EXACT
local LARGEST = 2 ^ 31 - 2 -- bytes of one operation
local done = ffi.new("int64_t[1]")

local operation = {
  LARGEST = LARGEST,
  REST = cast("size_t", cast("int64_t", -1)), -- a size: what the block has (a double below 0 would not do)
  done = done, -- where C says what was done at once; `left.busy` is set from the call until `outcome`
}

function operation.is_size(size)
  return size == nil or is_integer(size, LARGEST + 1) and size > 0
end

function operation.is_at(at)
  return at == nil or is_integer(at, EXACT)
end

function operation.is_overlapped(overlapped)
  return overlapped == nil or overlapped == false or is_integer(overlapped, EXACT) and overlapped ~= MESSAGE
end

--- What a method returns of an operation that began, or failed at once, with this code: the result; or nil, message,
-- name; nothing: the classic method is to try, and explain.
function operation.outcome(code, overlapped)
  local bytes = tonumber(done[0])
  left.busy = 0
  if code == 0 then
    return overlapped ~= false or bytes < 0 or bytes
  elseif code > 0 then
    local _, message, name = io_error(code)
    return nil, message, name
  elseif code ~= INTERRUPTED and code ~= INVALID then
    return nil, texts[code], names[code]
  end
end

--- The `open` of a class of objects that a state keeps one userdata of each of.
function operation.open(class, is_open, classic_open)
  return function(handle)
    local found = listed[handle]
    local object = found and object_of(found, class)
    if object and is_open(object) ~= 0 then
      return found
    end
    return classic_open(handle)
  end
end

return operation
