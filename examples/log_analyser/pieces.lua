-- pieces.lua: files in pieces, so that all workers can read one.
local iocp = require "iocp"
local pieces = {}

-- Adds the pieces of a file to the list; true, or nil and why it cannot be read.
function pieces.split(path, size, list)
  local file, message = iocp.File(path)
  if not file then
    return nil, message
  end
  for first = 0, file:size() - 1, size do
    list[#list + 1] = { path = path, first = first, last = first + size }
  end
  return file:close()
end

-- The lines that begin in a piece: one that goes on behind its end belongs to it, and not to the next one.
function pieces.lines(piece)
  local file = assert(io.open(piece.path, "rb"))
  if piece.first > 0 then
    file:seek("set", piece.first - 1)
    file:read("*l")
  end
  local at = file:seek()
  return function()
    local line = at < piece.last and file:read("*l")
    if not line then
      file:close()
      return nil
    end
    at = at + #line + 1
    return line
  end
end

return pieces
