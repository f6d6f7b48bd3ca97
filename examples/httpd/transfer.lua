--- Reading files without holding the thread: what the system has in memory comes at once, and what it does not have
-- lets the thread's other connections go on.
-- @module httpd.transfer
local iocp = require "iocp"
local transfer = {}

transfer.PART = 65536 -- bytes that are read and written at a time

local idle = {} -- ports with their blocks, for reads to come

local function take_reader()
  local reader = table.remove(idle)
  if not reader then
    reader = { port = assert(iocp.IOCompletionPort()), heap = assert(iocp.Heap()) }
    reader.block = assert(reader.heap:alloc(transfer.PART))
  end
  return reader
end

--- One part of it, `size` bytes at most; or nil.
local function read_part(reader, file, offset, size)
  local bytes = file:read(reader.block, size, offset, false)
  if bytes == true then
    local key
    key, bytes = reader.port:dequeue()
    if not key then -- cancelled, and the block is still the system's
      reader.is_spent = true
      return nil
    end
  end
  return bytes and bytes > 0 and reader.heap:read(reader.block, 0, bytes) or nil
end

--- Gives the file's bytes from `first` on to take(text), part by part.
-- @return true; or nil: the file ended before, or take gave nothing
function transfer.each(file, first, size, take)
  local reader = take_reader()
  local goes_on = size == 0 or file:associate(reader.port)
  while goes_on and size > 0 do
    local text = read_part(reader, file, first, math.min(size, transfer.PART))
    first, size = first + #(text or ""), size - #(text or "")
    goes_on = text and take(text)
  end
  if not reader.is_spent then
    idle[#idle + 1] = reader
  end
  return goes_on and true or nil
end

--- The file's bytes, as one string; or nil.
function transfer.read(file, first, size)
  local parts = {}
  local ok = transfer.each(file, first, size, function(text)
    parts[#parts + 1] = text
    return true
  end)
  return ok and table.concat(parts)
end

return transfer
