--- What the specs of files share.
local iocp = require "iocp"
local sockets = require "support.sockets"

local files = {}

--- A path that nothing is at, in a folder for what is temporary.
function files.path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

--- A file with this content; its path.
function files.with(text)
  local path = files.path()
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

--- A File of the path that is associated with the port.
function files.open(port, path, mode)
  local file = assert(iocp.File(path, mode))
  assert(file:associate(port))
  return file
end

--- A pipe whose ends are associated: reader, writer.
function files.pipe(port, other)
  local reader, writer = assert(iocp.File.pipe())
  assert(reader:associate(port))
  assert(writer:associate(other or port))
  return reader, writer
end

--- Begins an operation, which is to end by its packet, and takes that.
function files.packet(port, begun, message, code)
  assert(begun == true, tostring(begun) .. " " .. tostring(message) .. " " .. tostring(code))
  return assert(sockets.take(port))
end

--- All that a file, whose port is nobody else's, has from `offset` on.
function files.all(file, port, heap, offset)
  local block, parts = assert(heap:alloc(65536)), {}
  offset = offset or 0
  while true do
    local packet = files.packet(port, file:read(block, nil, offset))
    assert(not packet.code, packet.code)
    if packet.bytes == 0 then
      assert(heap:free(block))
      return table.concat(parts)
    end
    parts[#parts + 1] = heap:read(block, 0, packet.bytes)
    offset = offset + packet.bytes
  end
end

return files
