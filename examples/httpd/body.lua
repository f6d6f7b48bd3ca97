--- Bodies: as long as was said, or in chunks. RFC 9112, strictly: what is no chunk is 400.
-- @module httpd.body
local fields = require "httpd.fields"
local body = {}

body.LIMITS = {
  body = 1048576, -- bytes of a body: 413
  line = 1024, -- bytes of the line before a chunk, with its extensions: 400
  trailer = 8192, -- bytes of one field behind the chunks: 400
}

--- How long the next chunk is; or nil, the status.
local function chunk_size(source)
  local line, why = source:line(body.LIMITS.line)
  if not line then
    return nil, why
  end
  local digits, rest = line:match("^(%x+)([\t -~\128-\255]*)$")
  if not digits or rest ~= "" and not rest:find("^[ \t]*;") then
    return nil, 400
  end
  digits = digits:gsub("^0+", "")
  if #digits > 8 then
    return nil, 413
  end
  return tonumber(digits == "" and "0" or digits, 16)
end

--- Skips the fields behind the last chunk: true; or nil, the status.
local function skip_trailer(source)
  for _ = 0, fields.LIMITS.fields do
    local line, why = source:line(body.LIMITS.trailer)
    if not line then
      return nil, why
    elseif line == "" then
      return true
    elseif not fields.is_one(line) then
      return nil, 400
    end
  end
  return nil, 431
end

local function read_chunks(source)
  local chunks, size = {}, 0
  while true do
    local n, why = chunk_size(source)
    if not n then
      return nil, why
    elseif n == 0 then
      break
    end
    size = size + n
    if size > body.LIMITS.body then
      return nil, 413
    end
    local chunk, ending
    chunk, why = source:bytes(n)
    if chunk then
      ending, why = source:bytes(2)
    end
    if not ending then
      return nil, why
    elseif ending ~= "\r\n" then
      return nil, 400
    end
    chunks[#chunks + 1] = chunk
  end
  local ok, why = skip_trailer(source)
  if not ok then
    return nil, why
  end
  return table.concat(chunks)
end

--- Reads the body of a request: it; or nil, the status.
function body.read(about, source)
  if about.is_chunked then
    return read_chunks(source)
  elseif about.length > body.LIMITS.body then
    return nil, 413
  end
  return source:bytes(about.length)
end

return body
