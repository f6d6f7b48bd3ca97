--- The head of a request: its line, with what fields.lua reads of the rest. RFC 9112, strictly.
-- @module httpd.head
local fields, memory = require "httpd.fields", require "httpd.memory"
local byte, find, match, sub = string.byte, string.find, string.match, string.sub
local read_fields = fields.read
local head = {}

head.LIMITS = {
  line = 8192, -- bytes of the request's line: 414
  head = 16384, -- bytes of all: 431
  remembered = 1000, -- lines, by each thread, and
  bytes = 262144, -- of them
}

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, CONNECT = true, OPTIONS = true,
  TRACE = true, PATCH = true }
local HAS_CONTENT = { POST = true, PUT = true, PATCH = true }

--- A target without the server's name, if it has one; or nil, the status.
local function path_of(target)
  if byte(target) == 47 then
    return target
  end
  local authority, rest = match(target, "^[hH][tT][tT][pP]://([^/?#]+)(.*)$")
  if not authority or find(authority, "@", 1, true) or not find(authority, fields.HOST) then
    return nil, 400
  end
  return byte(rest) == 47 and rest or "/" .. rest
end

--- The path of a target, and what is behind a question mark; or nil, the status.
local function read_target(method, target)
  if find(target, "#", 1, true) then
    return nil, 400
  elseif method == "CONNECT" then
    return nil, 405
  elseif method == "OPTIONS" and target == "*" then
    return "/"
  end
  local path, status = path_of(target)
  if not path then
    return nil, status
  end
  return match(path, "^[^?]*"), match(path, "?(.*)$")
end

local remembered = memory.new(head.LIMITS.remembered, head.LIMITS.bytes)

--- What a line says: method, path, query, minor; or nil, the status.
local function read_line(text)
  local method, target, major, minor = match(text, "^(" .. fields.TOKEN .. ") ([!-~]+) HTTP/(%d)%.(%d)$")
  if not method then
    return nil, 400
  elseif major ~= "1" then
    return nil, 505
  elseif not METHODS[method] then
    return nil, 501
  end
  local path, query = read_target(method, target)
  if not path then
    return nil, query
  end
  local line = { method = method, path = path, query = query, minor = tonumber(minor) }
  memory.put(remembered, text, line, #text)
  return line
end

--- The request; or nil, the status of what is wrong with it.
local function combine(line, about)
  local minor = line.minor
  if about.status or minor > 0 and not about.has_host or minor == 0 and about.is_chunked then
    return nil, about.status or 400
  elseif about.expects == "else" and minor > 0 then
    return nil, 417
  elseif HAS_CONTENT[line.method] and not about.length and not about.is_chunked then
    return nil, 411
  end
  return { method = line.method, path = line.path, query = line.query, minor = minor, fields = about.fields,
    about = about, keeps = not about.closes and (minor > 0 or about.keeps_alive) }
end

--- Whether what is there can still become a head: nil, nothing; or nil, status. What is before `from` can.
local function unfinished(text, at, from)
  from = math.max(at, from - 1)
  if find(text, "[^\r]\n", from) or find(text, "^\n", at) or find(text, "\r[^\n]", from) then
    return nil, 400
  end
  local size, limits = #text - at + 1, head.LIMITS
  if size > limits.line and not find(text, "\r\n", at, true) then
    return nil, 414
  end
  return nil, size > limits.head and 431 or nil
end

--- Where the empty line behind a head begins, or nil; where the first line ends; and where the head begins: some
-- clients end a body with CR LF.
local function find_ends(text, at, from)
  local last = find(text, "\r\n\r\n", from, true)
  local line_end = last and find(text, "\r\n", at, true)
  if line_end == at or not last and sub(text, at, at + 1) == "\r\n" then
    at = at + 2
    last = find(text, "\r\n\r\n", math.max(at, from), true)
    line_end = last and find(text, "\r\n", at, true)
  end
  return last, line_end, at
end

--- Reads a head that begins at `at`.
-- @param seen how many bytes from `at` on were there before, when it was not whole; nil: none
-- @return the request: method, path, query, minor (of the version), fields (not to be changed), about (what they say:
-- see fields.lua), keeps (the connection); and where what follows it begins; or nil: it is not whole yet; or nil, the
-- status that it is to be answered with: the connection cannot be kept then
function head.read(text, at, seen)
  local from = at + (seen or 0)
  local last, line_end
  last, line_end, at = find_ends(text, at, seen and math.max(at, from - 3) or at)
  if not last then
    return unfinished(text, at, from)
  elseif line_end - at > head.LIMITS.line then
    return nil, 414
  elseif last - at > head.LIMITS.head then
    return nil, 431
  end
  local words = sub(text, at, line_end - 1)
  local line, status = remembered.known[words], nil
  if not line then
    line, status = read_line(words)
  end
  if not line then
    return nil, status
  end
  local about, why = read_fields(sub(text, line_end + 2, last + 3))
  if not about then
    return nil, why
  end
  local request, wrong = combine(line, about)
  return request, request and last + 4 or wrong
end

return head
